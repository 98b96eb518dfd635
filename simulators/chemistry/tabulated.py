"""Conditions from tables over time, each cell at a time of its own."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.conditions import Conditions
from simulators.chemistry.tracks import within
from simulators.shared.fields import as_float, cast, known

#: The conditions that cannot be zero.
_POSITIVE = ("n_H", "temperature", "T_dust", "grain_radius")
#: Nodes beside the interval, for the slopes at its ends.
_STENCIL = np.array([-1, 0, 1, 2])


class Tabulated(eqx.Module):
    """Conditions between those of a table: of a tracer particle, or of a shock model.

    Monotone cubics in time (`Monotone`) of the logarithms of density, temperatures and grain
    radius, and of the values of all else; constant before the first time and after the last. The
    time of a shock model is that of the gas, in the frame of the shock the integral of dz / v(z).

    Attributes:
        times: of the table [yr], rising, three or more, (T,); or (T, B) for cells with their own.
        conditions: each field a number that stays, (T,) for all cells, or (T, B) for B cells.

    Raises:
        ValueError: for times that do not rise, and for fields of other shapes, by name.

    >>> table = Conditions(n_H=[1e3, 1e4, 1e5], temperature=[10.0, 10.0, 40.0])
    >>> gas = Tabulated(jnp.array([0.0, 1e5, 2e5]), table)(jnp.array([5e4, 1e9]))
    >>> [f"{float(n):.0f}" for n in gas.n_H], [f"{float(T):.0f}" for T in gas.temperature]
    (['3162', '100000'], ['10', '40'])
    """

    times: Float[Array, "T *B"] = eqx.field(converter=as_float)
    conditions: Conditions

    def __check_init__(self):
        shape = self.times.shape
        if len(shape) not in (1, 2) or shape[0] < 3:
            raise ValueError(f"Tabulated: argument `times` of shape {shape}; give three or more.")
        if known(self.times):
            times = np.asarray(self.times)
            if not (np.all(np.isfinite(times)) and np.all(np.diff(times, axis=0) > 0.0)):
                raise ValueError(
                    f"Tabulated: argument `times` = {times}; give finite, rising ones."
                )
        widths = {shape[1:]} - {()}
        for path, table in jax.tree.leaves_with_path(self.conditions):
            widths |= {table.shape[1:]} - {()}
            fits = table.ndim == 0 or (table.ndim < 3 and len(table) == shape[0])
            if not fits or len(widths) > 1:
                raise ValueError(
                    f"Tabulated: `conditions{jax.tree_util.keystr(path)}` of shape {table.shape} "
                    f"does not fit times of shape {shape}; give a number, ({shape[0]},) or "
                    f"({shape[0]}, B), with one B throughout."
                )

    def __call__(self, t: Float[Array, " B"]) -> Conditions:
        """The conditions at times t [yr]."""
        tables = (self.times, *jax.tree.leaves(self.conditions))
        t = jnp.broadcast_to(t, max(t.shape, *(a.shape[1:] for a in tables)))
        at = Monotone(*cast(t, _columns(self.times)), t)

        def value(path, table):
            (table,) = cast(t, table)
            if table.ndim == 0:
                return table
            table = _columns(table)
            return jnp.exp(at(jnp.log(table))) if path[0].name in _POSITIVE else at(table)

        return jax.tree.map_with_path(value, self.conditions)


def _columns(table):
    return table[:, None] if table.ndim == 1 else table


class Monotone:
    """Piecewise cubics at places t (B,) of tables over nodes, constant beyond their ends.

    Between nodes the values stay between those of the nodes, and the first derivative is
    continuous; the second is not. The slopes at nodes are weighted harmonic means (Fritsch &
    Butland 1984, SIAM J. Sci. Stat. Comput. 5, 300), at the ends of three points, limited to keep
    the shape (Fritsch & Carlson 1980, SIAM J. Numer. Anal. 17, 238).

    Args:
        nodes: rising, three or more, (T, 1) or (T, B).
        t: places, (B,).

    >>> at = Monotone(jnp.arange(4.0)[:, None], jnp.array([0.5, 9.0]))
    >>> at(jnp.array([0.0, 1.0, 1.0, 5.0])[:, None]).tolist()
    [0.6875, 5.0]
    """

    def __init__(self, nodes: Float[Array, "T #B"], t: Float[Array, " B"]):
        self.last = len(nodes) - 2
        found = jnp.sum(nodes <= t[None], axis=0) - 1
        self.k = jnp.clip(found, 0, self.last)
        x = self._stencil(nodes)
        self.h = x[1:] - x[:-1]
        self.u = within((t - x[1]) / self.h[1])

    def _stencil(self, table):
        """The four entries of a table (T, 1) or (T, B) about each cell's place, (4, B)."""
        rows = jnp.clip(self.k[None] + _STENCIL[:, None], 0, self.last + 1)
        if table.shape[1] == 1:
            return table[:, 0][rows]
        return jnp.take_along_axis(table, rows, axis=0)

    def __call__(self, table: Float[Array, "T #B"]) -> Float[Array, " B"]:
        """The values of a table."""
        y, h, u = self._stencil(table), self.h, self.u
        # Beyond the first and last node the stencil repeats them.
        m = (y[1:] - y[:-1]) / jnp.where(h > 0.0, h, jnp.ones_like(h))
        first, last = self.k == 0, self.k == self.last
        left = jnp.where(first, _end(h[1], h[2], m[1], m[2]), _inner(h[0], h[1], m[0], m[1]))
        right = jnp.where(last, _end(h[1], h[0], m[1], m[0]), _inner(h[1], h[2], m[1], m[2]))
        # Hermite's cubic, as the line and what is beside it.
        bend = (left - m[1]) * (1.0 - u) - (right - m[1]) * u
        return y[1] + (y[2] - y[1]) * u + h[1] * u * (1.0 - u) * bend


def _inner(h0, h1, m0, m1):
    """The slope between two intervals of lengths h and slopes m."""
    same = (jnp.sign(m0) == jnp.sign(m1)) & (m0 != 0.0)
    m0, m1 = (jnp.where(same, m, jnp.ones_like(m)) for m in (m0, m1))
    w0, w1 = 2.0 * h1 + h0, h1 + 2.0 * h0
    return jnp.where(same, (w0 + w1) / (w0 / m0 + w1 / m1), jnp.zeros_like(m0))


def _end(h0, h1, m0, m1):
    """The slope at the outer end of an interval (h0, m0) beside (h1, m1)."""
    slope = ((2.0 * h0 + h1) * m0 - h0 * m1) / (h0 + h1)
    turns = jnp.sign(m0) != jnp.sign(m1)
    slope = jnp.where(turns & (jnp.abs(slope) > 3.0 * jnp.abs(m0)), 3.0 * m0, slope)
    return jnp.where(jnp.sign(slope) == jnp.sign(m0), slope, jnp.zeros_like(slope))
