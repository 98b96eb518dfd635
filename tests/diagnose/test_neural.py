"""Diagnostics of amortised estimators: silent on an exact one, loud on wrong ones."""

import equinox as eqx
import jax
import numpy as np
import pytest

from jaxastro.core import SamplePosterior
from jaxastro.diagnose import (
    calibration,
    held_out_log_prob,
    linear_predictions,
    local_c2st_test,
    misspecification_test,
    mmd_test,
    predictive_check,
    sbc_ranks,
    sbc_test,
    tarp_ranks,
)
from jaxastro.sbi import simulate
from tests.diagnose.exact import Exact
from tests.sbi.linear_gaussian import DIM, VARIANCE, linear_gaussian

KEY = jax.random.key(3)
WRONG = {"narrow": {"width": 0.75}, "wide": {"width": 1.4}, "shifted": {"shift": 0.15}}


@pytest.fixture(scope="module")
def model():
    return linear_gaussian()


@pytest.fixture(scope="module")
def pairs(model):
    return simulate(jax.random.key(0), model, 1000)


def test_calibration_of_the_exact_posterior(model, pairs):
    result = calibration(KEY, Exact(model.prior), pairs)
    assert result and "calibrated at" in str(result)
    assert list(result.p_values) == [
        "theta[0]",
        "theta[1]",
        "theta[2]",
        "highest density",
        "reference distance",
    ]
    with_fewer = calibration(KEY, Exact(model.prior), pairs, densities=False)
    assert "highest density" not in with_fewer.p_values


@pytest.mark.parametrize("wrong", WRONG)
def test_calibration_of_wrong_posteriors(wrong, model, pairs):
    result = calibration(KEY, Exact(model.prior, **WRONG[wrong]), pairs)
    assert not result and "NOT calibrated" in str(result)


def test_only_distance_sees_a_posterior_that_ignores_the_data(model, pairs):
    result = calibration(KEY, Exact(model.prior, blind=True), pairs)
    least = result.false_alarm / len(result.p_values)
    rejected = [name for name, p in result.p_values.items() if p < least]
    assert rejected == ["reference distance"]


def test_false_alarms_of_the_distance_ranks(model):
    """200 repetitions at 0.1 of ranks whose references are predicted from the same pairs."""
    many = simulate(jax.random.key(5), model, 200 * 60)
    alarms = 0
    rng = np.random.default_rng(0)
    x = np.asarray(many.observations)
    draws = (1 - VARIANCE) * x[:, None] + VARIANCE**0.5 * rng.normal(size=(len(x), 19, DIM))
    for i in range(200):
        part = slice(60 * i, 60 * (i + 1))
        references = linear_predictions(jax.random.key(i), many.u[part], x[part])
        ranks = {"distance": tarp_ranks(many.u[part], draws[part], references)}
        alarms += sbc_test(ranks, 19, 0.1, n_simulated=2000).p_values["distance"] < 0.1
    # 20 expected, binomial sd 4.2, four of them (false alarm 1e-4).
    assert abs(alarms - 20) < 17


def test_band_is_the_test(model, pairs):
    """The ranks' distribution function leaves the band exactly where the test rejects."""
    for wrong in ({}, {"shift": 0.05}, {"width": 0.9}):
        result = calibration(KEY, Exact(model.prior, **wrong), pairs, false_alarm=0.05)
        for name, ranks in result.ranks.items():
            nodes = np.arange(1, result.n_draws + 1) / (result.n_draws + 1)
            function = np.mean(ranks[:, None] < np.arange(1, result.n_draws + 1), axis=0)
            gap = np.max(np.abs(function - nodes) / np.sqrt(nodes * (1 - nodes)))
            rejected = result.p_values[name] < result.false_alarm / len(result.p_values)
            assert rejected == (gap >= result.band[name])


def test_held_out_log_prob(model, pairs):
    """The exact posterior's mean is minus its entropy; a wrong one's difference is the KL."""
    exact = held_out_log_prob(KEY, Exact(model.prior), pairs)
    entropy = DIM * 0.5 * np.log(2 * np.pi * np.e * VARIANCE)
    assert exact and abs(exact.statistic + entropy) < 4 * exact.error
    shifted = held_out_log_prob(KEY, Exact(model.prior, shift=0.3), pairs)
    kl = DIM * 0.3**2 / VARIANCE / 2
    # Paired: only the cross term scatters, with sd sqrt(2 KL) a pair.
    scatter = np.sqrt(2 * kl / len(pairs))
    assert abs(exact.statistic - shifted.statistic - kl) < 4 * scatter
    assert not shifted and "NOT as good" in str(shifted)
    assert "BETTER" in str(held_out_log_prob(KEY, Exact(model.prior, width=1.5), pairs))


def test_mmd():
    p, q = np.random.default_rng(1).normal(size=(2, 500, 3))
    assert mmd_test(KEY, p, q) and mmd_test(KEY, p, q[:77])
    assert not mmd_test(KEY, p, q * 1.5)
    assert not mmd_test(KEY, p, q[:77] + 0.5)
    # The unbiased estimate, summed as it is defined.
    x = np.concatenate([p[:20], q[:30]])
    x = (x - x.mean(0)) / x.std(0)
    square = np.sum((x[:, None] - x[None]) ** 2, -1)
    k = np.exp(-square / np.median(square))
    within = [(b.sum() - np.trace(b)) / (len(b) * (len(b) - 1)) for b in (k[:20, :20], k[20:, 20:])]
    expected = sum(within) - 2 * k[:20, 20:].mean()
    assert mmd_test(KEY, p[:20], q[:30]).statistic == pytest.approx(expected, abs=1e-5)


def test_mmd_false_alarms():
    rng = np.random.default_rng(2)
    sets = rng.normal(size=(300, 2, 20, 2))
    p = [mmd_test(KEY, *s, false_alarm=0.1, n_permutations=199).p_value for s in sets]
    # 30 expected, binomial sd 5.2, four of them (false alarm 1e-4).
    assert abs(np.sum(np.array(p) <= 0.1) - 30) < 21


@pytest.mark.slow
def test_local_c2st(model, pairs):
    x = np.zeros(DIM)
    settings = {"n_null": 59, "max_epochs": 30, "n_draws": 500}
    right = local_c2st_test(KEY, Exact(model.prior), pairs, x, **settings)
    assert right and right.params["theta"].shape == (500, DIM)
    assert not local_c2st_test(KEY, Exact(model.prior, shift=0.5), pairs, x, **settings)


def test_misspecification(model, pairs):
    exact = Exact(model.prior)
    assert misspecification_test(exact, pairs, np.ones(DIM), false_alarm=0.01)
    far = misspecification_test(exact, pairs, np.full(DIM, 4.0), false_alarm=0.01)
    assert not far and "NOT like" in str(far)
    # Within the range of each element, but not of all together.
    many = simulate(jax.random.key(1), model, 500)
    line = np.asarray(many.u[:, :1]) * np.ones((1, DIM)) + 0.1 * np.asarray(many.u)
    along = eqx.tree_at(lambda s: s.observations, many, line)
    assert misspecification_test(exact, along, np.ones(DIM), false_alarm=0.01)
    across = np.array([1.0, -1.0, 1.0])
    assert not misspecification_test(exact, along, across, false_alarm=0.01)


def test_predictive_check(model):
    rng = np.random.default_rng(0)
    x = np.array([0.3, -0.2, 0.9])
    draws = (1 - VARIANCE) * x + VARIANCE**0.5 * rng.normal(size=(1, 4000, DIM))
    posterior = SamplePosterior({"theta": draws})
    result = predictive_check(KEY, model, posterior, x)
    assert result and result.replicated.shape == (2000, DIM)
    assert not predictive_check(KEY, model, posterior, x + 4.0)
    spread = {"spread": lambda x: x.max() - x.min()}
    result = predictive_check(KEY, model, posterior, np.array([5.0, 0.0, 0.0]), statistics=spread)
    assert not result and "spread" in str(result)


def test_bad_arguments(model, pairs):
    exact = Exact(model.prior)
    with pytest.raises(ValueError, match="cannot be resolved with n_permutations=9"):
        mmd_test(KEY, np.zeros((5, 1)), np.zeros((5, 1)), n_permutations=9)
    with pytest.raises(ValueError, match=r"give \(N, D\)"):
        mmd_test(KEY, np.zeros((5, 1)), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="q holds 1 non-finite"):
        mmd_test(KEY, np.zeros((5, 1)), np.array([[0.0], [np.nan]]))
    with pytest.raises(ValueError, match=r"cannot be resolved with len\(simulations\)"):
        misspecification_test(exact, pairs, np.zeros(DIM), false_alarm=1e-5)
    with pytest.raises(ValueError, match="give a number between 0 and 1"):
        misspecification_test(exact, pairs, np.zeros(DIM), false_alarm=2)
    with pytest.raises(ValueError, match="arrays of shapes"):
        posterior = SamplePosterior({"theta": np.zeros((1, 10, DIM))})
        predictive_check(KEY, model, posterior, np.zeros(2))
    with pytest.raises(ValueError, match=r"give \(N, L, ...\) and \(N, ...\)"):
        sbc_ranks({"a": np.zeros(3)}, {"a": np.zeros(3)})
    with pytest.raises(ValueError, match=r"give \(N, D\), \(N, L, D\) and \(N, D\)"):
        tarp_ranks(np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2)))
