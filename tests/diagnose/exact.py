"""An estimator that is exact, or wrong as one likes: x = theta + N(0, 0.25), theta ~ N(0, 1)."""

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxastro.core import Prior
from tests.sbi.linear_gaussian import DIM, VARIANCE


class Exact(eqx.Module):
    """The posterior N(x (1 - V) + shift, V width^2), or the prior whatever the data."""

    prior: Prior
    width: float = 1.0
    shift: float = 0.0
    blind: bool = eqx.field(static=True, default=False)

    def _moments(self, x):
        if self.blind:
            return jnp.zeros_like(x), 1.0
        return (1 - VARIANCE) * x + self.shift, VARIANCE**0.5 * self.width

    def sample(self, key, observation, n):
        mean, scale = self._moments(observation)
        return {"theta": mean[None] + scale * jax.random.normal(key, (n, DIM), mean.dtype)}

    def log_prob(self, params, observation):
        mean, scale = self._moments(observation)
        return jnp.sum(jax.scipy.stats.norm.logpdf(params["theta"], mean, scale))

    def describe(self, observations):
        return observations
