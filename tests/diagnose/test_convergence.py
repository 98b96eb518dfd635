"""Summary and verdict on draws whose answer is known."""

import numpy as np
import pytest

from jaxastro.core import SamplePosterior
from jaxastro.diagnose import converged, summary

pytest.importorskip("arviz")


def posterior(x, diverging=None):
    stats = None if diverging is None else {"diverging": diverging}
    return SamplePosterior({"x": x}, stats, units={"x": "kpc"})


def autoregressive(rho, shape, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    for i in range(1, shape[1]):
        x[:, i] = rho * x[:, i - 1] + np.sqrt(1 - rho**2) * x[:, i]
    return x


def test_independent_draws_converge():
    table = summary(posterior(autoregressive(0.0, (4, 1000))))
    row = table.rows["x"]
    assert abs(row["mean"]) < 4.4 * row["mcse"]
    assert row["mcse"] == pytest.approx(1 / np.sqrt(4000), rel=0.1)
    assert row["q50"] == pytest.approx(0.0, abs=0.1) and row["q84"] == pytest.approx(1.0, abs=0.1)
    verdict = converged(posterior(autoregressive(0.0, (4, 1000))))
    assert verdict and str(verdict).startswith("converged: largest R-hat 1.00")


def test_ess_of_an_autoregression():
    row = summary(posterior(autoregressive(0.9, (4, 5000)))).rows["x"]
    # (1 - rho)/(1 + rho) of 20,000 draws are 1053; the estimate scatters by some ten per cent.
    assert row["ess_bulk"] == pytest.approx(1053, rel=0.35)


def test_reasons_are_named():
    x = autoregressive(0.0, (4, 200))
    x[0] += 1.0
    diverging = np.zeros((4, 200), bool)
    diverging[1, :3] = True
    verdict = converged(posterior(x, diverging))
    text = str(verdict)
    assert not verdict and text.startswith("NOT converged: R-hat of x is 1.")
    assert "3 divergences" in text and "bulk ESS of x" in text


def test_too_few_draws_never_count_as_converged():
    assert not converged(posterior(np.zeros((2, 3))))


def test_vectors_get_a_row_a_component():
    table = summary(SamplePosterior({"v": np.random.default_rng(0).normal(size=(2, 50, 2))}))
    assert list(table.rows) == ["v[0]", "v[1]"]
    assert "v[1]" in str(table) and "r_hat" in str(table)
