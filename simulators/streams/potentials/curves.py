"""Functions of time as pytrees: trajectories, accelerations and growth factors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.elementwise import at_least, at_most
from simulators.shared.fields import as_float, check, check_finite


class HermiteCurve(eqx.Module):
    r"""Piecewise Hermite interpolation of values and derivatives at knots.

    Cubic through values and slopes (error $h^4/384 |f^{(4)}|$, slope continuous), or quintic if
    curvatures are given too ($h^6/46080 |f^{(6)}|$, curvature continuous, which a high-order
    integrator through a `Moving` potential wants). Before the first and after the last knot the
    curve goes on straight.

    Args:
        times: knots [Myr], (K,), strictly increasing, at least 2.
        values: (K, ...), a position [kpc] for instance.
        slopes: d values / dt, of the shape of `values`.
        curvatures: second derivatives of the same shape, or None.

    Raises:
        ValueError: for shapes that do not match, or concrete knots that do not increase.

    >>> curve = HermiteCurve([0.0, 1.0], [0.0, 1.0], [0.0, 2.0])
    >>> float(curve(0.5))
    0.25
    """

    times: jax.Array = eqx.field(converter=as_float)
    values: jax.Array = eqx.field(converter=as_float)
    slopes: jax.Array = eqx.field(converter=as_float)
    curvatures: jax.Array | None = eqx.field(
        converter=lambda v: None if v is None else as_float(v), default=None
    )

    def __check_init__(self):
        knots = self.times.shape
        if len(knots) != 1 or knots[0] < 2:
            raise ValueError(
                f"HermiteCurve: argument `times` has shape {knots}; give (K,) with K >= 2."
            )
        for name in ("values", "slopes", "curvatures"):
            array = getattr(self, name)
            if array is not None and (array.shape != self.values.shape or array.shape[:1] != knots):
                raise ValueError(
                    f"HermiteCurve: argument `{name}` has shape {array.shape}; give values, "
                    f"slopes and curvatures one shape that starts with {knots}."
                )
        check_finite(self, "times", "values", "slopes", "curvatures")
        if not isinstance(self.times, jax.core.Tracer):
            steps = np.diff(np.asarray(self.times))
            if not np.all(steps > 0.0):
                worst = int(np.argmin(steps))
                raise ValueError(
                    f"HermiteCurve: argument `times` does not increase at knot {worst + 1} "
                    f"(step {steps[worst]:g} Myr); sort the knots and drop repeated ones."
                )

    @classmethod
    def through(cls, times, values):
        """The cubic spline through `values` (K, ...) at `times` (K,), K >= 4, without slopes given.

        Slopes solve the tridiagonal system that makes second derivatives continuous; those at the
        ends come from the cubic through the four nearest knots.
        """
        times, values = as_float(times), as_float(values)
        if times.ndim != 1 or times.shape[0] < 4 or values.shape[:1] != times.shape:
            raise ValueError(
                f"HermiteCurve.through: shapes {times.shape} and {values.shape}; give times (K,) "
                "with K >= 4 and values (K, ...)."
            )
        flat = values.reshape(times.shape[0], -1)
        h = jnp.diff(times)
        rise = jnp.diff(flat, axis=0) / h[:, None]
        zero = jnp.zeros_like(h[:1])
        below = jnp.concatenate([zero, h[1:], zero])
        above = jnp.concatenate([zero, h[:-1], zero])
        diagonal = jnp.concatenate(
            [jnp.ones_like(h[:1]), 2.0 * (h[1:] + h[:-1]), jnp.ones_like(h[:1])]
        )
        inner = 3.0 * (h[1:, None] * rise[:-1] + h[:-1, None] * rise[1:])
        first = _end_slope(times[:4], flat[:4])
        last = _end_slope(times[::-1][:4], flat[::-1][:4])
        right = jnp.concatenate([first[None], inner, last[None]])
        slopes = jax.lax.linalg.tridiagonal_solve(below, diagonal, above, right)
        return cls(times, values, slopes.reshape(values.shape))

    def __call__(self, t):
        """The value at time `t` [Myr] of any shape: t.shape + the shape of one value."""
        t = as_float(t)
        times = self.times.astype(t.dtype)
        inside = at_most(at_least(t, times[0]), times[-1])
        i = jnp.searchsorted(times, inside, side="right", method="scan_unrolled") - 1
        i = jnp.clip(i, 0, times.shape[0] - 2)
        h = times[i + 1] - times[i]
        s = (inside - times[i]) / h
        extra = (*t.shape, *(1 for _ in self.values.shape[1:]))
        h, s, over = (jnp.reshape(v, extra) for v in (h, s, t - inside))
        v0, v1 = (self.values[k].astype(t.dtype) for k in (i, i + 1))
        d0, d1 = (self.slopes[k].astype(t.dtype) for k in (i, i + 1))
        end = jnp.where(over < 0.0, d0, d1)
        h = jnp.broadcast_to(h, v0.shape)
        s = jnp.broadcast_to(s, v0.shape)
        rise = v1 - v0
        if self.curvatures is None:
            b0, b1 = h * d0 - rise, rise - h * d1
            inner = s * (1.0 - s) * ((1.0 - s) * b0 + s * b1)
            curve = v0 + s * rise + inner
        else:
            c0, c1 = (self.curvatures[k].astype(t.dtype) * (h * h) for k in (i, i + 1))
            # Power basis from the left knot: value, slope and curvature there are its first terms.
            e = rise - h * d0 - 0.5 * c0
            f = h * (d1 - d0) - c0
            g = c1 - c0
            k3 = 10.0 * e - 4.0 * f + 0.5 * g
            k4 = -15.0 * e + 7.0 * f - g
            k5 = 6.0 * e - 3.0 * f + 0.5 * g
            curve = v0 + s * (h * d0 + s * (0.5 * c0 + s * (k3 + s * (k4 + s * k5))))
        return curve + jnp.broadcast_to(over, v0.shape) * end


def _end_slope(times, values):
    """Derivative at the first of four knots of the cubic through them."""
    t = times - times[0]
    slope = jnp.zeros_like(values[0])
    for k in range(1, 4):
        others = [j for j in range(1, 4) if j != k]
        weight = (
            t[others[0]] * t[others[1]] / (t[k] * (t[others[0]] - t[k]) * (t[others[1]] - t[k]))
        )
        slope = slope + weight * (values[k] - values[0])
    return slope


class LinearGrowth(eqx.Module):
    """Growth factor 1 + rate (t - t_0), cut off below at zero.

    Args:
        rate: [1/Myr].
        t_0: time at which the factor is 1 [Myr].

    >>> float(LinearGrowth(0.5)(2.0))
    2.0
    """

    rate: jax.Array = eqx.field(converter=as_float)
    t_0: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check_finite(self, "rate", "t_0")

    def __call__(self, t):
        """The factor at time `t` [Myr]."""
        t = as_float(t)
        rate, t_0 = self.rate.astype(t.dtype), self.t_0.astype(t.dtype)
        return at_least(1.0 + rate * (t - t_0), 0.0)


class ExponentialGrowth(eqx.Module):
    """Growth factor exp((t - t_0) / timescale).

    Args:
        timescale: e-folding time [Myr], above 0.
        t_0: time at which the factor is 1 [Myr].

    Raises:
        ValueError: for a concrete timescale that is not above 0.

    >>> float(ExponentialGrowth(1e3)(0.0))
    1.0
    """

    timescale: jax.Array = eqx.field(converter=as_float)
    t_0: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "timescale")
        check_finite(self, "t_0")

    def __call__(self, t):
        """The factor at time `t` [Myr]."""
        t = as_float(t)
        timescale, t_0 = self.timescale.astype(t.dtype), self.t_0.astype(t.dtype)
        return jnp.exp((t - t_0) / timescale)
