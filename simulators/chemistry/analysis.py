"""What a network does: the reactions that make and destroy a species, and what they matter."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.conditions import Conditions
from simulators.chemistry.evolve import evolve, index_of, kinetics_of
from simulators.chemistry.network import Network, Reaction
from simulators.chemistry.rates import RateTable


class Share(NamedTuple):
    """A reaction, and how many of a species it makes [per hydrogen nucleus and second], or less
    than zero, destroys."""

    reaction: Reaction
    rate: float


def budget(
    network: Network | RateTable, conditions: Conditions, y: Float[Array, " S"], name: str
) -> list[Share]:
    """The reactions that make or destroy a species in one cell, the fastest first.

    Args:
        network: the network or its table.
        conditions: of the cell.
        y: abundances at one time, `history.y[i]`.
        name: of the species.

    >>> from simulators.chemistry import networks
    >>> gas = Conditions(n_H=1e3, temperature=20.0)
    >>> network = networks.compact()
    >>> y = jnp.full(29, 1e-9).at[network.species.index("H2")].set(0.5)
    >>> share = budget(network, gas, y, "H3+")[0]
    >>> print(share.reaction)
    H2+ + H2 -> H3+ + H
    """
    table = network if isinstance(network, RateTable) else RateTable.of(network)
    s, y = index_of(table.species, name), jnp.asarray(y)
    k = table(conditions, y if table.depends else None)
    rates = np.asarray(kinetics_of(table).rates(y[:, None], k[:, None])[:, 0])
    change = np.array([made.count(s) - lost.count(s) for lost, made in _sides(table)], float)
    shares = change * rates
    order = np.argsort(-np.abs(shares), kind="stable")
    return [Share(table.network.reactions[r], float(shares[r])) for r in order if shares[r]]


def _sides(table):
    return zip(table.reactants, table.products, strict=True)


class Sensitivity(NamedTuple):
    """A reaction and d ln x / d ln k of it."""

    reaction: Reaction
    value: float


def log_sensitivities(
    table: RateTable,
    conditions: Conditions,
    initial,
    time: Float[Array, ""],
    name: str,
    rtol: float = 1e-6,
) -> Float[Array, " R"]:
    r"""d ln x / d ln k_r of one species at one time, for all reactions, by one reverse pass.

    Another species is not compiled again.

    Args:
        table: the coefficients; row r is `table.network.reactions[r]`.
        conditions, initial: as of `evolve`, of one cell.
        time: [yr].
        name: of the species.
        rtol: of the integration.
    """
    s = jnp.asarray(index_of(table.species, name))
    time = jnp.asarray(time, jnp.result_type(float))
    return _log_sensitivities(table, conditions, initial, time, s, rtol)


@eqx.filter_jit
def _log_sensitivities(table, conditions, initial, time, s, rtol):
    def log_x(log_factor):
        changed = eqx.tree_at(lambda t: t.log_factor, table, log_factor)
        history = evolve(changed, conditions, initial, time[None], rtol=rtol)
        return jnp.log(history.y[0, s])

    return jax.grad(log_x)(table.log_factor)


def ranked(table: RateTable, sensitivities: Float[Array, " R"], n: int = 10) -> list[Sensitivity]:
    """The n reactions that matter most, the largest |d ln x / d ln k| first."""
    values = np.asarray(sensitivities)
    order = np.argsort(-np.abs(values), kind="stable")[:n]
    return [Sensitivity(table.network.reactions[r], float(values[r])) for r in order]
