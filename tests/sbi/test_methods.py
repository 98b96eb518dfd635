"""Every method against an exact posterior, likelihood or ratio, and its coverage."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import Model
from jaxastro.diagnose import sbc_test
from jaxastro.nn import (
    RatioClassifier,
    affine_coupling_flow,
    flow_matching_density,
    score_density,
)
from jaxastro.sbi import (
    balanced_nre_loss,
    fmpe,
    nle,
    npe,
    npse,
    nre,
    nre_c_loss,
    nre_loss,
    reweight,
    simulate,
)
from tests.sbi.linear_gaussian import (
    DIM,
    QUICK,
    VARIANCE,
    linear_gaussian,
    log_ratio,
    normal_log_prob,
    posterior_log_prob,
)

FALSE_ALARM = 1e-3  # of each coverage test, over its three parameters
N_PAIRS, N_DRAWS = 500, 63
FAST = {"max_epochs": 40, "batch_size": 100}
CLASSIFIER = functools.partial(RatioClassifier, hidden=50, depth=2)
POSTERIORS = {
    "npe spline": functools.partial(npe, **QUICK),
    "npe affine": functools.partial(
        npe, density=functools.partial(affine_coupling_flow, n_layers=2), **FAST
    ),
    "fmpe": functools.partial(
        fmpe, density=functools.partial(flow_matching_density, hidden=50), **FAST
    ),
    "npse": functools.partial(npse, density=functools.partial(score_density, hidden=50), **FAST),
}
LIKELIHOODS = {
    "nle": functools.partial(nle, **QUICK),
    "nre": functools.partial(nre, loss=nre_loss, classifier=CLASSIFIER, **FAST),
    "nre-c": functools.partial(nre, loss=nre_c_loss, classifier=CLASSIFIER, **FAST),
    "balanced nre": functools.partial(nre, loss=balanced_nre_loss, classifier=CLASSIFIER, **FAST),
}


@pytest.fixture(scope="module")
def model():
    return linear_gaussian()


@pytest.fixture(scope="module")
def pairs(model):
    return simulate(jax.random.key(0), model, 3000)


@pytest.fixture(scope="module")
def new(model):
    return simulate(jax.random.key(9), model, 3000)


def uniform(ranks):
    named = {f"theta[{i}]": ranks[:, i] for i in range(DIM)}
    return sbc_test(named, N_DRAWS, FALSE_ALARM, n_simulated=60_000)


def ranks(truth, draws):
    return np.sum(np.asarray(draws) < truth[:, None], axis=1)


@pytest.mark.parametrize("name", POSTERIORS)
def test_posterior_estimators(name, pairs, new):
    estimator, _ = POSTERIORS[name](jax.random.key(1), pairs)
    theta, x = new.params["theta"], new.observations
    log_q = jax.jit(jax.vmap(lambda t, x: estimator.log_prob({"theta": t}, x)))(theta, x)
    divergence = posterior_log_prob(theta, x) - np.asarray(log_q)
    error = divergence.std() / np.sqrt(len(divergence))
    assert -5 * error < divergence.mean() < 0.03  # KL in nats; 20 per cent in width cost 0.08

    keys = jax.random.split(jax.random.key(2), N_PAIRS)
    sample = jax.jit(jax.vmap(lambda k, x: estimator.sample(k, x, N_DRAWS)["theta"]))
    draws = np.asarray(sample(keys, x[:N_PAIRS]))
    truth = theta[:N_PAIRS]
    assert uniform(ranks(truth, draws))
    centre = draws.mean(1, keepdims=True)
    assert not uniform(ranks(truth, centre + (draws - centre) / 1.5))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_likelihoods_and_ratios(name, model, pairs, new):
    """Coverage by weighing draws of the prior: the rank's expectation among posterior draws."""
    learned, _ = LIKELIHOODS[name](jax.random.key(1), pairs)
    theta, x = jnp.asarray(new.params["theta"]), jnp.asarray(new.observations)

    @jax.jit
    @jax.vmap
    def value(t, x):
        return learned.log_likelihood({"theta": t}, x)

    exact = log_ratio(theta, x)
    if name == "nle":
        exact = normal_log_prob(np.asarray(x), np.asarray(theta), 0.25)
    difference = exact - np.asarray(value(theta, x))
    assert abs(difference.mean()) < 0.05
    assert difference.std() < 0.3  # where exact values scatter by 1.2

    candidates = model.prior.sample(jax.random.key(3), (2000,))["theta"]

    @jax.jit
    def share_below(t, x):
        log_w = jax.lax.map(
            lambda x: jax.vmap(lambda c: learned.log_likelihood({"theta": c}, x))(candidates), x
        )
        w = jax.nn.softmax(log_w, axis=1)
        return jnp.einsum("pc,pcd->pd", w, (candidates[None] < t[:, None]).astype(w.dtype))

    share = np.asarray(share_below(theta[:N_PAIRS], x[:N_PAIRS]))
    assert uniform(np.minimum((share * (N_DRAWS + 1)).astype(int), N_DRAWS))
    target = Model(model.prior, learned).condition(x[0])
    slope = jax.grad(target)(jnp.zeros(DIM))
    np.testing.assert_allclose(slope, np.asarray(x[0]) / 0.25, atol=1.5)


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
