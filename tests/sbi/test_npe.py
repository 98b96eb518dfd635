"""Neural posterior estimation against an exact posterior, and what it does with bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import AbstractSimulator, Model, Parameter, Prior
from jaxastro.nn import affine_coupling_flow
from jaxastro.sbi import MisspecifiedWarning, Simulations, npe, simulate
from tests.sbi.linear_gaussian import DIM, QUICK, SMALL, linear_gaussian, posterior_log_prob


class Edge(AbstractSimulator):
    """Data that hardly tell a parameter at the edge of its range."""

    def simulate(self, key, params):
        return {"x": params["a"][None] + 0.3 * jax.random.normal(key, (1,))}


@pytest.fixture(scope="module")
def model():
    return linear_gaussian()


@pytest.fixture(scope="module")
def pairs(model):
    return simulate(jax.random.key(0), model, 3000)


@pytest.fixture(scope="module")
def estimator(pairs):
    return npe(jax.random.key(1), pairs, **QUICK)[0]


@pytest.mark.smoke
def test_posterior_of_a_linear_gaussian_model(estimator, model):
    """The mean divergence KL(p||q) over new pairs; widths wrong by 20 per cent would cost 0.08."""
    new = simulate(jax.random.key(9), model, 5000)
    theta, x = new.params["theta"], new.observations
    log_q = jax.jit(jax.vmap(lambda t, x: estimator.log_prob({"theta": t}, x)))(theta, x)
    divergence = posterior_log_prob(theta, x) - np.asarray(log_q)
    error = divergence.std() / np.sqrt(len(divergence))
    assert -5 * error < divergence.mean() < 0.03
    wide = 0.5 * np.sum((theta - 0.8 * x) ** 2, -1) / 0.2 * (1 - 1 / 1.2**2) - DIM * np.log(1.2)
    assert np.mean(-wide) > 0.06  # what 20 per cent cost, so that the bound above means something


def test_draws_are_those_of_the_density(estimator):
    """E_q[p/q] = 1 where both densities are normalised; the weights' scatter gives the error."""
    x = jnp.array([0.5, -1.0, 1.5])
    posterior = estimator.posterior(x)
    draws = posterior.sample(jax.random.key(3), 4000)
    log_q = np.asarray(jax.jit(jax.vmap(posterior.log_prob))(draws))
    weights = np.exp(posterior_log_prob(draws["theta"], x) - log_q)
    assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(len(weights))
    assert abs(np.exp(0.2) * weights.mean() - 1) > 5 * weights.std() / np.sqrt(len(weights))


def test_no_mass_outside_the_prior():
    prior = Prior(a=Parameter(dist.Uniform(0.0, 1.0)))
    pairs = simulate(jax.random.key(0), Model(prior, Edge()), 1000)
    posterior = npe(jax.random.key(1), pairs, **QUICK)[0].posterior({"x": jnp.array([1.2])})
    draws = np.asarray(posterior.sample(jax.random.key(2), 5000)["a"])
    assert np.all((draws >= 0) & (draws <= 1)) and draws.mean() > 0.6
    assert float(posterior.log_prob({"a": jnp.asarray(1.1)})) == -np.inf
    grid = jnp.linspace(1e-4, 1 - 1e-4, 2001)
    density = np.exp(np.asarray(jax.jit(jax.vmap(lambda a: posterior.log_prob({"a": a})))(grid)))
    assert np.trapezoid(density, grid) == pytest.approx(1.0, abs=0.02)


def test_ensemble_is_a_mixture_of_its_members(pairs):
    estimator, fitted = npe(
        jax.random.key(1),
        pairs,
        members=2,
        density=functools.partial(affine_coupling_flow, n_layers=2),
        max_epochs=3,
    )
    assert fitted.best.shape == (2,)
    posterior = estimator.posterior(jnp.zeros(DIM))
    draws = posterior.sample(jax.random.key(0), 501)
    assert draws["theta"].shape == (501, DIM)
    assert np.isfinite(posterior.log_prob({"theta": jnp.zeros(DIM)}))


def test_save_and_load(estimator, pairs, tmp_path):
    estimator.save(tmp_path)
    frame, fitted = npe(jax.random.key(7), pairs, density=SMALL, max_epochs=0)
    assert fitted is None
    x = jnp.array([0.5, -1.0, 1.5])
    saved = frame.load(tmp_path).posterior(x).sample(jax.random.key(2), 5)["theta"]
    np.testing.assert_array_equal(
        saved, estimator.posterior(x).sample(jax.random.key(2), 5)["theta"]
    )
    other, _ = npe(jax.random.key(7), pairs, density=affine_coupling_flow, max_epochs=0)
    with pytest.raises(ValueError, match="another state"):
        other.load(tmp_path)
    for path in tmp_path.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(ValueError, match="no whole"):
        frame.load(tmp_path)


def test_second_observation_and_training_compile_nothing(estimator, model, compilations):
    estimator.posterior(jnp.zeros(DIM)).sample(jax.random.key(0), 100)
    with compilations() as made:
        estimator.posterior(jnp.ones(DIM)).sample(jax.random.key(1), 100)
    assert made.count == 0
    again = simulate(jax.random.key(4), model, 3000)
    with compilations() as made:
        npe(jax.random.key(5), again, **(QUICK | {"max_epochs": 2}))
    assert made.count == 0


def test_odd_observations(estimator):
    with pytest.warns(MisspecifiedWarning, match="outside of all 3000 simulations"):
        estimator.posterior(jnp.array([0.0, 0.0, 40.0]))
    with pytest.raises(ValueError, match=r"shapes \[\(2,\)\]; simulations have"):
        estimator.posterior(jnp.zeros(2))
    with pytest.raises(ValueError, match=r"1 non-finite values in array 0, the first at index \[1"):
        estimator.posterior(jnp.array([0.0, jnp.nan, 0.0]))


@pytest.mark.filterwarnings("error")
def test_elements_that_never_varied(model):
    """Simulations give them no scale, and the network knows one value of each only."""
    pairs = simulate(jax.random.key(0), model, 500)
    observations = {
        "x": pairs.observations,
        "error": np.full((500, 2), [0.1, 1.0]),  # the mean of many 0.1 is not 0.1
        "measured": np.ones((500, DIM), bool),
    }
    pairs = Simulations(model.prior, pairs.params, observations)
    estimator, _ = npe(jax.random.key(1), pairs, max_epochs=0)
    one = {"x": jnp.zeros(DIM), "measured": np.ones(DIM, bool)}
    estimator.posterior(one | {"error": np.array([0.1, 1.0])})
    with pytest.warns(MisspecifiedWarning, match="1 elements of the observation differ"):
        estimator.posterior(one | {"error": np.array([0.2, 1.0])})
    with pytest.warns(MisspecifiedWarning, match="the first is element 1"):
        estimator.posterior(one | {"error": np.array([0.1, 1.5])})


def test_arviz_draws(estimator):
    posterior = estimator.posterior(jnp.zeros(DIM)).draws(jax.random.key(0), 50)
    assert posterior.draws["theta"].shape == (1, 50, DIM)


def test_bad_simulations(model):
    prior, theta = model.prior, np.zeros((20, DIM))
    with pytest.raises(ValueError, match=r"params\['theta'\] has 20, observations\[0\] has 19"):
        Simulations(prior, {"theta": theta}, np.zeros((19, 2)))
    with pytest.raises(ValueError, match="give the same"):
        Simulations(prior, {"phi": theta}, np.zeros((20, 2)))
    x = np.zeros((20, 2))
    x[3, 0] = np.nan
    with pytest.warns(UserWarning, match="1 of 20 simulations hold NaN"):
        assert len(Simulations(prior, {"theta": theta}, x)) == 19
    with pytest.raises(ValueError, match="20 of 20 simulations hold NaN"):
        Simulations(prior, {"theta": theta}, x * np.nan)
    box = Prior(a=Parameter(dist.Uniform(0.0, 1.0)))
    with pytest.raises(ValueError, match="1 rows lie on or outside the edge"):
        Simulations(box, {"a": np.array([0.5, 1.5])}, np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"give a Model\(prior, simulator\)"):
        simulate(jax.random.key(0), model.simulator, 10)
