r"""Stormer's explicit multistep method of order 8, one acceleration a step.

For x'' = a(x, t) on a uniform grid t_n = t_0 + n h, in the summed form of Gauss & Jackson:

    s_{n+1} - 2 s_n + s_{n-1} = h^2 a_n,
    x_{n+1} = s_{n+1} + h^2 \sum_{j=0}^{5} p_j a_{n-j},

and at the two ends, where accelerations on both sides are known,

    x_n = s_n + h^2 \sum_{k=-3}^{3} alpha_k a_{n+k},
    v_n = (s_{n+1} - s_{n-1}) / 2h + h \sum_{k=-3}^{3} beta_k a_{n+k}.

The weights are such that polynomials are exact: with u = h d/dt, the p_j and alpha_k
represent f(u) = 1/u^2 - 1/(4 sinh^2(u/2)) and the beta_k represent the antiderivative of -f.

Why this one. What limits the step of an orbit in a galaxy is the crossing of the thin
disc: there the acceleration changes over the time b / v_z (2 Myr for b = 0.28 kpc and
150 km/s). The kick that the star gets is an integral, and a sum over equally spaced samples
of it has an error that falls exponentially, as exp(-2 pi b / (v_z h)), as the trapezoidal rule
does. So the samples should be equally spaced and each should serve many steps: a
multistep method in summed form. Orders above 8 gain nothing, as the disc crossing sets the
error, and cost stability: this one is stable for frequencies up to 0.46 / h, the one of
order 10 up to 0.25 / h.
"""

import functools
from collections.abc import Callable
from fractions import Fraction
from math import factorial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from simulators.streams.integrate.fence import fenced
from simulators.streams.integrate.nystrom import Triple, nystrom_path

CYCLE = 4
"""Steps that are written out in one piece. Eight ran up to 8 per cent faster for 2048 stars and no
faster for 64, whose gradient took 1.6 times as long to compile."""
HISTORY = 8
"""Accelerations kept from one cycle to the next."""
MARGIN = 3
"""Steps that the sums run ahead of the positions they give: half of the central stencil."""


def _taylor(n: int) -> list[Fraction]:
    """Taylor coefficients of f(u) = 1/u^2 - 1/(4 sinh^2(u/2)), up to u^(n-1)."""
    # 4 sinh^2(u/2) = u^2 w(u) with w = sum 2 u^2k / (2k+2)!, so f = (1 - 1/w) / u^2.
    w = [Fraction(2, factorial(k + 2)) if k % 2 == 0 else Fraction(0) for k in range(n + 2)]
    inverse = [Fraction(1)]
    for k in range(1, n + 2):
        inverse.append(-sum(w[j] * inverse[k - j] for j in range(1, k + 1)))
    return [-value for value in inverse[2:]]


def _weights(offsets: range, series: list[Fraction]) -> tuple[float, ...]:
    """Weights w_k with sum_k w_k exp(k u) = series + O(u^len(offsets)), in exact arithmetic."""
    rows = [
        [*(Fraction(k**m) for k in offsets), factorial(m) * series[m]] for m in range(len(offsets))
    ]
    for i in range(len(rows)):
        pivot = next(r for r in range(i, len(rows)) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(len(rows)):
            if r != i:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return tuple(float(row[-1]) for row in rows)


_F = _taylor(7)
_CENTRAL = range(-MARGIN, MARGIN + 1)
PREDICT = _weights(range(-1, -7, -1), _F)
POSITION = _weights(_CENTRAL, _F)
VELOCITY = _weights(_CENTRAL, [Fraction(0), *(-f / (m + 1) for m, f in enumerate(_F[:-1]))])


class Sums(NamedTuple):
    """The state at step n: s_n and s_n - s_{n-1} (kpc) and the last `HISTORY` accelerations.

    Attributes:
        s, ds: three arrays of the particles' shape each [kpc].
        ring: a_{n-7} to a_n [kpc/Myr^2], each as s: arrays of their own, because the cotangent of
            a slice of one large array is padded to that array's size, in scalar code.
    """

    s: Triple
    ds: Triple
    ring: tuple[Triple, ...]


def combine(weights, accelerations, components: int = 3) -> Triple:
    """Weighted sum of accelerations, one weight each."""
    return tuple(
        sum(w * a[i] for w, a in zip(weights, accelerations, strict=True))
        for i in range(components)
    )


def stacked(rows) -> Triple:
    """Triples, one a step, as three arrays with the steps along a new first axis."""
    return tuple(jnp.stack([row[i] for row in rows]) for i in range(3))


def begin(acceleration: Callable, x: Triple, v: Triple, t: jax.Array, h: jax.Array) -> Sums:
    """The sums at `t + MARGIN h` from position and velocity at grid time `t`.

    The accelerations three steps to either side come from steps of `nystrom`. For the
    arguments see there; `h` may be negative.
    """
    # Back to the first of them, then past all of them: one loop, so one program for the force.
    steps = jnp.asarray([-1.0] * MARGIN + [1.0] * 2 * MARGIN, x[0].dtype) * h
    *_, acc = nystrom_path(acceleration, x, v, t, steps)
    return sums(x, v, tuple(ai[-len(_CENTRAL) :] for ai in acc), h)


def sums(x: Triple, v: Triple, acc: Triple, h: jax.Array) -> Sums:
    """The sums `MARGIN` steps after position [kpc] and velocity [kpc/Myr] at a grid time.

    Args:
        x, v: three arrays each.
        acc: the accelerations [kpc/Myr^2] from `MARGIN` steps before to as many after, three arrays
            with the steps along a first axis.
        h: step [Myr].
    """
    h = jnp.asarray(h, x[0].dtype)
    a = [tuple(ai[j] for ai in acc) for j in range(2 * MARGIN + 1)]
    here, ahead = a[MARGIN], a[MARGIN + 1 :]
    h2 = h * h
    s = tuple(xi - h2 * c for xi, c in zip(x, combine(POSITION, a), strict=True))
    ds = tuple(
        h * vi - h2 * c + 0.5 * h2 * ai
        for vi, c, ai in zip(v, combine(VELOCITY, a), here, strict=True)
    )
    s = tuple(si + di for si, di in zip(s, ds, strict=True))
    for known in ahead[:-1]:
        ds = tuple(di + h2 * ai for di, ai in zip(ds, known, strict=True))
        s = tuple(si + di for si, di in zip(s, ds, strict=True))
    # The oldest slot is never read before it is overwritten.
    return Sums(s, ds, (a[0], *a))


@functools.cache
def _cycle_weights(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights of h^2 a in s and in x of the `length` steps ahead, each (length, HISTORY + length).

    With S and D the sums at step n, and the accelerations a_{n-7}, a_{n-6} ... in the columns,

        s_{n+i+1} = S + (i + 1) D + h^2 sum_m ends[i, m] a_m,

    and so for x with `places`, which adds the weights `PREDICT`.
    """
    now = HISTORY - 1
    ends = np.zeros((length, HISTORY + length))
    for i in range(length):
        # D grows by h^2 a_m with each step, and S by D: a_m counts once for every step since.
        ends[i, now : now + i + 1] = np.arange(i + 1, 0, -1)
    places = ends.copy()
    for i in range(length):
        for j, p in enumerate(PREDICT):
            places[i, now + i - j] += p
    return ends, places


def march(acceleration: Callable, state: Sums, h: jax.Array, ks) -> Sums:
    """Advance the sums by whole cycles of steps.

    The steps of a cycle are written out one after another, each from the sums at its start, so
    that no history is shifted through memory and no step waits for the sums of the one before.
    Each is one more force to compile. A loop over single steps took 1.6 times as long as one over
    cycles of `CYCLE` for 64 particles, value and reverse mode alike.

    Args:
        acceleration: `(x, y, z, k) -> (ax, ay, az)`, where `k` is what is to be known of the new
            step: one entry of `ks`.
        state: where to start.
        h: step, Myr.
        ks: pytree of arrays (n_cycles, length of a cycle, ...), one entry for each new step.

    Returns:
        The state after the last step.
    """
    return _march(acceleration, state, h, ks, keep=False)[0]


def record(acceleration: Callable, state: Sums, h: jax.Array, ks) -> tuple[Sums, Triple, Triple]:
    """As `march`, and all s_n and a_n on the way: three arrays (n_steps, ...) each."""
    state, (s, a) = _march(acceleration, state, h, ks, keep=True)
    flat = lambda row: row.reshape(-1, *row.shape[2:])  # noqa: E731
    return state, tuple(map(flat, s)), tuple(map(flat, a))


def _march(acceleration, state, h, ks, *, keep):
    h2 = h * h
    dtype = state.s[0].dtype
    n_cycles, length = jax.tree.leaves(ks)[0].shape[:2]
    to_sums, to_places = _cycle_weights(length)

    def cycle(state, known):
        witness, k = known
        force = fenced(acceleration, witness)
        known = list(state.ring)

        def ahead(i, table):
            """Three components of S + (i + 1) D + h^2 sum_m table[i, m] a_m."""
            used = [(float(w), a) for w, a in zip(table[i], known, strict=False) if w]
            pull = combine(*zip(*used, strict=True))
            return tuple(
                si + (i + 1.0) * di + h2 * pi
                for si, di, pi in zip(state.s, state.ds, pull, strict=True)
            )

        for i in range(length):
            known.append(force(*ahead(i, to_places), jax.tree.map(lambda row, i=i: row[i], k)))
        gain = combine([1.0] * length, known[HISTORY - 1 : -1])
        ds = tuple(di + h2 * g for di, g in zip(state.ds, gain, strict=True))
        ends = [ahead(i, to_sums) for i in (range(length) if keep else [length - 1])]
        kept = (stacked(ends), stacked(known[HISTORY:])) if keep else None
        return Sums(ends[-1], ds, tuple(known[length:])), kept

    # Numbers that the compiler cannot know: it does not see which of them a cycle gets.
    witnesses = jnp.asarray(np.resize(PREDICT, n_cycles), dtype)
    # For the reverse pass a cycle is made again: storing its positions step by step took longer.
    # Callers of `march` choose their own, longer, pieces.
    return jax.lax.scan(jax.checkpoint(cycle) if keep else cycle, state, (witnesses, ks))


def earlier(state: Sums, h: jax.Array, n: int) -> list[tuple[Triple, Triple]]:
    """s and ds at the `n` steps before the state's, the latest first."""
    h2 = h * h
    s, ds, ring = state
    found = []
    for j in range(n):
        s = tuple(si - di for si, di in zip(s, ds, strict=True))
        ds = tuple(di - h2 * ai for di, ai in zip(ds, ring[-2 - j], strict=True))
        found.append((s, ds))
    return found


def finish(state: Sums, h: jax.Array) -> tuple[Triple, Triple]:
    """Positions (kpc) and velocities (kpc/Myr) `MARGIN` steps before the sums."""
    h2 = h * h
    s, ds = earlier(state, h, MARGIN)[-1]
    central = state.ring[-1 - 2 * MARGIN :]
    x = tuple(si + h2 * c for si, c in zip(s, combine(POSITION, central), strict=True))
    v = tuple(
        (di + 0.5 * h2 * ai) / h + h * c
        for di, ai, c in zip(ds, state.ring[-1 - MARGIN], combine(VELOCITY, central), strict=True)
    )
    return x, v
