"""The gas of cells as a system for the stiff solver: what a network does under given conditions."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.conditions import Conditions
from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.rates import RateTable
from simulators.chemistry.sparse import Pattern
from simulators.chemistry.sums import fence, gather
from simulators.chemistry.system import AbstractSystem


class Gas(NamedTuple):
    """What the rates of a `GasSystem` follow from: its `args`.

    Attributes:
        table: the coefficients.
        conditions: of the cells, or a function of time.
        k: the coefficients that do not move, (R, B); None where conditions are a function.
    """

    table: RateTable
    conditions: Conditions | Callable
    k: Float[Array, "R B"] | None = None


class GasSystem(AbstractSystem):
    """A network whose rate coefficients change with time, or with the abundances.

    They do where `conditions` is a function of time, and where expressions use abundances, such as
    the columns of self-shielding; otherwise `Kinetics` with coefficients computed once is the
    same at less cost. The Jacobian has the derivatives of the coefficients in it: dense columns of
    the species of `RateTable.depends`.

    Attributes:
        kinetics: the reactions.
        depends: indices of the species that rate coefficients depend on (static).
        depends_on_time: whether `conditions` of the args is a function (static).
    """

    kinetics: Kinetics
    depends: tuple[int, ...] = eqx.field(static=True)
    depends_on_time: bool = eqx.field(static=True)

    @property
    def pattern(self) -> Pattern:
        """See `AbstractSystem.pattern`."""
        # Without columns the values of the Jacobian are in the order of `kinetics`.
        if not self.depends:
            return self.kinetics.pattern
        return _joined(self.kinetics.pattern, self.depends).pattern

    @property
    def autonomous(self) -> bool:
        """See `AbstractSystem.autonomous`."""
        return not self.depends_on_time

    @property
    def conserved(self):
        """See `AbstractSystem.conserved`."""
        return self.kinetics.conserved

    def coefficients(self, t, y, gas: Gas) -> Float[Array, "R B"]:
        """k at times t (B,) and abundances y (S, B)."""
        table, conditions = gas.table, gas.conditions
        if self.depends_on_time:
            # Once, not again for each reaction.
            conditions = fence(lambda t: gas.conditions(t), t)
            k = table(conditions, y if self.depends else None)
            k = k[:, None] if k.ndim == 1 else k
            return jnp.broadcast_to(k, (k.shape[0], y.shape[1]))
        arrays, rest = eqx.partition((table, conditions), eqx.is_array)

        def moved(y, arrays):
            table, conditions = eqx.combine(arrays, rest)
            return table.moved(conditions, y)

        return self._put(gas.k, fence(moved, y, arrays), table.moving)

    def _put(self, k, moved, rows):
        """k (R, B) with other values in some rows."""
        source = np.arange(len(k))
        source[rows] = len(k) + np.arange(len(rows))
        return gather(
            jnp.concatenate([k, jnp.broadcast_to(moved, (len(rows), k.shape[1]))]), source
        )

    def rhs(self, t, y, args):
        """See `AbstractSystem.rhs`."""
        return self.kinetics.rhs(t, y, self.coefficients(t, y, args))

    def jacobian(self, t, y, args):
        """See `AbstractSystem.jacobian`."""
        values = self.kinetics.jacobian(t, y, self.coefficients(t, y, args))
        if not self.depends:
            return values

        def column(along):
            tangent = jnp.broadcast_to(along[:, None], y.shape)
            _, dk = jax.jvp(lambda y: self.coefficients(t, y, args), (y,), (tangent,))
            return self.kinetics.rhs(t, y, dk)

        unit = jnp.eye(len(y), dtype=y.dtype)[np.array(self.depends)]
        columns = jax.lax.map(column, unit).reshape(-1, y.shape[1])
        every = jnp.concatenate([values, jnp.zeros_like(y[:1]), columns])
        plan = _joined(self.kinetics.pattern, self.depends)
        return gather(every, plan.kinetic) + gather(every, plan.column)


class _Joined(NamedTuple):
    """A pattern, and where the two summands of each entry are in [kinetic, one zero, columns]."""

    pattern: Pattern
    kinetic: np.ndarray
    column: np.ndarray


@lru_cache(maxsize=64)
def _joined(pattern, depends):
    n, size = pattern.n, int(pattern.place.max(initial=-1)) + 1
    kinetic = dict(zip(zip(pattern.rows, pattern.cols, strict=True), pattern.place, strict=True))
    column = {(s, j): size + 1 + i * n + s for i, j in enumerate(depends) for s in range(n)}
    entries = sorted({*kinetic, *column})
    rows, cols = np.array(entries, int).reshape(-1, 2).T
    first, second = (
        np.array([places.get(at, size) for at in entries], np.int32) for places in (kinetic, column)
    )
    return _Joined(Pattern(n, rows, cols), first, second)
