"""Prior: densities, maps, truncation, refusals."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
import scipy.stats

from jaxastro.core import Parameter, Prior

PRIORS = {
    "normal": (dist.Normal(1.0, 2.0), 0.3),
    "uniform": (dist.Uniform(-1.0, 3.0), 0.3),
    "loguniform": (dist.LogUniform(0.1, 10.0), 0.3),
    "lognormal": (dist.LogNormal(0.0, 1.0), 0.3),
    "halfnormal": (dist.HalfNormal(1.0), 0.3),
    "truncated": (dist.TruncatedNormal(0.0, 1.0, low=-1.0, high=2.0), 0.3),
    "beta": (dist.Beta(2.0, 3.0), 0.3),
    "vector": (dist.Normal(np.zeros(3), 1.0), [0.1, 0.2, 0.3]),
    "multivariate": (dist.MultivariateNormal(jnp.zeros(2), jnp.eye(2) * 2.0), [0.1, 0.2]),
    "dirichlet": (dist.Dirichlet(jnp.array([1.0, 2.0, 3.0])), [0.2, 0.3, 0.5]),
}


@pytest.fixture
def prior():
    return Prior(
        mass=Parameter(dist.LogNormal(0.0, 1.0), unit="Msun", label="$M$"),
        q=Parameter(dist.Uniform(0.7, 1.3)),
        v=Parameter(dist.Normal(np.zeros(2), 1.0), unit="km/s"),
    )


SEEDED = """
import sys, jax, numpyro.distributions as dist
from jaxastro.core import Parameter, Prior, checkpoint
parts = [dist.Normal(8.0, 9.0), dist.Normal(10.0, 11.0)]
shares = dist.Categorical(jax.numpy.array([0.25, 0.75]))
prior = Prior(
    a=Parameter(dist.Uniform(1.0, 2.0)),
    b=Parameter(dist.LogNormal(3.0, 4.0)),
    c=Parameter(dist.TruncatedNormal(0.5, 5.0, low=-6.0, high=7.0)),
    d=Parameter(dist.Mixture(shares, parts)),
)
print(*(part.log_prob(1.5) for part in prior.distributions), *jax.tree.leaves(prior))
if checkpoint.exists(sys.argv[1]):
    saved, _ = checkpoint.load(sys.argv[1], like=prior)
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), saved, prior))
else:
    checkpoint.save(sys.argv[1], prior)
"""


def test_leaves_have_one_order_in_all_processes(tmp_path):
    """NumPyro's own follows the hash seed: of four processes some would differ."""
    said = {
        subprocess.run(
            [sys.executable, "-c", SEEDED, str(tmp_path)],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout
        for seed in range(4)
    }
    assert len(said) == 1


@pytest.mark.parametrize("name", PRIORS)
def test_round_trip_and_log_det(name):
    prior = Prior({name: Parameter(PRIORS[name][0])})
    params = prior.sample(jax.random.key(1))
    u = prior.to_unconstrained(params)
    back, log_det = prior.from_unconstrained(u)
    rtol = 1e-9 if u.dtype == jnp.float64 else 2e-4
    np.testing.assert_allclose(back[name], params[name], rtol=rtol)

    def free(u):
        # A simplex has one coordinate less than components.
        return jnp.ravel(prior.from_unconstrained(u)[0][name])[: prior.dim]

    _, expected = np.linalg.slogdet(jax.jacfwd(free)(u))
    np.testing.assert_allclose(log_det, expected, rtol=rtol, atol=rtol)
    assert u.shape == (prior.dim,)
    assert jnp.isfinite(prior.log_prob(params))


def test_log_prob_against_scipy(prior):
    value = prior.log_prob({"mass": 1.7, "q": 1.0, "v": jnp.array([0.3, -1.0])})
    norm = scipy.stats.norm
    expected = (
        scipy.stats.lognorm.logpdf(1.7, 1.0) - np.log(0.6) + norm.logpdf(0.3) + norm.logpdf(-1.0)
    )
    np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("name", PRIORS)
def test_log_prob_is_never_nan(name):
    prior = Prior({name: Parameter(PRIORS[name][0])})
    bad = jnp.array([np.nan, np.inf, -np.inf, -50.0, 0.0, 1e30])
    shape = np.shape(PRIORS[name][1])
    params = {name: jnp.broadcast_to(bad.reshape(-1, *[1] * len(shape)), (len(bad), *shape))}
    value, gradient = jax.vmap(jax.value_and_grad(prior.log_prob))(params)
    assert not jnp.any(jnp.isnan(value))
    assert jnp.all(jnp.isfinite(gradient[name]))
    assert jnp.all(value[:3] == -jnp.inf)


def test_sample_is_reproducible_and_follows_the_distribution(prior):
    draws = prior.sample(jax.random.key(0), (4000,))
    again = prior.sample(jax.random.key(0), (4000,))
    assert all(jnp.array_equal(draws[k], again[k]) for k in prior.names)
    # False alarm 1e-4.
    assert scipy.stats.kstest(np.log(draws["mass"]), "norm").pvalue > 1e-4
    assert draws["v"].shape == (4000, 2)


@pytest.mark.parametrize(
    ("distribution", "bounds", "reference"),
    [
        (dist.Normal(1.0, 2.0), (0.0, 2.0), scipy.stats.truncnorm(-0.5, 0.5, 1.0, 2.0)),
        (dist.Uniform(-1.0, 3.0), (0.0, 9.0), scipy.stats.uniform(0.0, 3.0)),
        (dist.LogUniform(0.1, 10.0), (0.5, 2.0), scipy.stats.loguniform(0.5, 2.0)),
    ],
)
def test_truncate(distribution, bounds, reference):
    prior = Prior(x=Parameter(distribution, unit="kpc", label="$x$"))
    cut = prior.truncate({"x": bounds})
    x = np.linspace(*reference.ppf([0.01, 0.99]), 7)
    values = [cut.log_prob({"x": jnp.asarray(v)}) for v in x]
    np.testing.assert_allclose(values, reference.logpdf(x), rtol=2e-5, atol=2e-5)
    draws = cut.sample(jax.random.key(0), (4000,))["x"]
    assert scipy.stats.kstest(np.asarray(draws, float), reference.cdf).pvalue > 1e-4
    assert cut.log_prob({"x": jnp.asarray(bounds[0] - 0.1)}) == -jnp.inf
    assert (cut.units, cut.labels) == (prior.units, prior.labels)
    u = cut.to_unconstrained({"x": jnp.asarray(1.1)})
    np.testing.assert_allclose(cut.from_unconstrained(u)[0]["x"], 1.1, rtol=1e-5)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"z": (0, 1)}, "unknown parameters"),
        ({"q": (1.2, 0.8)}, "must be below"),
        ({"q": (2.0, 3.0)}, "leave nothing"),
        ({"v": (0.0, 1.0)}, "only scalar"),
    ],
)
def test_truncate_refuses(prior, bounds, message):
    with pytest.raises(ValueError, match=message):
        prior.truncate(bounds)


def test_truncate_refuses_what_has_no_inverse():
    mixture = dist.MixtureSameFamily(
        dist.Categorical(jnp.array([0.5, 0.5])), dist.Normal(jnp.array([0.0, 3.0]), 1.0)
    )
    prior = Prior(x=Parameter(mixture))
    with pytest.raises(ValueError, match="icdf"):
        prior.truncate({"x": (1.0, 2.0)})


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (dist.Poisson(3.0), "discrete"),
        (dist.Delta(1.0), "point mass"),
        (dist.ImproperUniform(dist.constraints.real, (), ()), "cannot be sampled"),
        (3.0, "no NumPyro distribution"),
    ],
)
def test_unusable_distributions_are_refused(distribution, message):
    with pytest.raises(ValueError, match=message):
        Prior(x=Parameter(distribution))


def test_prior_refuses_bare_distributions():
    with pytest.raises(ValueError, match="wrap the"):
        Prior(x=dist.Normal(0.0, 1.0))


def test_validate_names_everything_wrong_at_once(prior):
    good = {"mass": 1.0, "q": 1.0, "v": np.zeros(2)}
    prior.validate(good)
    with pytest.raises(ValueError) as caught:
        prior.validate({"mass": -1.0, "q": np.nan, "extra": 1.0})
    message = str(caught.value)
    for part in ("'extra' is unknown", "'mass' = -1.0 Msun lies outside", "'q' = nan", "'v' is mi"):
        assert part in message
    with pytest.raises(ValueError, match="shape"):
        prior.validate(good | {"v": np.zeros(3)})


def test_validate_skips_tracers(prior):
    def density(params):
        prior.validate(params)
        return prior.log_prob(params)

    params = {"mass": jnp.asarray(-1.0), "q": jnp.asarray(1.0), "v": jnp.zeros(2)}
    assert jax.jit(density)(params) == -jnp.inf


def test_numpyro_validation_does_not_reach_jit(prior):
    with numpyro.validation_enabled():
        checked = Prior(q=Parameter(dist.Uniform(0.7, 1.3)))
        assert jax.jit(checked.log_prob)({"q": jnp.asarray(5.0)}) == -jnp.inf


def test_new_hyperparameters_do_not_retrace(trace_counter):
    counted = trace_counter(lambda prior, u: prior.from_unconstrained(u)[1])
    function = jax.jit(counted)
    for low in (0.1, 0.2):
        prior = Prior(
            a=Parameter(dist.Uniform(low, 1.0)), b=Parameter(dist.LogUniform(low, 2.0))
        ).truncate({"b": (low, 1.5)})
        function(prior, jnp.zeros(2))
    assert counted.count == 1


@pytest.mark.smoke
def test_float32_stays_float32(prior):
    u = jnp.zeros(prior.dim, jnp.float32)
    params, log_det = prior.from_unconstrained(u)
    outputs = [*params.values(), log_det, prior.log_prob(params), prior.to_unconstrained(params)]
    assert {x.dtype for x in outputs} == {jnp.dtype("float32")}
