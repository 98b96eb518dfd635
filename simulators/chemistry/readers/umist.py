"""UMIST's database for astrochemistry: RATE12 and RATE22, a colon between the fields.

McElroy et al. 2013, A&A 550, A36; Millar et al. 2024, A&A 682, A109. A line is
number:type:two reactants:four products:ranges, and for each range of temperatures
alpha:beta:gamma:T_min:T_max:kind:accuracy:reference:notes. The types CP (cosmic rays), CR (photons
that cosmic rays induce) and PH (photons) have their own laws, and their rates are for an ionisation
rate of 1.36e-17 / s; all others are two-body.

The formulae are used outside their ranges as they are. Clamping would leave reactions with a
barrier, measured above 200 K or so, running in cold gas: OH + H2 at 10 K with its rate at 250 K.
"""

import csv
import re

from simulators.chemistry.laws import Arrhenius, CosmicRay, CosmicRayPhoton, Photo

ZETA = 1.36e-17
_LINE = re.compile(r"\s*\d+\s*:\s*[A-Z]{2,3}\s*:")
_TWO_BODY = {
    "AD", "CD", "CE", "DR", "IN", "MN", "NN", "RA", "REA", "RR", "IM", "HNN", "CL",
}  # fmt: skip


def matches(lines):
    """Whether the first lines look like UMIST's."""
    first = lines.content()[:3]
    return bool(first) and all(_LINE.match(text) for _, text in first)


def read(lines):
    """Add the reactions of all lines."""
    for number, text in lines.content():
        fields = next(csv.reader([text], delimiter=":"))
        if len(fields) < 14:
            raise lines.error(number, f"{len(fields)} fields between colons where UMIST has 18")
        kind = fields[1].strip()
        names = [name.strip() for name in fields[2:8]]
        (ranges,) = lines.numbers(number, fields[8:9], "number of temperature ranges")
        if ranges != int(ranges) or ranges < 1 or len(fields) < 9 * ranges + 5:
            raise lines.error(
                number, f"{fields[8]} temperature ranges do not fit {len(fields)} fields"
            )
        if kind not in _TWO_BODY | {"CP", "CR", "PH"}:
            lines.drop(number, f"type {kind!r} is unknown")
            continue
        read_before = set()
        for at in range(9, 9 + 9 * int(ranges), 9):
            values = lines.numbers(number, fields[at : at + 5], "alpha, beta, gamma, T_min, T_max")
            if tuple(values) in read_before:
                lines.note(number, f"the range {values[3]:g}-{values[4]:g} K is there twice: one")
                continue
            read_before.add(tuple(values))
            law, limits = _law(kind, *values)
            lines.add(number, filter(None, names[:2]), filter(None, names[2:]), law, **limits)


def _law(kind, alpha, beta, gamma, t_min, t_max):
    """The law of a type, and the range where temperature matters."""
    if kind == "CP":
        return CosmicRay(alpha, ZETA), {}
    if kind == "PH":
        return Photo(alpha, gamma), {}
    limits = {"t_min": t_min, "t_max": t_max}
    if kind == "CR":
        return CosmicRayPhoton(alpha, beta, gamma, ZETA), limits if beta else {}
    return Arrhenius(alpha, beta, gamma), limits
