"""find_map and laplace against known modes and curvatures."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior
from jaxastro.infer import find_map, laplace
from tests.infer.targets import gaussian_target, half_fails_target

COVARIANCE = 1e-4 * np.array([[1.0, 0.95, 0.0], [0.95, 1.0, 0.1], [0.0, 0.1, 4.0]])


class TwoPeaks(AbstractTractableSimulator):
    """A broad low peak at -1 and a narrow high one at +1.5."""

    def simulate(self, key, params):
        return params["x"]

    def log_likelihood(self, params, observation):
        x = params["x"]
        broad = -0.5 * ((x + 1.0) / 0.5) ** 2
        narrow = 5.0 - 0.5 * ((x - 1.5) / 0.05) ** 2
        return jnp.logaddexp(broad, narrow)


def test_map_and_laplace_of_a_narrow_correlated_gaussian():
    target = gaussian_target(COVARIANCE, [0.3, -0.2, 0.1], prior_sd=1.0)
    found = find_map(jax.random.key(0), target, n_starts=8, tolerance=1e-6)
    precision = np.linalg.inv(COVARIANCE) + np.eye(3)
    mode = np.linalg.solve(precision, np.linalg.inv(COVARIANCE) @ [0.3, -0.2, 0.1])
    sd = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert found.converged and found.starts["converged"].all()
    wide = found.u.dtype == np.float64
    # A gain of 1e-6 in log density is 1.4e-3 standard deviations.
    np.testing.assert_allclose((found.u - mode) / sd, 0.0, atol=5e-3 if wide else 0.1)
    np.testing.assert_allclose(found.params["x"], found.u)
    approximation = laplace(target, found)
    assert approximation.n_repaired == 0
    scaled = approximation.covariance / np.outer(sd, sd)
    expected = np.linalg.inv(precision) / np.outer(sd, sd)
    np.testing.assert_allclose(scaled, expected, atol=1e-4 if wide else 0.05)
    np.testing.assert_allclose(
        laplace(target, found.u).covariance / np.outer(sd, sd),
        expected,
        atol=1e-4 if wide else 0.05,
    )


def test_many_starts_find_the_higher_peak():
    model = Model(Prior(x=Parameter(dist.Uniform(-4.0, 4.0))), TwoPeaks())
    target = model.condition(jnp.asarray(0.0))
    seen = []
    found = find_map(
        jax.random.key(1), target, n_starts=12, progress=lambda *args: seen.append(args)
    )
    np.testing.assert_allclose(found.params["x"], 1.5, atol=5e-3)
    assert np.all(np.diff(found.starts["log_density"]) <= 0)
    ended, total, best = zip(*seen, strict=True)
    assert np.all(np.diff(ended) >= 0) and ended[-1] == 12 and set(total) == {12}
    assert np.all(np.diff(best) >= 0) and best[-1] == pytest.approx(found.log_density)


def test_failed_regions_are_stepped_back_from():
    target = half_fails_target()
    # x^2 exp(-x^2 / 2) has its mode at sqrt(2).
    found = find_map(jax.random.key(0), target, n_starts=4)
    np.testing.assert_allclose(found.u, np.sqrt(2), atol=0.02)
    near_edge = find_map(jax.random.key(0), target, n_starts=1, initial=np.array([1e-3]))
    np.testing.assert_allclose(near_edge.u, np.sqrt(2), atol=0.02)


def test_nothing_but_failures_is_an_error():
    class Fails(TwoPeaks):
        def log_likelihood(self, params, observation):
            return params["x"] * jnp.nan

    model = Model(Prior(x=Parameter(dist.Normal(0.0, 1.0))), Fails())
    with pytest.raises(ValueError, match="all 16 prior draws"):
        find_map(jax.random.key(0), model.condition(jnp.asarray(0.0)), n_starts=1)


def test_bad_arguments():
    target = half_fails_target()
    with pytest.raises(ValueError, match="n_starts=0"):
        find_map(jax.random.key(0), target, n_starts=0)
    with pytest.raises(ValueError, match=r"initial has shape \(2, 3\)"):
        find_map(jax.random.key(0), target, initial=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="condition"):
        find_map(jax.random.key(0), lambda u: u)
    with pytest.raises(ValueError, match=r"u has shape \(4,\)"):
        laplace(target, np.zeros(4))
    with pytest.raises(ValueError, match="not finite around u"):
        laplace(target, np.array([-3.0]))


def test_saddle_directions_are_repaired_and_counted():
    class Saddle(TwoPeaks):
        def log_likelihood(self, params, observation):
            return 2.0 * params["x"] ** 2

    model = Model(Prior(x=Parameter(dist.Normal(0.0, 1.0))), Saddle())
    result = laplace(model.condition(jnp.asarray(0.0)), np.zeros(1))
    assert result.n_repaired == 1 and result.covariance[0, 0] > 0
