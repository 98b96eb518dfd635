"""One table of bijections feeds every property test."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.nn import (
    LU,
    AffineCoupling,
    BlockNeuralAutoregressive,
    Chain,
    ElementwiseAffine,
    ElementwiseSpline,
    LinearGaussian,
    MaskedAutoregressive,
    Permutation,
    Repeated,
    SplineCoupling,
)
from jaxastro.nn.spline import MIN_BIN, inverse_spline, n_spline_parameters, spline
from tests.nn.perturb import filled


def swap(dim, size, *, dtype):
    return Permutation(jnp.arange(dim)[::-1])


def linear(dim, size, *, dtype):
    return LU(dim, roll=1, dtype=dtype)


def fitted_regression(dim, size, *, dtype):
    rng = np.random.default_rng(0)
    context = rng.normal(size=(500, size))
    x = context @ rng.normal(size=(size, dim)) + rng.normal(size=(500, dim)) @ rng.normal(
        size=(dim, dim)
    )
    return LinearGaussian(dim, size, dtype=dtype).fitted(x, context)


# Functions (dim, size of the context, *, dtype): those whose arrays belong together as they are...
WHOLE = {"permutation": swap, "regression": LinearGaussian, "fitted regression": fitted_regression}
# ... and those that learn theirs, to be filled with noise.
KEY = {"key": jax.random.key(0)}
LEARNT = {
    "lu": linear,
    "affine coupling": functools.partial(AffineCoupling, hidden=8, **KEY),
    "spline coupling": functools.partial(SplineCoupling, hidden=8, n_bins=5, **KEY),
    "affine autoregressive": functools.partial(
        MaskedAutoregressive, elementwise=ElementwiseAffine(), hidden=8, **KEY
    ),
    "spline autoregressive": functools.partial(
        MaskedAutoregressive, elementwise=ElementwiseSpline(n_bins=5), hidden=8, **KEY
    ),
    "repeated": lambda dim, size, *, dtype: Repeated(
        lambda key: LEARNT["spline coupling"](dim, size, dtype=dtype), 3, **KEY
    ),
    "block neural": functools.partial(BlockNeuralAutoregressive, width=4, hidden=8, **KEY),
}
TABLE = [*WHOLE, *LEARNT, "chain"]
# The size of the context by dimension; zero is unconditional.
CONTEXT = {1: 0, 2: 3, 5: 2}
CASES = [(name, dim) for name in TABLE for dim in (1, 5)]


def made(name, dim, dtype):
    if name == "chain":
        parts = ("fitted regression", "spline coupling", "lu")
        return Chain(tuple(made(part, dim, dtype) for part in parts))
    if name in WHOLE:
        return WHOLE[name](dim, CONTEXT[dim], dtype=dtype)
    return filled(lambda: LEARNT[name](dim, CONTEXT[dim], dtype=dtype), seed=dim)


def points(dim, dtype):
    """Inside the splines' range, at its centre, and outside."""
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [1.5 * rng.normal(size=(7, dim)), np.zeros((1, dim)), [[9.0] * dim], [[-1e4] * dim]]
    )
    return jnp.asarray(x, dtype), jnp.asarray(rng.normal(size=(10, CONTEXT[dim])), dtype)


def widest():
    return jnp.result_type(float)


@pytest.mark.parametrize(("name", "dim"), CASES)
def test_inverse_and_log_determinants(name, dim):
    bijection = made(name, dim, widest())
    x, c = points(dim, widest())
    tolerance = 1e-8 if x.dtype == np.float64 else 2e-3

    @jax.jit
    @jax.vmap
    def there_and_back(x, c):
        z, log_det = bijection.forward(x, c)
        back, log_det_back = bijection.inverse(z, c)
        jacobian = jax.jacfwd(lambda x: bijection.forward(x, c)[0])(x)
        return back, log_det, log_det_back, jnp.linalg.slogdet(jacobian)

    back, log_det, log_det_back, (sign, exact) = there_and_back(x, c)
    np.testing.assert_allclose(back, x, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(log_det, exact, atol=10 * tolerance)
    np.testing.assert_allclose(log_det_back, -log_det, atol=10 * tolerance)
    assert np.all(np.isfinite(exact)) and len(set(sign.tolist())) == 1


@pytest.mark.smoke
@pytest.mark.parametrize("name", TABLE)
def test_float32_stays_float32_and_trees_round_trip(name):
    bijection = made(name, 2, jnp.float32)
    x, c = points(2, jnp.float32)
    leaves, tree = jax.tree.flatten(bijection)
    again = jax.tree.unflatten(tree, leaves)
    assert all(a.dtype == jnp.float32 for a in leaves if eqx.is_inexact_array(a))

    @eqx.filter_jit
    def there_and_back(bijection, x, c):
        z, log_det = bijection.forward(x, c)
        return z, log_det, *bijection.inverse(z, c)

    z, log_det, back, log_det_back = result = there_and_back(bijection, x[0], c[0])
    assert all(a.dtype == jnp.float32 for a in result)
    np.testing.assert_allclose(back, x[0], atol=2e-3)
    np.testing.assert_allclose(log_det_back, -log_det, atol=2e-2)
    np.testing.assert_array_equal(there_and_back(again, x[0], c[0])[0], z)


@pytest.mark.parametrize(("name", "dim"), [(name, dim) for name in TABLE for dim in (1, 2)])
def test_columns_are_as_many_vectors(name, dim):
    bijection = made(name, dim, widest())
    x, c = points(dim, widest())
    tolerance = 1e-10 if x.dtype == np.float64 else 2e-3

    @jax.jit
    def both(x, c):
        return bijection.forward_columns(x, c), jax.vmap(bijection.forward, 1, (1, 0))(x, c)

    for columns, one_by_one in zip(*both(x.T, c.T), strict=True):
        assert columns.shape == one_by_one.shape
        np.testing.assert_allclose(columns, one_by_one, atol=tolerance, rtol=tolerance)


# A map's own derivatives, and those of the two that are inverted in a loop.
GRADIENTS = [(name, "forward") for name in LEARNT]
GRADIENTS += [("affine autoregressive", "inverse"), ("block neural", "inverse")]


@pytest.mark.parametrize(("name", "method"), GRADIENTS)
def test_gradients_against_finite_differences(name, method):
    if widest() == jnp.float32:
        pytest.skip("finite differences need float64")
    bijection = made(name, 2, widest())
    x, c = points(2, widest())
    arrays, static = eqx.partition(bijection, eqx.is_inexact_array)

    def value(inputs):
        arrays, x, c = inputs
        z, log_det = jax.vmap(getattr(eqx.combine(arrays, static), method))(x, c)
        return jnp.sum(jnp.sin(z)) + jnp.sum(log_det)

    rng = np.random.default_rng(2)
    inputs = (arrays, x[:-1], c[:-1])
    direction = jax.tree.map(lambda a: jnp.asarray(rng.normal(size=a.shape), a.dtype), inputs)

    @jax.jit
    def along(step):
        at = jax.tree.map(lambda a, d: a + step * d, inputs, direction)
        result, gradient = jax.value_and_grad(value)(at)
        return result, sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, direction)))

    step = 1e-6
    difference = (along(step)[0] - along(-step)[0]) / (2 * step)
    np.testing.assert_allclose(along(0.0)[1], difference, rtol=1e-5)


def test_second_derivatives_of_an_inverse_by_search():
    """A derivative taken through one Newton step would be right once, and wrong twice."""
    if widest() == jnp.float32:
        pytest.skip("finite differences need float64")
    layer = made("block neural", 2, widest())
    x, c = points(2, widest())
    step = 1e-5

    @jax.jit
    def both(x, c):
        def gradient(z):
            return jax.jacrev(lambda z: jnp.append(*layer.inverse(z, c)))(z)

        z, _ = layer.forward(x, c)
        steps = step * jnp.eye(2, dtype=z.dtype)
        above, below = jax.vmap(gradient)(z[None] + steps), jax.vmap(gradient)(z[None] - steps)
        return jax.jacfwd(gradient)(z), (above - below) / (2 * step)

    exact, differences = both(x[0], c[0])
    assert np.all(np.max(np.abs(exact), axis=(1, 2)) > 0.01)
    np.testing.assert_allclose(exact, np.moveaxis(differences, 0, -1), atol=1e-7)


def test_an_autoregressive_layer_sees_earlier_coordinates_and_always_the_context():
    layer = made("affine autoregressive", 5, jnp.float32)
    x, c = points(5, jnp.float32)
    jacobians = jax.jit(jax.jacfwd(lambda x, c: layer.forward(x, c)[0], argnums=(0, 1)))
    of_x, of_context = jacobians(x[0], c[0])
    np.testing.assert_array_equal(np.triu(of_x, 1), 0.0)
    assert np.all(np.asarray(of_x)[np.tril_indices(5)] != 0)
    assert np.all(np.asarray(of_context) != 0)


def test_a_block_neural_layer_needs_a_hidden_layer():
    with pytest.raises(ValueError, match="depth=0"):
        BlockNeuralAutoregressive(2, 0, depth=0, key=jax.random.key(0))


@pytest.mark.smoke
@pytest.mark.parametrize("spread", [1.0, 30.0])
def test_splines_on_knots_at_the_edge_and_far_outside(spread):
    """With a spread of 30 most bins are as small as they may be, slopes from 0.001 to 90."""
    n, bound, dtype = 6, 3.0, widest()
    raw = spread * np.random.default_rng(5).normal(size=n_spline_parameters(n))
    shares = np.exp(raw[:n] - raw[:n].max())
    shares = MIN_BIN + (1 - MIN_BIN * n) * shares / shares.sum()
    knots = 2 * bound * np.cumsum(shares)[:-1] - bound
    edges = np.asarray([-bound, bound], dtype)
    x = np.concatenate(
        [[-1e6], edges, np.nextafter(edges, 0), np.nextafter(edges, 2 * edges), knots, [1e6]]
    )
    x = jnp.asarray(np.sort(x), dtype)
    raw = jnp.broadcast_to(jnp.asarray(raw, dtype), (len(x), len(raw)))

    @jax.jit
    def run(x, raw):
        y, log_slope = spline(x, raw, bound)
        back, log_slope_back = inverse_spline(y, raw, bound)
        gradients = [
            jax.grad(lambda *a, f=f: sum(map(jnp.sum, f(*a, bound))), argnums=(0, 1))(at, raw)
            for f, at in ((spline, x), (inverse_spline, y))
        ]
        return y, log_slope, back, log_slope_back, gradients

    y, log_slope, back, log_slope_back, gradients = run(x, raw)
    tight = 1e-9 if dtype == np.float64 else 1e-3
    assert np.all(np.diff(y) >= 0)
    np.testing.assert_array_equal(y[np.abs(x) >= bound], x[np.abs(x) >= bound])
    np.testing.assert_allclose(back, x, rtol=tight, atol=tight)
    if spread == 1.0:
        np.testing.assert_allclose(log_slope_back, -log_slope, rtol=10 * tight)
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))
