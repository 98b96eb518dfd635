"""Abundances of a reaction network over time: what a user calls."""

import difflib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import lru_cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from simulators.chemistry.conditions import Conditions
from simulators.chemistry.gas import Gas, GasSystem
from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.march import SUCCESS
from simulators.chemistry.network import Network
from simulators.chemistry.rates import RateTable
from simulators.chemistry.solver import solve
from simulators.chemistry.species import species
from simulators.shared.batches import in_blocks
from simulators.shared.fields import known

#: Julian year [s].
YEAR = 365.25 * 86400.0
#: Cells that are integrated together where rates change: each goes on until the slowest has ended.
BLOCK = 32
#: Charges per hydrogen nucleus that initial abundances may be off by.
NEUTRAL = 1e-12


class History(eqx.Module):
    """Abundances over time; `history["CO"]` is one species'.

    Attributes:
        times: [yr], (T,).
        y: abundances per hydrogen nucleus, (T, S), or (T, S, B) for B cells.
        result: 0 of a cell that was integrated to the end, else why not (see `march`), () or (B,).
            Abundances of a failed cell are the last that it reached, from where it stopped.
        steps: accepted steps, () or (B,).
        species: names, in the order of y (static).

    >>> history = History(jnp.ones(1), jnp.ones((1, 2)), jnp.array(0), jnp.array(9), ("H", "e-"))
    >>> history["e-"].tolist(), history.n_failed
    ([1.0], 0)
    """

    times: Float[Array, " T"]
    y: Float[Array, "T S *B"]
    result: Int[Array, "*B"]
    steps: Int[Array, "*B"]
    species: tuple[str, ...] = eqx.field(static=True)

    def __getitem__(self, name):
        return self.y[:, index_of(self.species, name)]

    @property
    def n_failed(self):
        """How many cells were not integrated to the end; not inside of compiled code."""
        return int(np.sum(np.asarray(self.result) != SUCCESS))


def evolve(
    network: Network | RateTable,
    conditions: Conditions | Callable,
    initial: Mapping | Float[Array, "S *B"],
    times: Float[Array, " T"],
    *,
    rtol: float = 1e-6,
    atol: float = 1e-21,
    max_steps: int = 4096,
    interpolate: bool = False,
    block: int | None = None,
) -> History:
    r"""Integrate a network from t = 0, by an L-stable method with an analytic Jacobian.

    .. math:: \frac{dy_s}{dt} = \sum_r (\nu'_{rs} - \nu_{rs})\, k_r \prod_{i \in r} y_i, \quad
        y = n / n_{\rm H}

    A pure function, with derivatives in both modes in conditions, initial abundances and all
    coefficients of a `RateTable` (`table.coefficients`, `table.log_factor`). Only another network,
    another number of cells or of times is compiled again.

    Args:
        network: a network, or its `RateTable`; make that once, where there are many calls.
        conditions: of one cell, or of B cells; or a function from time [yr], an array (B,), to the
            `Conditions` of these, for gas that collapses or warms up. An `eqx.Module` with
            `__call__` keeps its numbers differentiable: see `tracks` and `Tabulated`.
        initial: abundances per hydrogen nucleus at t = 0, {species: value} with zero for what is
            not named, or an array (S,); values, or the array's last axis, may be one for each cell.
        times: at which abundances are given [yr], rising, (T,).
        rtol, atol: of the error of each step, relative and absolute, per species. With the default
            abundances of dark clouds above 1e-15 are right to some 1e-6; see `benchmarks`.
        max_steps: of a cell at most.
        interpolate: let steps go over `times`, for many of them; see `solve`.
        block: cells at a time: memory is that of a block, whatever their number. By default as many
            as a core's cache holds, or 32 where rates change with abundances. Cells whose
            conditions are a function of time are taken all at once.

    Returns:
        A `History`, without the axis of cells where conditions and abundances had none.

    Raises:
        ValueError: for an unknown species, abundances that are negative, not finite or not neutral,
            times that do not rise. A cell that fails raises nothing: see `History.result`.

    >>> from simulators.chemistry import Network, Reaction, CosmicRay, Arrhenius
    >>> ionised = Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(0.5))
    >>> recombined = Reaction(("H+", "e-"), ("H",), Arrhenius(4e-12, -0.6))
    >>> gas = Conditions(n_H=100.0, temperature=300.0, zeta=2e-17)
    >>> history = evolve(Network([ionised, recombined]), gas, {"H": 1.0}, jnp.array([1e3, 1e7]))
    >>> [f"{float(x):.1e}" for x in history["e-"]]
    ['3.2e-07', '1.6e-04']
    """
    table = network if isinstance(network, RateTable) else RateTable.of(network)
    moving = callable(conditions)
    times = rising(times)
    cells = (conditions(jnp.zeros((1,), times.dtype)) if moving else conditions).cells
    y0, shape = starting(table.species, initial, () if moving and cells == (1,) else cells, times)
    if moving:
        conditions = _InSeconds(conditions)
    control = float(rtol), float(atol), int(max_steps), bool(interpolate)
    solution = _run(table, conditions, y0, YEAR * times, control, block, moving)
    y, result, steps = solution if shape else (a[..., 0] for a in solution)
    return History(times, y, result, steps, table.species)


def kinetics_of(table: RateTable) -> Kinetics:
    """The `Kinetics` of a table, planned once for all tables of its network."""
    return _kinetics(table.species, table.reactants, table.products, table.orders)


@lru_cache(maxsize=32)
def _kinetics(names, reactants, products, orders):
    made = [species(name) for name in names]
    numbers = [dict(one.elements) for one in made]
    elements = sorted({element for one in numbers for element in one})
    conserved = [[one.get(element, 0) for one in numbers] for element in elements]
    conserved = np.array([*conserved, [one.charge for one in made]], float)
    return Kinetics.of(len(names), reactants, products, orders, conserved=conserved)


def index_of(names, name):
    """The place of a species among `names`; ValueError with its neighbours where it has none."""
    if name in names:
        return names.index(name)
    with suppress(ValueError):
        if (canonical := species(name).name) in names:
            return names.index(canonical)
    near = difflib.get_close_matches(name, names, 3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(f"species {name!r} is not in the network of {len(names)} species{hint}")


def rising(times):
    """Times of outputs, (T,), as floats; ValueError if they do not rise from 0 on."""
    times = jnp.asarray(times, jnp.result_type(float))
    if times.ndim != 1 or times.size == 0:
        raise ValueError(f"times: shape {times.shape}; give one time or more [yr], along one axis.")
    if known(times):
        values = np.asarray(times)
        if not (np.all(np.isfinite(values)) and values[0] >= 0.0 and np.all(np.diff(values) > 0)):
            raise ValueError(f"times: {values}; give finite, rising times from 0 on [yr].")
    return times


def starting(names, initial, cells, times):
    """Abundances (S, B) at the start, and the shape of one value for each cell, () or (B,).

    Args:
        names: the species.
        initial: as of `evolve`, which says what is refused.
        cells: of the conditions, () or (B,).
        times: of the outputs, for the precision.
    """
    y0 = _initial(names, initial, times.dtype)
    shape = jnp.broadcast_shapes(cells, y0.shape[1:])
    if len(shape) > 1:
        raise ValueError(f"conditions, initial: of {shape} cells; give them along one axis.")
    y0 = y0 if y0.ndim > 1 else y0[:, None]
    return jnp.broadcast_to(y0, (y0.shape[0], *(shape or (1,)))), shape


def _initial(names, given, dtype):
    """Abundances (S,) or (S, B)."""
    if isinstance(given, Mapping):
        values = {index_of(names, name): jnp.asarray(v, dtype) for name, v in given.items()}
        if len(values) < len(given):
            raise ValueError(f"initial: {', '.join(given)} name one species twice; give it once.")
        shape = jnp.broadcast_shapes(*(v.shape for v in values.values()))
        zero = jnp.zeros(shape, dtype)
        y0 = jnp.stack([jnp.broadcast_to(values.get(i, zero), shape) for i in range(len(names))])
    else:
        y0 = jnp.asarray(given, dtype)
        if y0.ndim not in (1, 2) or y0.shape[0] != len(names):
            raise ValueError(
                f"initial: shape {y0.shape}; give ({len(names)},) or ({len(names)}, B), a value "
                "for each species of the network."
            )
    if known(y0):
        _check_initial(names, np.asarray(y0))
    return y0


def _check_initial(names, y0):
    bad = ~np.isfinite(y0) | (y0 < 0.0)
    if bad.any():
        at = tuple(np.argwhere(bad)[0])
        raise ValueError(
            f"initial: the abundance of {names[at[0]]} is {y0[at]:g}; give a finite value, at "
            "least 0."
        )
    charge = np.array([species(name).charge for name in names], float)
    excess = np.atleast_1d(charge @ y0)
    worst = excess[np.argmax(np.abs(excess))]
    if abs(worst) > NEUTRAL:
        electrons = y0[names.index("e-")].max() if "e-" in names else 0.0
        raise ValueError(
            f"initial: the abundances carry a charge of {worst:+.3g} per hydrogen nucleus; give "
            f"e- = {max(electrons + worst, 0.0):.6g}."
        )


class _InSeconds(eqx.Module):
    """A function of years as one of seconds."""

    function: Callable

    def __call__(self, t):
        return self.function(t / YEAR)


# Compiled here, unlike other physics: a loop of an uncompiled call would be compiled in each call.
@eqx.filter_jit
def _run(table, conditions, y0, times, control, block, moving):
    """y (T, S, B), result (B,), steps (B,) of all cells."""
    kinetics = kinetics_of(table)
    if not (moving or table.depends):
        return _integrate(kinetics, y0, times, _coefficients(table, conditions, y0), control, block)
    if moving:
        return _moved(table, conditions, y0, times, control, True)

    def still(y0, conditions):
        return _moved(table, conditions, y0, times, control, False)

    return cells_in_blocks(still, block, y0, conditions)


def cells_in_blocks(function, block, y0, conditions):
    """`function(y0, conditions)`, arrays with cells last, of at most `block` cells at a time.

    Reverse mode runs a block again, so that its memory is that of one block.
    """
    block = BLOCK if block is None else block
    if y0.shape[-1] <= block:
        return function(y0, conditions)
    varying, fixed = eqx.partition(conditions, jax.tree.map(lambda a: jnp.ndim(a) == 1, conditions))

    @jax.checkpoint
    def one(y0, varying):
        return function(y0, eqx.combine(varying, fixed))

    return in_blocks(one, block)(y0, varying)


def _moved(table, conditions, y0, times, control, moving):
    """As `_run`, of cells whose coefficients move."""
    system = GasSystem(kinetics_of(table), table.depends, moving)
    k = None if moving else _coefficients(table, conditions, y0)
    return _integrate(system, y0, times, Gas(table, conditions, k), control, y0.shape[1])


def _coefficients(table, conditions, y0):
    k = table(conditions, y0 if table.depends else None)
    k = k[:, None] if k.ndim == 1 else k
    return jnp.broadcast_to(k, (k.shape[0], y0.shape[1]))


def _integrate(system, y0, times, args, control, block):
    rtol, atol, max_steps, interpolate = control
    settings = {"max_steps": max_steps, "interpolate": interpolate, "block": block}
    found = solve(system, y0, times, args, rtol=rtol, atol=atol, **settings)
    return found.ys, found.result, found.steps
