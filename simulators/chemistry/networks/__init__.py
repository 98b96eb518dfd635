"""Networks that come with the package, each as a table of laws with their references.

    compact       29 species of H, He, C and O: diffuse, photon-dominated and dark gas
    primordial    9 species of H and He, 12 with deuterium
    robertson, hires    problems for stiff solvers, with their published solutions

`shielded` puts self-shielding on any network with photoreactions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources

from simulators.chemistry.laws import Expression, Photo
from simulators.chemistry.network import Network

#: Hydrogen nuclei per area and visual extinction [1 / cm^2 / mag] (Bohlin, Savage & Drake 1978,
#: ApJ 224, 132, with R_V = 3.1).
N_H_PER_A_V = 1.87e21

#: Abundances per hydrogen nucleus to begin with: atomic gas, and gas whose hydrogen is molecular
#: (C and O of diffuse clouds: Sofia et al. 2004, ApJ 605, 272; Savage & Sembach 1996, ARA&A 34).
ATOMIC = {"H": 1.0, "He": 0.1, "C+": 1.6e-4, "O": 3.2e-4, "e-": 1.6e-4}
MOLECULAR = {"H2": 0.5, "He": 0.1, "C+": 1.6e-4, "O": 3.2e-4, "e-": 1.6e-4}

# Photoreactions that are shielded by lines, and the factor on their rates.
_SHIELDED = {
    (("H2",), ("H", "H")): "shield_h2(column_h2, doppler)",
    (("CO",), ("C", "O")): "shield_co(column_co, column_h2)",
    (("N2",), ("N", "N")): "shield_n2(column_n2, column_h2)",
    (("C",), ("C+", "e-")): "shield_c(column_c, column_h2)",
}


def compact(columns: str = "slab") -> Network:
    """Hydrogen, helium, carbon and oxygen: 29 species, 259 reactions.

    Two-body reactions, cosmic rays and the photons that they induce, starlight with H2, CO and C
    shielded, H2 formation and recombination on grains, and what hydrogen does in hot gas. See the
    head of `compact.txt` for what is left out; `network.reactions[i].where` is a law's reference.

    Args:
        columns: what shields, see `shielded`.

    >>> network = compact()
    >>> len(network.species), len(network.reactions)
    (29, 259)
    >>> network.reactions[network.making("CO")[0]].where
    'Smith, Herbst & Chang 2004, MNRAS 350, 323'
    """
    return shielded(_read("compact"), columns)


def primordial(deuterium: bool = False) -> Network:
    """Gas of hydrogen and helium without dust and radiation: 9 species, or 12 with deuterium.

    H, H+, H-, H2, H2+, He, He+, He++ and e-; D, D+ and HD. The rates of H2's dissociation by
    collisions depend on the density (Glover & Abel 2008, MNRAS 388, 1627).

    >>> primordial(deuterium=True).species[-3:]
    ('D', 'D+', 'HD')
    """
    network = _read("primordial")
    return network + _read("deuterium") if deuterium else network


def shielded(network: Network, columns: str = "slab", doppler: float = 3.0) -> Network:
    """A network whose photodissociation of H2, CO and N2 and ionisation of C are shielded.

    Their `Photo` laws become expressions with the factors of `simulators.chemistry.shielding`,
    so that alpha and gamma are no coefficients any more (`RateTable.log_factor` is).

    Args:
        network: a network with photoreactions.
        columns: "slab" for columns from the abundances of the moment, as if they were the same all
            the way to the source of light: N(X) = 1.87e21 / cm^2 A_V y(X). "given" for columns
            [1 / cm^2] given as extras of the conditions: column_h2, column_co, and column_c,
            column_n2 if the network has them.
        doppler: Doppler parameter of H2 [km / s].

    Raises:
        ValueError: for other `columns`, a Doppler parameter that is not above zero, or if the
            network has none of these photoreactions, or not the species that shields.

    >>> from simulators.chemistry.network import Reaction
    >>> photo = Reaction(("H2",), ("H", "H"), Photo(5.7e-11, 4.18))
    >>> shielded(Network([photo])).reactions[0].law.text
    '5.7e-11*chi*exp(-4.18*av)*shield_h2(column_h2, doppler)'
    """
    if columns not in ("slab", "given"):
        raise ValueError(f"shielded: columns={columns!r}; give 'slab' or 'given'.")
    if not 0.0 < doppler < float("inf"):
        raise ValueError(f"shielded: doppler={doppler!r} [km/s]; give a finite value above zero.")
    reactions, molecules = [], {"H2"}
    for reaction in network.reactions:
        factor = _SHIELDED.get((reaction.reactants, tuple(sorted(reaction.products))))
        law = reaction.law
        if factor is not None and isinstance(law, Photo):
            alpha = law.alpha / law.G0_ref
            text = f"{alpha!r}*chi*exp(-{law.gamma!r}*av)*{factor}"
            reaction = replace(reaction, law=Expression(text))
            molecules.add(reaction.reactants[0])
        reactions.append(reaction)
    if tuple(reactions) == network.reactions:
        raise ValueError("shielded: the network has no photoreaction of H2, CO, N2 or C to shield.")
    definitions = {**network.definitions, "doppler": repr(float(doppler))}
    if columns == "slab":
        missing = molecules - set(network.species)
        if missing:
            raise ValueError(f"shielded: the network has no {missing}; give columns='given'.")
        definitions |= {
            f"column_{x.lower()}": f"{N_H_PER_A_V!r}*av*n(idx_{x})/nh" for x in sorted(molecules)
        }
    return replace(network, reactions=tuple(reactions), definitions=definitions)


@dataclass(frozen=True)
class Problem:
    """A problem for solvers: with n_H = 1 a network's rates are those of the problem.

    Attributes:
        network: the network; its species have the problem's numbers, "H_1" for y_1.
        initial: {species: value} at t = 0; others are zero.
        time: when the solution is known.
        solution: {species: value} at that time.
        source: where the solution is published.
    """

    network: Network
    initial: Mapping[str, float]
    time: float
    solution: Mapping[str, float]
    source: str


_TEST_SET = "Mazzia & Magherini 2008, Test Set for Initial Value Problem Solvers, release 2.4"


def robertson() -> Problem:
    """Robertson's autocatalytic reaction (1966) to t = 1e11; three species.

    >>> print(robertson().network.reactions[2])
    H_2 + H_3 -> H_1 + H_3
    """
    solution = {
        "H_1": 0.2083340149701255e-07,
        "H_2": 0.8333360770334713e-13,
        "H_3": 0.9999999791665050,
    }
    return Problem(_read("robertson"), {"H_1": 1.0}, 1e11, solution, _TEST_SET)


def hires() -> Problem:
    """High irradiance responses of photomorphogenesis (Schaefer 1975) to t = 321.8122.

    Its eight species, with a reservoir H_0 for the constant source and H_9 for what is lost. Their
    values at the end follow from the others and are not part of the solution.

    >>> len(hires().network.species), len(hires().solution)
    (10, 8)
    """
    solution = {
        "H_1": 0.7371312573325668e-3,
        "H_2": 0.1442485726316185e-3,
        "H_3": 0.5888729740967575e-4,
        "H_4": 0.1175651343283149e-2,
        "H_5": 0.2386356198831331e-2,
        "H_6": 0.6238968252742796e-2,
        "HeH_7": 0.2849998395185769e-2,
        "He_8": 0.2850001604814231e-2,
    }
    initial = {"H_0": 1.0, "H_1": 1.0, "He_8": 0.0057}
    return Problem(_read("hires"), initial, 321.8122, solution, _TEST_SET)


def _read(name):
    path = resources.files("simulators.chemistry.networks") / f"{name}.txt"
    with resources.as_file(path) as file:
        return Network.read(file, "table")
