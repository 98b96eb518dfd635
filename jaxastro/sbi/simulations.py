"""Pairs of parameters and observations to learn from."""

import time
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import Model, Prior
from ..core.masked import zero_padding
from ..core.progress import reporter


class Simulations(eqx.Module):
    """N pairs (parameters, observation) drawn from a model's joint distribution, on the host.

    `params[name]` has shape (N, ...), each leaf of `observations` a leading axis N; the padding of
    a `Masked` is set to zero. Pairs with a non-finite number are dropped, counted in `n_failed` and
    reported in a warning: an estimator trained without them describes the posterior of simulations
    that succeed.

    Raises ValueError for arrays of different lengths, parameters outside the prior, or where more
    than half of the simulations failed.

    >>> import numpy as np, numpyro.distributions as dist
    >>> from jaxastro.core import Parameter
    >>> prior = Prior(m=Parameter(dist.Normal(0.0, 1.0)))
    >>> simulations = Simulations(prior, {"m": np.zeros(20)}, np.ones((20, 3)))
    >>> len(simulations), simulations.u.shape
    (20, (20, 1))
    """

    prior: Prior
    params: dict[str, np.ndarray]
    observations: Any
    u: np.ndarray
    n_failed: int = eqx.field(static=True)

    def __init__(self, prior, params, observations):
        params = {name: np.asarray(params[name]) for name in _same_names(prior, params)}
        observations = zero_padding(jax.tree.map(np.asarray, observations))
        n = _common_length(params, observations)
        good = np.ones(n, bool)
        for leaf in [*params.values(), *jax.tree.leaves(observations)]:
            if np.issubdtype(leaf.dtype, np.inexact):
                good &= np.all(np.isfinite(leaf.reshape(n, -1)), axis=1)
        failed = int(n - good.sum())
        if failed > n / 2:
            raise ValueError(
                f"{failed} of {n} simulations hold NaN or infinity; mend the simulator, or narrow "
                "the prior to where it works."
            )
        if failed:
            warnings.warn(
                f"{failed} of {n} simulations hold NaN or infinity and are left out.", stacklevel=2
            )
            params = {name: value[good] for name, value in params.items()}
            observations = jax.tree.map(lambda a: a[good], observations)
        u = np.asarray(_to_unconstrained(prior, jax.tree.map(jnp.asarray, params)))
        outside = ~np.all(np.isfinite(u), axis=1)
        if outside.any():
            i = int(np.argmax(outside))
            row = {name: value[i].tolist() for name, value in params.items()}
            raise ValueError(
                f"params: {int(outside.sum())} rows lie on or outside the edge of the prior, the "
                f"first is row {i}: {row}; draw them from this prior."
            )
        self.prior, self.params, self.observations = prior, params, observations
        self.u, self.n_failed = u, failed

    def __len__(self):
        return len(self.u)


def simulate(key, model, n, *, batch_size=1000, progress=None):
    """n draws of (parameters, observation), `batch_size` at a time through one compiled program.

    Args:
        model: a `Model`; `simulate` of its simulator is vmapped.
        progress: True for a line on standard error, or a function of (done, n).

    Raises ValueError for a simulator whose observations hold no array, or for n < 1.
    """
    if not isinstance(model, Model):
        raise ValueError(f"model is a {type(model).__name__}; give a Model(prior, simulator).")
    if n < 1:
        raise ValueError(f"n={n}; it must be at least 1.")
    batch_size = min(batch_size, n)
    parts = []
    began = time.monotonic()
    report = reporter(
        progress, lambda done, n: f"simulations: {done}/{n}, {time.monotonic() - began:.0f} s"
    )
    for i, start in enumerate(range(0, n, batch_size)):
        batch = _simulate(model, jax.random.fold_in(key, i), batch_size)
        parts.append(jax.tree.map(np.asarray, batch))
        done = min(start + batch_size, n)
        report(done, n, last=done == n)
    params, observations = jax.tree.map(lambda *a: np.concatenate(a)[:n], *parts)
    return Simulations(model.prior, params, observations)


@eqx.filter_jit
def _simulate(model, key, n):
    return jax.vmap(model.sample)(jax.random.split(key, n))


@eqx.filter_jit
def _to_unconstrained(prior, params):
    return jax.vmap(prior.to_unconstrained)(params)


def _same_names(prior, params):
    if set(params) != set(prior.names):
        raise ValueError(
            f"params have the names {sorted(params)}, the prior {sorted(prior.names)}; give the "
            "same."
        )
    return prior.names


def _common_length(params, observations):
    leaves = jax.tree.leaves(observations)
    if not leaves:
        raise ValueError("observations hold no array; a simulator must return at least one.")
    lengths = {f"params[{k!r}]": v.shape[:1] for k, v in params.items()}
    lengths |= {f"observations[{i}]": leaf.shape[:1] for i, leaf in enumerate(leaves)}
    if len(set(lengths.values())) != 1 or set(lengths.values()) == {()}:
        shown = ", ".join(f"{k} has {v[0] if v else 'none'}" for k, v in lengths.items())
        raise ValueError(f"parameters and observations differ in length: {shown}.")
    (n,) = next(iter(lengths.values()))
    if n == 0:
        raise ValueError("there are no simulations: the arrays have length 0.")
    return n
