"""One step of Rodas5P, for many cells with steps of their own.

Steinebach (2023, BIT 63, 27, doi:10.1007/s10543-023-00967-x): a stiffly accurate, L-stable
Rosenbrock method of order 5 in 8 stages with an embedded one of order 4 and dense output of order
4. With W = 1 / (gamma h) - J(y), a stage is

    W k_i = f(t + c_i h, y + sum_j a_ij k_j) + sum_j C_ij k_j / h + d_i h df/dt,

and y_1 = y + sum_j a_8j k_j + k_8, the last stage being the estimated error: one Jacobian, one
factorisation and eight solutions. Linear invariants of f (elements, charge) are those of y_1.
The coefficients are those of the transformed method as published with the paper.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.sums import fence
from simulators.chemistry.system import AbstractSystem

GAMMA = 0.21193756319429014
ORDER = 5
STAGES = 8


def _lower(rows):
    table = np.zeros((STAGES, STAGES))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table


_A6 = (
    -7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256,
    0.030198172008377946,
)  # fmt: skip
#: a_ij, the states at which the stages evaluate f.
A = _lower([
    (),
    (3.0,),
    (2.849394379747939, 0.45842242204463923),
    (-6.954028509809101, 2.489845061869568, -10.358996098473584),
    (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
    _A6,
    (*_A6, 1.0),
    (*_A6, 1.0, 1.0),
])  # fmt: skip
#: C_ij, the coupling of the stages.
C = _lower([
    (),
    (-14.155112264123755,),
    (-17.97296035885952, -2.859693295451294),
    (147.12150275711716, -1.41221402718213, 71.68940251302358),
    (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
    (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125,
     -0.6610691825249471),
    (30.91273214028599, -3.1208243349937974, 77.79954646070892, 34.28646028294783,
     -19.097331116725623, -28.087943162872662),
    (37.80277123390563, -3.2571969029072276, 112.26918849496327, 66.9347231244047,
     -40.06618937091002, -54.66780262877968, -9.48861652309627),
])  # fmt: skip
#: c_i, the times of the stages, and d_i, the weights of df/dt.
NODES = np.array([
    0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0,
    1.0,
])  # fmt: skip
SLOPES = np.array([
    0.21193756319429014, -0.42387512638858027, -0.3384627126235924, 1.8046452872882734,
    2.325825639765069, 0.0, 0.0, 0.0,
])  # fmt: skip
#: Rows of the dense output.
H = np.array([
    (25.948786856663858, -2.5579724845846235, 10.433815404888879, -2.3679251022685204,
     0.524948541321073, 1.1241088310450404, 0.4272876194431874, -0.17202221070155493),
    (-9.91568850695171, -0.9689944594115154, 3.0438037242978453, -24.495224566215796,
     20.176138334709044, 15.98066361424651, -6.789040303419874, -6.710236069923372),
    (11.419903575922262, 2.8879645146136994, 72.92137995996029, 80.12511834622643,
     -52.072871366152654, -59.78993625266729, -0.15582684282751913, 4.883087185713722),
])  # fmt: skip


class Step(NamedTuple):
    """From y to `end` (S, B) in the stages `ks` (8, S, B), the last of which is the error."""

    end: Float[Array, "S B"]
    ks: Float[Array, "8 S B"]


def inner(ks):
    """What `between` needs beside the ends, (3, S, B)."""
    return jnp.stack([sum(row[j] * ks[j] for j in range(STAGES)) for row in H])


def between(y, end, inner, u):
    """The dense output at parts `u` (B,) of steps from `y` to `end`."""
    u = u[None]
    return y * (1.0 - u) + u * (end + (1.0 - u) * (inner[0] + u * (inner[1] + u * inner[2])))


def _rows(dtype):
    tables = (A, C, NODES, SLOPES)
    return jnp.arange(STAGES), *(jnp.asarray(table, dtype) for table in tables)


def _mix(weights, ks):
    return sum(weights[j] * ks[j] for j in range(STAGES - 1))


def _end(y, ks):
    return y + _mix(A[-1], ks) + ks[-1]


def step(
    system: AbstractSystem,
    solve: Callable,
    t: Float[Array, " B"],
    y: Float[Array, "S B"],
    h: Float[Array, " B"],
    args: Any,
) -> Step:
    """One step; `solve(b)` gives (1 / (gamma h) - J(y))^-1 b."""
    slope = None if system.autonomous else _slope(system, t, y, args)

    def stage(ks, row):
        i, a, c, node, weight = row
        u = fence(lambda y, ks: y + _mix(a, ks), y, ks)
        b = system.rhs(t + node * h, u, args) + _mix(c[:, None, None] / h[None, None], ks)
        if slope is not None:
            b = b + weight * h[None] * slope
        return ks.at[i].set(solve(b)), None

    ks, _ = jax.lax.scan(stage, jnp.zeros((STAGES, *y.shape), y.dtype), _rows(y.dtype))
    return Step(_end(y, ks), ks)


def _slope(system, t, y, args):
    return jax.jvp(lambda t: system.rhs(t, y, args), (t,), (jnp.ones_like(t),))[1]


def _stage(system, t, h, row, y, k, u, args):
    """W k_i without the other stages, and with -J(y) k_i brought to this side.

    Its derivatives at fixed k_i are the right-hand sides of those of k_i, for the same W.
    """
    _, _, _, node, weight = row
    found = system.stage(t, t + node * h, y, k, u, args)
    if not system.autonomous:
        found = found + weight * h[None] * _slope(system, t, y, args)
    return found


def push(system, solve, t, y, h, args, ks, dy, d_args) -> Step:
    """The tangents of a step with the stages `ks` along those of y and args."""

    def stage(d_ks, row):
        i, a, c, *_ = row
        k = jax.lax.dynamic_index_in_dim(ks, i, keepdims=False)
        u, du = y + _mix(a, ks), dy + _mix(a, d_ks)
        _, b = jax.jvp(
            lambda y, u, args: _stage(system, t, h, row, y, k, u, args),
            (y, u, args),
            (dy, du, d_args),
        )
        return d_ks.at[i].set(solve(b + _mix(c[:, None, None] / h[None, None], d_ks))), None

    d_ks, _ = jax.lax.scan(stage, jnp.zeros_like(ks), _rows(y.dtype))
    return Step(_end(dy, d_ks), d_ks)


def pull(system, transposed, t, y, h, args, ks, end_bar, inner_bar):
    """The cotangents of y and args from those of the end of a step and of `inner`.

    `transposed(b)` solves with the transpose of the matrix of `step`.
    """

    def stage(carry, row):
        i, a, c, *_ = row
        k_bars, y_bar, args_bar = carry
        k = jax.lax.dynamic_index_in_dim(ks, i, keepdims=False)
        b = transposed(jax.lax.dynamic_index_in_dim(k_bars, i, keepdims=False))
        *_, node, weight = row
        more, u_bar, d_args = system.stage_back(t, t + node * h, y, k, y + _mix(a, ks), args, b)
        if not system.autonomous:
            _, back = jax.vjp(
                lambda y, args: weight * h[None] * _slope(system, t, y, args), y, args
            )
            also = back(b)
            more, d_args = more + also[0], jax.tree.map(jnp.add, d_args, also[1])
        k_bars = (
            k_bars + a[:, None, None] * u_bar[None] + (c[:, None, None] / h[None, None]) * b[None]
        )
        return (k_bars, y_bar + more + u_bar, jax.tree.map(jnp.add, args_bar, d_args)), None

    last = jnp.asarray(A[-1] + np.eye(STAGES)[-1], y.dtype)[:, None, None]
    k_bars = last * end_bar[None] + sum(
        jnp.asarray(row, y.dtype)[:, None, None] * bar[None]
        for row, bar in zip(H, inner_bar, strict=True)
    )
    first = (k_bars, end_bar, jax.tree.map(jnp.zeros_like, args))
    (_, y_bar, args_bar), _ = jax.lax.scan(stage, first, _rows(y.dtype), reverse=True)
    return y_bar, args_bar
