"""Sequential Monte Carlo from an estimate to the posterior by a likelihood."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import SamplePosterior
from ..core.progress import reporter
from .importance import check_likelihood, effective_number, systematic

#: Share of particles that stays effective from one exponent to the next.
_EFFECTIVE = 0.5
#: Share of moves that are to be accepted, and of those as long as a difference itself.
_ACCEPTED, _LEAPS = 0.25, 0.1


class Annealed(NamedTuple):
    """Draws of the posterior, and how they came there.

    Attributes:
        posterior: the draws.
        log_evidence: log p(x), as the sum of the stages' log mean weights.
        exponents: beta of each stage, rising to 1, which the last two have.
        acceptance: share of moves accepted in each stage.
    """

    posterior: SamplePosterior
    log_evidence: float
    exponents: np.ndarray
    acceptance: np.ndarray


class _Particles(NamedTuple):
    """Unconstrained places (n, D), log q there, and log p - log q, (n,) each."""

    u: jax.Array
    log_q: jax.Array
    ratio: jax.Array


class _Bridge(eqx.Module):
    """What leads from the estimate to the posterior."""

    posterior: Any
    model: Any
    observation: Any
    latents: Any

    def __call__(self, u):
        """`_Particles` at one place; without a finite ratio it is left for good."""
        params, log_det = self.model.prior.from_unconstrained(u)
        log_q = self.posterior.log_prob(params)
        ratio = self.model.log_joint(params, self.observation, self.latents) - log_q
        sound = jnp.isfinite(log_q) & jnp.isfinite(ratio)
        return _Particles(
            u, jnp.where(sound, log_q + log_det, -jnp.inf), jnp.where(sound, ratio, -jnp.inf)
        )


def anneal(
    key, posterior, model, observation, n=10_000, *, n_moves=10, latents=None, progress=None
):
    r"""Lead an estimate's draws to the posterior where weights alone leave too few of them.

    .. math:: \pi_\beta(\theta) \propto q(\theta|x)^{1-\beta}\,
        [p(\theta)\,p(x|\theta)]^{\beta}, \quad \beta: 0 \to 1

    Annealed from the estimate q (Neal 2001; Del Moral, Doucet & Jasra 2006): each stage raises beta
    until half of the draws are effective, resamples them and moves each `n_moves` times by
    differential evolution (ter Braak 2006): by the difference of two draws of the other half of the
    population, so that moves have the posterior's own form, and reach from mode to mode. No
    gradient is taken. `reweight` is the case of one stage without moves, and cheaper where its
    ESS is large.

    Args:
        key: typed PRNG key.
        posterior: an estimate with `sample` and `log_prob` that covers the posterior: a mode that
            it leaves out entirely stays out.
        model, observation: whose posterior is wanted; the simulator has a `log_likelihood`, as
            those of `nle` and `nre` do.
        n: number of draws, at least 20.
        n_moves: moves of each draw in each stage, and once more at the end.
        latents: fixed random numbers of a forward simulator.
        progress: True for a line on standard error, or a function of (beta, acceptance).

    Returns:
        `Annealed`.

    Raises ValueError where the model has no likelihood or hardly a draw a finite one.

    >>> import equinox as eqx, jax, numpyro.distributions as dist
    >>> from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior
    >>> class Photometry(AbstractTractableSimulator):
    ...     def simulate(self, key, params):
    ...         return params["m"] + 0.01 * jax.random.normal(key)
    ...
    ...     def log_likelihood(self, params, observation):
    ...         return -0.5 * ((observation - params["m"]) / 0.01) ** 2
    >>> model = Model(Prior(m=Parameter(dist.Normal(0.0, 1.0), unit="mag")), Photometry())
    >>> class Rough(eqx.Module):
    ...     def sample(self, key, n):
    ...         return {"m": jax.random.normal(key, (n,))}
    ...
    ...     def log_prob(self, params):
    ...         return dist.Normal(0.0, 1.0).log_prob(params["m"])
    >>> found = anneal(jax.random.key(0), Rough(), model, jax.numpy.asarray(0.5), n=1000)
    >>> bool(abs(found.posterior.draws["m"].std() - 0.01) < 0.001)
    True
    """
    check_likelihood(model)
    if n < 20 or n_moves < 1:
        raise ValueError(f"n = {n}, n_moves = {n_moves}: give at least 20 draws and 1 move.")
    bridge = _Bridge(posterior, model, jax.tree.map(jnp.asarray, observation), latents)
    draw_key, stage_key = jax.random.split(key)
    particles = _first(bridge, draw_key, n)
    n_finite = int(np.sum(np.isfinite(particles.ratio)))
    if n_finite < 10:
        raise ValueError(
            f"{n_finite} of {n} draws have a finite likelihood: the estimate and the model do not "
            "overlap."
        )
    beta, scale, log_evidence = 0.0, jnp.zeros(()), 0.0
    exponents, acceptance = [], []
    report = reporter(progress, "beta {:.2e}, {:.0%} of moves accepted".format)
    # The last stage moves the draws once more: it raises nothing.
    while len(exponents) < 2 or exponents[-2] < 1.0:
        ratio = np.asarray(particles.ratio, float)
        rise = _rise(ratio, 1.0 - beta)
        weights = np.exp(rise * (ratio - ratio.max()))
        log_evidence += rise * ratio.max() + math.log(weights.mean())
        beta = min(1.0, beta + rise)
        key = jax.random.fold_in(stage_key, len(exponents))
        particles, scale, accepted = _stage(
            bridge, particles, jnp.asarray(weights), jnp.asarray(beta), scale, key, n_moves
        )
        exponents.append(beta)
        acceptance.append(float(accepted))
        report(beta, acceptance[-1], last=len(exponents) > 1 and exponents[-2] == 1.0)
    prior = model.prior
    params = _constrained(prior, particles.u)
    draws = {name: np.asarray(value)[None] for name, value in params.items()}
    attrs = {"sampler": "annealed", "log_evidence": log_evidence, "exponents": exponents}
    return Annealed(
        SamplePosterior(draws, units=prior.units, labels=prior.labels, attrs=attrs),
        log_evidence,
        np.asarray(exponents),
        np.asarray(acceptance),
    )


def _rise(ratio, most):
    """How far beta may rise for `_EFFECTIVE` of those with a finite ratio to stay effective."""
    ratio = ratio[np.isfinite(ratio)]

    def share(rise):
        return effective_number(np.exp(rise * (ratio - ratio.max()))) / len(ratio)

    if share(most) >= _EFFECTIVE:
        return most
    low, high = 0.0, most
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if share(middle) >= _EFFECTIVE else (low, middle)
    return high


@eqx.filter_jit
def _first(bridge, key, n):
    to_unconstrained = bridge.model.prior.to_unconstrained
    return jax.vmap(lambda p: bridge(to_unconstrained(p)))(bridge.posterior.sample(key, n))


@eqx.filter_jit
def _constrained(prior, u):
    return jax.vmap(lambda u: prior.from_unconstrained(u)[0])(u)


@eqx.filter_jit
def _stage(bridge, particles, weights, beta, scale, key, n_moves):
    """Resampled and moved particles, the log scale of moves, and the share accepted."""
    n, dim = particles.u.shape
    resample_key, move_key = jax.random.split(key)
    index = systematic(resample_key, weights)
    particles = jax.tree.map(lambda a: a[index], particles)

    def log_density(p):
        return p.log_q + beta * p.ratio

    def moved(key, some, others, scale):
        pair_key, leap_key, noise_key, accept_key = jax.random.split(key, 4)
        count, rest = len(some.u), len(others.u)
        first, apart = jax.random.randint(pair_key, (2, count), 0, rest - 1)
        second = (first + 1 + apart) % rest
        usual = jnp.exp(scale) * 2.38 / math.sqrt(2 * dim)
        leap = jax.random.bernoulli(leap_key, _LEAPS, (count, 1))
        # Resampled draws may coincide: a little noise moves also what their difference does not.
        noise = jax.random.normal(noise_key, some.u.shape, some.u.dtype)
        step = others.u[first] - others.u[second]
        step = (
            jnp.where(leap, 1.0, usual) * step + 0.05 * usual * jnp.std(others.u, 0)[None] * noise
        )
        tried = jax.vmap(bridge)(some.u + step)
        gain = log_density(tried) - log_density(some)
        chance = jnp.log(jax.random.uniform(accept_key, (count,), gain.dtype))
        accepted = chance < gain  # False where NaN
        kept = jax.tree.map(
            lambda a, b: jnp.where(accepted.reshape(-1, *(1 for _ in a.shape[1:])), a, b),
            tried,
            some,
        )
        usually = jnp.sum(accepted & ~leap[:, 0]) / jnp.maximum(1, jnp.sum(~leap[:, 0]))
        return kept, usually

    def sweep(carry, key):
        particles, scale = carry
        order_key, *keys = jax.random.split(key, 3)
        order = jax.random.permutation(order_key, n)
        some, others = (
            jax.tree.map(lambda a, rows=rows: a[rows], particles)
            for rows in (order[: n // 2], order[n // 2 :])
        )
        some, one = moved(keys[0], some, others, scale)
        others, two = moved(keys[1], others, some, scale)
        accepted = 0.5 * (one + two)
        particles = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), some, others)
        return (particles, scale + 0.5 * (accepted - _ACCEPTED).astype(scale.dtype)), accepted

    (particles, scale), accepted = jax.lax.scan(
        sweep, (particles, scale), jax.random.split(move_key, n_moves)
    )
    return particles, scale, jnp.mean(accepted)
