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

from collections.abc import Callable
from fractions import Fraction
from math import factorial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from simulators.streams.integrate.fence import fenced
from simulators.streams.integrate.nystrom import Triple, nystrom

CYCLE = 8
"""Accelerations kept, which is the number of steps in one turn of their ring."""
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
    """The state at step n: s_n and s_n - s_{n-1} (kpc) and the last `CYCLE` accelerations.

    Attributes:
        s, ds: three arrays of the particles' shape each [kpc].
        ring: three arrays (CYCLE, ...) [kpc/Myr^2]. Between cycles the last slot holds a_n, the
            one before it a_{n-1}, and so on; within a cycle each step overwrites the oldest.
    """

    s: Triple
    ds: Triple
    ring: Triple


def combine(weights, accelerations, components: int = 3) -> Triple:
    """Weighted sum of accelerations, one weight each."""
    return tuple(
        sum(w * a[i] for w, a in zip(weights, accelerations, strict=True))
        for i in range(components)
    )


def begin(acceleration: Callable, x: Triple, v: Triple, t: jax.Array, h: jax.Array) -> Sums:
    """The sums at `t + MARGIN h` from position and velocity at grid time `t`.

    The accelerations three steps to either side come from steps of `nystrom`. For the
    arguments see there; `h` may be negative.
    """
    dtype = jnp.result_type(x[0])
    t, h = jnp.asarray(t, dtype), jnp.asarray(h, dtype)
    # Both directions at once, in an axis of their own: one program instead of two.
    sides = jnp.asarray([-1.0, 1.0], dtype).reshape(2, *(1 for _ in x[0].shape))
    step = sides * h
    now = jnp.broadcast_to(t, x[0].shape)[None] + jnp.zeros_like(step)

    def one(carry, _):
        x, v, time = carry
        x, v = nystrom(acceleration, x, v, time, step, 1)
        time = time + step
        return (x, v, time), (x, time)

    both = tuple(tuple(jnp.stack([ci, ci]) for ci in c) for c in (x, v))
    _, (places, times) = jax.lax.scan(one, (*both, now), length=MARGIN)

    def row(neighbours, middle):
        back, ahead = neighbours[::-1, 0], neighbours[:, 1]
        return jnp.concatenate([back, middle[None], ahead])

    places = tuple(row(p, xi) for p, xi in zip(places, x, strict=True))
    stencil = acceleration(*places, row(times, now[0]))
    a = [tuple(ai[j] for ai in stencil) for j in range(2 * MARGIN + 1)]
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
    ring = tuple(jnp.stack([row[i] for row in (a[0], *a)]) for i in range(3))
    return Sums(s, ds, ring)


#: Weights of the slots of the ring in step i of a cycle, when a_n is in slot i - 1.
_RING = np.zeros((CYCLE, CYCLE))
for _i in range(CYCLE):
    for _j, _p in enumerate(PREDICT):
        _RING[_i, (_i - 1 - _j) % CYCLE] = _p


def march(acceleration: Callable, state: Sums, h: jax.Array, ks) -> Sums:
    """Advance the sums by whole cycles of `CYCLE` steps.

    The oldest acceleration is overwritten in place, so that no history is shifted through
    memory; the weights turn instead.

    Args:
        acceleration: `(x, y, z, k) -> (ax, ay, az)`, where `k` is what is to be known of the new
            step: one entry of `ks`.
        state: where to start.
        h: step, Myr.
        ks: pytree of arrays (n_cycles, CYCLE, ...), one entry for each new step.

    Returns:
        The state after the last step.
    """
    return _march(acceleration, state, h, ks, lambda s, a: None)[0]


def record(acceleration: Callable, state: Sums, h: jax.Array, ks) -> tuple[Sums, Triple, Triple]:
    """As `march`, and all s_n and a_n on the way: three arrays (n_steps, ...) each."""
    state, (s, a) = _march(acceleration, state, h, ks, lambda s, a: (s, a))
    flat = lambda row: row.reshape(-1, *row.shape[2:])  # noqa: E731
    return state, tuple(map(flat, s)), tuple(map(flat, a))


def _march(acceleration, state, h, ks, keep):
    h2 = h * h
    dtype = state.s[0].dtype
    slots, weights = jnp.arange(CYCLE), jnp.asarray(_RING, dtype)

    def step(carry, known):
        (s, ds, ring), a = carry
        slot, weight, k = known
        ds = tuple(di + h2 * ai for di, ai in zip(ds, a, strict=True))
        s = tuple(si + di for si, di in zip(s, ds, strict=True))
        ahead = (sum(weight[j] * row[j] for j in range(CYCLE)) for row in ring)
        x = tuple(si + h2 * pi for si, pi in zip(s, ahead, strict=True))
        a = fenced(acceleration, weight[0])(*x, k)
        ring = tuple(row.at[slot].set(ai) for row, ai in zip(ring, a, strict=True))
        return (Sums(s, ds, ring), a), keep(s, a)

    def cycle(carry, k):
        return jax.lax.scan(step, carry, (slots, weights, k))

    newest = tuple(row[-1] for row in state.ring)
    (state, _), kept = jax.lax.scan(cycle, (state, newest), ks)
    return state, kept


def finish(state: Sums, h: jax.Array) -> tuple[Triple, Triple]:
    """Positions (kpc) and velocities (kpc/Myr) `MARGIN` steps before the sums."""
    h2 = h * h
    s, ds, ring = state
    a = [tuple(row[j] for row in ring) for j in range(CYCLE)]
    for j in range(MARGIN):
        s = tuple(si - di for si, di in zip(s, ds, strict=True))
        ds = tuple(di - h2 * ai for di, ai in zip(ds, a[-2 - j], strict=True))
    # Now s is s_n and ds is s_n - s_{n-1}.
    central = a[-1 - 2 * MARGIN :]
    x = tuple(si + h2 * c for si, c in zip(s, combine(POSITION, central), strict=True))
    v = tuple(
        (di + 0.5 * h2 * ai) / h + h * c
        for di, ai, c in zip(ds, a[-1 - MARGIN], combine(VELOCITY, central), strict=True)
    )
    return x, v
