"""C2ST against accuracies that are known."""

import jax
import numpy as np
import pytest
from scipy.stats import norm

from jaxastro.diagnose import c2st


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
