"""The coefficients of all reactions of a network, as arrays, and their values in given gas."""

import dataclasses
import warnings
from collections import defaultdict

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.conditions import Conditions, Local
from simulators.chemistry.expression_rates import Expressions
from simulators.chemistry.laws import LAWS, Expression
from simulators.chemistry.network import OUTSIDE, Network
from simulators.chemistry.report import windows


class RateTable(eqx.Module):
    """Rate coefficients of a network, differentiable in every number of its laws.

    The abundances y = n / n_H (per hydrogen nucleus) follow

    .. math:: \\frac{dy_s}{dt} = \\sum_r (\\nu'_{rs} - \\nu_{rs})\\, k_r
        \\prod_{i \\in \\mathrm{orders}(r)} y_i

    in seconds: the powers n_H^(m - 1) of m-body reactions are in k. Row r of all is
    `network.reactions[r]`. Of several entries of one reaction those in use at the temperature of a
    cell have their rate, the others zero.

    Attributes:
        coefficients: {law: {name: array (n,)}}, the numbers of the n reactions of each law, which
            are rows `table.rows(law)`. All may be replaced or differentiated.
        log_factor: natural logarithm of a factor on each k, shape (R,); zero as read.

    >>> from simulators.chemistry.laws import Arrhenius, CosmicRay
    >>> from simulators.chemistry.network import Reaction
    >>> ionised = Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(0.5))
    >>> recombined = Reaction(("H+", "e-"), ("H",), Arrhenius(4e-12, -0.6))
    >>> table = RateTable.of(Network([ionised, recombined]))
    >>> k = table(Conditions(n_H=100.0, temperature=300.0, zeta=2e-17))
    >>> [f"{float(x):.1e}" for x in k]
    ['1.0e-17', '4.0e-10']
    """

    coefficients: dict[str, dict[str, Float[Array, " n"]]]
    log_factor: Float[Array, " R"]
    _plan: "_Plan" = eqx.field(static=True)

    @classmethod
    def of(cls, network: Network, outside: str | None = None):
        """The table of a network.

        Args:
            network: the network.
            outside: what all laws do outside their ranges of temperature, "extrapolate" or
                "clamp", "zero" or "zero below" (see `Reaction.outside`); without it what each
                reaction says, which is what the database's own codes do.

        Raises:
            ValueError: for another `outside`.
        """
        if outside is not None:
            if outside not in OUTSIDE:
                raise ValueError(f"RateTable.of: outside={outside!r}; give one of {OUTSIDE}.")
            reactions = [dataclasses.replace(r, outside=outside) for r in network.reactions]
            network = dataclasses.replace(network, reactions=tuple(reactions))
        plan = _Plan(network)
        coefficients = {
            name: {c: jnp.asarray(group.numbers[c]) for c in LAWS[name].coefficients}
            for name, group in plan.groups.items()
        }
        return cls(coefficients, jnp.zeros(len(network.reactions)), plan)

    @property
    def network(self):
        """The network, as it was read."""
        return self._plan.network

    @property
    def species(self):
        """Names of the species, in the order of abundances."""
        return self._plan.network.species

    @property
    def reactants(self):
        """For each reaction the indices of the species that it uses up, repeated as often."""
        return self._plan.reactants

    @property
    def products(self):
        """For each reaction the indices of the species that it makes."""
        return self._plan.products

    @property
    def orders(self):
        """For each reaction the indices of the species whose abundances multiply k."""
        return self._plan.orders

    def rows(self, law):
        """The rows of the reactions with a law, by its name."""
        return self._plan.groups[law].rows

    def __call__(
        self, conditions: Conditions, abundances: Float[Array, "S *B"] | None = None
    ) -> Float[Array, "R *B"]:
        """The coefficients k [1 / s], with n_H^(m - 1) in them.

        Args:
            conditions: of one cell, or of B cells.
            abundances: for the networks whose expressions use densities of species; y of shape
                (S,) or (S, B).

        Raises:
            ValueError: if an expression uses what is not given, abundances or a variable.

        Returns:
            k of shape (R,) or (R, B), in the precision of `conditions.temperature`.
        """
        plan, dtype = self._plan, jnp.result_type(conditions.temperature)
        parts = []
        for name, group in plan.groups.items():
            if name == "Expression":
                parts.append(plan.expressions(conditions, abundances))
                continue
            local = Local(conditions, group.limits, group.bodies)
            numbers = {
                key: jnp.asarray(value, dtype)[:, None] for key, value in group.numbers.items()
            }
            for key, value in self.coefficients[name].items():
                numbers[key] = value.astype(dtype)[:, None]
            parts.append(LAWS[name].rate(numbers, local))
        width = max(part.shape[1] for part in parts)
        k = jnp.concatenate([jnp.broadcast_to(p, (p.shape[0], width)) for p in parts])
        k = self._in_use(k[plan.position], slice(None), conditions)
        return jnp.broadcast_to(k, (k.shape[0], *conditions.cells)) if conditions.cells else k[:, 0]

    def _in_use(self, k, rows, conditions):
        """k (n, B) of rows with their factors, zero where they are not in use."""
        plan, dtype = self._plan, k.dtype
        k = k * jnp.exp(self.log_factor[rows].astype(dtype))[:, None]
        low, high = (x[rows] for x in plan.windows)
        if np.any(low > 0.0) or np.any(high < np.inf):
            T = Local(conditions).temperature
            low, high = (jnp.asarray(x[:, None], dtype) for x in (low, high))
            k = jnp.where((low <= T) & (high > T), k, 0.0)
        return k

    @property
    def moving(self):
        """Rows of the reactions whose k changes with the abundances, integers; mostly none."""
        expressions = self._plan.expressions
        return self.rows("Expression")[expressions.moving] if expressions else np.zeros(0, int)

    def moved(self, conditions: Conditions, abundances: Float[Array, "S B"]) -> Float[Array, "M B"]:
        """k of the `moving` rows alone, for the steps of a solver."""
        k = self._plan.expressions(conditions, abundances, moving=True)
        return self._in_use(k, self.moving, conditions)

    @property
    def depends(self):
        """Indices of the species whose abundances expressions use in k itself; mostly none."""
        return self._plan.expressions.depends if self._plan.expressions else ()

    def warn_outside(self, conditions: Conditions):
        """Warn if some cells' temperatures are outside every range of some reactions.

        For use before compiled code, on known conditions. Returns the number of such reactions.
        """
        T = np.atleast_1d(np.asarray(conditions.temperature))
        low, high = self._plan.ranges
        outside = (low > T.min()) | (high < T.max())
        count = int(outside.sum())
        if count:
            how = ", ".join(
                f"{sum(outside & (self._plan.outside == way))} by {way!r}"
                for way in OUTSIDE
                if np.any(outside & (self._plan.outside == way))
            )
            warnings.warn(
                f"RateTable: temperatures of {T.min():g} to {T.max():g} K are outside every range "
                f"of {count} of {len(outside)} reactions, which are treated {how}; another policy "
                "is `RateTable.of(network, outside=...)`.",
                stacklevel=3,
            )
        return count


@dataclasses.dataclass(frozen=True)
class _Group:
    """The reactions of one law: their rows, numbers, powers of n_H and limits of temperature."""

    rows: np.ndarray
    numbers: dict
    bodies: np.ndarray
    limits: tuple | None


class _Plan:
    """What is fixed about a table; equal for equal networks, so that they share compiled code."""

    def __init__(self, network):
        reactions = network.reactions
        self.network = network
        at = {name: i for i, name in enumerate(network.species)}
        self.reactants, self.products, self.orders = (
            tuple(tuple(at[name] for name in getattr(r, side)) for r in reactions)
            for side in ("reactants", "products", "orders")
        )
        rows = defaultdict(list)
        for i, reaction in enumerate(reactions):
            rows[type(reaction.law).__name__].append(i)
        self.groups = {
            name: _group(np.array(where), [reactions[i] for i in where])
            for name, where in rows.items()
        }
        self.expressions = Expressions(network) if "Expression" in rows else None
        order = np.concatenate([group.rows for group in self.groups.values()])
        self.position = np.argsort(order)
        self.windows = windows(reactions).T
        self.outside = np.array([r.outside for r in reactions])
        # Of several entries the union of their ranges counts.
        reach = {}
        for r in reactions:
            low, high = reach.get(r.same, (r.t_min, r.t_max))
            reach[r.same] = min(low, r.t_min), max(high, r.t_max)
        self.ranges = np.array([reach[r.same] for r in reactions]).T

    def __eq__(self, other):
        return self is other or (isinstance(other, _Plan) and self.network == other.network)

    def __hash__(self):
        return hash((self.network.species, len(self.network.reactions)))


def _group(rows, reactions):
    law = type(reactions[0].law)
    names = [f.name for f in dataclasses.fields(law)]
    if law is Expression:
        return _Group(rows, {}, None, None)
    numbers = {n: np.array([getattr(r.law, n) for r in reactions], dtype=float) for n in names}
    bodies = np.array([len(r.orders) - 1 for r in reactions])
    low, high = np.array([r.limits for r in reactions]).T
    limited = np.any(low > 0.0) or np.any(high < np.inf)
    return _Group(rows, numbers, bodies, (low, high) if limited else None)
