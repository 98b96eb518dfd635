"""What a species' name says: its elements, its charge, and where it sits."""

import functools
import re
from dataclasses import dataclass

#: Atomic masses [u] of the elements that names may hold (CIAAW 2021, abridged); D and the grains'
#: and PAHs' stand-ins, whose mass is not that of one particle, included.
MASSES = {
    "H": 1.008, "D": 2.014, "He": 4.0026, "Li": 6.94, "Be": 9.0122, "B": 10.81, "C": 12.011,
    "N": 14.007, "O": 15.999, "F": 18.998, "Ne": 20.180, "Na": 22.990, "Mg": 24.305, "Al": 26.982,
    "Si": 28.085, "P": 30.974, "S": 32.06, "Cl": 35.45, "Ar": 39.948, "K": 39.098, "Ca": 40.078,
    "Ti": 47.867, "V": 50.942, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845, "Co": 58.933,
    "Ni": 58.693, "Cu": 63.546, "Zn": 65.38, "13C": 13.003, "15N": 15.000, "17O": 16.999,
    "18O": 17.999, "34S": 33.968, "GRAIN": 0.0, "PAH": 0.0,
}  # fmt: skip
ELECTRON_MASS = 5.4858e-4

ELECTRON = "e-"
_ELECTRONS = {"e", "e-", "electr", "electron"}
#: Written among the reactants or products without being species of the network.
_PSEUDO = {
    "CR": "cosmic ray", "CRP": "cosmic ray", "CRPHOT": "cosmic-ray photon",
    "PHOTON": "photon", "PHOT": "photon", "HV": "photon", "HNU": "photon", "M": "third body",
    "XELECTRON": "X-ray electron",
}  # fmt: skip
# Upper-case files write HE, SI, CL. These pairs cannot be two elements, because no element of
# astrochemistry has their second letter as its symbol; CO, CS, CN, SN, PO and OS can, and are two.
_UPPER = {"HE", "LI", "BE", "NE", "NA", "MG", "AL", "SI", "CL", "AR", "CA", "TI", "FE", "NI"}
_TOKEN = re.compile(
    r"(?P<isotope>\[\d+[A-Z]\]|\^\d+[A-Z])|(?P<open>\()|(?P<close>\)(?P<times>\d*))"
    r"|(?P<big>GRAIN|PAH)|(?P<element>[A-Z][A-Za-z]?)|(?P<bad>.)"
)
_PREFIX = re.compile(r"(?:[a-z]{1,3}|E|Z)-(?=[A-Z])")
_CHARGE = re.compile(r"(\++|-+)$")
_ICE = {"#": "#", "g": "#", "s": "#", "J": "#", "@": "@", "b": "@"}
_PHASES = {"#": "surface", "@": "bulk"}


@dataclass(frozen=True)
class Species:
    """A species as its name says.

    Attributes:
        name: the canonical name: "He+", "e-", "c-C3H2", "#CO" (on a grain), "@CO" (in the bulk of
            an ice), "GRAIN", "GRAIN-".
        elements: symbols with their numbers, sorted by symbol.
        charge: in units of the elementary charge.
        phase: "gas", "surface" or "bulk".

    >>> species("HCO+")
    Species(name='HCO+', elements=(('C', 1), ('H', 1), ('O', 1)), charge=1, phase='gas')
    """

    name: str
    elements: tuple[tuple[str, int], ...]
    charge: int
    phase: str

    @property
    def mass(self):
        """Mass [u] of the neutral; nothing for a grain or PAH, the electron's for "e-".

        >>> species("CO").mass
        28.01
        """
        electron = ELECTRON_MASS if self.name == ELECTRON else 0.0
        return sum(MASSES[symbol] * n for symbol, n in self.elements) + electron


@functools.cache
def species(name):
    """Read a name in any of the spellings that networks use.

    Elements may be upper-case (SIC2, HCL, HE+) or mixed (SiC2, HCl, He+); the electron E, E-, e or
    e-; a charge any number of signs at the end. Prefixes tell isomers apart and stay in the name
    (c-C3H2, l-C3H); #, g, s and J before the formula mean the surface of a grain, @ and b the bulk
    of its ice. (The prefix K of some codes would be potassium.) A star or a label after an
    underscore stays in the name and counts nothing (H2*, CH2_1), but "_ice" and "_dust" mean the
    surface. Isotopes other than D are written [13C] or ^13C.

    Raises:
        ValueError: if part of the name is no element.

    >>> [species(n).name for n in ("HE+", "SIC2H", "CO", "E", "JCO", "CH2CHCN", "NaCl")]
    ['He+', 'SiC2H', 'CO', 'e-', '#CO', 'CH2CHCN', 'NaCl']
    """
    if name.lower() in _ELECTRONS:
        return Species(ELECTRON, (), -1, "gas")
    text, label = name, ""
    ice = ""
    if len(text) > 1 and text[0] in _ICE and (text[1].isupper() or not text[0].isalpha()):
        ice, text = _ICE[text[0]], text[1:]
    prefix = _PREFIX.match(text)
    prefix = prefix[0] if prefix else ""
    text = text[len(prefix) :]
    signs = _CHARGE.search(text)
    signs = signs[0] if signs else ""
    text = text[: len(text) - len(signs)]
    for mark in ("*", "_"):
        text, found, rest = text.partition(mark)
        label = found + rest + label
    if label.lower() in ("_ice", "_dust"):
        ice, label = "#", ""
    if text.startswith(("GRAIN", "PAH")):
        text = text.replace("GRAINS", "GRAIN").removesuffix("0")
    formula, counts = _formula(text, name)
    charge = len(signs) if signs.startswith("+") else -len(signs)
    return Species(
        f"{ice}{prefix}{formula}{label}{signs}",
        tuple(sorted(counts.items())),
        charge,
        _PHASES.get(ice, "gas"),
    )


def pseudo(name):
    """What a name that stands for no species means, or None.

    >>> pseudo("CRP"), pseudo("g"), pseudo("CO")
    ('cosmic ray', 'photon', None)
    """
    return "photon" if name == "g" else _PSEUDO.get(name.upper())


def totals(names):
    """Elements and charge of several species together, as {symbol: number, "charge": number}.

    >>> totals(["CO", "e-"])
    {'C': 1, 'O': 1, 'charge': -1}
    """
    total = {}
    for name in names:
        one = species(name)
        for symbol, n in (*one.elements, ("charge", one.charge)):
            total[symbol] = total.get(symbol, 0) + n
    return total


def _formula(text, name):
    """The formula with canonical symbols, and how often each element occurs."""
    pieces, stack, at = [], [{}], 0
    while at < len(text):
        token = _TOKEN.match(text, at)
        at = token.end()
        if token["open"]:
            stack.append({})
            pieces.append("(")
            continue
        if token["close"]:
            if len(stack) == 1:
                break
            times, group = int(token["times"] or 1), stack.pop()
            for symbol, n in group.items():
                stack[-1][symbol] = stack[-1].get(symbol, 0) + n * times
            pieces.append(token[0])
            continue
        symbol, at = _symbol(token, at)
        if symbol not in MASSES:
            break
        number = re.compile(r"\d*").match(text, at)[0]
        at += len(number)
        pieces.append((f"[{symbol}]" if symbol[0].isdigit() else symbol) + number)
        stack[-1][symbol] = stack[-1].get(symbol, 0) + int(number or 1)
    else:
        if text and len(stack) == 1:
            return "".join(pieces), stack[0]
    raise ValueError(
        f"species: {name!r} is no formula that can be read (at {text[token.start() :]!r}); write "
        "element symbols with numbers, and charges as signs at the end."
        if text
        else f"species: {name!r} has no formula."
    )


def _symbol(token, at):
    """The element that a token starts with, and where it ends."""
    if token["isotope"]:
        return token["isotope"].strip("[]^"), at
    if token["big"]:
        return token["big"], at
    letters = token["element"] or token["bad"]
    if len(letters) == 2:
        if letters.upper() in _UPPER and (letters.isupper() or letters in MASSES):
            return letters.capitalize(), at
        if letters[1].isupper() or letters not in MASSES:
            return letters[0], at - 1
    return letters, at
