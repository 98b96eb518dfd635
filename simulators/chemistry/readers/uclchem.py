"""UCLCHEM's networks: commas between three reactants, four products and the numbers.

Holdship et al. 2017, AJ 154, 38; https://uclchem.github.io. Columns: R1, R2, R3, P1 to P4, alpha,
beta, gamma, T_min, T_max, and from version 3 on reduced mass, extrapolate, exothermicity; empty
slots are NAN. A word among the reactants names the process. Read are two-body reactions, IONOPOL1
and 2, CRP, CRPHOT and PHOTON (rates for an ionisation rate of 1.3e-17 / s), H2FORM, FREEZE, THERM
and DESCR. For H2FORM and DESCR our own laws stand, Hollenbach & McKee's and Hasegawa & Herbst's,
which are not UCLCHEM's. Reactions between ices and their exchange with the bulk are left out.

An ion that freezes out takes an electron with it, or loses one: charges do not vanish.
"""

import csv

from simulators.chemistry.laws import (
    Arrhenius,
    CosmicRay,
    CosmicRayDesorption,
    CosmicRayPhoton,
    FreezeOut,
    GrainH2,
    IonPolar1,
    IonPolar2,
    Photo,
    ThermalDesorption,
)
from simulators.chemistry.species import species, totals

ZETA = 1.3e-17
_SPECIES, _REACTANTS = 7, 3
_LEFT_OUT = {
    "LH", "LHDES", "ER", "ERDES", "BULKSWAP", "SURFSWAP", "DESOH2", "DEUVCR", "CRS", "EXSOLID",
    "EXRELAX", "GAR", "H2FORM_OLD",
}  # fmt: skip
_READ = {"TWOBODY", "IONOPOL1", "IONOPOL2", "CRP", "CRPHOT", "PHOTON", "H2FORM"} | {
    "FREEZE", "THERM", "DESCR",
}  # fmt: skip


def matches(lines):
    """Whether the first lines have UCLCHEM's empty slots."""
    first = [text for _, text in lines.content("!")][:4]
    return bool(first) and all(
        text.count(",") >= 11 and ("NAN" in text or text.upper().startswith("REACTANT"))
        for text in first
    )


def read(lines):
    """Add the reactions of all lines."""
    for number, text in lines.content("!"):
        fields = [field.strip() for field in next(csv.reader([text]))]
        if fields[0].upper().startswith("REACTANT"):
            continue
        if len(fields) < 12:
            raise lines.error(number, f"{len(fields)} fields where UCLCHEM has 12 or more")
        words = [f for f in fields[:_REACTANTS] if f in _READ | _LEFT_OUT]
        process = words[0] if words else "TWOBODY"
        names = [["" if f in ("NAN", "", *words) else f for f in side] for side in _sides(fields)]
        reactants, products = (list(filter(None, side)) for side in names)
        numbers = lines.numbers(number, fields[7:12], "alpha, beta, gamma, T_min, T_max")
        if process in _LEFT_OUT:
            lines.drop(number, f"{process} is not read")
        elif process == "FREEZE" and not products:
            lines.note(number, "electrons freeze out together with cations")
        else:
            _add(lines, number, process, reactants, products, numbers, fields[13:14])


def _sides(fields):
    return fields[:_REACTANTS], fields[_REACTANTS:_SPECIES]


def _add(lines, number, process, reactants, products, numbers, extrapolate):
    alpha, beta, gamma, t_min, t_max = numbers
    more = {"t_min": t_min, "t_max": t_max}
    more["outside"] = "extrapolate" if extrapolate == ["True"] else "zero"
    thermal = {"TWOBODY": Arrhenius, "IONOPOL1": IonPolar1, "IONOPOL2": IonPolar2}
    if process in thermal:
        lines.add(number, reactants, products, thermal[process](alpha, beta, gamma), **more)
        return
    if not reactants:
        raise lines.error(number, "the line names no species that reacts")
    try:
        mass = species(reactants[0]).mass
        charge = totals(reactants).get("charge", 0) - totals(products).get("charge", 0)
    except ValueError as error:
        raise lines.error(number, str(error)) from None
    if process == "FREEZE":
        reactants += ["e-"] * charge
        products += ["e-"] * -charge
    laws = {
        "CRP": lambda: CosmicRay(alpha, ZETA),
        "CRPHOT": lambda: CosmicRayPhoton(alpha, beta, gamma, ZETA),
        "PHOTON": lambda: Photo(alpha, gamma),
        "H2FORM": lambda: GrainH2(alpha * 3e-17),
        "FREEZE": lambda: FreezeOut(alpha, mass, beta),
        "THERM": lambda: ThermalDesorption(gamma, mass),
        "DESCR": lambda: CosmicRayDesorption(gamma, mass),
    }
    lines.add(number, reactants, products, laws[process]())
