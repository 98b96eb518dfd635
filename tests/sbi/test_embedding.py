"""Estimators with embedding networks, jointly trained, against an exact posterior.

Up to ten draws from N(theta, 1) with theta ~ N(0, 1): given n of them with the mean m, the
posterior is N(n m/(n + 1), 1/(n + 1)). The padding of every set holds NaN.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import AbstractSimulator, Masked, Model, Parameter, Prior
from jaxastro.nn import (
    ConvEmbedding,
    DeepSet,
    RatioClassifier,
    SetTransformer,
    affine_coupling_flow,
    flow_matching_density,
    score_density,
)
from jaxastro.sbi import MisspecifiedWarning, Simulations, fmpe, npe, npse, nre, nre_loss, simulate
from tests.sbi.linear_gaussian import normal_log_prob

SIZE = 10
N_PIXELS = 12  # a side
TINY = {"hidden": 16, "depth": 1}
DENSITY = functools.partial(affine_coupling_flow, n_layers=1, **TINY)
FLOW_MATCHING = functools.partial(flow_matching_density, hidden=32, depth=2, n_steps=8)
SCORE = functools.partial(score_density, hidden=32, depth=2, n_steps=8)
FAST = {"max_epochs": 30, "batch_size": 100, "learning_rate": 5e-3}


class Draws(AbstractSimulator):
    def simulate(self, key, params):
        number_key, noise_key = jax.random.split(key)
        mask = jnp.arange(SIZE) < jax.random.randint(number_key, (), 0, SIZE + 1)
        values = params["theta"] + jax.random.normal(noise_key, (SIZE,))
        return Masked(jnp.where(mask, values, jnp.nan)[:, None], mask)


def deep_set(*, key):
    return DeepSet(1, 8, hidden=16, depth=1, key=key)


def exact(theta, x):
    """log p(theta | x) for a batch of sets, and the deviation of each posterior."""
    n = x.mask.sum(1)
    total = np.where(x.mask, x.values[..., 0], 0).sum(1)
    return normal_log_prob(theta[:, None], (total / (n + 1))[:, None], 1 / (n + 1)[:, None])


@pytest.fixture(scope="module")
def model():
    return Model(Prior(theta=Parameter(dist.Normal(0.0, 1.0))), Draws())


@pytest.fixture(scope="module")
def pairs(model):
    return simulate(jax.random.key(0), model, 4000)


@pytest.fixture(scope="module")
def new(model):
    return simulate(jax.random.key(9), model, 2000)


@pytest.fixture(scope="module")
def estimator(pairs):
    embedding = eqx.filter_jit(deep_set)(key=jax.random.key(2))
    return npe(jax.random.key(1), pairs, embedding=embedding, density=DENSITY, **FAST)[0]


def check(log_q, new, bound=0.1):
    """Mean KL(p||q) over new pairs: below 0.1 nat, and not below zero by five standard errors."""
    divergence = exact(new.params["theta"], new.observations) - np.asarray(log_q)
    error = divergence.std() / np.sqrt(len(divergence))
    assert -5 * error < divergence.mean() < bound, divergence.mean()


def log_posterior(estimator, new):
    theta, x = jax.tree.map(jnp.asarray, (new.params["theta"], new.observations))
    one = jax.vmap(lambda t, x: estimator.log_prob({"theta": t}, x))
    return np.asarray(eqx.filter_jit(one)(theta, x))


def test_bound_would_catch_a_blind_network(new):
    """The best without n, a width that is the same for all, and the best without data."""
    theta, x = new.params["theta"], new.observations
    n = x.mask.sum(1)
    mean = np.where(x.mask, x.values[..., 0], 0).sum(1) / (n + 1)
    residual = theta - mean
    same_width = normal_log_prob(theta[:, None], mean[:, None], residual.var())
    prior = normal_log_prob(theta[:, None], 0.0, 1.0)
    assert np.mean(exact(theta, x) - same_width) > 0.1
    assert np.mean(exact(theta, x) - prior) > 0.5


def test_npe_of_sets_of_varying_size(estimator, new):
    check(log_posterior(estimator, new), new)


def test_width_follows_the_number_of_points(estimator):
    """1/sqrt(n + 1) within 15 per cent; 2000 draws know it to 1.6."""
    for n in (1, 4, 10):
        x = Masked.pad(np.linspace(-0.5, 0.7, n)[:, None], SIZE)
        draws = estimator.posterior(x).sample(jax.random.key(3), 2000)["theta"]
        assert np.std(draws) == pytest.approx((n + 1) ** -0.5, rel=0.15)


def test_padding_and_order_of_the_observation_mean_nothing(estimator):
    x = Masked.pad(np.array([[0.3], [1.0], [-0.4]]), SIZE)
    dirty = Masked(np.where(x.mask[:, None], x.values, np.nan)[::-1], x.mask[::-1])
    theta = {"theta": jnp.asarray(0.2)}
    a, b = (estimator.posterior(o).log_prob(theta) for o in (x, dirty))
    assert a == pytest.approx(float(b), abs=1e-4)


@pytest.mark.slow
def test_nre_of_sets(pairs, new):
    ratio, _ = nre(
        jax.random.key(1),
        pairs,
        embedding=deep_set,
        loss=nre_loss,
        classifier=functools.partial(RatioClassifier, hidden=32, depth=1),
        **(FAST | {"max_epochs": 20}),
    )
    theta, x = jax.tree.map(jnp.asarray, (new.params["theta"], new.observations))
    one = jax.vmap(lambda t, x: ratio.log_likelihood({"theta": t}, x))
    log_prior = normal_log_prob(new.params["theta"][:, None], 0.0, 1.0)
    check(log_prior + np.asarray(eqx.filter_jit(one)(theta, x)), new)
    target = Model(pairs.prior, ratio).condition(Masked.pad(np.zeros((3, 1)), SIZE))
    assert np.isfinite(target(jnp.zeros(1)))
    with pytest.raises(ValueError, match=r"Masked \(9, 1\)"):
        Model(pairs.prior, ratio).condition(Masked.pad(np.zeros((3, 1)), 9))
    with pytest.warns(MisspecifiedWarning):
        Model(pairs.prior, ratio).condition(Masked.pad(np.full((3, 1), 40.0), SIZE))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "density"), [(fmpe, FLOW_MATCHING), (npse, SCORE)], ids=["fmpe", "npse"]
)
def test_transport_of_sets(method, density, pairs, new):
    made, _ = method(
        jax.random.key(1), pairs, embedding=deep_set, density=density, **(FAST | {"max_epochs": 60})
    )
    check(log_posterior(made, new), new)


@pytest.mark.slow
def test_npe_by_a_set_transformer(pairs, new):
    def embedding(*, key):
        return SetTransformer(1, 8, hidden=16, n_heads=2, n_blocks=1, n_inducing=4, key=key)

    made, _ = npe(jax.random.key(1), pairs, embedding=embedding, density=DENSITY, **FAST)
    check(log_posterior(made, new), new)


def test_misspecified_sets_are_flagged(estimator, new, recwarn):
    """Far points, and an impossible spread; 100 of the model's own sets at 1/4001 each."""
    wrong = [np.full((3, 1), 30.0), np.linspace(-12, 12, SIZE)[:, None]]
    for values in wrong:
        with pytest.warns(MisspecifiedWarning, match="outside of all 4000 simulations"):
            estimator.posterior(Masked.pad(values, SIZE))
    recwarn.clear()
    for i in range(100):
        estimator.posterior(jax.tree.map(lambda a, i=i: a[i], new.observations))
    assert len(recwarn) <= 1  # two or more: 3e-4


def test_odd_observations(estimator):
    with pytest.raises(ValueError, match=r"'Masked \(10, 1\)'.*Masked.pad\(values, size\)"):
        estimator.posterior(np.zeros((SIZE, 1)))
    with pytest.raises(ValueError, match=r"\['Masked \(7, 1\)'\]"):
        estimator.posterior(Masked.pad(np.zeros((3, 1)), 7))
    with pytest.raises(ValueError, match=r"1 non-finite values in array 0, the first at index \[1"):
        estimator.posterior(Masked.pad(np.array([[0.0], [np.nan]]), SIZE))


def saved_and_loaded(made, pairs, folder, **options):
    """Draws of an estimator, and of a frame of other simulations with what it saved."""
    made.save(folder)
    half = jax.tree.map(lambda a: a[:1000], (pairs.params, pairs.observations))
    frame, _ = npe(jax.random.key(5), Simulations(pairs.prior, *half), max_epochs=0, **options)
    x = Masked.pad(np.zeros((3, 1)), SIZE)
    return (
        e.posterior(x).sample(jax.random.key(2), 5)["theta"] for e in (made, frame.load(folder))
    )


def test_save_and_load(estimator, pairs, tmp_path):
    options = {"embedding": deep_set, "density": DENSITY}
    np.testing.assert_array_equal(*saved_and_loaded(estimator, pairs, tmp_path, **options))


@pytest.mark.slow
def test_ensemble(pairs, tmp_path):
    """Members start apart where a function makes them."""
    options = {"embedding": deep_set, "density": DENSITY, "members": 2}
    made, _ = npe(jax.random.key(1), pairs, max_epochs=1, **options)
    first, second = made.network.embedding.each.layers[0].weight
    assert np.abs(first - second).max() > 0.1
    np.testing.assert_array_equal(*saved_and_loaded(made, pairs, tmp_path, **options))


class Blob(AbstractSimulator):
    """An image with a source of unknown brightness."""

    def simulate(self, key, params):
        return params["a"] * jnp.eye(N_PIXELS) + 0.3 * jax.random.normal(key, (N_PIXELS, N_PIXELS))


def test_images(recwarn):
    """x's projection on the source: the posterior's variance is 1/(1 + 12/0.09)."""
    model = Model(Prior(a=Parameter(dist.Normal(0.0, 1.0))), Blob())
    pairs = simulate(jax.random.key(0), model, 2000)

    def embedding(*, key):
        return ConvEmbedding(1, (N_PIXELS, N_PIXELS), 4, channels=(8,), hidden=16, key=key)

    made, _ = npe(
        jax.random.key(1),
        pairs,
        embedding=embedding,
        density=DENSITY,
        **(FAST | {"max_epochs": 10}),
    )
    assert made.x_scale.scale.shape == (1, 1)
    x = simulate(jax.random.key(9), model, 500)
    a, images = jax.tree.map(jnp.asarray, (x.params["a"], x.observations))
    log_q = eqx.filter_jit(jax.vmap(lambda a, x: made.log_prob({"a": a}, x)))(a, images)
    variance = 1 / (1 + N_PIXELS / 0.09)
    mean = np.einsum("nii->n", x.observations) / 0.09 * variance
    log_p = normal_log_prob(x.params["a"][:, None], mean[:, None], variance)
    assert -0.1 < np.mean(log_p - np.asarray(log_q)) < 0.5
    assert not recwarn.list
    made.posterior(images[0])
    assert not recwarn.list
    with pytest.warns(MisspecifiedWarning):
        made.posterior(images[0].at[3, 8].add(200.0))


def test_bad_embeddings(pairs):
    def wrong_features(*, key):
        return DeepSet(2, 8, hidden=16, key=key)

    class Pairs(eqx.Module):
        out_size: int = 2

        def __call__(self, x):
            return x.values

    message = r"embedding=DeepSet fails on observations of shapes \['Masked \(10, 1\)'\]: x has"
    for method in (npe, nre):
        with pytest.raises(ValueError, match=message):
            method(jax.random.key(1), pairs, embedding=wrong_features)
    with pytest.raises(ValueError, match=r"embedding=Pairs returns the shape \(10, 1\)"):
        npe(jax.random.key(1), pairs, embedding=Pairs())
    with pytest.raises(ValueError, match="no out_size; give"):
        npe(jax.random.key(1), pairs, embedding=lambda *, key: eqx.nn.Identity())
