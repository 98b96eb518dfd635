"""The integration as one function that is differentiable in both modes."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.chemistry.blocks import along_together, merged_by_vmap
from simulators.chemistry.linear import linear_map
from simulators.chemistry.march import SUCCESS, Tangents, march
from simulators.chemistry.replay import Bound, Replay
from simulators.chemistry.sparse import planned
from simulators.shared.batches import in_blocks


def integrate(system, control, block, y0, t0, times, args):
    """Outputs (T, S, B), status, accepted steps and attempts (B,) of `march`.

    Differentiable in y0, times and args: the tangents of the outputs are a linear map with a
    transpose of its own. In blocks of cells (or under vmap) reverse mode runs a block again, so
    that the memory is that of one block; otherwise the states of all steps are kept in a log.
    """
    lu = planned(system.pattern)
    arrays, rest = eqx.partition(system, eqx.is_inexact_array)
    theta, static = eqx.partition(args, eqx.is_inexact_array)
    bound = Bound(eqx.combine(_constant(arrays), rest), static)
    keeps_log = not system.by_cell or 1 < y0.shape[-1] <= block

    def run(y0, t0, times, theta, logged):
        state = march(bound, lu, y0, t0, times, theta, control, logged=logged)
        attempts = jnp.broadcast_to(state.attempts, state.accepted.shape)
        out = state.ys, state.status, state.accepted, attempts
        return out, logged and Replay(lu, bound, times, control.every, state.log, state.attempts)

    def primal(y0, t0, times, theta):
        return run(y0, t0, times, theta, False)[0]

    def push(y0, t0, times, theta, d_y0, d_theta):
        """Tangents of the outputs in P directions, (P, T, S, B)."""
        tangents = Tangents(d_y0, d_theta)
        state = march(bound, lu, y0, t0, times, theta, control, tangents=tangents)
        found = state.moved.ys
        return jnp.moveaxis(found.reshape(*found.shape[:-1], len(d_y0), -1), -2, 0)

    def pull(y0, t0, times, theta, ys_bar):
        return run(y0, t0, times, theta, True)[1].pull(theta, ys_bar)

    if system.by_cell:
        primal, push, pull = (merged_by_vmap(in_blocks(f, block)) for f in (primal, push, pull))
        push = along_together(push, 4)
    else:
        push = _alone(push)

    @jax.custom_jvp
    def core(y0, t0, times, theta):
        return primal(y0, t0, times, theta)

    @core.defjvp
    def _(primals, tangents):
        given = _once(primals)
        _, t0, times, theta = given
        d_y0, _, d_times, d_theta = tangents
        if keeps_log:
            out, steps = run(*given, True)
            back = partial(steps.pull, theta)
        else:
            out = primal(*given)
            back = partial(pull, *given)
        ys, status = out[:2]
        d_ys = linear_map(
            lambda d: push(*given, *d), back, (d_y0, d_theta), jax.eval_shape(lambda: ys)
        )
        slopes = jax.lax.map(lambda at: bound.rhs(*at, theta), (times, ys))
        moves = (status == SUCCESS)[None] & (times > t0[None])
        d_ys = d_ys + jnp.where(moves, d_times, jnp.zeros_like(d_times))[:, None] * slopes
        return out, (d_ys, *(jnp.zeros(x.shape, jax.dtypes.float0) for x in out[1:]))

    return core(y0, _constant(t0), times, theta)


def _alone(push):
    """`push` of one direction, without an axis of them."""

    def one(y0, t0, times, theta, d_y0, d_theta):
        d_y0, d_theta = jax.tree.map(lambda d: d[None], (d_y0, d_theta))
        return push(y0, t0, times, theta, d_y0, d_theta)[0]

    return one


@jax.custom_jvp
def _once(x):
    return x


@_once.defjvp
def _(primals, tangents):
    raise NotImplementedError(
        "second derivatives of the chemistry solver: take first derivatives in either mode, and "
        "finite differences or J^T J (Gauss-Newton) of these for a Hessian."
    )


@jax.custom_jvp
def _constant(x):
    return x


@_constant.defjvp
def _(primals, tangents):
    raise NotImplementedError(
        "derivatives of the chemistry solver in t0 or an array inside the system: give `args`."
    )
