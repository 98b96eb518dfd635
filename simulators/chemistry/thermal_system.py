"""The gas's temperature as a state beside the abundances."""

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.conditions import Conditions
from simulators.chemistry.evolve import (
    YEAR,
    History,
    cells_in_blocks,
    rising,
    starting,
)
from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.network import Network
from simulators.chemistry.rates import RateTable
from simulators.chemistry.solver import solve
from simulators.chemistry.sparse import Pattern
from simulators.chemistry.sums import fence
from simulators.chemistry.system import AbstractSystem
from simulators.chemistry.thermal import Thermal
from simulators.shared.elementwise import at_least

#: Temperatures below count as this one [K]: the solver's stages may go astray.
_COLDEST = 1.0


class Heated(NamedTuple):
    """The `args` of a `ThermalSystem`.

    Attributes:
        table: coefficients of the reactions.
        conditions: of the cells; their temperature is not used.
        thermal: heating and cooling.
    """

    table: RateTable
    conditions: Conditions
    thermal: Thermal


class ThermalSystem(AbstractSystem):
    """A network and the gas's temperature: the state is (S + 1, B), the temperature [K] last.

    Attributes:
        kinetics: the reactions.
        depends: indices of the species that rate coefficients depend on, `RateTable.depends`.

    >>> from simulators.chemistry import networks
    >>> system = ThermalSystem.of(networks.primordial())
    >>> system.pattern.n, system.autonomous
    (10, True)
    """

    kinetics: Kinetics
    depends: tuple[int, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, network: Network | RateTable):
        """The system of a network."""
        table = network if isinstance(network, RateTable) else RateTable.of(network)
        lists = table.reactants, table.products, table.orders
        return cls(Kinetics.of(len(table.species), *lists), table.depends)

    @property
    def pattern(self) -> Pattern:
        """See `AbstractSystem.pattern`."""
        return _with_temperature(self.kinetics.pattern, self.depends)

    def _at(self, T, args):
        return dataclasses.replace(args.conditions, temperature=at_least(T, _COLDEST))

    def _coefficients(self, y, T, args):
        def k(y, T):
            k = args.table(self._at(T, args), y if self.depends else None)
            return jnp.broadcast_to(k, (k.shape[0], y.shape[1]))

        return fence(k, y, T)

    def _warming(self, v, dy_dt, y, T, args):
        """dT / dt."""

        def dT_dt(v, dy_dt, y, T):
            return args.thermal.dT_dt(v, dy_dt, y, self._at(T, args))

        return fence(dT_dt, v, dy_dt, y, T)

    def rhs(self, t, y, args):
        """See `AbstractSystem.rhs`."""
        del t
        y, T = y[:-1], y[-1]
        v = fence(self.kinetics.rates, y, self._coefficients(y, T, args))
        dy_dt = self.kinetics.change(v)
        return jnp.concatenate([dy_dt, self._warming(v, dy_dt, y, T, args)[None]])

    def jacobian(self, t, y, args):
        """See `AbstractSystem.jacobian`."""
        y, T = y[:-1], y[-1]
        n, cells = y.shape
        k = self._coefficients(y, T, args)
        v, through_y = jax.vjp(lambda y: self.kinetics.rates(y, k), y)
        dy_dt, through_v = jax.vjp(self.kinetics.change, v)
        _, back = jax.vjp(lambda *x: self._warming(*x, args), v, dy_dt, y, T)
        by_v, by_change, by_y, by_T = back(jnp.ones_like(T))
        # The derivatives of dT / dt with the coefficients k fixed, and by the rates v.
        by_v = by_v + through_v(by_change)[0]
        row = jnp.concatenate([by_y + through_y(by_v)[0], by_T[None]])

        def moved(tangent):
            """What the change of k with one of the unknowns does to dy / dt and dT / dt."""
            dy = jnp.broadcast_to(tangent[:-1, None], y.shape)
            dT = jnp.broadcast_to(tangent[-1], T.shape)
            _, dk = jax.jvp(lambda y, T: self._coefficients(y, T, args), (y, T), (dy, dT))
            dv = self.kinetics.rates(y, dk)
            return jnp.concatenate([self.kinetics.change(dv), jnp.sum(by_v * dv, axis=0)[None]])

        move = np.array([*self.depends, n])
        columns = jax.lax.map(moved, jnp.eye(n + 1, dtype=y.dtype)[move])
        values, pattern = self.kinetics.jacobian(t, y, k), self.kinetics.pattern
        full = jnp.zeros((n + 1, n + 1, cells), y.dtype)
        full = full.at[pattern.cols, pattern.rows].set(values[pattern.place])
        full = full.at[:, n].set(row).at[move].add(columns)
        whole = self.pattern
        return full[whole.cols, whole.rows]


@lru_cache(maxsize=32)
def _with_temperature(pattern, depends):
    """A pattern with the temperature, and full columns of it and the species in `depends`."""
    n = pattern.n
    entries = {*zip(pattern.rows.tolist(), pattern.cols.tolist(), strict=True)}
    entries |= {(i, j) for i in range(n) for j in (*depends, n)} | {(n, j) for j in range(n + 1)}
    return Pattern(n + 1, *np.array(sorted(entries)).T)


def evolve_temperature(
    network: Network | RateTable,
    conditions: Conditions,
    initial: Mapping | Float[Array, "S *B"],
    times: Float[Array, " T"],
    *,
    T_cmb: float = 2.725,
    velocity_gradient: float = 1.0,
    rtol: float = 1e-6,
    atol: float = 1e-21,
    max_steps: int = 4096,
    block: int | None = None,
) -> tuple[History, Float[Array, "T *B"]]:
    """Integrate a network with the gas's temperature, at constant density.

    A pure function, differentiable as `evolve`. Use float64: in float32 networks with H- end with
    steps that are too small, which `History.result` says.

    Args:
        network, initial, times, rtol, atol, max_steps, block: as of `evolve`.
        conditions: as of `evolve`, with the temperature at the beginning.
        T_cmb, velocity_gradient: see `Thermal`.

    Returns:
        The abundances, and the temperatures [K], (T,) or (T, B).

    Raises:
        ValueError: as `evolve`; for a network with reactions on dust, if the conditions have no
            T_dust.

    >>> from simulators.chemistry import Arrhenius, Reaction
    >>> network = Network([Reaction(("H+", "e-"), ("H",), Arrhenius(4.1e-12, -0.72))])
    >>> hot, ionised = Conditions(n_H=1.0, temperature=2e4), {"H+": 1.0, "e-": 1.0}
    >>> history, T = evolve_temperature(network, hot, ionised, jnp.array([1e4, 1e6]), rtol=1e-4)
    >>> [f"{x:.1e}" for x in T]
    ['1.3e+04', '7.3e+03']
    """
    table = network if isinstance(network, RateTable) else RateTable.of(network)
    thermal = Thermal.of(table.network, T_cmb, velocity_gradient)
    times = rising(times)
    y0, shape = starting(table.species, initial, conditions.cells, times)
    T = jnp.broadcast_to(conditions.temperature.astype(times.dtype), y0.shape[1:])
    state = jnp.concatenate([y0, T[None]])
    control = float(rtol), float(atol), int(max_steps)
    found = _run(table, thermal, conditions, state, YEAR * times, control, block)
    ys, result, steps = found if shape else (a[..., 0] for a in found)
    return History(times, ys[:, :-1], result, steps, table.species), ys[:, -1]


@eqx.filter_jit
def _run(table, thermal, conditions, state, times, control, block):
    system, (rtol, atol, max_steps) = ThermalSystem.of(table), control

    def integrated(state, conditions):
        args = Heated(table, conditions, thermal)
        found = solve(system, state, times, args, rtol=rtol, atol=atol, max_steps=max_steps)
        return found.ys, found.result, found.steps

    return cells_in_blocks(integrated, block, state, conditions)
