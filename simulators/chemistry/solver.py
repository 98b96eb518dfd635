"""A stiff solver for batches of cells: Rodas5P with an analytic Jacobian, differentiable."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from simulators.chemistry.adjoint import integrate
from simulators.chemistry.conserved import restored
from simulators.chemistry.march import Control
from simulators.chemistry.sparse import planned
from simulators.chemistry.system import AbstractSystem
from simulators.shared.elementwise import at_least
from simulators.shared.fields import known

#: States that reverse mode may keep for a block of cells [bytes]; beyond, it keeps every second,
#: third, ... and makes those between again.
LOG_BYTES = 2**28
#: Factors of a block of cells, which should stay in a core's second cache [bytes].
CACHE_BYTES = 3 * 2**19


class Solution(NamedTuple):
    """What `solve` gives, without the axis of cells where y0 had none.

    Attributes:
        ys: states at the times asked for, (T, S, B).
        result: `march.SUCCESS` (0), `MAX_STEPS`, `STEP_TOO_SMALL` or `NOT_FINITE` of each cell,
            (B,). Outputs that a failed cell did not reach show the last state that it reached.
        steps: accepted steps of each cell, (B,).
        attempts: steps tried in the block of each cell, until its last cell was done, (B,).
    """

    ys: Float[Array, "T S B"]
    result: Int[Array, " B"]
    steps: Int[Array, " B"]
    attempts: Int[Array, " B"]


def solve(
    system: AbstractSystem,
    y0: Float[Array, "S *B"],
    times: Float[Array, "T *B"],
    args: Any = None,
    *,
    t0: float = 0.0,
    rtol: float = 1e-6,
    atol: float = 1e-21,
    max_steps: int = 4096,
    interpolate: bool = False,
    nonnegative: bool = True,
    block: int | None = None,
) -> Solution:
    r"""Integrate :math:`y' = f(t, y)` from `t0`, each cell with steps of its own.

    Steinebach's Rodas5P: a linearly implicit, stiffly accurate, L-stable method of order 5 (see
    `simulators.chemistry.rodas`). A step is accepted if

    .. math:: \sqrt{\frac{1}{S} \sum_s \left(\frac{e_s}{a + r \max(|y_s|, |y_s'|)}\right)^2} \le 1,

    for the estimated error e of y', with a = `atol` and r = `rtol`. Linear invariants of f
    (elements, charge) are kept to rounding, and where the system names them, that is put right too.
    Nothing is raised for a cell that fails, and other cells do not notice.

    Differentiable in both modes in y0, times and the inexact arrays of args; the derivatives are
    those of the steps as taken, so that both modes agree. Reverse mode needs the memory of one
    block of cells: at most 256 MiB of states beside what the factors take. Second derivatives are
    not to be had.

    Args:
        system: what is integrated. Calls with equal patterns share their plan.
        y0: state at t0, (S,) or (S, B) for B cells.
        times: of the outputs, rising and not before t0, (T,), or (T, B) for cells with their own.
        args: handed to the system: for `Kinetics` rate coefficients, (R,) or (R, B).
        t0: start.
        rtol, atol: tolerances of the error of a step.
        max_steps: most attempts of a block, rejected ones included.
        interpolate: let steps go over the times of outputs and interpolate there, to order 4: for
            many times. Otherwise a step ends at each, about one step more, with some ten times
            smaller errors.
        nonnegative: return zero where a state is below, by less than about atol, as a rule.
        block: most cells that are taken together, for systems `by_cell` (others take all); as many
            as have factors of 1.5 MiB, from 16 to 128, when left out. The cells of a block go on
            until its slowest is done.

    Raises:
        ValueError: for a y0 that has not the system's size, tolerances or limits that are not
            positive, or times that do not rise.

    >>> from simulators.chemistry.kinetics import Kinetics
    >>> decay = Kinetics.of(2, [(0,)], [(1,)])
    >>> rates = jnp.array([[1.0, 2.0]])
    >>> found = solve(decay, jnp.array([[1.0, 1.0], [0.0, 0.0]]), jnp.array([1.0]), rates)
    >>> [f"{x:.4f}" for x in found.ys[0, 0]], found.result.tolist()
    (['0.3679', '0.1353'], [0, 0])
    """
    y0 = jnp.asarray(y0)
    if block is None:
        block = max(16, min(128, CACHE_BYTES // planned(system.pattern).bytes(y0.dtype)))
    for name, value in (("rtol", rtol), ("atol", atol), ("max_steps", max_steps), ("block", block)):
        if not value > 0:
            raise ValueError(f"{name} = {value!r}: give a number above 0.")
    if y0.ndim not in (1, 2) or len(y0) != system.pattern.n:
        n = system.pattern.n
        raise ValueError(f"y0: shape {y0.shape}; give ({n},) or ({n}, B), as the system has it.")
    times = _rising(jnp.asarray(times, y0.dtype), t0)
    single = y0.ndim == 1
    if single:
        y0, times = y0[:, None], times[:, None] if times.ndim == 1 else times
        args = jax.tree.map(lambda a: jnp.asarray(a)[..., None], args) if system.by_cell else args
    cells = y0.shape[1]
    times = jnp.broadcast_to(times[:, None] if times.ndim == 1 else times, (len(times), cells))
    start = jnp.broadcast_to(jnp.asarray(t0, y0.dtype), (cells,))
    together = min(cells, block) if system.by_cell else cells
    every = -(-max_steps * system.pattern.n * together * y0.dtype.itemsize // LOG_BYTES)
    control = Control(rtol, atol, max_steps, every, interpolate)
    ys, *rest = integrate(system, control, block, y0, start, times, args)
    if nonnegative:
        ys = at_least(ys, jnp.zeros_like(ys))
        if system.conserved is not None:
            ys = restored(ys, y0, system.conserved)
    found = Solution(ys, *rest)
    return jax.tree.map(lambda a: a[..., 0], found) if single else found


def _rising(times, t0):
    if times.ndim not in (1, 2) or len(times) == 0:
        raise ValueError(f"times: shape {times.shape}; give (T,) or (T, B), at least one.")
    if known(times) and isinstance(t0, int | float):
        steps = np.diff(np.asarray(times), axis=0)
        if not (np.all(np.asarray(times)[0] >= t0) and np.all(steps > 0.0)):
            raise ValueError(f"times: {np.asarray(times).tolist()}; give rising times from t0 on.")
    return times
