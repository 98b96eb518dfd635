"""Annealing to exact posteriors, from estimates that are far from them."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import AbstractSimulator, AbstractTractableSimulator, Model, Parameter, Prior
from jaxastro.sbi import anneal, reweight
from tests.sbi.linear_gaussian import VARIANCE, linear_gaussian, normal_log_prob

X = jnp.array([0.5, -1.0, 1.5])


class Estimate(eqx.Module):
    """A normal estimate of the posterior, as good as its mean and scale."""

    mean: jax.Array
    scale: jax.Array

    def sample(self, key, n):
        z = jax.random.normal(key, (n, len(self.mean)))
        return {"theta": self.mean[None] + self.scale[None] * z}

    def log_prob(self, params):
        return jnp.sum(dist.Normal(self.mean, self.scale).log_prob(params["theta"]))


POOR = Estimate(jnp.array([0.5, 0.5, -0.5]), jnp.full(3, 0.7))


def test_reaches_the_posterior_where_weights_do_not():
    """Means and covariances within 6 standard errors of 2000 draws; evidence to 0.1.

    Of the weights of 4000 draws less than 60 are effective.
    """
    model = linear_gaussian()
    assert reweight(jax.random.key(0), POOR, model, X, n=4000).ess < 60
    seen = []
    found = anneal(
        jax.random.key(1), POOR, model, X, n=4000, progress=lambda *line: seen.append(line)
    )
    draws = found.posterior.draws["theta"][0]
    error = 6 / math.sqrt(2000)
    scaled = (draws - (1 - VARIANCE) * np.asarray(X)) / math.sqrt(VARIANCE)
    np.testing.assert_allclose(scaled.mean(0), 0.0, atol=error)
    np.testing.assert_allclose(np.cov(scaled.T), np.eye(3), atol=math.sqrt(2) * error)
    evidence = normal_log_prob(np.asarray(X), 0.0, 1.25)
    assert abs(found.log_evidence - evidence) < 0.1
    assert found.exponents[-1] == found.exponents[-2] == 1.0 and len(found.exponents) > 3
    assert np.all(np.diff(found.exponents[:-1]) > 0) and np.all(found.acceptance > 0.1)
    assert [beta for beta, _ in seen] == found.exponents.tolist()


class Either(AbstractTractableSimulator):
    """A measurement of |theta|: two modes, 40 of their widths apart."""

    def simulate(self, key, params):
        return jnp.abs(params["theta"]) + 0.1 * jax.random.normal(key, (2,))

    def log_likelihood(self, params, observation):
        return jnp.sum(dist.Normal(jnp.abs(params["theta"]), 0.1).log_prob(observation))


def test_two_modes_keep_their_weights():
    """Odds of 3 to 1 in each of two parameters, from an estimate that has them otherwise."""
    tilt = 1.01 * math.log(3.0) / 4.0  # log odds 2 * 2 tilt / (1 + 0.1^2)
    model = Model(
        Prior(theta=Parameter(dist.Normal(tilt * jnp.ones(2), 1.0).to_event(1))), Either()
    )
    rough = Estimate(jnp.array([1.0, -0.5]), jnp.full(2, 1.5))
    found = anneal(jax.random.key(0), rough, model, jnp.array([2.0, 2.0]), n=8000)
    draws = found.posterior.draws["theta"][0]
    for column in draws.T:
        assert abs((column > 0).mean() - 0.75) < 0.03
        high, low = column[column > 0], column[column < 0]
        assert abs(high.mean() - (200.0 + tilt) / 101.0) < 0.01
        assert abs(low.mean() - (-200.0 + tilt) / 101.0) < 0.01
        np.testing.assert_allclose([high.std(), low.std()], 0.1 / math.sqrt(1.01), rtol=0.1)


class Mute(AbstractSimulator):
    def simulate(self, key, params):
        return params["theta"]


class Hopeless(AbstractTractableSimulator):
    def simulate(self, key, params):
        return params["theta"]

    def log_likelihood(self, params, observation):
        return jnp.asarray(-jnp.inf)


def test_what_it_refuses():
    prior = linear_gaussian().prior
    key = jax.random.key(0)
    with pytest.raises(ValueError, match="Mute has no log_likelihood"):
        anneal(key, POOR, Model(prior, Mute()), X)
    with pytest.raises(ValueError, match="n = 4, n_moves = 10: give at least 20 draws"):
        anneal(key, POOR, linear_gaussian(), X, n=4)
    with pytest.raises(ValueError, match="0 of 100 draws have a finite likelihood"):
        anneal(key, POOR, Model(prior, Hopeless()), X, n=100)
