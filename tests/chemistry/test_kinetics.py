"""Mass action: rates, Jacobians and derivatives of stages against plain ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.system import AbstractSystem
from tests.chemistry.clouds import DARK, Plain, cloud, ours

X64 = jax.config.jax_enable_x64
# A source, a decay, two- and three-body reactions, squares, a catalyst, and one rate that goes with
# fewer powers than it has reactants.
REACTANTS = [(), (0,), (0, 1), (1, 1), (0, 1, 2), (2, 2, 2), (3, 0), (0, 0)]
PRODUCTS = [(0,), (1,), (2,), (0, 2), (3, 3), (1,), (3, 1), (1,)]
FACTORS = [*REACTANTS[:-1], (0,)]
SYSTEM = Kinetics.of(4, REACTANTS, PRODUCTS, FACTORS)


def plain(y, k):
    """dy/dt of one cell in NumPy."""
    change = np.zeros(4)
    for r, order in enumerate(FACTORS):
        rate = k[r] * np.prod(y[list(order)])
        np.add.at(change, list(REACTANTS[r]), -rate)
        np.add.at(change, list(PRODUCTS[r]), rate)
    return change


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    dtype = jnp.result_type(float)
    return [jnp.asarray(rng.uniform(0.5, 2.0, (n, 3)), dtype) for n in (4, 8, 4, 4, 4)]


def test_right_hand_side(cells):
    y, k, *_ = cells
    found = SYSTEM.rhs(jnp.zeros(3), y, k)
    for cell in range(3):
        np.testing.assert_allclose(
            found[:, cell], plain(np.asarray(y)[:, cell], np.asarray(k)[:, cell]), rtol=1e-5
        )


def test_jacobian_is_the_derivative(cells):
    y, k, *_ = cells
    t, pattern = jnp.zeros(3), SYSTEM.pattern
    values = SYSTEM.jacobian(t, y, k)[pattern.place]
    full = jax.jacfwd(lambda y: SYSTEM.rhs(t, y, k))(y)
    expected = jnp.einsum("icjc->ijc", full)
    found = np.zeros((4, 4, 3))
    found[pattern.rows, pattern.cols] = values
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_stages_and_their_cotangents_are_those_made_by_jax(cells):
    y, args, k, u, b = cells
    t = jnp.zeros(3)
    np.testing.assert_allclose(
        SYSTEM.stage(t, t, y, k, u, args), AbstractSystem.stage(SYSTEM, t, t, y, k, u, args), 1e-5
    )
    found = SYSTEM.stage_back(t, t, y, k, u, args, b)
    expected = AbstractSystem.stage_back(SYSTEM, t, t, y, k, u, args, b)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_rate12_in_numpy_and_ours(shared_data):
    small = cloud(shared_data, "small")
    k = small.rates(**DARK)
    written, made = Plain(small, k), ours(small, k)
    y = np.random.default_rng(1).uniform(0.0, 1e-4, len(small.y0)).astype(float)
    rtol = 1e-11 if X64 else 1e-3
    for plain_one, our_one in zip((written.rhs, written.jacobian), made, strict=True):
        expected = plain_one(0.0, y)
        np.testing.assert_allclose(our_one(0.0, y), expected, rtol, rtol * np.abs(expected).max())


def test_equal_networks_are_equal_and_compile_once(trace_counter, cells):
    y, k, *_ = cells
    counted = trace_counter(lambda system, y, k: system.rhs(jnp.zeros(3), y, k))
    function = jax.jit(counted)
    function(SYSTEM, y, k)
    function(Kinetics.of(4, REACTANTS, PRODUCTS, FACTORS), 2.0 * y, k)
    assert counted.count == 1
    assert Kinetics.of(4, REACTANTS, PRODUCTS) != SYSTEM


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((2, [(0,)], []), r"1, 0 and 1 reactions"),
        ((2, [(0, 2)], [(1,)]), r"reactants\[0\] = \(0, 2\)"),
        ((2, [(0,)], [(-1,)]), r"products\[0\] = \(-1,\)"),
        ((2, [(0, 0, 0, 0)], [(1,)]), r"factors\[0\] = \(0, 0, 0, 0\): give at most 3"),
        ((2, [(0,)], [(1,)], None, [[1.0, 2.0]]), r"conserved\[0\]: reaction 0 changes it by 1"),
        ((2, [(0,)], [(1,)], None, [1.0, 1.0]), r"conserved: shape \(2,\)"),
    ],
)
def test_what_is_no_network_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Kinetics.of(*arguments)
