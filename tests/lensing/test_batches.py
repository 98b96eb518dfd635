"""`one_by_one` changes when things are computed and nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.shared.batches import one_by_one


def _plain(scale, x, chosen, power):
    return {"sum": jnp.sum(jnp.where(chosen, scale * x**power, 0.0)), "x": scale * x}


def _wrapped(*arguments):
    return one_by_one(_plain, *arguments)


def _compare(of):
    found, expected = jax.jit(lambda: of(_wrapped))(), jax.jit(lambda: of(_plain))()
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-6)


def test_batches_and_derivatives_of_all_kinds():
    scale, x = jnp.asarray([1.5, -2.0, 0.5]), jnp.asarray([0.3, 1.2, 2.0, -0.7])
    chosen = jnp.asarray([True, False, True, True])

    def value(f):
        return lambda s: f(s, x, chosen, 3)["sum"]

    _compare(lambda f: jax.vmap(lambda s: f(s, x, chosen, 3))(scale))
    _compare(lambda f: jax.vmap(jax.vmap(lambda s: f(s, x, chosen, 3)))(scale[None]))
    masks = jnp.stack([chosen, ~chosen])
    _compare(lambda f: jax.vmap(lambda c: f(scale[0], x, c, 3))(masks))
    _compare(lambda f: jax.vmap(jax.grad(value(f)))(scale))
    _compare(lambda f: jax.grad(lambda s: jnp.sum(jax.vmap(value(f))(s) ** 2))(scale))
    _compare(lambda f: jax.jacfwd(lambda y: f(scale[0], y, chosen, 3))(x))
    _compare(lambda f: jax.hessian(lambda y: f(scale[0], y, chosen, 3)["sum"])(x))


def test_a_batch_runs_as_a_loop():
    if jax.default_backend() != "cpu":
        pytest.skip("other devices take a batch at once")
    text = jax.jit(jax.vmap(lambda x: one_by_one(jnp.sin, x))).lower(jnp.ones((5, 7))).as_text()
    assert "stablehlo.while" in text
