"""What every potential keeps, run for each row of the table.

All rows are evaluated by one compiled program each for float64 and float32: the parts of
`evaluate` are read by many tests.
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.units import G
from tests.properties import QUICK, along, assert_compiles_nothing, assert_pytree, steps_of
from tests.streams.potentials.table import CASES, TIME, random_points, special_points

RANDOM = random_points(96, seed=1, low=1e-2, high=200.0)
SPECIAL = special_points()
POINTS = jnp.concatenate([RANDOM, SPECIAL])
AT_RANDOM, AT_SPECIAL = slice(0, len(RANDOM)), slice(len(RANDOM), None)
names = pytest.mark.parametrize("name", CASES)


def _loss(potential, q, t, weight):
    """A scalar that depends on phi and on every component of the acceleration."""
    x, y, z = q[:, 0], q[:, 1], q[:, 2]
    ax, ay, az = potential.acc(x, y, z, t)
    return jnp.sum(weight * (potential.phi(x, y, z, t) + ax + 0.7 * ay - 0.3 * az))


def _evaluate_one(potential, q, t, weight, direction):
    x, y, z = q[:, 0], q[:, 1], q[:, 2]
    loss, reverse = jax.value_and_grad(_loss)(potential, q, t, weight)
    out = {
        "phi": potential.potential(q, t),
        "acc": potential.acceleration(q, t),
        "hessian": potential.hessian(q, t),
        "rho": potential.density(q, t),
        "loss": loss,
        "reverse": reverse,
    }
    if q.dtype == jnp.float32:  # the rest needs double precision to say anything
        return out
    gradient = jax.vjp(lambda x, y, z: potential.phi(x, y, z, t), x, y, z)[1](jnp.ones_like(x))
    _, forward = jax.jvp(lambda p: _loss(p, q, t, weight), (potential,), (direction,))
    stacked = jax.tree.map(lambda p, d: jnp.stack([p, p + 1e-2 * d]), potential, direction)
    batch = jax.vmap(lambda p: p.acceleration(q[:5], t))(stacked)
    return out | {"gradient": jnp.stack(gradient, axis=-1), "forward": forward, "batch": batch}


@functools.partial(jax.jit, compiler_options=QUICK)
def evaluate(potentials, q, t, weight, directions):
    return {k: _evaluate_one(potentials[k], q, t, weight, directions[k]) for k in potentials}


def _potentials(dtype):
    return jax.tree.map(lambda p: p.astype(dtype), {k: c.potential for k, c in CASES.items()})


@functools.cache
def _results(dtype, weigh="random", step=0.0, shift=None):
    """`evaluate` at the parameters + `step`, the points + `shift` (axis, sign) times `_steps`."""
    potentials = _potentials(dtype)
    directions = steps_of(potentials)
    moved = jax.tree.map(lambda p, d: p + step * d, potentials, directions)
    q = np.array(POINTS)
    if shift is not None:
        q[:, shift[0]] += shift[1] * _steps()
    # The gradients' loss counts either the random or the special points.
    weight = np.zeros(len(q))
    weight[{"random": AT_RANDOM, "special": AT_SPECIAL}[weigh]] = 0.01
    arrays = (jnp.asarray(v, dtype) for v in (q, TIME, weight))
    return jax.device_get(evaluate(moved, *arrays, directions))


def _everywhere():
    """Points, time and weights that count them all; strong types, to share the program."""
    return (POINTS, jnp.asarray(TIME, "float64"), jnp.full(len(POINTS), 0.01, "float64"))


def _steps():
    return 1e-5 * np.clip(np.linalg.norm(POINTS, axis=-1), 1e-2, 1.0)


@names
def test_acceleration_is_minus_the_gradient(name):
    out = _results("float64")[name]
    acc, gradient = out["acc"][AT_RANDOM], out["gradient"][AT_RANDOM]
    scale = np.linalg.norm(acc, axis=-1, keepdims=True) + 1e-30
    np.testing.assert_allclose(-gradient / scale, acc / scale, rtol=0, atol=1e-11)


@names
def test_hessian_is_symmetric_and_the_derivative_of_the_acceleration(name):
    hessian = _results("float64")[name]["hessian"][AT_RANDOM]
    # to rounding: XLA may compute one entry twice, in two fused loops
    np.testing.assert_allclose(hessian, np.swapaxes(hessian, -1, -2), rtol=1e-14, atol=0)
    h = _steps()[AT_RANDOM, None]
    columns = []
    for axis in range(3):
        up, down = (_results("float64", shift=(axis, s))[name]["acc"] for s in (1.0, -1.0))
        columns.append(-(up - down)[AT_RANDOM] / (2.0 * h))
    scale = np.linalg.norm(hessian, axis=(-2, -1), keepdims=True) + 1e-30
    # central differences: h^2 / 6 of the third derivative, and rounding / h
    np.testing.assert_allclose(
        np.stack(columns, axis=-1) / scale, hessian / scale, rtol=0, atol=1e-7
    )


@names
def test_density_obeys_poisson(name):
    out = _results("float64")[name]
    diagonal = np.diagonal(out["hessian"], axis1=-2, axis2=-1)[AT_RANDOM]
    scale = np.abs(diagonal).sum(-1) / (4.0 * math.pi * G) + 1e-300
    trace = diagonal.sum(-1) / (4.0 * math.pi * G)
    rho = out["rho"][AT_RANDOM]
    np.testing.assert_allclose(rho / scale, trace / scale, rtol=0, atol=1e-12)


@names
def test_parameter_gradients(name):
    out = _results("float64")[name]
    steps = jax.device_get(steps_of(_potentials("float64"))[name])
    reverse, size = along(out["reverse"], steps)
    assert abs(reverse - out["forward"]) < 1e-10 * size
    h = 1e-5
    up, down = (_results("float64", step=s)[name]["loss"] for s in (h, -h))
    assert abs((up - down) / (2.0 * h) - out["forward"]) < 1e-6 * size


@names
def test_batch_of_parameters(name):
    out = _results("float64")[name]
    np.testing.assert_allclose(out["batch"][0], out["acc"][:5], rtol=1e-12, atol=1e-30)
    assert not np.allclose(out["batch"][1], out["batch"][0], rtol=1e-6, atol=0.0)


@names
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_finite_everywhere(name, dtype):
    out = _results(dtype, weigh="special")[name]
    for key, leaf in jax.tree.leaves_with_path(out):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(key)


def test_forces_vanish_at_the_centre():
    for name in ("Kepler", "Hernquist", "NFW-triaxial", "MilkyWayPotential"):
        assert not np.any(_results("float64")[name]["acc"][AT_SPECIAL][0])


@names
def test_float32(name):
    single, double = _results("float32")[name], _results("float64")[name]
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {np.dtype("float32")}
    for key in ("acc", "hessian"):
        one, two = single[key][AT_RANDOM].astype(float), double[key][AT_RANDOM]
        axes = tuple(range(1, two.ndim))
        size = np.sqrt((two**2).sum(axes)) + 1e-30
        error = np.sqrt(((one - two) ** 2).sum(axes)) / size
        # some 50 ulp; a few digits of the time or of a difference of positions are lost on the way
        assert error.max() < 2e-5, key


def test_zero_mass():
    potentials = {k: c.potential for k, c in CASES.items()}
    for name, case in CASES.items():
        for field in case.massless:
            potentials[name] = eqx.tree_at(
                lambda p, field=field: getattr(p, field),
                potentials[name],
                replace_fn=jnp.zeros_like,
            )
    out = evaluate(potentials, *_everywhere(), steps_of(potentials))
    for name, case in CASES.items():
        leaves = jax.tree.leaves(jax.device_get(out[name]))
        assert all(np.all(np.isfinite(leaf)) for leaf in leaves), name
        if case.massless:
            assert not np.any(out[name]["acc"]), name


def test_new_values_compile_nothing(compilations):
    potentials = _potentials("float64")
    directions = steps_of(potentials)
    other = jax.tree.map(lambda p: p * 1.001 + 0.0, potentials)
    fixed = (*_everywhere(), directions)
    assert_compiles_nothing(compilations, evaluate, (potentials, *fixed), (other, *fixed))


@names
def test_pytree_round_trip(name):
    assert_pytree(CASES[name].potential)
