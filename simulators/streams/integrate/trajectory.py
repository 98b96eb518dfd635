"""A trajectory on a uniform grid, with dense output between the grid points."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulators.streams.integrate.nystrom import Triple
from simulators.streams.integrate.stormer import (
    CYCLE,
    MARGIN,
    POSITION,
    VELOCITY,
    Sums,
    begin,
    combine,
    earlier,
    record,
    stacked,
)


class Trajectory(eqx.Module):
    """Positions, velocities and accelerations at the grid points t0 + n h, n = 0 ... N.

    Attributes:
        t0: time of the first grid point [Myr].
        h: step [Myr], negative for a trajectory followed back in time.
        rows: shape (N + 1, ..., 9): x, y, z [kpc], their rates [kpc/Myr] and accelerations
            [kpc/Myr^2]. One row is one contiguous read for an interpolation.
    """

    t0: Float[Array, ""]
    h: Float[Array, ""]
    rows: Float[Array, "n *batch 9"]

    @property
    def n_steps(self) -> int:
        """N."""
        return self.rows.shape[0] - 1

    @property
    def times(self) -> Float[Array, " n"]:
        """The times of the grid points [Myr]."""
        return self.t0 + jnp.arange(self.rows.shape[0]).astype(self.rows.dtype) * self.h

    def reversed(self) -> "Trajectory":
        """The same trajectory with its grid counted from the other end."""
        return Trajectory(self.t0 + self.n_steps * self.h, -self.h, self.rows[::-1])

    def at(self, t: Float[Array, "..."]) -> tuple[Triple, Triple]:
        """Positions and velocities at times `t`, by quintic Hermite interpolation.

        The interpolant matches position, velocity and acceleration at the grid points; its
        error is h^6 / 46080 times the sixth derivative of the orbit. Times outside the grid
        continue the nearest interval.

        Returns:
            Three positions [kpc] and three velocities [kpc/Myr], each of shape
            `t.shape + batch`.
        """
        place = (t - self.t0) / self.h
        n = jnp.clip(jnp.floor(place), 0.0, self.n_steps - 1.0)
        u = place - n
        n = n.astype(int)
        left = jnp.take(self.rows, n, axis=0, mode="clip")
        right = jnp.take(self.rows, n + 1, axis=0, mode="clip")
        u = u.reshape(u.shape + (1,) * (self.rows.ndim - 2))
        position_left, rate_left = _hermite(u)
        # The right end is the left end of the same interval read backwards.
        position_right, rate_right = _hermite(1.0 - u)
        h = self.h
        x, v = [], []
        for i in range(3):
            l0, l1, l2 = left[..., i], h * left[..., 3 + i], h * h * left[..., 6 + i]
            r0, r1, r2 = right[..., i], -h * right[..., 3 + i], h * h * right[..., 6 + i]
            x.append(_dot(position_left, (l0, l1, l2)) + _dot(position_right, (r0, r1, r2)))
            v.append((_dot(rate_left, (l0, l1, l2)) - _dot(rate_right, (r0, r1, r2))) / h)
        return tuple(x), tuple(v)


def _dot(weights, values):
    return sum(w * value for w, value in zip(weights, values, strict=True))


def _hermite(u):
    """Weights of value, slope and curvature at u = 0, and their derivatives, on [0, 1]."""
    w = 1.0 - u
    w2 = w * w
    w3 = w2 * w
    u2 = u * u
    position = (w3 * (1.0 + u * (3.0 + 6.0 * u)), w3 * u * (1.0 + 3.0 * u), 0.5 * w3 * u2)
    rate = (
        -30.0 * u2 * w2,
        w2 * (1.0 + u * (2.0 - 15.0 * u)),
        0.5 * w2 * u * (2.0 - 5.0 * u),
    )
    return position, rate


def trajectory(
    acceleration: Callable, x: Triple, v: Triple, t0: jax.Array, h: jax.Array, n_steps: int
) -> Trajectory:
    """Follow test particles for `n_steps` steps of Stormer's method from time `t0`.

    Args:
        acceleration: `(x, y, z, t) -> (ax, ay, az)`, elementwise.
        x, v: positions [kpc] and velocities [kpc/Myr] at `t0`, three arrays each.
        t0, h: first time and step [Myr], scalars; `h` may be negative.
        n_steps: number of steps (static).

    Returns:
        The trajectory at the `n_steps + 1` grid points.
    """
    dtype = jnp.result_type(x[0])
    t0, h = jnp.asarray(t0, dtype), jnp.asarray(h, dtype)
    return trajectory_from(acceleration, begin(acceleration, x, v, t0, h), t0, h, n_steps)


def trajectory_from(
    acceleration: Callable,
    first: Sums,
    t0: jax.Array,
    h: jax.Array,
    n_steps: int,
    cycle: int = CYCLE,
) -> Trajectory:
    """As `trajectory`, from the sums `MARGIN` steps after `t0` on, in cycles of that length."""
    n_cycles = -(-n_steps // cycle)
    n = jnp.arange(n_cycles * cycle).astype(h.dtype).reshape(n_cycles, cycle)
    _, s, a = record(acceleration, first, h, t0 + (n + (MARGIN + 1)) * h)
    return Trajectory(t0, h, grid_rows(first, s, a, h, n_steps))


def grid_rows(first: Sums, s: Triple, a: Triple, h: jax.Array, n_steps: int) -> jax.Array:
    """`Trajectory.rows` of the `n_steps + 1` grid points from that of `first` on.

    Args:
        first: the sums, `MARGIN` steps ahead of the first grid point.
        s, a: what `record` made of them, at least `n_steps` steps.
        h: step [Myr].
        n_steps: number of steps (static).
    """
    # The sums and accelerations before those recorded: n = -1 ... 3 and n = -3 ... 3.
    h2 = h * h
    width = 2 * MARGIN + 1
    early = stacked([*(s for s, _ in reversed(earlier(first, h, MARGIN + 1))), first.s])
    ring = stacked(first.ring[-width:])

    def component(i):
        si = jnp.concatenate([early[i], s[i]])
        ai = jnp.concatenate([ring[i], a[i]])
        window = [(ai[k : k + n_steps + 1],) for k in range(width)]
        here = ai[MARGIN : MARGIN + n_steps + 1]
        before, now, after = (si[k : k + n_steps + 1] for k in range(3))
        position = now + h2 * combine(POSITION, window, 1)[0]
        rate = (after - before) / (2.0 * h) + h * combine(VELOCITY, window, 1)[0]
        return position, rate, here

    columns = [component(i) for i in range(3)]
    return jnp.stack([columns[i][part] for part in range(3) for i in range(3)], axis=-1)
