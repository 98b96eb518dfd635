"""What every lens keeps, run for each row of the table.

All rows are evaluated by one compiled program each for float64 and float32: the parts of
`evaluate` are read by many tests. Rows of one class are stacked and mapped over.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.lensing.mass.table import CASES, random_points, special_points
from tests.properties import QUICK, along, assert_compiles_nothing, assert_pytree, steps_of

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="float32 is compared with float64 here"
)

RANDOM = random_points(64, seed=1)
SPECIAL = special_points()
POINTS = np.concatenate([RANDOM, SPECIAL])
AT_RANDOM, AT_SPECIAL = slice(0, len(RANDOM)), slice(len(RANDOM), None)
names = pytest.mark.parametrize("name", CASES)


def _groups():
    """Names of rows of one structure: class, static fields and shapes."""
    groups = {}
    for name, case in CASES.items():
        key = (jax.tree.structure(case.mass), *map(jnp.shape, jax.tree.leaves(case.mass)))
        groups.setdefault(key, []).append(name)
    return tuple(map(tuple, groups.values()))


GROUPS = _groups()


#: Of psi, alpha, hessian and kappa in the loss whose gradients are compared.
MIX = (1.0, 1.0, 0.7, 0.3, -0.2, 0.1, 1.0)


def _kernels(mass, x, y):
    """psi, alpha (2), hessian (3) and kappa, stacked."""
    return jnp.stack([mass.psi(x, y), *mass.alpha(x, y), *mass.hessian(x, y), mass.kappa(x, y)])


def _evaluate_one(mass, q, weight, direction):
    x, y = q[:, 0], q[:, 1]
    mix = jnp.asarray(MIX, q.dtype)[:, None] * weight[None]
    values, pullback = jax.vjp(_kernels, mass, x, y)
    # one reverse pass for each: the loss, psi, alpha
    picks = jnp.eye(3, len(MIX), dtype=q.dtype)[:, :, None] * jnp.ones_like(weight)[None, None]
    parameters, gx, gy = jax.vmap(pullback)(jnp.concatenate([mix[None], picks]))
    slopes = jnp.stack([gx[1:], gy[1:]], axis=-1)
    out = {
        "psi": values[0],
        "alpha": values[1:3].T,
        "hessian": values[3:6].T,
        "kappa": values[6],
        "loss": jnp.sum(mix * values),
        "reverse": jax.tree.map(lambda p: p[0], parameters),
        "gradient": slopes[0],
        "jacobian": jnp.swapaxes(slopes[1:], 0, 1),
    }
    if q.dtype == jnp.float32:
        return out
    _, tangents = jax.jvp(lambda m: _kernels(m, x, y), (mass,), (direction,))
    return out | {"forward": jnp.sum(mix * tangents)}


@functools.partial(jax.jit, compiler_options=QUICK)
def evaluate(stacks, q, weight, directions):
    """Per group: the rows mapped over, and the first row's deflection on its own."""
    mapped = jax.vmap(_evaluate_one, in_axes=(0, None, None, 0))
    return [
        (mapped(stack, q, weight, step), jax.tree.map(lambda p: p[0], stack).deflection(q[:5]))
        for stack, step in zip(stacks, directions, strict=True)
    ]


def _stack(by_name):
    return [jax.tree.map(lambda *p: jnp.stack(p), *(by_name[n] for n in g)) for g in GROUPS]


def _run(masses, q, weight):
    """`evaluate`, and its results by name."""
    out = {}
    found = jax.device_get(evaluate(_stack(masses), q, weight, _stack(steps_of(masses))))
    for group, (rows, single) in zip(GROUPS, found, strict=True):
        for i, name in enumerate(group):
            out[name] = jax.tree.map(lambda leaf, i=i: leaf[i], rows)
        out[group[0]]["single"] = single
    return out


def _masses(dtype):
    return jax.tree.map(lambda p: p.astype(dtype), {k: c.mass for k, c in CASES.items()})


def _weight(where):
    weight = np.zeros(len(POINTS))
    weight[{"random": AT_RANDOM, "special": AT_SPECIAL, "all": slice(None)}[where]] = 0.01
    return weight


@functools.cache
def _results(dtype, weigh="random", step=0.0, shift=None):
    """`_run` at the parameters + `step`, the points + `shift` (axis, sign) times `STEP`."""
    masses = _masses(dtype)
    moved = jax.tree.map(lambda p, d: p + step * d, masses, steps_of(masses))
    q = np.array(POINTS)
    if shift is not None:
        q[:, shift[0]] += shift[1] * STEP
    return _run(moved, jnp.asarray(q, dtype), jnp.asarray(_weight(weigh), dtype))


STEP = 2e-6


@names
def test_deflection_is_the_gradient_of_the_potential(name):
    out = _results("float64")[name]
    alpha, gradient = out["alpha"][AT_RANDOM], out["gradient"][AT_RANDOM]
    scale = np.linalg.norm(alpha, axis=-1, keepdims=True) + 1e-30
    np.testing.assert_allclose(gradient / scale, alpha / scale, rtol=0, atol=1e-11)


@names
def test_hessian_is_the_derivative_of_the_deflection(name):
    hessian = _results("float64")[name]["hessian"][AT_RANDOM]
    matrix = hessian[:, [[0, 1], [1, 2]]]
    scale = np.linalg.norm(matrix, axis=(-2, -1), keepdims=True) + 1e-30
    jacobian = _results("float64")[name]["jacobian"][AT_RANDOM]
    np.testing.assert_allclose(jacobian / scale, matrix / scale, rtol=0, atol=1e-11)
    columns = []
    for axis in range(2):
        up, down = (_results("float64", shift=(axis, s))[name]["alpha"] for s in (1.0, -1.0))
        columns.append((up - down)[AT_RANDOM] / (2.0 * STEP))
    # central differences: h^2 / 6 of the third derivative, and rounding of alpha / h, which is
    # most where alpha / r is small beside a constant shear
    np.testing.assert_allclose(
        np.stack(columns, axis=-1) / scale, matrix / scale, rtol=0, atol=1e-7
    )


@names
def test_convergence_is_half_the_trace(name):
    out = _results("float64")[name]
    xx, xy, yy = out["hessian"][AT_RANDOM].T
    scale = np.sqrt(xx**2 + 2.0 * xy**2 + yy**2) + 1e-30
    kappa = out["kappa"][AT_RANDOM]
    np.testing.assert_allclose(kappa / scale, 0.5 * (xx + yy) / scale, rtol=0, atol=1e-12)


@names
def test_parameter_gradients(name):
    out = _results("float64")[name]
    steps = jax.device_get(steps_of(_masses("float64"))[name])
    reverse, size = along(out["reverse"], steps)
    assert abs(reverse - out["forward"]) < 1e-10 * size
    h = 1e-5
    up, down = (_results("float64", step=s)[name]["loss"] for s in (h, -h))
    assert abs((up - down) / (2.0 * h) - out["forward"]) < 1e-6 * size


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_batch_of_parameters(group):
    out = _results("float64")
    first = out[group[0]]
    np.testing.assert_allclose(first["alpha"][:5], first["single"], rtol=1e-12, atol=1e-15)


@names
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_finite_everywhere(name, dtype):
    out = _results(dtype, weigh="special")[name]
    for key, leaf in jax.tree.leaves_with_path(out):
        assert np.all(np.isfinite(leaf)), jax.tree_util.keystr(key)


@names
def test_float32(name):
    single, double = _results("float32")[name], _results("float64")[name]
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {np.dtype("float32")}
    for key in ("alpha", "hessian"):
        one, two = single[key][AT_RANDOM].astype(float), double[key][AT_RANDOM]
        size = np.sqrt((two**2).sum(-1)) + 1e-30
        error = np.sqrt(((one - two) ** 2).sum(-1)) / size
        assert error.max() < CASES[name].single, key


def test_without_mass():
    masses = {name: case.mass for name, case in CASES.items()}
    for name, case in CASES.items():
        for field in case.massless:
            masses[name] = eqx.tree_at(
                lambda m, field=field: getattr(m, field), masses[name], replace_fn=jnp.zeros_like
            )
    out = _run(masses, jnp.asarray(POINTS), jnp.asarray(_weight("all")))
    for name, case in CASES.items():
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(out[name])), name
        if case.massless:
            for key in ("alpha", "hessian", "kappa"):
                assert not np.any(out[name][key]), (name, key)


def test_new_values_compile_nothing(compilations):
    masses = _masses("float64")
    other = jax.tree.map(lambda p: p * 1.001 + 0.0, masses)
    stacks, others, steps = _stack(masses), _stack(other), _stack(steps_of(masses))
    fixed = (jnp.asarray(POINTS), jnp.asarray(_weight("all")), steps)
    assert_compiles_nothing(compilations, evaluate, (stacks, *fixed), (others, *fixed))


@names
def test_pytree_round_trip(name):
    assert_pytree(CASES[name].mass)
