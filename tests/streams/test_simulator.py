"""The stream as a simulator: prediction, noise, likelihood and the checks of its observation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.milky_way_model import R_SUN, derived, galaxy, gd1_model, starting_points
from simulators.streams.observe import TrackMeasurements
from simulators.streams.simulator import TrackPrediction
from simulators.streams.units import KMS

PHI1 = [-50.0, -40.0, -30.0]
NAMES = ("phi2", "distance")
DATA = TrackMeasurements(
    PHI1, [[0.1, 0.2, 0.1], [7.6, 7.6, 7.9]], [[0.1] * 3, [0.5] * 3], [[True] * 3] * 2, NAMES
)
PARAMS = {
    "v_c": 226.0,
    "r_s": 18.0,
    "q_z": 1.1,
    "phi2": 0.25,
    "distance": 7.6,
    "pm_phi1_cosphi2": -13.2,
    "pm_phi2": -3.4,
    "radial_velocity": -9.0,
    "distance_scale": 1.0,
}
PARAMS = {name: jnp.asarray(value) for name, value in PARAMS.items()}


@pytest.fixture(scope="module")
def simulator():
    return gd1_model(DATA, n_particles=32, step=8.0, age=600.0).simulator


def test_galaxy_has_the_circular_velocity_asked_for():
    for q in (0.8, 1.0, 1.2):
        host = galaxy(PARAMS | {"q_z": jnp.asarray(q)})
        assert float(host.circular_velocity(R_SUN)) / KMS == pytest.approx(226.0, rel=1e-10)


def test_axis_ratios_of_a_round_halo():
    values = derived(PARAMS | {"q_z": jnp.asarray(1.0)})
    assert float(values["q_density"]) == pytest.approx(1.0, abs=1e-6)
    # The disc flattens the total potential.
    assert 0.8 < float(values["q_total"]) < 1.0


def test_track_passes_through_the_progenitor(simulator):
    prediction = simulator.forward(PARAMS, simulator.fixed_latents())
    assert float(prediction.track[1, 1]) == pytest.approx(7.6, abs=0.1)
    assert float(prediction.track[0, 1]) == pytest.approx(0.25, abs=0.15)


def test_distance_scale_multiplies_distances_only(simulator):
    latents = simulator.fixed_latents()
    one = simulator.forward(PARAMS, latents).track
    two = simulator.forward(PARAMS | {"distance_scale": jnp.asarray(1.1)}, latents).track
    np.testing.assert_allclose(two[1], 1.1 * one[1], rtol=1e-10)
    np.testing.assert_allclose(two[0], one[0], rtol=1e-12)


def test_likelihood_against_scipy(simulator):
    stats = pytest.importorskip("scipy.stats")
    prediction = TrackPrediction(DATA.value + 0.05, jnp.full((2, 3), 0.04))
    sigma2 = np.asarray(DATA.sigma) ** 2
    spread = np.sqrt(sigma2 + sigma2 * 0.04 / (sigma2 + 0.04))
    expected = stats.norm.logpdf(0.05, scale=spread).sum()
    assert float(simulator.noise_log_prob(prediction, DATA)) == pytest.approx(expected, rel=1e-12)


def test_noise_is_drawn_from_the_density_of_the_likelihood(simulator):
    """Empirical pulls and log densities of 2000 draws, against the normal that is evaluated.

    A Monte-Carlo variance of 4 sigma^2 makes 0.55 of the scatter: leaving it out, as drawing with
    the measurements' errors alone does, is 30 standard errors off.
    """
    sigma2 = np.asarray(DATA.sigma) ** 2
    prediction = TrackPrediction(DATA.value, jnp.asarray(4.0 * sigma2))
    n = 2000
    keys = jax.random.split(jax.random.key(3), n)
    drawn = jax.vmap(lambda key: simulator.sample_noise(key, prediction).value)(keys)
    pulls = (np.asarray(drawn) - np.asarray(DATA.value)) / np.sqrt(1.8 * sigma2)
    # Four standard errors, over seven numbers: a false alarm of 4e-4.
    assert abs(pulls.mean()) < 4.0 / np.sqrt(6 * n)
    assert np.all(abs((pulls**2).mean(0) - 1.0) < 4.0 * np.sqrt(2.0 / n))

    def log_prob(value):
        drawn = TrackMeasurements(DATA.phi1, value, DATA.sigma, DATA.mask, NAMES)
        return simulator.noise_log_prob(prediction, drawn)

    # The mean log density of draws is minus their entropy, with a variance of 6 / 2.
    entropy = 0.5 * np.sum(np.log(2.0 * np.pi * np.e * 1.8 * sigma2))
    found = float(jnp.mean(jax.vmap(log_prob)(drawn)))
    assert found == pytest.approx(-entropy, abs=4.0 * np.sqrt(3.0 / n))


def test_masked_values_do_not_count(simulator):
    prediction = TrackPrediction(DATA.value, jnp.full((2, 3), 0.01))
    mask = np.ones((2, 3), bool)
    mask[0, 0] = False
    masked = TrackMeasurements(DATA.phi1, DATA.value.at[0, 0].set(99.0), DATA.sigma, mask, NAMES)
    rest = TrackMeasurements(DATA.phi1, DATA.value, DATA.sigma, mask, NAMES)
    a, b = (simulator.noise_log_prob(prediction, d) for d in (masked, rest))
    assert float(a) == float(b)


def test_a_stream_that_misses_a_position_is_not_excused(simulator):
    far = TrackPrediction(DATA.value + 5.0 * DATA.sigma, jnp.full((2, 3), 1e8))
    near = TrackPrediction(DATA.value, jnp.full((2, 3), 1e-4))
    lost = simulator.noise_log_prob(near, DATA) - simulator.noise_log_prob(far, DATA)
    # Six residuals of five sigma, of which the limited variance forgives at most half.
    assert float(lost) > 0.5 * 6 * 12.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.select(["phi2"]), "phi2"),
        (lambda d: d.scaled(-1.0), "sigma"),
        (lambda d: d.value, "TrackMeasurements"),
    ],
)
def test_observation_is_checked_before_compilation(change, message):
    model = gd1_model(DATA, n_particles=32, step=8.0, age=600.0)
    with pytest.raises(ValueError, match=message):
        model.condition(change(DATA), latents=model.simulator.fixed_latents())


def test_starting_points_put_the_progenitor_on_the_track():
    model = gd1_model(DATA, n_particles=32, step=8.0, age=600.0)
    points = starting_points(jax.random.key(0), model, 3)
    params = jax.vmap(lambda u: model.prior.from_unconstrained(u)[0])(points)
    np.testing.assert_allclose(params["distance"], 7.6, rtol=1e-6)
    assert np.ptp(params["v_c"]) > 1.0
