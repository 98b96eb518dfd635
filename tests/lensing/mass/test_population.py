"""A population is the sum of its lenses, whatever the padding and the blocks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass.nfw import NFW
from simulators.lensing.mass.population import Population

X = np.linspace(-3.0, 3.0, 24).reshape(4, 6)
Y = np.linspace(-2.0, 2.5, 24)[::-1].reshape(4, 6) ** 3 / 4.0


def _lenses(length, seed=0):
    rng = np.random.default_rng(seed)
    fields = [rng.uniform(0.05, 0.5, length), 10.0 ** rng.uniform(-3, -1, length)]
    fields += [rng.uniform(-3.0, 3.0, length) for _ in range(2)]
    return NFW(*map(jnp.asarray, fields))


def _loss(mass, x, y):
    ax, ay = mass.alpha(x, y)
    return jnp.sum(jnp.sin(x) * ax + jnp.cos(y) * ay)


@jax.jit
def _evaluate(population, x, y):
    """Loss and gradients: one program for every population of one length and block."""
    return jax.value_and_grad(_loss, (0, 1, 2), allow_int=True)(population, x, y)


def _explicit(lenses, weights, x, y):
    """The same by a sum over lenses, each a lens of its own."""
    each = jax.vmap(
        lambda lens: (lens.psi(x, y), lens.alpha(x, y), lens.hessian(x, y), lens.kappa(x, y))
    )(lenses)
    return jax.tree.map(lambda v: jnp.tensordot(weights, v, 1), each)


def _coordinates():
    return jnp.asarray(X), jnp.asarray(Y)


def _tolerance():
    return 1e-12 if jax.config.jax_enable_x64 else 2e-5


def _close(found, expected):
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        size = float(jnp.abs(two).max())
        np.testing.assert_allclose(one, two, rtol=0, atol=_tolerance() * size)


def test_equals_the_explicit_sum_and_so_does_the_gradient():
    x, y = _coordinates()
    lenses = _lenses(7)
    mask = jnp.asarray([True] * 3 + [False] + [True] * 3)
    population = Population(lenses, mask, block=3)
    weights = mask.astype(x.dtype)

    @jax.jit
    def values(population, x, y):
        return [f(x, y) for f in (population.psi, population.hessian, population.kappa)]

    @jax.jit
    def explicit(lenses, x, y):
        psi, alpha, hessian, kappa = _explicit(lenses, weights, x, y)
        return [psi, hessian, kappa], jnp.sum(jnp.sin(x) * alpha[0] + jnp.cos(y) * alpha[1])

    expected, loss = explicit(lenses, x, y)
    _close(values(population, x, y), expected)
    expected = jax.jit(jax.grad(lambda *a: explicit(*a)[1], (0, 1, 2)))(lenses, x, y)
    found, (slope, along_x, along_y) = _evaluate(population, x, y)
    _close(found, loss)
    _close((slope.mass, along_x, along_y), expected)
    assert all(not leaf[3] for leaf in jax.tree.leaves(slope.mass))


def test_padding_and_blocks_do_not_matter():
    x, y = _coordinates()
    lenses = _lenses(7)
    plain, (expected, *_) = _evaluate(Population(lenses, jnp.ones(7, bool), block=3), x, y)
    padded = jax.tree.map(lambda v: jnp.concatenate([v, v[:3] * 1.7]), lenses)
    found, (slope, *_) = _evaluate(Population(padded, jnp.arange(10) < 7, block=64), x, y)
    _close(found, plain)
    _close(jax.tree.map(lambda v: v[:7], slope.mass), expected.mass)
    assert all(not np.any(leaf[7:]) for leaf in jax.tree.leaves(slope.mass))


def test_weights_are_differentiable():
    x, y = _coordinates()
    lenses = _lenses(5)
    slope = jax.jit(jax.grad(lambda w: _loss(Population(lenses, w, block=2), x, y)))(jnp.ones(5))
    _close(slope, jax.jit(jax.vmap(lambda lens: _loss(lens, x, y)))(lenses))


def test_any_number_of_lenses_compiles_once(trace_counter):
    x, y = _coordinates()
    counted = trace_counter(lambda population: population.alpha(x, y))
    compiled = jax.jit(counted)
    for number in (0, 3, 8):
        mask = jnp.arange(8) < number
        ax, _ = compiled(Population(_lenses(8, seed=number), mask, block=4))
        assert bool(jnp.any(ax)) == (number > 0)
    assert counted.count == 1


def test_memory_of_a_gradient_is_that_of_the_grid():
    """Temporary memory does not grow with the number of lenses (the last bits are parameters)."""
    x, y = (jnp.broadcast_to(v[:, None], (24, 100)) for v in map(jnp.ravel, _coordinates()))

    def temporary(length):
        gradient = jax.jit(jax.grad(_loss, allow_int=True))
        compiled = gradient.lower(Population(_lenses(length), block=4), x, y).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = temporary(8), temporary(800)
    assert many - few < 2 * x.nbytes
    assert many < 60 * x.nbytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((NFW(1.0, 0.1),), "leading axis"),
        ((NFW(jnp.ones(3), jnp.ones(3)),), "leading axis"),
        ((_lenses(4), jnp.ones(3)), "mask"),
        ((_lenses(4), None, 0), "block"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        Population(*arguments)
