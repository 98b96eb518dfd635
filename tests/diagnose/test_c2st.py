"""C2ST against accuracies that are known."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from jaxastro.diagnose import c2st, c2st_test


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_two_gaussians(shift):
    """The best accuracy is Phi(d/2); 4 standard errors of 4000 pairs are 0.022."""
    rng = np.random.default_rng(5)
    p, q = rng.normal(size=(2, 2000, 2))
    q[:, 0] += shift
    assert c2st(jax.random.key(0), 7.0 + 3.0 * p, 7.0 + 3.0 * q) == pytest.approx(
        norm.cdf(shift / 2), abs=0.022
    )


def test_bad_input_is_named():
    draws = np.zeros((50, 2))
    with pytest.raises(ValueError, match=r"p has shape \(50, 2\), q \(49, 2\)"):
        c2st(jax.random.key(0), draws, draws[:-1])
    with pytest.raises(ValueError, match="q holds 100 non-finite values"):
        c2st(jax.random.key(0), draws, draws * np.nan)


def test_false_alarms_are_as_stated_and_a_shift_is_seen():
    """One classifier, given draws of its own each time: p <= 0.1 in 40 of 400, 4 sd are 24.

    The test is discrete, so that p is at most as often small as stated.
    """
    rng = np.random.default_rng(3)
    key = jax.random.key(0)
    pairs = rng.normal(size=(400, 2, 100, 2))
    p = [c2st_test(key, *pair, max_epochs=60).p_value for pair in pairs]
    assert np.sum(np.asarray(p) <= 0.1) <= 64
    # A test that never speaks would pass the line above.
    assert np.sum(np.asarray(p) <= 0.5) > 100
    p, q = rng.normal(size=(2, 400, 2))
    assert not c2st_test(key, p, q + 0.6).ok
    assert "DIFFERENT" in str(c2st_test(key, p, q + 0.6))
