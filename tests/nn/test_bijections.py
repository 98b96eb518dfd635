"""One table of bijections feeds every property test; distrax is the oracle of the splines."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.nn import LU, AffineCoupling, Chain, LinearGaussian, Permutation, SplineCoupling
from jaxastro.nn.spline import MIN_BIN, MIN_SLOPE, inverse_spline, n_spline_parameters, spline

C = 2


def noisy(module, key, scale=0.3):
    """Parameters moved from their start, where many layers are the identity."""
    arrays, static = eqx.partition(module, eqx.is_inexact_array)
    leaves, tree = jax.tree.flatten(arrays)
    keys = jax.random.split(key, len(leaves))
    moved = [
        leaf + scale * jax.random.normal(k, leaf.shape, leaf.dtype)
        for leaf, k in zip(leaves, keys, strict=True)
    ]
    return eqx.combine(jax.tree.unflatten(tree, moved), static)


def fitted_regression(dim, dtype, key):
    rng = np.random.default_rng(0)
    context = rng.normal(size=(500, C))
    x = context @ rng.normal(size=(C, dim)) + rng.normal(size=(500, dim)) @ rng.normal(
        size=(dim, dim)
    )
    return LinearGaussian(dim, C, dtype=dtype).fitted(x, context)


TABLE = {
    "permutation": lambda dim, dtype, key: Permutation(jnp.arange(dim)[::-1]),
    "lu": lambda dim, dtype, key: noisy(LU(dim, roll=1, dtype=dtype), key),
    "regression": fitted_regression,
    "affine coupling": lambda dim, dtype, key: noisy(
        AffineCoupling(dim, C, hidden=8, dtype=dtype, key=key), key
    ),
    "spline coupling": lambda dim, dtype, key: noisy(
        SplineCoupling(dim, C, hidden=8, n_bins=5, dtype=dtype, key=key), key
    ),
    "chain": lambda dim, dtype, key: Chain(
        (
            fitted_regression(dim, dtype, key),
            noisy(SplineCoupling(dim, C, hidden=8, dtype=dtype, key=key), key),
            LU(dim, roll=dim - dim // 2, dtype=dtype),
        )
    ),
}
CASES = [(name, dim) for name in TABLE for dim in (1, 2, 5)]


def made(name, dim, dtype):
    return TABLE[name](dim, dtype, jax.random.key(3))


def points(dim, dtype):
    """Inside the splines' range, at its edge, outside and at the centre."""
    rng = np.random.default_rng(1)
    x = np.concatenate(
        [1.5 * rng.normal(size=(8, dim)), np.zeros((1, dim)), np.full((1, dim), 9.0)]
    )
    return jnp.asarray(x, dtype), jnp.asarray(rng.normal(size=(10, C)), dtype)


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
        return back, log_det, log_det_back, jnp.linalg.slogdet(jacobian)[1]

    back, log_det, log_det_back, exact = there_and_back(x, c)
    np.testing.assert_allclose(back, x, atol=tolerance, rtol=tolerance)
    np.testing.assert_allclose(log_det, exact, atol=10 * tolerance)
    np.testing.assert_allclose(log_det_back, -log_det, atol=10 * tolerance)


@pytest.mark.smoke
@pytest.mark.parametrize("name", TABLE)
def test_float32_stays_float32_and_trees_round_trip(name):
    bijection = made(name, 2, jnp.float32)
    x, c = points(2, jnp.float32)
    leaves, tree = jax.tree.flatten(bijection)
    again = jax.tree.unflatten(tree, leaves)
    for method in ("forward", "inverse"):
        value, log_det = getattr(bijection, method)(x[0], c[0])
        assert value.dtype == log_det.dtype == jnp.float32
        np.testing.assert_array_equal(value, getattr(again, method)(x[0], c[0])[0])


@pytest.mark.parametrize("name", ["lu", "affine coupling", "spline coupling"])
def test_gradients_against_finite_differences(name):
    if widest() == jnp.float32:
        pytest.skip("finite differences need float64")
    bijection = made(name, 3, widest())
    x, c = points(3, widest())
    arrays, static = eqx.partition(bijection, eqx.is_inexact_array)

    @jax.jit
    def value(arrays):
        z, log_det = jax.vmap(eqx.combine(arrays, static).forward)(x, c)
        return jnp.sum(jnp.sin(z)) + jnp.sum(log_det)

    direction = jax.tree.map(
        lambda a: jax.random.normal(jax.random.key(a.size), a.shape, a.dtype), arrays
    )
    slope = jax.jit(lambda a: jax.jvp(value, (a,), (direction,))[1])(arrays)
    reverse = jax.jit(jax.grad(value))(arrays)
    total = sum(
        jnp.vdot(g, d)
        for g, d in zip(jax.tree.leaves(reverse), jax.tree.leaves(direction), strict=True)
    )
    step = 1e-6
    ends = [
        value(jax.tree.map(lambda a, d, s=s: a + s * step * d, arrays, direction)) for s in (1, -1)
    ]
    difference = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(slope, difference, rtol=1e-5)
    np.testing.assert_allclose(total, slope, rtol=1e-9)


def test_spline_against_distrax():
    distrax = pytest.importorskip("distrax")
    n, bound = 6, 3.0
    rng = np.random.default_rng(4)
    raw = rng.normal(size=n_spline_parameters(n))
    x = np.linspace(-3.5, 3.5, 29)

    def shares(a):
        e = np.exp(a - a.max())
        return MIN_BIN + (1 - MIN_BIN * n) * e / e.sum()

    ours = jax.vmap(lambda x: spline(x[None], jnp.asarray(raw)[None], bound))
    y, log_slope = ours(jnp.asarray(x))
    # distrax makes its own minima of bins, and so is given ours as they come out.
    unit = np.log(np.expm1(1 - MIN_SLOPE))
    slopes = MIN_SLOPE + np.log1p(np.exp(raw[2 * n :] + unit))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        theirs = distrax.RationalQuadraticSpline(
            jnp.zeros(3 * n + 1), -bound, bound, boundary_slopes="unconstrained"
        )
        knots = [
            2 * bound * np.concatenate([[0], np.cumsum(shares(raw[i : i + n]))]) - bound
            for i in (0, n)
        ]
        theirs._x_pos, theirs._y_pos = (jnp.asarray(k) for k in knots)
        theirs._knot_slopes = jnp.asarray(np.concatenate([[1.0], slopes, [1.0]]))
        expected, expected_slope = theirs.forward_and_log_det(jnp.asarray(x))
        back, back_slope = theirs.inverse_and_log_det(expected)
    np.testing.assert_allclose(y[:, 0], expected, atol=1e-9)
    np.testing.assert_allclose(log_slope, expected_slope, atol=1e-9)
    mine, my_slope = jax.vmap(lambda y: inverse_spline(y[None], jnp.asarray(raw)[None], bound))(
        y[:, 0]
    )
    np.testing.assert_allclose(mine[:, 0], back, atol=1e-9)
    np.testing.assert_allclose(my_slope, back_slope, atol=1e-9)


def test_a_flow_is_normalised():
    from jaxastro.nn import spline_coupling_flow

    flow = spline_coupling_flow(2, C, n_layers=2, hidden=8, dtype=widest(), key=jax.random.key(0))
    layers = noisy(flow.bijection.layers[1:], jax.random.key(1), 0.2)
    flow = eqx.tree_at(lambda f: f.bijection.layers[1:], flow, layers)
    c = jnp.ones(C, widest())
    edge, n = 12.0, 400
    grid = jnp.asarray(-edge + 2 * edge * (np.arange(n) + 0.5) / n, widest())
    pairs = jnp.stack(jnp.meshgrid(grid, grid), -1).reshape(-1, 2)
    density = jnp.exp(jax.jit(jax.vmap(functools.partial(flow.log_prob, context=c)))(pairs))
    assert float(jnp.sum(density)) * (2 * edge / n) ** 2 == pytest.approx(1.0, abs=5e-3)
