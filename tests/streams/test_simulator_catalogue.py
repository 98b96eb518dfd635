"""The catalogue as a simulator: its likelihood, what it draws, and what it refuses."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior
from simulators.streams.catalogue import (
    SmoothBackground,
    StarCatalogue,
    catalogue_log_likelihood,
)
from simulators.streams.observe import TrackMeasurements
from simulators.streams.potentials import MilkyWayPotential
from simulators.streams.simulator import StreamTrack
from simulators.streams.simulator_catalogue import StreamCatalogue

x64 = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="tolerances are for float64")
NAMES = ("phi2", "pm_phi1_cosphi2", "pm_phi2")
# The order differs from the catalogue's, and the distance is not in the catalogue at all.
KNOWN = ("distance", "pm_phi2", "phi2", "pm_phi1_cosphi2")
PARAMS = {
    "phi2": 0.2,
    "distance": 7.8,
    "pm_phi1_cosphi2": -13.1,
    "pm_phi2": -3.3,
    "radial_velocity": -20.0,
    "fraction": 0.3,
    "phi1_coefficients": [0.5],
}
PARAMS = {name: jnp.asarray(value) for name, value in PARAMS.items()}
STREAM = StreamTrack(
    lambda params: MilkyWayPotential(),
    TrackMeasurements([0.0], [[0.0]] * 4, [[1.0]] * 4, [[True]] * 4, KNOWN),
    phi1=-40.0,
    n_particles=32,
    age=500.0,
    step=4.0,
)
SKY = SmoothBackground(
    [-46.0, -34.0],
    [-5.0, 5.0],
    [0.0],
    [0.2, -0.4],
    [0.0, 0.8],
    [[-4.0, -3.0], [-9.0, -1.0]],
    [np.diag([9.0, 9.0]), [[4.0, 1.5], [1.5, 2.0]]],
)


def template(n=1500):
    """Stars of 0 positions and values, with correlated errors and some without proper motions."""
    rng = np.random.default_rng(0)
    root = rng.normal(size=(n, 3, 3)) * np.array([1e-3, 0.2, 0.2])[None, :, None]
    covariance = root @ root.transpose(0, 2, 1) + 1e-6 * np.eye(3)
    mask = np.ones((3, n), bool)
    mask[1:, ::5] = False
    covariance = np.where(mask[None] & mask[:, None], covariance.transpose(1, 2, 0), -1.0)
    return StarCatalogue(np.full(n, -40.0), np.zeros((3, n)), covariance, mask, NAMES)


SIMULATOR = StreamCatalogue(STREAM, template(), SKY, n_positions=25)


@pytest.fixture(scope="module")
def log_likelihood():
    return eqx.filter_jit(SIMULATOR.log_likelihood)


@pytest.fixture(scope="module")
def simulate():
    return eqx.filter_jit(SIMULATOR.simulate)


@pytest.fixture(scope="module")
def observed(simulate):
    return simulate(jax.random.key(1), PARAMS)


@pytest.fixture(scope="module")
def at_and_summary():
    """The stream at the grid's positions, in the catalogue's observables and their order."""
    at = jnp.linspace(-46.0, -34.0, 25)
    whole = eqx.filter_jit(STREAM.summary)(PARAMS, STREAM.fixed_latents(0), at)
    rows = np.array([2, 3, 1])
    return at, whole._replace(track=whole.track[rows], width=whole.width[rows])


def test_likelihood_is_that_of_the_catalogue(log_likelihood, observed, at_and_summary):
    assert isinstance(SIMULATOR, AbstractTractableSimulator)
    at, own = at_and_summary
    sky = dataclasses.replace(SKY, phi1_coefficients=PARAMS["phi1_coefficients"])
    expected = jnp.sum(catalogue_log_likelihood(observed, at, own, sky, 0.3))
    got = log_likelihood(PARAMS, observed)
    assert got.shape == () and jnp.isfinite(got)
    np.testing.assert_allclose(got, expected, rtol=1e-9 if got.dtype == jnp.float64 else 1e-3)


@x64
def test_gradient_against_finite_differences(log_likelihood, observed):
    # In forward mode, which compiles in half the time; `test_gradients.py` holds one to the other.
    gradient = eqx.filter_jit(lambda p, o: jax.jacfwd(lambda p: SIMULATOR.log_likelihood(p, o))(p))(
        PARAMS, observed
    )
    for name, size in (("phi2", 1e-5), ("distance", 1e-5), ("fraction", 1e-5)):
        up, down = (
            log_likelihood(PARAMS | {name: PARAMS[name] + s}, observed) for s in (size, -size)
        )
        np.testing.assert_allclose(gradient[name], (up - down) / (2 * size), rtol=1e-4)
    assert all(bool(jnp.all(jnp.isfinite(g))) for g in gradient.values())


def test_a_simulated_catalogue_has_the_given_form(observed):
    stars = SIMULATOR.stars
    assert jax.tree.structure(observed) == jax.tree.structure(stars)
    np.testing.assert_array_equal(observed.mask, stars.mask)
    np.testing.assert_array_equal(observed.covariance, stars.covariance)
    assert jnp.all(jnp.isfinite(observed.values)) and np.ptp(observed.phi1) > 10.0
    SIMULATOR.validate_observation(observed)


def test_likelihood_of_a_simulated_catalogue_prefers_its_parameters(log_likelihood, observed):
    fractions = np.linspace(0.1, 0.5, 41)
    of = [log_likelihood(PARAMS | {"fraction": jnp.asarray(f)}, observed) for f in fractions]
    # A binomial share of 1500 stars has sigma = 0.012; members are not all told from the field.
    assert abs(fractions[int(np.argmax(of))] - 0.3) < 0.06
    best = log_likelihood(PARAMS, observed)
    for name, size in (("phi2", 0.3), ("pm_phi2", 0.3), ("phi1_coefficients", 0.5)):
        for sign in (-1.0, 1.0):
            moved = PARAMS | {name: PARAMS[name] + sign * size}
            assert log_likelihood(moved, observed) < best - 3.0, name


@x64
@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_draws_follow_the_densities_of_the_likelihood(simulate, at_and_summary, fraction):
    """For f = 0 and 1, against moments of what `log_likelihood` integrates."""
    params = PARAMS | {"fraction": jnp.asarray(fraction)}
    stars = simulate(jax.random.key(5), params)
    phi1, (phi2, pm1, pm2) = np.asarray(stars.phi1), np.asarray(stars.values)
    seen, n = np.asarray(stars.mask[1]), phi1.size
    t = np.linspace(-1.0, 1.0, 4001)

    def moments(x, weights):
        mean = np.sum(x * weights) / np.sum(weights)
        return mean, np.sqrt(np.sum((x - mean) ** 2 * weights) / np.sum(weights))

    if fraction == 0.0:
        along, across = (-40.0 + 6.0 * t, np.exp(0.5 * t)), (5.0 * t, np.exp(0.2 * t - 0.4 * t**2))
        for x, density in ((phi1, along), (phi2, across)):
            mean, sigma = moments(*density)
            assert abs(np.mean(x) - mean) < 4 * sigma / np.sqrt(n)
            assert abs(np.std(x) / sigma - 1) < 4 / np.sqrt(2 * n)
        w = np.exp([0.0, 0.8]) / np.sum(np.exp([0.0, 0.8]))
        mean = -4.0 * w[0] - 9.0 * w[1]
        error = np.mean(np.asarray(stars.covariance[1, 1])[seen])
        sigma = np.sqrt(w @ [9.0, 4.0] + 25.0 * w[0] * w[1] + error)
        assert abs(np.mean(pm1[seen]) - mean) < 4 * sigma / np.sqrt(seen.sum())
        assert abs(np.std(pm1[seen]) / sigma - 1) < 0.1
    else:
        at, summary = at_and_summary
        grid = -40.0 + 6.0 * t
        mean, sigma = moments(grid, np.interp(grid, at, summary.density))
        assert abs(np.mean(phi1) - mean) < 4 * sigma / np.sqrt(n)
        for i, x in enumerate((phi2, pm1, pm2)):
            use = np.asarray(stars.mask[i])
            width = np.interp(phi1, at, summary.width[i])
            total = np.sqrt((width**2 + np.asarray(stars.covariance[i, i]))[use])
            pull = (x - np.interp(phi1, at, summary.track[i]))[use] / total
            assert abs(np.mean(pull)) < 4 / np.sqrt(use.sum())
            assert abs(np.std(pull) - 1) < 4 / np.sqrt(2 * use.sum())


def test_model_conditions_on_a_catalogue(observed, log_likelihood):
    fixed = {n: Parameter(dist.Normal(v, 0.1)) for n, v in PARAMS.items() if v.ndim == 0}
    prior = Prior(
        fixed
        | {
            "fraction": Parameter(dist.Uniform(0.0, 1.0)),
            "phi1_coefficients": Parameter(dist.Normal(jnp.zeros(1), 1.0)),
        }
    )
    target = Model(prior, SIMULATOR).condition(observed)
    u = prior.to_unconstrained(PARAMS)
    value = eqx.filter_jit(target)(u)
    expected = target.log_prior(u) + log_likelihood(PARAMS, observed)
    np.testing.assert_allclose(value, expected, rtol=1e-8 if u.dtype == jnp.float64 else 1e-3)
    with pytest.raises(ValueError, match="StarCatalogue"):
        Model(prior, SIMULATOR).condition(jnp.zeros(3))


def test_bad_inputs_are_refused(observed):
    def small(**values):
        return StarCatalogue.from_errors([-40.0], values, dict.fromkeys(values, 0.1))

    full = {"phi2": [0.0], "pm_phi1_cosphi2": [0.0], "pm_phi2": [0.0]}
    with pytest.raises(ValueError, match=r"the stream has no \['radial_velocity'\]"):
        StreamCatalogue(STREAM, small(**full, radial_velocity=[0.0]), SKY)
    with pytest.raises(ValueError, match="expected phi2"):
        StreamCatalogue(STREAM, small(pm_phi2=[0.0]), SKY)
    with pytest.raises(ValueError, match=r"background\.means: expected shape \(J, 1\)"):
        StreamCatalogue(STREAM, small(phi2=[0.0], pm_phi2=[0.0]), SKY)
    with pytest.raises(ValueError, match="n_positions: expected at least 2, got 1"):
        StreamCatalogue(STREAM, small(**full), SKY, n_positions=1)
    with pytest.raises(ValueError, match="no 'fraction'"):
        SIMULATOR.log_likelihood({k: v for k, v in PARAMS.items() if k != "fraction"}, observed)
    with pytest.raises(ValueError, match=r"params\['log_weights'\]: expected .* \(2,\)"):
        SIMULATOR.simulate(jax.random.key(0), PARAMS | {"log_weights": jnp.zeros(3)})
    for name in ("phi1", "phi2"):
        far = eqx.tree_at(lambda s: s.phi1, observed, observed.phi1 + 50.0)
        if name == "phi2":
            far = eqx.tree_at(lambda s: s.values, observed, observed.values.at[0].add(50.0))
        with pytest.raises(ValueError, match=f"{name} outside the background's window"):
            SIMULATOR.validate_observation(far)
    with pytest.raises(ValueError, match="simulator makes"):
        SIMULATOR.validate_observation(small(phi2=[0.0]))
    flat = eqx.tree_at(lambda s: s.covariance, observed, 0.0 * observed.covariance)
    with pytest.raises(ValueError, match="variances <= 0"):
        SIMULATOR.validate_observation(flat)
