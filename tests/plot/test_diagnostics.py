"""Figures of the diagnostics show what the results hold."""

import jax
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from jaxastro.diagnose import Predictive, c2st_test, density_ranks, mmd_test, sbc_test
from jaxastro.plot import accuracy, coverage, null, predictive, ranks

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def narrow():
    """Ranks of a right parameter, and by the density of a posterior that is too narrow."""
    truth, draws = RNG.normal(size=(400, 1)), 0.6 * RNG.normal(size=(400, 49))
    found = {"m": RNG.integers(0, 50, 400)}
    found["highest density"] = density_ranks(-(truth[:, 0] ** 2), -(draws**2))
    return sbc_test(found, 49, false_alarm=0.01)


def test_ranks_and_coverage(narrow, tmp_path):
    figure = ranks(narrow)
    assert [axis.get_title().split(",")[0] for axis in figure.axes] == list(narrow.ranks)
    band, curve = figure.axes[1].collections[0], figure.axes[1].lines[0].get_ydata()
    edge = np.abs(band.get_paths()[0].vertices[:, 1]).max()
    assert np.abs(curve).max() > edge
    assert np.abs(figure.axes[0].lines[0].get_ydata()).max() < edge
    figure = coverage(narrow)
    level, held = figure.axes[0].lines[1].get_data()
    # Half of N(0, 0.36): |z| < 0.674 * 0.6 holds a normal truth with probability 0.314.
    assert np.interp(0.5, level, held) == pytest.approx(0.314, abs=0.1)
    figure.savefig(tmp_path / "coverage.png")
    with pytest.raises(ValueError, match="no regions"):
        coverage(sbc_test({"m": narrow.ranks["m"]}, 49))


def test_null_accuracy_and_predictive(tmp_path):
    p, q = RNG.normal(size=(2, 200, 2))
    verdict = mmd_test(jax.random.key(0), p, q, n_permutations=1999)
    line = null(verdict).axes[0].lines[0]
    assert line.get_xdata()[0] == verdict.statistic
    results = {"a": c2st_test(jax.random.key(0), p, q), "b": c2st_test(jax.random.key(0), p, q + 2)}
    figure = accuracy(results)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "b"]
    for size in (4, 30):
        result = Predictive({"a": 0.5}, 0.01, RNG.normal(size=size), RNG.normal(size=(99, size)))
        figure = predictive(result, grid=np.linspace(0, 1, size), label="phase")
        assert figure.axes[0].get_xlabel() == "phase"
        figure.savefig(tmp_path / "predictive.png")
    with pytest.raises(ValueError, match="grid has shape"):
        predictive(result, grid=np.arange(3))
