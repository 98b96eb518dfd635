"""A prior with a simulator, and the density that conditioning on data leaves."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .prior import Prior
from .simulator import AbstractForwardSimulator, AbstractSimulator


class Model(eqx.Module):
    """A joint distribution of parameters and observations.

    >>> import jax, jax.numpy as jnp, numpyro.distributions as dist
    >>> class Gaussian(AbstractForwardSimulator):
    ...     def sample_latents(self, key):
    ...         return None
    ...
    ...     def forward(self, params, latents):
    ...         return params["mean"]
    ...
    ...     def noise_log_prob(self, prediction, observation):
    ...         return -0.5 * (observation - prediction) ** 2
    ...
    ...     def sample_noise(self, key, prediction):
    ...         return prediction + jax.random.normal(key, dtype=prediction.dtype)
    >>> from jaxastro.core import Parameter
    >>> model = Model(Prior(mean=Parameter(dist.Normal(0.0, 1.0))), Gaussian())
    >>> params, observation = model.sample(jax.random.key(0))
    >>> target = model.condition(jnp.asarray(0.5))
    >>> target(jnp.zeros(1)).shape
    ()
    """

    prior: Prior
    simulator: AbstractSimulator

    def sample(self, key):
        """One draw of (parameters, observation)."""
        prior_key, simulator_key = jax.random.split(key)
        params = self.prior.sample(prior_key)
        return params, self.simulator.simulate(simulator_key, params)

    def log_joint(self, params, observation, latents=None):
        """log p(params) + log p(observation | params); a failed simulation gives -inf."""
        likelihood = _log_likelihood(self.simulator, params, observation, latents)
        return self.prior.log_prob(params) + _failure_to_minus_inf(likelihood)

    def condition(self, observation, latents=None):
        """The log density on unconstrained space given an observation.

        `latents` fixes the random numbers of a forward simulator, which makes its likelihood a
        smooth function. Raises ValueError for a simulator without a likelihood, and for an
        observation with a non-finite value (leave masked entries finite, and mask them in the
        simulator).
        """
        if not hasattr(self.simulator, "log_likelihood"):
            raise ValueError(
                f"{type(self.simulator).__name__} has no log_likelihood, so there is no density "
                "to condition; use a simulation-based method, or make it a tractable simulator."
            )
        _check_finite(observation)
        validate = getattr(self.simulator, "validate_observation", None)
        if validate is not None:
            validate(observation)
        return Target(self.prior, self.simulator, jax.tree.map(_as_array, observation), latents)


class Target(eqx.Module):
    r"""The posterior's log density, up to a constant, as a function of unconstrained `u`.

    .. math:: \ell(u) = \log p(T(u)) + \log|\det T'(u)| + \log p(x | T(u))

    `target(u)` is a scalar for `u` of shape (D,). Where the likelihood is NaN (a failed
    simulation) the value is -inf and the gradient zero, in forward and in reverse mode.
    """

    prior: Prior
    simulator: AbstractSimulator
    observation: Any
    latents: Any = None

    @property
    def dim(self):
        """Number of unconstrained coordinates D."""
        return self.prior.dim

    def __call__(self, u):
        return _guarded(self, u)

    def unguarded(self, u):
        """The same value; a reverse-mode gradient may be NaN where the simulation failed.

        Samplers use this one and mask the gradient themselves: it spares them the second
        evaluation that a safe reverse mode costs.
        """
        params, log_det = self.prior.from_unconstrained(u)
        likelihood = _log_likelihood(self.simulator, params, self.observation, self.latents)
        value = self.prior.log_prob(params) + log_det + likelihood
        return _failure_to_minus_inf(value)

    def constrain(self, u):
        """Unconstrained u -> the dict of parameters."""
        return self.prior.from_unconstrained(u)[0]

    def log_prior(self, u):
        """log prior density of u, log-determinant included."""
        params, log_det = self.prior.from_unconstrained(u)
        return self.prior.log_prob(params) + log_det

    def log_likelihood(self, u):
        """log p(observation | T(u)); -inf where the simulation failed."""
        likelihood = _log_likelihood(
            self.simulator, self.constrain(u), self.observation, self.latents
        )
        return _failure_to_minus_inf(likelihood)


def _log_likelihood(simulator, params, observation, latents):
    if isinstance(simulator, AbstractForwardSimulator):
        return simulator.log_likelihood(params, observation, latents)
    return simulator.log_likelihood(params, observation)


def _failure_to_minus_inf(value):
    return jnp.where(jnp.isfinite(value), value, -jnp.inf)


@eqx.filter_custom_jvp
def _guarded(target, u):
    return target.unguarded(u)


@_guarded.def_jvp
def _guarded_jvp(primals, tangents):
    # `where` on the result alone gives 0 * NaN in reverse mode. Cutting the tangent *before* the
    # simulation as well puts a select at the end of the transposed program, which drops the NaN.
    arrays, static = eqx.partition(primals, eqx.is_inexact_array)
    tangents = jax.tree.map(
        lambda t, x: jnp.zeros_like(x) if t is None and x is not None else t,
        tangents,
        arrays,
        is_leaf=lambda leaf: leaf is None,
    )

    def density(arrays):
        target, u = eqx.combine(arrays, static)
        return target.unguarded(u)

    valid = jnp.isfinite(density(arrays))
    cut = jax.tree.map(lambda t: jnp.where(valid, t, jnp.zeros_like(t)), tangents)
    value, slope = jax.jvp(density, (arrays,), (cut,))
    return value, jnp.where(valid, slope, jnp.zeros_like(slope))


def _as_array(leaf):
    return jnp.asarray(leaf) if isinstance(leaf, np.ndarray | float | int) else leaf


def _check_finite(observation):
    for path, leaf in jax.tree_util.tree_leaves_with_path(observation):
        if isinstance(leaf, jax.core.Tracer) or not isinstance(
            leaf, jax.Array | np.ndarray | float | int
        ):
            continue
        if not jnp.issubdtype(jnp.asarray(leaf).dtype, jnp.inexact):
            continue
        bad = ~np.isfinite(np.asarray(leaf))
        if bad.any():
            where = np.argwhere(bad)[0].tolist()
            raise ValueError(
                f"observation{jax.tree_util.keystr(path)} holds {int(bad.sum())} non-finite "
                f"values, the first at index {where}: drop those entries, or set them to a finite "
                "number and mask them in the simulator."
            )
