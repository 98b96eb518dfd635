"""KIDA's networks, as kida.uva.2024: fixed columns.

Wakelam et al. 2012, ApJS 199, 21; 2024, A&A 689, A63. Three reactants of 11 columns and one blank,
five products of 11 columns, then A, B, C, F, g, kind of error, type, T_min, T_max, formula,
number, entry, recommendation. The formulae are 1: k = A zeta; 2: k = A exp(-C A_V); 3: Kooij's;
4 and 5: ion and polar molecule; 6: Troe's fall-off, whose further numbers are not in these files,
so that such lines are left out. 0, 10 and 11 are those of the codes Nahoon and Nautilus: collisions
with grains as species of the network, and H2 formation by H that sticks to grains (XH).

What meets the reactant decides where it and the formula contradict each other: with CR or CRP it is
A zeta, with a photon A exp(-C A_V). Where formula 4 or 5 has a negative B, which would be the rate
of Langevin, it is Kooij's. Outside its range a law keeps its value at the nearest end, as in those
codes.
"""

import re

from simulators.chemistry.laws import (
    Arrhenius,
    CosmicRay,
    CosmicRayYield,
    Expression,
    IonPolar1,
    IonPolar2,
    Photo,
)
from simulators.chemistry.species import pseudo

_REACTANTS, _PRODUCTS = slice(0, 34), slice(34, 91)
_ERRORS = re.compile(r"\b(logn|norm|unif|logu|on)\b")
_UNLIMITED = -9999
_TWO_BODY = {0: Arrhenius, 3: Arrhenius, 4: IonPolar1, 5: IonPolar2}
_FALL_OFF, _JOIN, _STICK = 6, 10, 11


def matches(lines):
    """Whether the first lines look like KIDA's."""
    first = lines.content()[:3]
    return bool(first) and all(
        len(text) > 120 and _ERRORS.search(text[91:]) and text[:1] != " " for _, text in first
    )


def read(lines):
    """Add the reactions of all lines."""
    for number, text in lines.content():
        fields = text[_PRODUCTS.stop - 1 :].split()
        if len(fields) < 10:
            raise lines.error(
                number, f"{len(fields)} fields from column 91 on where KIDA has 13: is one cut off?"
            )
        a, b, c = lines.numbers(number, fields[:3], "A, B, C")
        *limits, formula = lines.numbers(number, fields[7:10], "T_min, T_max, formula")
        reactants = [_name(n) for n in text[_REACTANTS].split()]
        products = [_name(n) for n in text[_PRODUCTS].split()]
        partner = {"CRP" if n == "CRP" else pseudo(n) for n in reactants} - {None}
        law = _law(formula, a, b, c, partner)
        if isinstance(law, str):
            lines.drop(number, law)
            continue
        if (formula == 2 and "photon" not in partner) or (formula == 1 and "photon" in partner):
            lines.note(number, f"formula {formula:g} read as {law}, for its {partner.pop()}")
        if formula in (4, 5) and isinstance(law, Arrhenius):
            lines.note(number, f"formula {formula:g} read as {law}, for its negative B")
        range_ = {} if partner else _range(*limits)
        lines.add(number, reactants, products, law, outside="clamp", **range_)


def _name(name):
    """XH is Nautilus' H on a grain."""
    return "#H" if name == "XH" else name


def _range(t_min, t_max):
    """No limit where KIDA says -9999 to 9999; a 9999 after another number is a limit."""
    return {} if t_min == _UNLIMITED else {"t_min": t_min, "t_max": t_max}


def _law(formula, a, b, c, partner):
    """The law, or why there is none."""
    if "CRP" in partner:
        return CosmicRayYield(a)
    if "cosmic ray" in partner:
        return CosmicRay(a)
    if "photon" in partner:
        return Photo(a, c)
    if formula in (4, 5) and b < 0.0:
        return Arrhenius(a, b, c)
    if formula in _TWO_BODY:
        return _TWO_BODY[formula](a, b, c)
    if formula == _STICK:
        return Expression(f"{a!r}*(tgas/300)**{b!r}*grain_abundance*nh")
    if formula == _JOIN:
        return Expression(f"{a!r}*1.186e7*exp(-225/tgas)/(grain_abundance*nh)")
    if formula == _FALL_OFF:
        return "formula 6 (fall-off) needs numbers that these columns do not hold"
    return f"formula {formula:g} is unknown"
