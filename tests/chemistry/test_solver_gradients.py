"""Derivatives of the stiff solver: both modes, against finite differences and known solutions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Conditions
from simulators.chemistry import solver as solver_file
from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.linear import linear_map
from simulators.chemistry.solver import solve
from simulators.chemistry.system import DenseSystem
from tests.chemistry.clouds import DARK, TIMES, cloud

X64 = jax.config.jax_enable_x64
needs_x64 = pytest.mark.skipif(not X64, reason="abundances to 1e-15 need float64")
SWAP = Kinetics.of(2, [(0,), (1,)], [(1,), (0,)])
OPTIONS = {"rtol": 1e-7, "atol": 1e-10} if X64 else {"rtol": 1e-4, "atol": 1e-7}


def swapped(y0, t, k):
    """The first of two species that turn into each other."""
    total = k[0] + k[1]
    held = y0[0] + y0[1]
    return k[1] / total * held + (y0[0] - k[1] / total * held) * jnp.exp(-total * t)


def test_linear_maps_in_all_modes():
    matrix = jnp.arange(6.0).reshape(2, 3)

    def apply(x):
        return linear_map(lambda x: matrix @ x["a"], lambda v: {"a": v @ matrix}, x)

    x = {"a": jnp.array([1.0, -1.0, 2.0])}
    np.testing.assert_allclose(apply(x), matrix @ x["a"])
    np.testing.assert_allclose(jax.jacfwd(apply)(x)["a"], matrix)
    np.testing.assert_allclose(jax.jacrev(apply)(x)["a"], matrix)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(lambda x: apply(x)[0]))({"a": matrix})["a"][1], matrix[0]
    )


def test_state_rates_and_times_of_a_known_solution():
    y0, times, k = jnp.array([1.0, 0.2]), jnp.array([0.0, 0.3, 1.5]), jnp.array([1.0, 2.0])

    def ours(y0, times, k):
        return solve(SWAP, y0, times, k, **OPTIONS).ys[:, 0]

    expected = jax.jacrev(lambda *x: jax.vmap(lambda t: swapped(x[0], t, x[2]))(x[1]), (0, 1, 2))
    tolerance = 1e-5 if X64 else 1e-2
    for mode in (jax.jacfwd, jax.jacrev):
        found = jax.jit(mode(ours, (0, 1, 2)))(y0, times, k)
        for one, other in zip(found, expected(y0, times, k), strict=True):
            # What is given at the first time does not depend on that time.
            other = other.at[0, 0].set(0.0) if other.shape == (3, 3) else other
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_blocks_and_vmap_have_the_gradients_of_one_batch():
    rng = np.random.default_rng(0)
    k = jnp.asarray(rng.uniform(0.1, 10.0, (2, 5)), jnp.result_type(float))
    y0, times = jnp.array([1.0, 0.2]), jnp.array([0.3, 1.0])

    def total(k, block):
        together = jnp.repeat(y0[:, None], 5, axis=1)
        return jnp.sum(solve(SWAP, together, times, k, block=block, **OPTIONS).ys[:, 0])

    expected = jax.jit(jax.grad(lambda k: total(k, 8)))(k)
    blocks = jax.jit(jax.grad(lambda k: total(k, 2)))(k)
    one = jax.grad(lambda k: jnp.sum(solve(SWAP, y0, times, k, **OPTIONS).ys[:, 0]))
    mapped = jax.jit(jax.vmap(one, 1, 1))(k)
    for found in (blocks, mapped):
        np.testing.assert_allclose(found, expected, rtol=1e-9 if X64 else 1e-4)


def test_a_log_with_gaps_gives_the_same(monkeypatch):
    k = jnp.array([[1.0, 3.0], [2.0, 0.5]])
    y0, times = jnp.array([[1.0, 1.0], [0.0, 0.2]]), jnp.array([0.3, 1.0])

    def gradient(k):
        return jax.grad(lambda k: jnp.sum(solve(SWAP, y0, times, k, **OPTIONS).ys[:, 0]))(k)

    expected = jax.jit(gradient)(k)
    # Four states fit, so every thousandth is kept.
    monkeypatch.setattr(solver_file, "LOG_BYTES", 4 * y0.size * y0.dtype.itemsize)
    np.testing.assert_allclose(jax.jit(gradient)(k), expected, rtol=1e-6)


def test_depending_on_time_and_on_a_tree_of_arguments():
    # y' = -a y + b sin(w t), with an integer and a string beside what is differentiated.
    system = DenseSystem(
        1,
        lambda t, y, args: -args["a"][None] * y + args["b"] * jnp.sin(args["w"][0] * t)[None],
        True,
    )
    args = {"a": jnp.array([2.0, 5.0]), "b": 3, "w": (jnp.array([1.0, 2.0]),)}

    def found(a, w):
        made = solve(
            system, jnp.ones((1, 2)), jnp.array([0.5, 1.0]), args | {"a": a, "w": (w,)},
            nonnegative=False, **OPTIONS,
        )  # fmt: skip
        return made.ys[-1, 0]

    def expected(a, w):
        wave = (a * jnp.sin(w) - w * jnp.cos(w)) / (a * a + w * w)
        start = -w / (a * a + w * w)
        return jnp.exp(-a) * (1.0 - 3.0 * start) + 3.0 * wave

    a, w = args["a"], args["w"][0]
    tolerance = 1e-5 if X64 else 1e-2
    for mode in (jax.jacfwd, jax.jacrev):
        made = jax.jit(mode(found, (0, 1)))(a, w)
        for one, other in zip(made, jax.jacrev(expected, (0, 1))(a, w), strict=True):
            np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def test_a_failed_cell_has_finite_gradients():
    growth = DenseSystem(1, lambda t, y, k: k[None] * y * y)
    k = jnp.array([0.5, 2.0])

    def total(k):
        found = solve(growth, jnp.ones((1, 2)), jnp.array([0.1, 1.0]), k, rtol=1e-5, atol=1e-9)
        return jnp.sum(jnp.where(found.result == 0, found.ys[-1, 0], jnp.zeros(2)))

    gradient = jax.jit(jax.grad(total))(k)
    np.testing.assert_allclose(gradient, [4.0, 0.0], rtol=1e-3)


@pytest.mark.parametrize(
    "function, message",
    [
        (lambda x: jax.hessian(lambda x: ends(args=jnp.ones(2) * x))(x), "second derivatives"),
        (
            lambda x: jax.grad(lambda x: ends(t0=x))(0.0 * x),
            "derivatives of the chemistry solver in t0",
        ),
    ],
)
def test_derivatives_that_are_not_to_be_had_say_so(function, message):
    with pytest.raises(NotImplementedError, match=message):
        function(jnp.ones(()))


def ends(args=None, t0=0.0):
    args = jnp.ones(2) if args is None else args
    return solve(SWAP, jnp.array([1.0, 0.0]), jnp.ones(1), args, t0=t0, **OPTIONS).ys[-1, 0]


@needs_x64
def test_rate12_sensitivities(shared_data):
    """d ln x / d ln of the ionisation rate, the density, and two rates; all rates at once."""
    small = cloud(shared_data, "small")
    names = small.table.species
    seen = np.array([names.index(s) for s in ("CO", "H2O", "HCO+", "e-", "C")])
    rows = np.array([small.table.network.making(s)[0] for s in ("HCO+", "H2O")])
    rows = jnp.asarray(rows)

    def logs(p, rtol, atol):
        gas = {**DARK, "zeta": DARK["zeta"] * jnp.exp(p[0]), "n_H": DARK["n_H"] * jnp.exp(p[1])}
        k = small.table(Conditions(**gas))
        k = k * jnp.ones_like(k).at[rows].set(jnp.exp(p[2:4]))
        options = {"rtol": rtol, "atol": atol, "max_steps": 20_000}
        found = solve(small.kinetics, jnp.asarray(small.y0), TIMES[2:], k, **options)
        # A solution that did not come to its end must not pass for one.
        return jnp.where(found.result == 0, jnp.log(found.ys[:, seen]), jnp.nan)

    p = jnp.zeros(4)
    forward = jax.jit(jax.jacfwd(lambda p: logs(p, 1e-6, 1e-21)))(p)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=forward.shape[:2]))
    reverse = jax.jit(jax.grad(lambda p: jnp.sum(weights * logs(p, 1e-6, 1e-21))))(p)
    contracted = jnp.einsum("ts,tsp->p", weights, forward)
    np.testing.assert_allclose(reverse, contracted, rtol=1e-8)

    # Central differences of third and fourth order in a cell each.
    tight = jax.jit(jax.vmap(lambda p: logs(p, 1e-9, 1e-24)))
    h = 2e-3
    steps = h * jnp.concatenate([n * jnp.eye(4) for n in (1, -1, 2, -2)])
    one, less, two, lesser = tight(steps).reshape(4, 4, *forward.shape[:2])
    differences = (8.0 * (one - less) - (two - lesser)) / (12.0 * h)
    np.testing.assert_allclose(forward, jnp.moveaxis(differences, 0, -1), rtol=1e-5, atol=1e-5)
