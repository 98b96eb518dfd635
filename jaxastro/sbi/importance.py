"""Importance reweighting: an estimate made exact where a likelihood exists."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import SamplePosterior


class Reweighted(NamedTuple):
    """Draws resampled by their weights; effective number of the weights; log evidence."""

    posterior: SamplePosterior
    ess: float
    log_evidence: float
    log_evidence_error: float


def reweight(key, posterior, model, observation, n=10_000, latents=None):
    r"""Correct a posterior by the model's own likelihood.

    .. math:: w_i = p(\theta_i)\, p(x|\theta_i) / q(\theta_i|x), \quad
        ESS = (\sum w)^2 / \sum w^2, \quad Z = \langle w \rangle

    Draws are resampled systematically. Where the ESS is a small part of n the estimate misses
    mass, and so may the weights.

    Raises ValueError where the model has no likelihood or no draw has a finite weight.
    """
    check_likelihood(model)
    draw_key, resample_key = jax.random.split(key)
    params = posterior.sample(draw_key, n)
    log_w = np.asarray(_log_weights(posterior, model, observation, latents, params), float)
    log_w = np.where(np.isnan(log_w), -np.inf, log_w)
    top = log_w.max()
    if not np.isfinite(top):
        raise ValueError("no draw has a finite weight: the estimate and the model do not overlap.")
    w = np.exp(log_w - top)
    ess = effective_number(w)
    index = systematic(resample_key, jnp.asarray(w))
    index = np.asarray(jax.random.permutation(jax.random.fold_in(resample_key, 1), index))
    draws = {name: np.asarray(value)[index][None] for name, value in params.items()}
    prior = model.prior
    attrs = {"sampler": "importance", "ess": float(ess)}
    return Reweighted(
        SamplePosterior(draws, units=prior.units, labels=prior.labels, attrs=attrs),
        float(ess),
        float(top + np.log(w.mean())),
        float(w.std() / w.mean() / np.sqrt(n)),
    )


def check_likelihood(model):
    """Raise ValueError for a model whose simulator has no likelihood."""
    if not hasattr(model.simulator, "log_likelihood"):
        raise ValueError(
            f"{type(model.simulator).__name__} has no log_likelihood; weights need one: take that "
            "of `nle` or `nre`."
        )


def effective_number(weights):
    """How many equal weights would tell as much (Kish 1965)."""
    return weights.sum() ** 2 / np.sum(weights**2)


def systematic(key, weights):
    """Indices of as many draws as there are weights, each in proportion to its own, in order."""
    n = len(weights)
    total = jnp.cumsum(weights)
    points = (
        jax.random.uniform(key, dtype=weights.dtype) + jnp.arange(n).astype(weights.dtype)
    ) / n
    return jnp.minimum(jnp.searchsorted(total / total[-1], points), n - 1)


@eqx.filter_jit
def _log_weights(posterior, model, observation, latents, params):
    def one(params):
        joint = model.log_joint(params, jax.tree.map(jnp.asarray, observation), latents)
        return joint - posterior.log_prob(params)

    return jax.vmap(one)(params)
