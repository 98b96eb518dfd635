"""The model of the ready job: a dark cloud of one density, from atoms and H2 to its molecules."""

import jax.numpy as jnp
import numpyro.distributions as dist

from jaxastro.core import Model, Parameter, Prior
from simulators.chemistry.conditions import Conditions
from simulators.chemistry.evolve import index_of
from simulators.chemistry.laws import GrainH2
from simulators.chemistry.network import Network, Reaction
from simulators.chemistry.observe import ObservedAbundances
from simulators.chemistry.rates import RateTable
from simulators.chemistry.simulator import Cloud
from simulators.chemistry.species import species

#: "Low metal" abundances per hydrogen nucleus (Wakelam & Herbst 2008, ApJ 680, 371, table 1, EA1;
#: after Graedel, Langer & Frerking 1982, ApJS 48, 321); hydrogen is molecular.
LOW_METAL = {
    "H2": 0.5, "He": 0.14, "N": 2.14e-5, "O": 1.76e-4, "C+": 7.3e-5, "S+": 8e-8, "Si+": 8e-9,
    "Fe+": 3e-9, "Na+": 2e-9, "Mg+": 7e-9, "P+": 2e-10, "Cl+": 1e-9,
}  # fmt: skip


def with_grains(network: Network) -> Network:
    """The network, with the formation of H2 on grains where it has no reaction that makes H2 so.

    Gas-phase databases have none, and without it cosmic rays turn all H2 to H in 10^9 yr.

    >>> from simulators.chemistry import Arrhenius
    >>> gas = Network([Reaction(("H", "H-"), ("H2", "e-"), Arrhenius(4e-9))])
    >>> print(with_grains(gas).reactions[-1])
    H + H -> H2
    """
    made = {"H", "H2"} <= set(network.species)
    already = any(r.reactants == ("H", "H") and r.products == ("H2",) for r in network.reactions)
    if already or not made:
        return network
    where = "Hollenbach & McKee 1979, ApJS 41, 555"
    return network + Network([Reaction(("H", "H"), ("H2",), GrainH2(), where=where)])


def low_metal(network: Network):
    """`LOW_METAL` of the species that the network has, with the electrons that make it neutral.

    >>> from simulators.chemistry import networks
    >>> {x: float(n) for x, n in low_metal(networks.compact()).items()}
    {'H2': 0.5, 'He': 0.14, 'O': 0.000176, 'C+': 7.3e-05, 'e-': 7.3e-05}
    """
    initial = {x: n for x, n in LOW_METAL.items() if x in network.species}
    charge = sum(species(x).charge * n for x, n in initial.items())
    return initial | ({"e-": charge} if charge else {})


def cloud_prior() -> Prior:
    """Normal in the logarithms: ionisation rate of H2 -16.7 +- 0.6 [1 / s], density 4.5 +- 0.6
    [1 / cm^3], age 5.5 +- 0.7 [yr].

    In gas that starlight does not reach, abundances depend on zeta / n_H and n_H t alone: what
    else the posterior says comes from the prior. So give one that says what is known of the
    density. Normal ones leave that ridge straight for NUTS, which bounds would bend.
    """

    def about(mean, sigma, unit, label):
        return Parameter(dist.Normal(mean, sigma), unit, label)

    return Prior(
        log10_zeta=about(-16.7, 0.6, "dex(1 / s)", r"$\log_{10} \zeta$"),
        log10_n_H=about(4.5, 0.6, "dex(cm-3)", r"$\log_{10} n_{\rm H}$"),
        log10_age=about(5.5, 0.7, "dex(yr)", r"$\log_{10} t$"),
    )


def cloud_model(
    network: Network,
    conditions: Conditions,
    initial: dict,
    observed: ObservedAbundances,
    prior: Prior | None = None,
) -> Model:
    """Ionisation rate, density and age of a cloud from its abundances.

    Args:
        network: the network.
        conditions: of one cell: what the prior does not hold is as here.
        initial: {species: abundance} at age zero.
        observed: abundances, errors and limits.
        prior: of parameters of `Cloud`; by default `cloud_prior`.
    """
    table = RateTable.of(network)
    y0 = jnp.zeros(len(table.species))
    for name, value in initial.items():
        y0 = y0.at[index_of(table.species, name)].set(value)
    simulator = Cloud(table, conditions, y0, observed)
    return Model(cloud_prior() if prior is None else prior, simulator)
