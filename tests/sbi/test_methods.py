"""Every method against an exact posterior, likelihood or ratio, and its coverage."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.diagnose import sbc_ranks, sbc_test
from jaxastro.nn import (
    RatioClassifier,
    flow_matching_density,
    score_density,
    spline_coupling_flow,
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
    simulate,
)
from tests.sbi.fold import fold, log_evidence, log_likelihood, log_prior

FALSE_ALARM = 1e-3  # of each coverage test, over both parameters
N_PAIRS, N_DRAWS = 500, 63
FAST = {"max_epochs": 60, "batch_size": 100}
SPLINE = functools.partial(spline_coupling_flow, n_layers=3, n_bins=8)
DENOISER = {"hidden": 64, "depth": 3}
CLASSIFIER = functools.partial(RatioClassifier, hidden=64, depth=2)
POSTERIORS = {
    "npe": functools.partial(npe, density=SPLINE),
    "fmpe": functools.partial(fmpe, density=functools.partial(flow_matching_density, **DENOISER)),
    "npse": functools.partial(npse, density=functools.partial(score_density, **DENOISER)),
}
LIKELIHOODS = {
    "nle": functools.partial(nle, density=SPLINE, **FAST),
    "nre": functools.partial(nre, loss=nre_loss, classifier=CLASSIFIER, **FAST),
    "nre-c": functools.partial(nre, loss=nre_c_loss, classifier=CLASSIFIER, **FAST),
    "balanced nre": functools.partial(
        nre, loss=balanced_nre_loss, classifier=CLASSIFIER, batch_size=600, patience=15
    ),
}


@pytest.fixture(scope="module")
def model():
    return fold()


@pytest.fixture(scope="module")
def pairs(model):
    return simulate(jax.random.key(0), model, 4000)


@pytest.fixture(scope="module")
def new(model):
    """New pairs with their exact log posterior density and log likelihood."""
    pairs = simulate(jax.random.key(9), model, 3000)
    (a, b), x = (pairs.params[name] for name in "ab"), np.asarray(pairs.observations)
    likelihood, evidence = log_likelihood(a, b, x), log_evidence(x)
    return pairs, likelihood + log_prior(a, b) - evidence, likelihood, evidence


def calibrated(ranks):
    return bool(sbc_test(ranks, N_DRAWS, FALSE_ALARM, n_simulated=40_000))


@pytest.mark.parametrize("name", POSTERIORS)
def test_posterior_estimators(name, pairs, new):
    """KL to the exact posterior, against what the linear start alone has; ranks of the truth."""
    new, exact, _, _ = new
    start, _ = POSTERIORS[name](jax.random.key(1), pairs, max_epochs=0)
    trained, _ = POSTERIORS[name](jax.random.key(1), pairs, **FAST)
    params, x = jax.tree.map(jnp.asarray, (new.params, new.observations))
    log_q = eqx.filter_jit(lambda e: jax.vmap(e.log_prob)(params, x))
    untrained, kl = (np.mean(exact - np.asarray(log_q(e))) for e in (start, trained))
    assert untrained > 0.3
    assert -0.02 < kl < 0.1

    keys = jax.random.split(jax.random.key(2), N_PAIRS)
    sample = jax.jit(jax.vmap(lambda k, x: trained.sample(k, x, N_DRAWS)))
    draws = sample(keys, x[:N_PAIRS])
    truth = {k: v[:N_PAIRS] for k, v in new.params.items()}
    assert calibrated(sbc_ranks(truth, draws))
    centre = {k: np.mean(v, 1, keepdims=True) for k, v in draws.items()}
    narrow = {k: centre[k] + (np.asarray(v) - centre[k]) / 1.5 for k, v in draws.items()}
    assert not calibrated(sbc_ranks(truth, narrow))


@pytest.mark.parametrize(
    "name",
    # The contrastive loss stands for all three where time counts.
    [pytest.param(n, marks=pytest.mark.slow if n.endswith("nre") else ()) for n in LIKELIHOODS],
)
def test_likelihoods_and_ratios(name, model, pairs, new):
    """Coverage by weighing draws of the prior: the rank's expectation among posterior draws."""
    new, posterior, likelihood, evidence = new
    learned, _ = LIKELIHOODS[name](jax.random.key(1), pairs)
    params, x = jax.tree.map(jnp.asarray, (new.params, new.observations))
    value = np.asarray(jax.jit(jax.vmap(learned.log_likelihood))(params, x))
    exact = likelihood if name == "nle" else likelihood - evidence
    assert abs(np.mean(exact - value)) < 0.1

    candidates = model.prior.sample(jax.random.key(3), (4000,))
    weigh = jax.vmap(learned.log_likelihood, (0, None))
    log_w = jax.jit(lambda x: jax.lax.map(lambda x: weigh(candidates, x), x))(x[:N_PAIRS])
    weight = np.asarray(jax.nn.softmax(log_w, axis=1))
    # KL to the exact posterior, with the learned one normalised over the candidates.
    top = np.asarray(jax.nn.logsumexp(log_w, axis=1)) - np.log(4000)
    prior = log_prior(new.params["a"], new.params["b"])[:N_PAIRS]
    assert -0.1 < np.mean(posterior[:N_PAIRS] - (prior + value[:N_PAIRS] - top)) < 0.1
    ranks = {}
    for k, v in candidates.items():
        share = np.sum(weight * (np.asarray(v) < new.params[k][:N_PAIRS, None]), axis=1)
        ranks[k] = np.minimum((share * (N_DRAWS + 1)).astype(int), N_DRAWS)
    assert calibrated(ranks)
