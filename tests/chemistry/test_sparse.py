"""Sparse factorisation against dense linear algebra."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry.dense import PART, WIDTH, dense_factor, dense_solve, dense_transposed
from simulators.chemistry.plan import elimination_rounds
from simulators.chemistry.sparse import Pattern, SparseLU, planned
from simulators.chemistry.sums import LONGEST, Sums, fence, gather
from tests.properties import QUICK

X64 = jax.config.jax_enable_x64
TOLERANCE = 1e-10 if X64 else 2e-3


def arrow(rng, n, hubs, density):
    """A pattern like that of a network: sparse, with some rows and columns that are full."""
    full = rng.random((n, n)) < density
    full[:, :hubs] |= rng.random((n, hubs)) < 0.7
    full[:hubs] |= rng.random((hubs, n)) < 0.7
    return full | np.eye(n, dtype=bool)


def dominant(rng, full, cells):
    """-J of columns that sum to less than the diagonal."""
    values = np.where(full[..., None], rng.random((*full.shape, cells)), 0.0)
    i = np.arange(len(full))
    values[i, i] = -values.sum(0) - 0.1
    return values


@pytest.mark.parametrize(
    "n, hubs, density", [(1, 0, 1.0), (5, 0, 1.0), (9, 0, 0.0), (40, 5, 0.05), (120, 12, 0.02)]
)
def test_solves_with_the_matrix_and_its_transpose(n, hubs, density):
    rng = np.random.default_rng(n)
    full = arrow(rng, n, hubs, density)
    j = dominant(rng, full, 3)
    rows, cols = np.nonzero(full)
    lu = SparseLU(Pattern(n, rows, cols))
    d = np.array([0.5, 1e-3, 20.0])
    b = rng.random((n, 3))

    @jax.jit
    def both(d, values, b):
        factors = lu.factor(d, values)
        return lu.solve(factors, b), lu.transposed(factors, b)

    dtype = jnp.result_type(float)
    arguments = (jnp.asarray(a, dtype) for a in (d, j[rows, cols], b))
    found = both(*arguments)
    for cell in range(3):
        w = d[cell] * np.eye(n) - j[..., cell]
        for x, matrix in zip(found, (w, w.T), strict=True):
            expected = np.linalg.solve(matrix, b[:, cell])
            np.testing.assert_allclose(x[:, cell], expected, rtol=TOLERANCE, atol=TOLERANCE)


def test_values_may_stand_in_another_order_with_others_between():
    rows, cols = np.array([0, 1, 1]), np.array([0, 0, 1])
    lu = SparseLU(Pattern(2, rows, cols, place=[3, 0, 2]))
    values = jnp.array([[1.0], [99.0], [-3.0], [-2.0]])
    x = lu.solve(lu.factor(jnp.zeros(1), values), jnp.array([[2.0], [0.0]]))
    np.testing.assert_allclose(x[:, 0], [1.0, 1.0 / 3.0], rtol=1e-6)


def test_equal_patterns_share_their_plan():
    rows, cols = [0, 1, 1], [0, 0, 1]
    assert planned(Pattern(2, rows, cols)) is planned(Pattern(2, list(rows), list(cols)))
    assert Pattern(2, rows, cols) != Pattern(3, rows, cols)


def test_rounds_of_pivots_do_not_touch_each_other():
    rng = np.random.default_rng(0)
    full = arrow(rng, 60, 6, 0.03)
    rounds, rest, filled = elimination_rounds(full)
    assert sorted([*itertools.chain(*rounds), *rest]) == list(range(60))
    assert len(rounds) < 10 and set(range(6)) <= set(rest)
    assert np.all(filled >= full)
    for chosen in rounds:
        block = filled[np.ix_(chosen, chosen)]
        np.testing.assert_array_equal(block, np.eye(len(chosen), dtype=bool))


@pytest.mark.parametrize("m", [WIDTH, 3 * WIDTH, 2 * PART, 3 * PART + 2 * WIDTH])
def test_dense_factors(m):
    rng = np.random.default_rng(1)
    a = rng.random((m, m, 2)) + 2.0 * m * np.eye(m)[..., None]
    b = rng.random((m, 2))
    dtype = jnp.result_type(float)
    parts = jax.jit(dense_factor)(jnp.asarray(a, dtype))
    assert sum(left.shape[1] for left, _ in parts) == m
    for solve, turn in ((dense_solve, np.asarray), (dense_transposed, np.transpose)):
        found = jax.jit(solve)(parts, jnp.asarray(b, dtype))
        for cell in range(2):
            expected = np.linalg.solve(turn(a[..., cell]), b[:, cell])
            np.testing.assert_allclose(found[:, cell], expected, rtol=1e-12 if X64 else 1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_of_lists_of_all_lengths(weighted):
    rng = np.random.default_rng(2)
    # From empty ones to one that is a sum of sums of sums.
    lengths = [0, 1, 2, 0, 5, LONGEST, LONGEST + 1, 100, LONGEST**2 + 3]
    row = np.repeat(np.arange(len(lengths)), lengths)
    order = rng.permutation(len(row))
    row = row[order]
    source = rng.integers(1, 50, len(row))
    weight = rng.normal(size=len(row)) if weighted else None
    sums = Sums(len(lengths), row, [source], [0], weight)
    x = rng.random((50, 2))
    x[0] = 0.0
    found = jax.jit(lambda x: sums(gather, x), compiler_options=QUICK)(jnp.asarray(x))
    expected = np.zeros((len(lengths), 2))
    np.add.at(expected, row, (1.0 if weight is None else weight[:, None]) * x[source])
    np.testing.assert_allclose(found[sums.place], expected, rtol=1e-4, atol=1e-4)
    assert found.shape == (sums.size, 2)


def test_a_fence_is_nothing_but_a_fence():
    x = jnp.array([[2.0, 3.0], [5.0, jnp.nan]])
    np.testing.assert_array_equal(fence(jnp.square, x), x * x)
    y = x.at[1, 1].set(1.0)
    gradient = jax.grad(lambda y: jnp.sum(fence(jnp.square, y)))(y)
    np.testing.assert_allclose(gradient, 2.0 * y)
    np.testing.assert_allclose(jax.vmap(lambda y: fence(jnp.square, y))(y), y * y)
