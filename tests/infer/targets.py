"""Small targets with known posteriors, for the tests of the samplers."""

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxastro.core import (
    AbstractForwardSimulator,
    AbstractTractableSimulator,
    Model,
    Parameter,
    Prior,
)


class CorrelatedGaussian(AbstractTractableSimulator):
    """x ~ N(params['x'], cov): with a flat enough prior the posterior is N(observation, cov)."""

    factor: jax.Array

    def simulate(self, key, params):
        noise = jax.random.normal(key, params["x"].shape, dtype=params["x"].dtype)
        return params["x"] + self.factor @ noise

    def log_likelihood(self, params, observation):
        scaled = jax.scipy.linalg.solve_triangular(
            self.factor, params["x"] - observation, lower=True
        )
        return -0.5 * jnp.sum(scaled**2)


def gaussian_target(covariance, observation, prior_sd=1e3):
    dim = len(observation)
    prior = Prior(x=Parameter(dist.Normal(jnp.zeros(dim), prior_sd), unit="kpc"))
    simulator = CorrelatedGaussian(jnp.linalg.cholesky(jnp.asarray(covariance)))
    return Model(prior, simulator).condition(jnp.asarray(observation))


class Coin(AbstractTractableSimulator):
    """k heads of n: with a uniform prior the posterior is Beta(1 + k, 1 + n - k)."""

    n: int

    def simulate(self, key, params):
        draws = jax.random.uniform(key, (self.n,), dtype=params["p"].dtype)
        return jnp.sum(draws < params["p"], dtype=params["p"].dtype)

    def log_likelihood(self, params, observation):
        p = params["p"]
        return observation * jnp.log(p) + (self.n - observation) * jnp.log1p(-p)


class Noisy(AbstractForwardSimulator):
    """x = mean + noise of unit variance, with latents that shift it."""

    def sample_latents(self, key):
        return jax.random.normal(key)

    def forward(self, params, latents):
        shift = 0.0 if latents is None else latents
        return params["mean"] + shift

    def noise_log_prob(self, prediction, observation):
        return -0.5 * (observation - prediction) ** 2

    def sample_noise(self, key, prediction):
        return prediction + jax.random.normal(key, dtype=prediction.dtype)


class HalfFails(AbstractTractableSimulator):
    """NaN below zero; above, log-likelihood 2 log a: with a N(0, 1) prior a chi of 3 degrees."""

    def simulate(self, key, params):
        return params["a"]

    def log_likelihood(self, params, observation):
        return observation * jnp.log(params["a"])


def half_fails_target():
    prior = Prior(a=Parameter(dist.Normal(0.0, 1.0)))
    return Model(prior, HalfFails()).condition(jnp.asarray(2.0))
