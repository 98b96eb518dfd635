"""The steps of the stiff solver: their control, the outputs between them, and a log to go back by.

Every cell has its own time and step. An attempt is a step of all cells at once, of which each
accepts its own or not; a cell that is done or has failed waits for the others.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from simulators.chemistry import rodas
from simulators.chemistry.sparse import SparseLU
from simulators.chemistry.sums import gather
from simulators.chemistry.system import AbstractSystem

#: What became of a cell.
SUCCESS, RUNNING, MAX_STEPS, STEP_TOO_SMALL, NOT_FINITE = range(5)
#: A step is changed by factors in this range, aiming at SAFETY times the tolerance.
LEAST, MOST, SAFETY = 0.1, 8.0, 0.9
#: The first step, in units of the shortest lifetime on the diagonal of the Jacobian.
FIRST = 0.1


class Control(eqx.Module):
    """Tolerances of the local error and limits, static.

    Attributes:
        rtol, atol: an error of `atol + rtol |y|` in the root mean square over unknowns is accepted.
        max_steps: attempts, rejected ones included.
        every: the log keeps the state at every so many attempts.
        interpolate: whether steps may go over outputs.
    """

    rtol: float = eqx.field(static=True)
    atol: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)
    every: int = eqx.field(static=True)
    interpolate: bool = eqx.field(static=True)


class Log(NamedTuple):
    """Attempts: times before each and the last (N + 1, B), steps, whether accepted; some states."""

    t: Float[Array, "N1 B"]
    h: Float[Array, "N B"]
    accepted: Bool[Array, "N B"]
    y: Float[Array, "M S B"]


class Tangents(NamedTuple):
    """Directions of the first state, and of arguments; all arrays have cells last."""

    y: Float[Array, "P S B"]
    args: Any


class Moved(NamedTuple):
    """Tangents of the states and the outputs; of P directions and B cells: P B cells."""

    y: Float[Array, "S PB"]
    ys: Float[Array, "T S PB"]


class State(NamedTuple):
    """Where all cells are: the number of attempts, then for each its own."""

    attempts: Int[Array, ""]
    t: Float[Array, " B"]
    h: Float[Array, " B"]
    y: Float[Array, "S B"]
    status: Int[Array, " B"]
    accepted: Int[Array, " B"]
    eager: Bool[Array, " B"]
    ys: Float[Array, "T S B"]
    log: Log | None
    moved: Moved | None


def put_outputs(ys, times, before, after, value):
    """`ys` with what `value(times of output o)` gives for the outputs at before < time <= after."""
    done, upto = (jnp.sum(times <= t[None], axis=0) for t in (before, after))

    def put(carry):
        o, ys = carry
        old = jax.lax.dynamic_index_in_dim(ys, o, keepdims=False)
        time = jax.lax.dynamic_index_in_dim(times, o, keepdims=False)
        mine = (o >= done) & (o < upto)
        new = jnp.where(mine[None], value(jnp.where(mine, time, after)), old)
        return o + 1, jax.lax.dynamic_update_index_in_dim(ys, new, o, 0)

    first = jnp.min(jnp.where(upto > done, done, len(times)))
    return jax.lax.while_loop(lambda c: c[0] < jnp.max(upto), put, (first, ys))[1]


def march(
    system: AbstractSystem,
    lu: SparseLU,
    y0: Float[Array, "S B"],
    t0: Float[Array, " B"],
    times: Float[Array, "T B"],
    args: Any,
    control: Control,
    *,
    logged: bool = False,
    tangents: Tangents | None = None,
) -> State:
    """Integrate all cells to their last times, or until they fail.

    With `tangents` the steps that are taken are differentiated as they are made: P directions
    share the steps and their factorisations.
    """
    cells, dtype = y0.shape[1], y0.dtype
    end = times[-1]
    n = control.max_steps
    directions = 0 if tangents is None else len(tangents.y)

    def tiled(tree):
        """(..., B) -> (..., P B); one direction leaves arguments of any shape as they are."""
        if directions == 1:
            return tree
        return jax.tree.map(lambda a: jnp.concatenate([a] * directions, axis=-1), tree)

    def merged(tree):
        """(P, ..., B) -> (..., P B)."""
        if directions == 1:
            return jax.tree.map(lambda a: a[0], tree)
        return jax.tree.map(lambda a: jnp.concatenate(list(a), axis=-1), tree)

    if tangents is not None:
        wide_args, wide_times = tiled((args, times))
        dy, d_args = merged(tangents)

    def follow(moved, state, h, after, accepted, factors, ks):
        """The tangents after an attempt."""
        given = tiled((state.t, state.y, h, after, accepted, factors, ks))
        t, y, h, after, accepted, factors, ks = given
        tangent = rodas.push(
            system, lambda b: lu.solve(factors, b), t, y, h, wide_args, ks, moved.y, d_args
        )
        inner = rodas.inner(tangent.ks)

        def value(time):
            return rodas.between(moved.y, tangent.end, inner, (time - t) / h)

        ys = put_outputs(moved.ys, wide_times, t, after, value)
        return Moved(jnp.where(accepted[None], tangent.end, moved.y), ys)

    def norm(error, y, y1):
        scale = control.atol + control.rtol * jnp.maximum(jnp.abs(y), jnp.abs(y1))
        return jnp.sqrt(jnp.mean((error / scale) ** 2, axis=0))

    def target(t):
        """Where the next step may not go beyond."""
        if control.interpolate:
            return end
        following = jnp.minimum(jnp.sum(times <= t[None], axis=0), len(times) - 1)
        return jnp.take_along_axis(times, following[None], axis=0)[0]

    def attempt(state):
        waiting = state.status != RUNNING
        left = target(state.t) - state.t
        lands = state.h >= left * (1.0 - 1e-9)
        # Two equal steps rather than one and a rest.
        h = jnp.where(state.h > 0.5 * left, 0.5 * left, state.h)
        h = jnp.where(waiting, state.h, jnp.where(lands, left, h))
        jacobian = system.jacobian(state.t, state.y, args)
        factors = lu.factor(1.0 / (rodas.GAMMA * h), jacobian)
        step = rodas.step(system, lambda b: lu.solve(factors, b), state.t, state.y, h, args)
        error = norm(step.ks[-1], state.y, step.end)
        # An error that is not a number is not below one.
        accepted = (error <= 1.0) & ~waiting
        factor = SAFETY * jnp.maximum(error, 1e-10) ** (-1.0 / rodas.ORDER)
        factor = jnp.where(jnp.isfinite(error), jnp.clip(factor, LEAST, MOST), LEAST)
        factor = jnp.where(state.eager | ~accepted, factor, jnp.minimum(factor, 1.0))
        after = jnp.where(lands, target(state.t), state.t + h)
        after = jnp.where(accepted, after, state.t)
        y = jnp.where(accepted[None], step.end, state.y)

        inner = rodas.inner(step.ks)

        def value(time):
            return rodas.between(state.y, step.end, inner, (time - state.t) / h)

        ys = put_outputs(state.ys, times, state.t, after, value)
        # A step cut short by an output says nothing against the one that was planned.
        following = jnp.where(
            accepted & (h < state.h), jnp.maximum(factor * h, state.h), factor * h
        )
        following = jnp.where(waiting, state.h, following)
        status = jnp.where(accepted & (after >= end), SUCCESS, state.status)
        stuck = ~waiting & ~accepted & (state.t + following <= state.t)
        status = jnp.where(stuck, STEP_TOO_SMALL, status)
        log, i = state.log, state.attempts
        if logged:
            log = Log(
                log.t.at[i + 1].set(after),
                log.h.at[i].set(h),
                log.accepted.at[i].set(accepted),
                jax.lax.cond(
                    i % control.every == 0,
                    lambda y: y.at[i // control.every].set(state.y),
                    lambda y: y,
                    log.y,
                ),
            )
        moved = state.moved
        if moved is not None:
            moved = follow(moved, state, h, after, accepted, factors, step.ks)
        return State(
            i + 1,
            after,
            following,
            y,
            status,
            state.accepted + accepted.astype(int),
            accepted,
            ys,
            log,
            moved,
        )

    pattern = lu.pattern
    diagonal = pattern.place[pattern.rows == pattern.cols]
    rate = jnp.max(jnp.abs(gather(system.jacobian(t0, y0, args), diagonal)), axis=0)
    h = FIRST * jnp.minimum(1.0 / jnp.maximum(rate, jnp.finfo(dtype).tiny), end - t0)
    healthy = jnp.all(jnp.isfinite(y0), axis=0) & jnp.isfinite(rate) & jnp.isfinite(end - t0)
    status = jnp.where(end > t0, RUNNING, SUCCESS)
    status = jnp.where(healthy, status, NOT_FINITE)
    log = None
    if logged:
        log = Log(
            jnp.zeros((n + 1, cells), dtype).at[0].set(t0),
            jnp.zeros((n, cells), dtype),
            jnp.zeros((n, cells), bool),
            jnp.zeros((-(-n // control.every), *y0.shape), dtype),
        )
    moved = None
    if tangents is not None:
        early = tiled(times <= t0[None])[:, None]
        moved = Moved(dy, jnp.where(early, dy[None], jnp.zeros_like(dy)[None]))
    # Cells that fail at once still take part in the arithmetic.
    y = jnp.where(healthy[None], y0, jnp.zeros_like(y0))
    h = jnp.where(healthy & (h > 0.0), h, jnp.ones_like(h))
    first = State(
        jnp.zeros((), int), t0, h, y, status, jnp.zeros(cells, int), jnp.ones(cells, bool),
        jnp.broadcast_to(y, (len(times), *y.shape)), log, moved,
    )  # fmt: skip
    state = jax.lax.while_loop(
        lambda s: jnp.any(s.status == RUNNING) & (s.attempts < n), attempt, first
    )
    # Outputs that a failed cell did not reach show the last state that it reached.
    failed = state.status != SUCCESS
    missed = failed[None] & (times > state.t[None])
    ys = jnp.where(missed[:, None], state.y[None], state.ys)
    status = jnp.where(state.status == RUNNING, MAX_STEPS, state.status)
    return state._replace(ys=ys, status=status)
