"""NUTS against analytic posteriors.

Moments are compared within z Monte Carlo standard errors; z = 4.4 holds the false-alarm rate of
each comparison at 1e-5, where seeds change at all (they are fixed).
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest
import scipy.stats

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior
from jaxastro.diagnose import converged, sbc_ranks, sbc_test, summary
from jaxastro.infer import Laplace, nuts
from tests.infer.targets import Coin, gaussian_target, half_fails_target

Z = 4.4
COVARIANCE = np.array([[1.0, 0.95], [0.95, 4.0]]) * 1e-4
MEAN = np.array([0.3, -0.2])


def assert_mean(values, expected, ess):
    error = np.std(values) / np.sqrt(ess)
    assert abs(np.mean(values) - expected) < Z * error


@pytest.mark.smoke
@pytest.mark.parametrize("method", ["threads", "vectorized"])
@pytest.mark.parametrize("gradient", ["forward", "reverse"])
def test_correlated_gaussian(method, gradient):
    pytest.importorskip("arviz")
    target = gaussian_target(COVARIANCE, MEAN)
    posterior = nuts(
        jax.random.key(0),
        target,
        n_chains=2,
        n_warmup=300,
        n_draws=500,
        initial=MEAN,
        chain_method=method,
        gradient=gradient,
    )
    x = posterior.draws["x"]
    table = summary(posterior)
    assert x.shape == (2, 500, 2) and converged(posterior, rhat=1.05, ess_min=100)
    for i in range(2):
        ess = table.rows[f"x[{i}]"]["ess_bulk"]
        assert_mean(x[..., i], MEAN[i], ess)
        variance = (x[..., i] - MEAN[i]) ** 2
        assert_mean(variance, COVARIANCE[i, i], ess / 3)
    assert_mean((x[..., 0] - MEAN[0]) * (x[..., 1] - MEAN[1]), COVARIANCE[0, 1], ess / 3)
    stats = posterior.sample_stats
    assert set(stats) == {
        "lp", "acceptance_rate", "step_size", "tree_depth", "n_steps", "diverging", "energy",
    }  # fmt: skip
    assert 0.7 < stats["acceptance_rate"].mean() < 0.97
    lp = jax.vmap(target)(jnp.asarray(x[0]))
    np.testing.assert_allclose(stats["lp"][0], lp, rtol=1e-3 if lp.dtype == jnp.float32 else 1e-9)


def test_laplace_start_shortens_the_warm_up():
    target = gaussian_target(COVARIANCE, MEAN)
    posterior = nuts(
        jax.random.key(1),
        target,
        n_warmup=100,
        n_draws=300,
        initial=Laplace(MEAN, COVARIANCE, 0),
    )
    assert posterior.n_divergent == 0
    assert posterior.sample_stats["n_steps"].mean() < 6
    x = posterior.flat()["x"]
    np.testing.assert_allclose(np.cov(x.T) / COVARIANCE, 1.0, atol=0.3)


def test_bounded_prior_against_the_beta_posterior():
    model = Model(Prior(p=Parameter(dist.Uniform(0.0, 1.0))), Coin(10))
    posterior = nuts(jax.random.key(0), model.condition(jnp.asarray(9.0)), n_draws=1500)
    thinned = posterior.draws["p"][:, ::5].ravel()
    # False alarm 1e-4, for draws thinned to near independence.
    assert scipy.stats.kstest(thinned, scipy.stats.beta(10, 2).cdf).pvalue > 1e-4


class Funnel(AbstractTractableSimulator):
    """x_i | v ~ N(0, exp(v/2)) with v ~ N(0, 1): Neal's funnel, mild."""

    def simulate(self, key, params):
        return params["v"]

    def log_likelihood(self, params, observation):
        v, x = params["v"], params["x"]
        return -0.5 * jnp.sum(x**2) * jnp.exp(-v) - 0.5 * x.shape[0] * v


def test_funnel():
    prior = Prior(v=Parameter(dist.Normal(0.0, 1.0)), x=Parameter(dist.Normal(np.zeros(2), 1e3)))
    target = Model(prior, Funnel()).condition(jnp.asarray(0.0))
    posterior = nuts(jax.random.key(3), target, n_draws=2000, target_accept=0.95)
    table = summary(posterior)
    v = posterior.draws["v"]
    assert_mean(v, 0.0, table.rows["v"]["ess_bulk"])
    assert_mean(v**2, 1.0, table.rows["v"]["ess_tail"] / 3)


def test_failing_half_space_is_sampled_around():
    posterior = nuts(jax.random.key(0), half_fails_target(), n_draws=1000)
    a = posterior.draws["a"]
    assert a.min() > 0
    ess = summary(posterior).rows["a"]["ess_bulk"]
    assert_mean(a, scipy.stats.chi(3).mean(), ess)
    assert posterior.n_divergent > 0  # steps over the edge are counted, not hidden


def test_numpyro_agrees_with_blackjax():
    target = gaussian_target(COVARIANCE, MEAN)
    runs = [
        nuts(
            jax.random.key(4), target, n_chains=2, n_warmup=300, n_draws=500, initial=MEAN,
            backend=backend,
        )
        for backend in ("blackjax", "numpyro")
    ]  # fmt: skip
    assert runs[0].sample_stats.keys() == runs[1].sample_stats.keys()
    assert runs[0].draws["x"].shape == runs[1].draws["x"].shape
    for i in range(2):
        means, errors = [], []
        for run in runs:
            row = summary(run).rows[f"x[{i}]"]
            means.append(row["mean"])
            errors.append(row["mcse"])
        assert abs(means[0] - means[1]) < Z * np.hypot(*errors)


def test_second_call_compiles_nothing(compilations):
    def call(seed, shift):
        model = Model(Prior(p=Parameter(dist.Uniform(0.0, 1.0 - 0.1 * shift))), Coin(10))
        return nuts(
            jax.random.key(seed), model.condition(jnp.asarray(5.0 + shift)), n_chains=2,
            n_warmup=30 + seed, n_draws=50,
        )  # fmt: skip

    call(0, 0.0)
    # The same number of draws (their transformation is one program), other everything.
    with compilations() as made:
        call(0, 1.0)
    assert made.count == 0


def test_simulation_based_calibration():
    model = Model(Prior(p=Parameter(dist.Uniform(0.0, 1.0))), Coin(5))
    truths, draws = [], []
    for i in range(100):
        key = jax.random.fold_in(jax.random.key(11), i)
        params, x = model.sample(key)
        posterior = nuts(key, model.condition(x), n_chains=1, n_warmup=100, n_draws=190, every=290)
        truths.append(float(params["p"]))
        draws.append(posterior.draws["p"][0, ::10])
    ranks = sbc_ranks({"p": np.array(truths)}, {"p": np.array(draws)})
    result = sbc_test(ranks, 19, false_alarm=1e-3)
    assert result, str(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_chains": 0}, "n_chains=0"),
        ({"n_draws": 0}, "n_draws=0"),
        ({"n_warmup": -1}, "n_warmup=-1"),
        ({"every": 2.5}, "every=2.5"),
        ({"target_accept": 1.0}, "target_accept=1.0"),
        ({"backend": "stan"}, "backend='stan'"),
        ({"gradient": "symbolic"}, "gradient='symbolic'"),
        ({"chain_method": "mpi"}, "chain_method='mpi'"),
        ({"initial": np.zeros(3)}, r"initial has shape \(3,\)"),
        ({"initial": np.array([-1.0])}, "chain 0: the log density"),
        ({"inverse_mass_matrix": np.eye(2)}, "inverse_mass_matrix has shape"),
        ({"inverse_mass_matrix": -np.eye(1)}, "positive definite"),
        ({"backend": "numpyro", "checkpoint": "x"}, "cannot be resumed"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nuts(jax.random.key(0), half_fails_target(), **arguments)
