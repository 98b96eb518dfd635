"""Observed abundances, and a cloud as a simulator."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from simulators.chemistry import Arrhenius, Conditions, CosmicRay, Network, RateTable, Reaction
from simulators.chemistry.dark_cloud import cloud_model, low_metal, with_grains
from simulators.chemistry.observe import ObservedAbundances, read_abundances
from simulators.chemistry.simulator import Cloud

pytestmark = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="stiff gas needs float64")
NETWORK = Network(
    [
        Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(0.46)),
        Reaction(("H+", "e-"), ("H",), Arrhenius(3.5e-12, -0.75)),
    ]
)
SEEN = ObservedAbundances([-5.0, -0.1], [0.1, 0.2], [False, True], ("e-", "H"))
TABLE = RateTable.of(NETWORK)
INITIAL = jnp.array([1.0 if name == "H" else 0.0 for name in TABLE.species])
CLOUD = Cloud(TABLE, Conditions(1e3, 50.0), INITIAL, SEEN, rtol=1e-8)


def params(**values):
    return {name: jnp.asarray(value) for name, value in values.items()}


def test_prediction_is_the_steady_state():
    p = params(log10_zeta=-16.0, log10_n_H=3.0, log10_age=9.0)
    rate, alpha = 0.46e-16, 3.5e-12 * (50.0 / 300.0) ** -0.75 * 1e3
    x = (np.sqrt(rate**2 + 4.0 * rate * alpha) - rate) / (2.0 * alpha)
    found = eqx.filter_jit(CLOUD.predict)(p)
    np.testing.assert_allclose(found, np.log10([x, 1.0 - x]), atol=2e-2)


def test_likelihood_of_measurements_and_limits():
    p = params(log10_zeta=-16.0, age=1e8, error=0.3)
    predicted = np.asarray(CLOUD.predict(p))
    sigma = np.hypot([0.1, 0.2], 0.3)
    at_limit = jnp.array([-5.0, -0.1])
    expected = norm.logpdf(-5.0, predicted[0], sigma[0]) + norm.logcdf(-0.1, predicted[1], sigma[1])
    assert float(CLOUD.log_likelihood(p, at_limit)) == pytest.approx(expected, rel=1e-6)
    above = jnp.array([-5.0, 0.2])
    expected = np.sum(norm.logpdf(np.asarray(above), predicted, sigma))
    assert float(CLOUD.log_likelihood(p, above)) == pytest.approx(expected, rel=1e-6)


def test_draws_are_cut_at_limits():
    p = params(log10_zeta=-16.0, age=1e8)
    keys = jax.random.split(jax.random.key(0), 50)
    draws = jax.jit(jax.vmap(lambda key: CLOUD.simulate(key, p)))(keys)
    predicted = np.asarray(CLOUD.predict(p))
    assert np.all(np.asarray(draws[:, 1]) >= -0.1 - 1e-12)
    assert abs(np.mean(np.asarray(draws[:, 0])) - predicted[0]) < 5 * 0.1 / np.sqrt(50)


def test_a_failed_integration_is_impossible():
    stuck = Cloud(TABLE, Conditions(1e3, 50.0), INITIAL.at[0].set(jnp.nan), SEEN)
    p = params(log10_zeta=-16.0, age=1e8)
    value = eqx.filter_jit(lambda cloud: cloud.log_likelihood(p, SEEN.log10_x))(stuck)
    assert float(value) == -np.inf


def test_model_of_a_network():
    network = with_grains(NETWORK)
    assert network is NETWORK  # no H2 to form
    model = cloud_model(NETWORK, Conditions(1e3, 50.0), {"H": 1.0}, SEEN)
    value = model.log_joint(params(log10_zeta=-16.0, log10_n_H=3.0, log10_age=6.0), SEEN.log10_x)
    assert np.isfinite(float(value))
    assert low_metal(NETWORK) == {}


def test_reading_a_table(tmp_path):
    path = tmp_path / "cloud.ecsv"
    from astropy.table import Table

    Table({"species": ["CO", "E-"], "log10_x": [-4.0, -8.0], "sigma": [0.1, 0.2]}).write(path)
    seen = read_abundances(path)
    assert seen.names == ("CO", "e-") and not np.any(seen.upper)
    np.testing.assert_allclose(seen.log10_x, [-4.0, -8.0])
    half = read_abundances(path, per="H2")
    np.testing.assert_allclose(half.log10_x, np.array([-4.0, -8.0]) - np.log10(2.0))


BAD = {
    "species,x,x_err\nCO,-1e-5,1e-6\n": "x of row 1 is -1e-05; give a finite number above 0",
    "species,x,x_err\nCO,1e-5,nan\n": "x_err of row 1 is nan",
    "species,x\nCO,1e-5\n": "no column 'x_err'; it has species, x",
    "name,x,x_err\nCO,1e-5,1e-6\n": "no column 'species'",
    "species,x,x_err\n": "no rows",
    "species,x,x_err\n?,1e-5,1e-6\n": "species of row 1",
    "species,x,x_err,upper\nCO,1e-5,1e-6,maybe\n": "upper of row 1 is 'maybe'",
    "species,x,x_err\nCO,1e-5,1e-6\nCO,1e-5,1e-6\n": "CO twice",
}


@pytest.mark.parametrize("text", BAD)
def test_bad_tables(tmp_path, text):
    path = tmp_path / "cloud.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=BAD[text]):
        read_abundances(path)


def test_other_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_abundances(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="per='H3'"):
        read_abundances(tmp_path, per="H3")
    with pytest.raises(ValueError, match="'H2' is not in the network"):
        Cloud(
            TABLE,
            Conditions(1e3, 50.0),
            INITIAL,
            ObservedAbundances([-1.0], [0.1], [False], ("H2",)),
        )
    with pytest.raises(ValueError, match="parameter 'mass'"):
        CLOUD.predict(params(mass=1.0, age=1.0))
    with pytest.raises(ValueError, match="no parameter `age`"):
        CLOUD.predict(params(zeta=1e-17))
    with pytest.raises(ValueError, match="sigma of CO is 0"):
        ObservedAbundances([-4.0], [0.0], [False], ("CO",))
