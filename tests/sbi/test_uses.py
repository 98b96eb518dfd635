"""What learned likelihoods and reweighting are for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import Model
from jaxastro.sbi import nle, npe, reweight, simulate
from tests.sbi.linear_gaussian import QUICK, VARIANCE, linear_gaussian, normal_log_prob


@pytest.fixture(scope="module")
def model():
    return linear_gaussian()


@pytest.fixture(scope="module")
def pairs(model):
    return simulate(jax.random.key(0), model, 3000)


def test_reweighting_mends_a_poor_estimate(model, pairs):
    poor, _ = npe(jax.random.key(1), pairs, **(QUICK | {"max_epochs": 1}))
    x = jnp.array([0.5, -1.0, 1.5])
    result = reweight(jax.random.key(2), poor.posterior(x), model, x, n=4000)
    draws = result.posterior.draws["theta"][0]
    error = np.sqrt(VARIANCE / result.ess)
    np.testing.assert_allclose(draws.mean(0), (1 - VARIANCE) * x, atol=6 * error)
    evidence = normal_log_prob(np.asarray(x), 0.0, 1.25)
    assert abs(result.log_evidence - evidence) < 5 * result.log_evidence_error
    assert 400 < result.ess <= 4000


def test_an_emulator_simulates(model, pairs):
    learned, _ = nle(jax.random.key(1), pairs, **QUICK)
    theta = jnp.array([0.2, 0.0, -1.0])
    draw = jax.jit(jax.vmap(lambda key: learned.simulate(key, {"theta": theta})))
    x = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    np.testing.assert_allclose(x.mean(0), theta, atol=0.06)
    np.testing.assert_allclose(x.std(0), 0.5, rtol=0.08)
    with pytest.raises(ValueError, match=r"shape \(2,\); simulations have \(3,\)"):
        Model(model.prior, learned).condition(jnp.zeros(2))
