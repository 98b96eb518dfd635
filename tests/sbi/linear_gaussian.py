"""A model with everything exact: x = theta + N(0, 0.25), theta ~ N(0, 1) in each dimension."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior
from jaxastro.nn import spline_coupling_flow

DIM, NOISE = 3, 0.5
VARIANCE = 1 / (1 + 1 / NOISE**2)  # of the posterior, whose mean is x (1 - VARIANCE)
SMALL = functools.partial(spline_coupling_flow, n_layers=2, n_bins=4)
QUICK = {"max_epochs": 40, "batch_size": 100, "density": SMALL}


class Shift(AbstractTractableSimulator):
    def simulate(self, key, params):
        theta = params["theta"]
        return theta + NOISE * jax.random.normal(key, theta.shape, theta.dtype)

    def log_likelihood(self, params, observation):
        return jnp.sum(dist.Normal(params["theta"], NOISE).log_prob(observation))


def linear_gaussian():
    return Model(Prior(theta=Parameter(dist.Normal(jnp.zeros(DIM), 1.0).to_event(1))), Shift())


def normal_log_prob(x, mean, variance):
    return np.sum(-0.5 * (x - mean) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance), -1)


def posterior_log_prob(theta, x):
    return normal_log_prob(np.asarray(theta), (1 - VARIANCE) * np.asarray(x), VARIANCE)


def log_ratio(theta, x):
    """log p(x | theta)/p(x)."""
    theta, x = np.asarray(theta), np.asarray(x)
    return normal_log_prob(x, theta, NOISE**2) - normal_log_prob(x, 0.0, 1 + NOISE**2)
