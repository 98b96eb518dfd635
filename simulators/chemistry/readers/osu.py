"""The Ohio State networks, osu.2003 to osu.2009: fixed columns.

Three reactants and five products of 8 columns, then alpha, beta, gamma of 9, and the type of 2
(Smith, Herbst & Chang 2004, MNRAS 350, 323). Type 0: grains, 1: cosmic rays and the photons that
they induce, alpha zeta; 13: photons; all others are Kooij's law. Among the grains' reactions H + H
has its rate per hydrogen nucleus, and ions and electrons have theirs divided by the number of
hydrogen nuclei for each grain: it is divided by `Conditions.grain_abundance` here. A table of
species before the reactions is passed over.
"""

import re

from simulators.chemistry.laws import Arrhenius, CosmicRay, Expression, GrainCollision, Photo

_WIDTH, _SPECIES, _REACTANTS = 8, 8, 3
_NUMBERS = ((64, 73), (73, 82), (82, 91))
_TYPE = slice(91, 93)
_FLOAT = r"\s*-?\d\.\d+[eE][-+]\d\d"
_LINE = re.compile(r"[\w+-].{63}" + 3 * _FLOAT + r"\s?\d{1,2}\s")
_TABLE = re.compile(r"[\w+-]+(\s+-?\d+){8,}")
_GRAIN, _RAYS, _PHOTON = 0, 1, 13
_GAS = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14}


def matches(lines):
    """Whether the first lines that are no table of species look like OSU's."""
    first = [text for _, text in lines.content() if not _TABLE.match(text)][:3]
    return bool(first) and all(_LINE.match(text) for text in first)


def read(lines):
    """Add the reactions of all lines."""
    for number, text in lines.content():
        if _TABLE.match(text):
            continue
        names = [_name(text[i * _WIDTH : (i + 1) * _WIDTH].strip()) for i in range(_SPECIES)]
        values = lines.numbers(number, [text[a:b] for a, b in _NUMBERS], "alpha, beta, gamma")
        (kind,) = lines.numbers(number, [text[_TYPE]], "type of reaction")
        reactants = list(filter(None, names[:_REACTANTS]))
        law = _law(kind, reactants, *values)
        if law is None:
            lines.drop(number, f"type {kind:g} is unknown")
        else:
            lines.add(number, reactants, filter(None, names[_REACTANTS:]), law)


def _name(name):
    """The ion OCS+H2 has its charge within."""
    return re.sub(r"^(\w+)([+-])(\w+)$", r"\1\3\2", name)


def _law(kind, reactants, alpha, beta, gamma):
    if kind == _RAYS:
        return CosmicRay(alpha)
    if kind == _PHOTON:
        return Photo(alpha, gamma)
    if kind == _GRAIN and any(name.startswith("GRAIN") for name in reactants):
        return Expression(f"{alpha!r}*(tgas/300)**{beta!r}/grain_abundance")
    if kind == _GRAIN:
        return GrainCollision(alpha, beta, gamma)
    return Arrhenius(alpha, beta, gamma) if kind in _GAS else None
