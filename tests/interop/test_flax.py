"""Networks written in Flax inside our estimators: trained, saved, loaded."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.interop.flax import from_flax
from jaxastro.nn import affine_coupling_flow
from jaxastro.sbi import npe, nre, nre_loss, simulate
from tests.sbi.linear_gaussian import DIM, linear_gaussian, log_ratio, posterior_log_prob

linen = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")

X = jnp.zeros(DIM, jnp.float32)
DENSITY = functools.partial(affine_coupling_flow, n_layers=2, hidden=16, depth=1)
FAST = {"max_epochs": 20, "batch_size": 100, "learning_rate": 5e-3}


class LinenEmbedding(linen.Module):
    size: int = 4

    @linen.compact
    def __call__(self, x):
        shift = self.variable("constants", "shift", lambda: jnp.ones(x.shape, x.dtype))
        return linen.Dense(self.size)(linen.silu(linen.Dense(16)(x - shift.value)))


class LinenClassifier(linen.Module):
    @linen.compact
    def __call__(self, u, context):
        h = linen.Dense(32)(jnp.concatenate([u, context]))
        h = linen.Dense(32)(linen.silu(h))
        return linen.Dense(1)(linen.silu(h))[0]


class NNXEmbedding(nnx.Module):
    def __init__(self, *, rngs):
        self.first, self.last = nnx.Linear(DIM, 16, rngs=rngs), nnx.Linear(16, 4, rngs=rngs)
        self.shift = nnx.Variable(jnp.ones(DIM, jnp.float32))

    def __call__(self, x):
        return self.last(nnx.silu(self.first(x - self.shift[...])))


class Noisy(nnx.Module):
    def __init__(self, *, rngs):
        self.drop = nnx.Dropout(0.1, rngs=rngs)

    def __call__(self, x):
        return self.drop(x)


def linen_embedding(*, key):
    return from_flax(LinenEmbedding(), X, key=key)


def nnx_embedding(*, key):
    return from_flax(NNXEmbedding(rngs=nnx.Rngs(key)), X)


@pytest.fixture(scope="module")
def pairs():
    return simulate(jax.random.key(0), linear_gaussian(), 3000)


@pytest.mark.parametrize("embedding", [linen_embedding, nnx_embedding])
def test_embedding_is_trained_saved_and_loaded(embedding, pairs, tmp_path):
    """KL to the exact posterior, which without the data would be 2.4 nats."""
    options = {"embedding": embedding, "density": DENSITY}
    made, _ = npe(jax.random.key(1), pairs, **FAST, **options)
    new = simulate(jax.random.key(9), linear_gaussian(), 1000)
    theta, x = jax.tree.map(jnp.asarray, (new.params["theta"], new.observations))
    log_q = jax.vmap(lambda t, x: made.log_prob({"theta": t}, x))
    divergence = posterior_log_prob(theta, x) - np.asarray(eqx.filter_jit(log_q)(theta, x))
    assert -0.02 < divergence.mean() < 0.15

    frame, _ = npe(jax.random.key(1), pairs, max_epochs=0, **options)
    before, after = frame.network.embedding, made.network.embedding
    moved = jax.tree.map(lambda a, b: bool(np.any(a != b)), before.params, after.params)
    assert all(jax.tree.leaves(moved))
    np.testing.assert_array_equal(*map(jax.tree.leaves, (before.constants, after.constants)))

    made.save(tmp_path)
    a, b = (
        e.posterior(x[0]).sample(jax.random.key(2), 5)["theta"]
        for e in (made, frame.load(tmp_path))
    )
    np.testing.assert_array_equal(a, b)
    if embedding is nnx_embedding:
        np.testing.assert_allclose(after.to_nnx()(X), eqx.filter_jit(after)(X), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("embedding", [linen_embedding, nnx_embedding])
def test_ensemble(embedding, pairs):
    made, _ = npe(
        jax.random.key(1), pairs, embedding=embedding, density=DENSITY, members=2, max_epochs=1
    )
    assert made.posterior(X).sample(jax.random.key(2), 5)["theta"].shape == (5, DIM)


def test_classifier(pairs):
    def classifier(dim, context_size, *, key):
        u, context = (jnp.zeros(n, jnp.float32) for n in (dim, context_size))
        return from_flax(LinenClassifier(), u, context, key=key)

    ratio, _ = nre(jax.random.key(1), pairs, classifier=classifier, loss=nre_loss, **FAST)
    new = simulate(jax.random.key(9), linear_gaussian(), 1000)
    theta, x = jax.tree.map(jnp.asarray, (new.params["theta"], new.observations))
    log_r = jax.vmap(lambda t, x: ratio.log_likelihood({"theta": t}, x))
    error = log_ratio(theta, x) - np.asarray(eqx.filter_jit(log_r)(theta, x))
    assert np.mean(error) < 0.2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: from_flax(3, X), "module is a int; give an instance of flax.linen.Module"),
        (lambda: from_flax(LinenEmbedding(), X), "neither given; give LinenEmbedding one"),
        (
            lambda: from_flax(linen.BatchNorm(use_running_average=False), X, key=jax.random.key(0)),
            "BatchNorm holds batch_stats; .* use layer or group norm",
        ),
        (lambda: from_flax(Noisy(rngs=nnx.Rngs(0)), X), "Noisy holds RngCount, RngKey"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.smoke
def test_given_variables_and_sizes():
    variables = LinenEmbedding(size=5).init(jax.random.key(0), X)
    network = from_flax(LinenEmbedding(size=5), X, variables=variables)
    assert network.out_size == 5 and network(X).dtype == jnp.float32
    assert from_flax(LinenClassifier(), X, X, key=jax.random.key(0)).out_size is None
