"""The SBC test has the false-alarm rate it states, and sees what it should."""

import numpy as np
import pytest

from jaxastro.diagnose import sbc_ranks, sbc_test


def conjugate_ranks(width=1.0, shift=0.0, n=300, n_draws=49, seed=0):
    """theta ~ N(0, 1), x ~ N(theta, 1): the posterior is N(x/2, 1/2), here made wrong at will."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=n)
    x = theta + rng.normal(size=n)
    draws = x[:, None] / 2 + shift + width * np.sqrt(0.5) * rng.normal(size=(n, n_draws))
    return sbc_ranks({"theta": theta}, {"theta": draws})


def test_right_posterior_passes():
    result = sbc_test(conjugate_ranks(), 49)
    assert result and str(result).startswith("calibrated")


@pytest.mark.parametrize("wrong", [{"width": 0.7}, {"width": 1.5}, {"shift": 0.3}])
def test_wrong_posteriors_are_rejected(wrong):
    result = sbc_test(conjugate_ranks(**wrong), 49)
    assert not result and "NOT calibrated" in str(result)


def test_false_alarm_rate_is_the_stated_one():
    rng = np.random.default_rng(1)
    ranks = {str(i): rng.integers(0, 20, size=100) for i in range(400)}
    p = np.array(list(sbc_test(ranks, 19, false_alarm=0.5).p_values.values()))
    # 400 tests at 0.1: 40 expected, binomial sd 6, four of them (false alarm 1e-4).
    assert abs(np.sum(p <= 0.1) - 40) < 24


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"leave 0\.\.9"):
        sbc_test({"x": np.array([10])}, 9)
    with pytest.raises(ValueError, match="cannot be resolved"):
        sbc_test({"x": np.array([1])}, 9, false_alarm=1e-6, n_simulated=20_000)
    with pytest.raises(ValueError, match="give the same"):
        sbc_ranks({"x": np.zeros(1)}, {"y": np.zeros((1, 2))})
