"""Reactions and networks of them: what reacts with what, and by which law."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from simulators.chemistry.laws import FIRST_ORDER, Expression
from simulators.chemistry.report import Report, duplicates, outside
from simulators.chemistry.species import pseudo, species, totals

#: What a law does outside its range of temperatures; see `Reaction.outside`.
OUTSIDE = ("clamp", "extrapolate", "zero", "zero below")


class UnbalancedError(ValueError):
    """A reaction does not conserve elements and charge."""


#: What takes part without being a species, by the process of a law, as databases write it.
PARTNERS = {"cosmic ray": "CRP", "cosmic-ray photon": "CRPHOT", "photo": "PHOTON"}


@dataclass(frozen=True)
class Reaction:
    """One reaction with one law, valid in one range of temperatures.

    Attributes:
        reactants, products: names of species, repeated as often as they occur. Names are made
            canonical, and pseudo-species (CRP, PHOTON, M) are left out.
        law: one of `laws`.
        t_min, t_max: range of temperatures [K] that the law was made for.
        outside: what is done with it outside its range: "extrapolate" uses the formula as it is,
            "clamp" its value at the nearest end, "zero" no reaction, "zero below" no reaction below
            and the value at the end above.
        where: file and line that it comes from.

    Raises:
        ValueError: for no reactant, no product, a range the wrong way round, an unknown `outside`,
            or a reaction that does not conserve elements and charge.

    >>> from simulators.chemistry.laws import CosmicRay
    >>> print(Reaction(("H2", "CRP"), ("H2+", "E-"), CosmicRay(0.9)))
    H2 + CRP -> H2+ + e-
    """

    reactants: tuple[str, ...]
    products: tuple[str, ...]
    law: object
    t_min: float = 0.0
    t_max: float = float("inf")
    outside: str = "extrapolate"
    where: str = ""

    def __post_init__(self):
        for side in ("reactants", "products"):
            names = tuple(species(n).name for n in getattr(self, side) if not pseudo(n))
            object.__setattr__(self, side, names)
        wrong = None
        if not self.reactants:
            wrong = "has no reactant; give at least one species"
        elif self.outside not in OUTSIDE:
            wrong = f"has outside={self.outside!r}; give one of {OUTSIDE}"
        elif not self.t_min <= self.t_max:
            wrong = f"has temperatures {self.t_min:g} to {self.t_max:g} K; give t_min <= t_max"
        if wrong:
            raise ValueError(f"{self.where or 'Reaction'}: {self} {wrong}.")
        if gone := unbalanced(self):
            raise UnbalancedError(
                f"{self.where or 'Reaction'}: {self} does not conserve {gone}; correct it, or "
                "leave such reactions out with unbalanced='drop'."
            )

    def __str__(self):
        partner = PARTNERS.get(self.law.process)
        left = self.reactants if partner is None else (*self.reactants, partner)
        return f"{' + '.join(left)} -> {' + '.join(self.products)}"

    @property
    def formula(self):
        """The species alone, without the particle or photon of a law."""
        return f"{' + '.join(self.reactants)} -> {' + '.join(self.products)}"

    @property
    def orders(self):
        """The species whose abundances multiply the rate; the reactants, but for grains' laws."""
        if isinstance(self.law, Expression) and self.law.orders is not None:
            return self.law.orders
        return self.reactants[:1] if isinstance(self.law, FIRST_ORDER) else self.reactants

    @property
    def limits(self):
        """The temperatures [K] beyond which the law is not evaluated."""
        return (0.0, float("inf")) if self.outside == "extrapolate" else (self.t_min, self.t_max)

    @property
    def same(self):
        """What two entries of one reaction share."""
        return tuple(sorted(self.reactants)), tuple(sorted(self.products)), self.law.process


def unbalanced(reaction):
    """What a reaction does not conserve, as text: "C (1 -> 0), charge (0 -> 1)"; else empty."""
    before, after = totals(reaction.reactants), totals(reaction.products)
    differing = [x for x in before | after if before.get(x, 0) != after.get(x, 0)]
    return ", ".join(f"{x} ({before.get(x, 0):+d} -> {after.get(x, 0):+d})" for x in differing)


@dataclass(frozen=True)
class Network:
    """A network of reactions.

    Args:
        reactions: the reactions, in the order that rates and their coefficients have.
        definitions: variables that expressions use, as {name: text}.
        functions: functions that expressions use, as {name: (arguments, lines)}, with lines
            "x = ..." and a last one "return ...".
        report: what reading found; made anew here where it is not given.

    Attributes:
        species: canonical names in the order in which they first occur.

    Raises:
        ValueError: without any reaction.

    >>> from simulators.chemistry.laws import Arrhenius, CosmicRay
    >>> ionised = Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(0.5))
    >>> network = Network([ionised]) + [Reaction(("H+", "e-"), ("H",), Arrhenius(4e-12, -0.6))]
    >>> network.species, len(network.reactions)
    (('H', 'H+', 'e-'), 2)
    """

    reactions: tuple[Reaction, ...]
    definitions: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, tuple] = field(default_factory=dict)
    report: Report | None = field(default=None, compare=False)
    species: tuple[str, ...] = field(init=False)

    def __post_init__(self):
        set_field = object.__setattr__.__get__(self)
        set_field("reactions", tuple(self.reactions))
        if not self.reactions:
            raise ValueError("Network: it has no reaction; give at least one.")
        set_field("species", tuple(dict.fromkeys(n for r in self.reactions for n in _names(r))))
        report = self.report or Report()
        report = replace(
            report,
            species=len(self.species),
            reactions=len(self.reactions),
            duplicates=duplicates(self.reactions),
            outside=outside(self.reactions),
        )
        set_field("report", report)

    @classmethod
    def read(cls, path: str | os.PathLike, format: str | None = None, unbalanced: str = "raise"):
        """Read a file of reactions.

        Args:
            path: the file.
            format: "umist", "kida", "krome", "uclchem", "osu", "simba" or "table" (our own);
                found out from the content where it is not given.
            unbalanced: "raise", or "drop" to leave reactions out that do not conserve elements and
                charge, and report them.

        Raises:
            ValueError: names the file, the line and its text, and what is wrong with it.
            OSError: if the file cannot be read.
        """
        from simulators.chemistry.readers import read

        return read(path, format, unbalanced)

    def write(self, path: str | os.PathLike):
        """Write the network as our own table, from which `read` makes an equal one."""
        from simulators.chemistry.readers.table import write

        write(self, path)

    def index(self, name):
        """Where a species is among `species`, in any spelling.

        Raises:
            ValueError: if it is not there.
        """
        try:
            return self.species.index(species(name).name)
        except ValueError:
            raise ValueError(
                f"Network: no species {name!r} among its {len(self.species)} "
                f"({', '.join(self.species[:8])}, ...); see `network.species`."
            ) from None

    def sub(self, species: Iterable[str] | None = None, elements: Iterable[str] | None = None):
        """The reactions among the given species, or among all species made of given elements.

        Args:
            species: names in any spelling; the electron has to be among them if it is wanted.
            elements: symbols; the electron is always in.

        Raises:
            ValueError: for a name that is not in the network, or if no reaction remains.

        >>> from simulators.chemistry.laws import Arrhenius
        >>> h = Reaction(("H", "H"), ("H2",), Arrhenius(1e-17))
        >>> c = Reaction(("C", "H"), ("CH",), Arrhenius(1e-17))
        >>> Network([h, c]).sub(elements=["H"]).species
        ('H', 'H2')
        """
        kept = set(self.species)
        if species is not None:
            kept &= {self.species[self.index(name)] for name in species}
        if elements is not None:
            kept &= _made_of(self.species, set(elements))
        return self._with([r for r in self.reactions if kept.issuperset(_names(r))])

    def distinct(self):
        """Without the entries that repeat another's reaction, law and range (`Duplicate.alike`).

        >>> from simulators.chemistry.laws import Arrhenius
        >>> h2 = Reaction(("H", "H"), ("H2",), Arrhenius(1e-17))
        >>> len(Network([h2, h2]).distinct().reactions)
        1
        """
        first = {}
        for r in self.reactions:
            first.setdefault((r.same, r.law, r.t_min, r.t_max), r)
        return self._with(first.values())

    def making(self, name):
        """Indices of the reactions that have the species among their products."""
        name = self.species[self.index(name)]
        return [i for i, r in enumerate(self.reactions) if name in r.products]

    def destroying(self, name):
        """Indices of the reactions that have the species among their reactants."""
        name = self.species[self.index(name)]
        return [i for i, r in enumerate(self.reactions) if name in r.reactants]

    def __add__(self, more):
        """The network with more reactions, or with those of another network, after its own."""
        if isinstance(more, Network):
            for mine, other in (
                (self.definitions, more.definitions),
                (self.functions, more.functions),
            ):
                clash = [n for n in mine.keys() & other.keys() if mine[n] != other[n]]
                if clash:
                    raise ValueError(f"Network: both define {clash}, differently; rename them.")
            definitions = {**self.definitions, **more.definitions}
            functions = {**self.functions, **more.functions}
            return Network(self.reactions + more.reactions, definitions, functions, self.report)
        return self._with([*self.reactions, *more])

    def _with(self, reactions):
        return Network(tuple(reactions), self.definitions, self.functions, self.report)

    def __str__(self):
        return str(self.report)


def _names(reaction):
    return (*reaction.reactants, *reaction.products)


def _made_of(names, elements):
    unknown = elements - {symbol for n in names for symbol, _ in species(n).elements}
    if unknown:
        raise ValueError(
            f"Network.sub: no species holds elements {sorted(unknown)}; remove or correct them."
        )
    return {n for n in names if {symbol for symbol, _ in species(n).elements} <= elements}
