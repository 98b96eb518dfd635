"""A model that is neither linear nor Gaussian, with an exact posterior: two modes, a bounded prior.

x1 = |a| + 0.3 e1, x2 = b + a/2 + 0.5 e2, with a ~ U(-2, 2) and b ~ N(0, 1).
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from scipy.special import logsumexp
from scipy.stats import norm

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior


class Fold(AbstractTractableSimulator):
    def simulate(self, key, params):
        noise = jnp.array([0.3, 0.5]) * jax.random.normal(key, (2,))
        return jnp.stack([jnp.abs(params["a"]), params["b"] + 0.5 * params["a"]]) + noise

    def log_likelihood(self, params, observation):
        mean = jnp.stack([jnp.abs(params["a"]), params["b"] + 0.5 * params["a"]])
        return jnp.sum(dist.Normal(mean, jnp.array([0.3, 0.5])).log_prob(observation))


def fold():
    a, b = Parameter(dist.Uniform(-2.0, 2.0)), Parameter(dist.Normal(0.0, 1.0))
    return Model(Prior(a=a, b=b), Fold())


def log_likelihood(a, b, x):
    return norm.logpdf(x[..., 0], np.abs(a), 0.3) + norm.logpdf(x[..., 1], b + 0.5 * a, 0.5)


def log_evidence(x):
    """b integrated in closed form, a by the midpoint rule."""
    n = 4000
    a = -2 + 4 * (np.arange(n) + 0.5) / n
    terms = norm.logpdf(x[:, :1], np.abs(a), 0.3) + norm.logpdf(x[:, 1:], 0.5 * a, np.sqrt(1.25))
    return logsumexp(terms, axis=1) - np.log(n)


def log_prior(a, b):
    return norm.logpdf(b) - np.log(4.0)
