"""Networks of SIMBA (package simba-chem) and DALI: sections of elements, species and reactions.

Keyte et al. 2025; Bruderer et al. 2012, A&A 541, A91. A reaction has three reactants and five
products of 14 columns, then number, type, a, b, c, T_min, T_max and a file of cross-sections that
is not used. The laws are those of the types in SIMBA 1.0 (`Simba.compute_rate_coefficients`), with
its grains of 0.1 micron and 1e6 binding sites. SIMBA has 1e-12 grains for each hydrogen nucleus at
a gas-to-dust ratio of 100: give that as `Conditions.grain_abundance`.

What SIMBA takes from elsewhere are variables of the network that extras of the conditions replace:
`shielding_h2`, `_co`, `_c`, `_n2` are 1, and `zeta_x`, the X-rays' ionisation rate, is 0.
"""

import math
import re

from simulators.chemistry.expressions import parse, unparse
from simulators.chemistry.laws import (
    ATOMIC_MASS,
    BOLTZMANN,
    Arrhenius,
    CosmicRay,
    Expression,
    FreezeOut,
    Photo,
)
from simulators.chemistry.species import species

_WIDTH, _REACTANTS, _SPECIES = 14, 3, 8
_ZETA = 1.35e-17
_EXCITED = 30163.0  # K, of H2*
_SITES = 1e6
_SPEED = math.sqrt(8.0 * BOLTZMANN / (math.pi * ATOMIC_MASS))
_SHIELDED = {31: "h2", 32: "co", 33: "c", 38: "n2"}
_PHOTO = {30, 34, 35, 36, 37, 39}
_KOOIJ = {20, 21, 22}
#: (t / 1000 + 1), and collisions of H2 with H and H2 (Le Bourlot et al. 1999, MNRAS 305, 802).
_COLLISIONS = (
    "10**(-11.058+0.05554/h_t-2.39/h_t**2)*n(idx_H)+10**(-11.084-3.6706/h_t-2.023/h_t**2)*n(idx_H2)"
)
#: H2 formation (Cazaux & Tielens 2002, ApJ 575, L29; 2004, ApJ 604, 222).
_FORMATION = {
    "h_sq": "(1+sqrt((30000-200)/(600-200)))**2",
    "h_flux": f"max(1e-30,{_SPEED!r}*sqrt(tgas)*n(idx_H)*3.141592653589793*grain_radius**2"
    f"/{_SITES!r}*h_stick)",
    "h_stick": "1/(1+0.04*sqrt(tgas+tdust)+0.002*tgas+8e-6*tgas**2)",
    "h_xi": "1/(1+1.3e13/(2*h_flux)*exp(-45000/tdust)*h_sq)",
    "h_eta": "merge(1,h_xi/(1+0.005*h_flux/(6e12*exp(-320/tdust))+0.25*h_sq*exp(-200/tdust)),"
    "tdust<10)",
}
_DEFAULTS = {
    "zeta_x": "0",
    **{f"shielding_{name}": "1" for name in _SHIELDED.values()},
    "dust": "grain_abundance/1e-12",
    "grains": "grain_abundance*nh",
    "grain_sites": f"{_SITES!r}*grains",
    "grain_section": "3.141592653589793*grain_radius**2*grains",
    "field": "chi*exp(-3.02*av)",
    "h_t": "tgas/1000+1",
    "h_collisions": _COLLISIONS,
    "h_loss": "h_dissociation*10",
    **_FORMATION,
}


def matches(lines):
    """Whether a first line announces elements, and a later one reactions."""
    heads = [re.sub(r"\W", "", t) for t in lines.texts if t.startswith("!")]
    return "n_elements" in heads and "n_reactions" in heads


def read(lines):
    """Add all reactions, and what they share."""
    masses = _masses(lines)
    rows = _rows(lines, masses)
    ices = {kind: sorted({r[0] for _, r, _, k, *_ in rows if k == kind}) for kind in (11, 80)}
    sums = {
        "n_hydro": "+".join(f"n(idx_{species(n).name})" for n in ices[11]) or "0",
        "n_ice": "+".join(f"n(idx_{species(n).name})" for n in ices[80]) or "0",
    }
    dissociation = next((v for *_, k, v, _ in rows if k == 31), (0.0, 0.0, 0.0))
    a, b, c = dissociation[:3]
    sums["h_dissociation"] = f"{a * b!r}*chi*exp(-{c!r}*av)*shielding_h2"
    lines.definitions.update({k: unparse(parse(v)) for k, v in (_DEFAULTS | sums).items()})
    for number, reactants, products, kind, values, limits in rows:
        law = _law(kind, values, masses[reactants[0]])
        if law is None:
            lines.drop(number, f"type {kind} is unknown")
            continue
        lines.add(number, reactants, products, law, **_range(kind, *limits))


def _rows(lines, masses):
    """Number, reactants, products, type, (a, b, c) and temperatures of each reaction's line."""
    rows = []
    for number, text in _section(lines, "n_reactions"):
        names = [_name(text[i * _WIDTH : (i + 1) * _WIDTH].strip()) for i in range(_SPECIES)]
        fields = text[_SPECIES * _WIDTH :].split()
        if len(fields) < 7:
            raise lines.error(number, f"{len(fields)} fields after the species where SIMBA has 8")
        if names[0] not in masses:
            raise lines.error(number, f"{names[0]!r} is not in the section of species")
        _, kind, *values = lines.numbers(number, fields[:7], "number, type, a, b, c, T_min, T_max")
        sides = [list(filter(None, s)) for s in (names[:_REACTANTS], names[_REACTANTS:])]
        rows.append((number, *sides, int(kind), tuple(values[:3]), values[3:]))
    return rows


def _masses(lines):
    """Masses [u] of the species, by name."""
    return {
        _name(text.split()[0]): lines.numbers(number, text.split()[2:3], "mass")[0]
        for number, text in _section(lines, "n_species")
    }


def _section(lines, title):
    """The numbered lines of a section, as many as it announces after its title."""
    heads = [i for i, text in enumerate(lines.texts) if re.sub(r"\W", "", text) == title]
    if not heads:
        raise lines.error(1, f"there is no section {title!r}")
    content = [(i, t) for i, t in list(lines)[heads[0] + 1 :] if t.strip() and t[0] != "!"]
    (count,) = lines.numbers(content[0][0], [content[0][1]], title) if content else (0.0,)
    found = content[1 : int(count) + 1]
    if not count or len(found) != count:
        raise lines.error(
            heads[0] + 1, f"{len(found)} lines follow {title!r} where {count:g} are announced"
        )
    return found


def _name(name):
    """PAH_H is a PAH with one more H."""
    return name.replace("PAH_H", "PAHH").replace("PAH0", "PAH")


def _range(kind, t_min, t_max):
    """Where a law holds; a negative T_max says that another entry goes on above."""
    if kind not in _KOOIJ:
        return {}
    if t_max < 0.0:
        return {"t_min": t_min, "t_max": -t_max, "outside": "zero"}
    outside = {20: "zero below", 21: "clamp", 22: "zero"}[kind]
    return {"t_min": t_min, "t_max": t_max, "outside": outside}


def _law(kind, values, mass):
    a, b, c = values
    if kind in _KOOIJ:
        return Arrhenius(a, b, c)
    if kind == 92:
        return Arrhenius(a, b, max(c - _EXCITED, 0.0))
    if kind in (71, 72):
        return Arrhenius(0.5 * a * 3.0**b / (math.sqrt(mass) if kind == 72 else 1.0), b)
    if kind in _PHOTO:
        return Photo(a * b, c)
    if kind == 40:
        return CosmicRay(a, _ZETA)
    if kind == 81:
        return FreezeOut(a, mass)
    text = _text(kind, a, b, c)
    return Expression(unparse(parse(text)), ("H",) if kind == 10 else None) if text else None


def _text(kind, a, b, c):
    """The law of a type as an expression."""
    sticking = f"{_SPEED!r}*sqrt(tgas)"
    if kind in _SHIELDED:
        return f"{a * b!r}*chi*exp(-{c!r}*av)*shielding_{_SHIELDED[kind]}"
    return {
        10: f"{a!r}*tgas**{b!r}*h_stick*h_eta*dust*nh",
        11: f"grain_section/max(n_hydro,grain_sites)*{sticking}",
        12: f"grain_section/max(n_ice,grain_sites)*{a * 1e8!r}*(field+1e-4*(zeta+zeta_x)/5e-17)",
        41: f"{a * c / 0.5 / _ZETA!r}*(zeta+zeta_x)*(tgas/300)**{b!r}",
        42: "(56.14/(5.11e4*max(n(idx_CO)/nh,1e-12)**0.792+1)+4.3)*(zeta+zeta_x)",
        43: f"{a * 0.0107!r}*(zeta+zeta_x)*n(idx_He)/max({b!r}*n(idx_H2)+{c!r}*n(idx_H),1e-20)",
        60: f"{a * 0.56!r}*zeta_x",
        61: f"{a!r}*zeta_x",
        62: f"{a!r}*zeta_x",
        70: f"{a!r}*(field+1e-4)",
        80: f"4*grain_section/max(n_ice,grain_sites)*{a!r}*exp(-{b!r}/tdust)",
        90: f"h_loss+h_collisions*exp(-{_EXCITED!r}/tgas)",
        91: "h_loss+2e-7+h_collisions",
    }.get(kind)
