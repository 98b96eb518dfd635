"""Expressions that are a known law in disguise, or whose rate does not go with all reactants.

Laws are quicker to compile and to evaluate than expressions, and their numbers can be
differentiated. What is recognised is c T^p exp(g / T), and c zeta.
"""

import math
from dataclasses import dataclass, replace

from simulators.chemistry.expression_rates import read
from simulators.chemistry.expressions import densities, parse, unparse
from simulators.chemistry.laws import Arrhenius, CosmicRay, Expression

_EV = 8.617343e-5
_ALIASES = {
    "tgas": (1.0, 1.0), "t32": (1 / 300.0, 1.0), "invt": (1.0, -1.0), "invtgas": (1.0, -1.0),
    "invt32": (300.0, -1.0), "sqrtgas": (1.0, 0.5), "invsqrt": (1.0, -0.5), "te": (_EV, 1.0),
    "invte": (1 / _EV, -1.0),
}  # fmt: skip


@dataclass(frozen=True)
class _Terms:
    """Sum of c T^p zeta^q over {(p, q): c}, times exp(g / T)."""

    terms: dict
    g: float = 0.0

    @property
    def only(self):
        """(p, q), c of a single term."""
        return next(iter(self.terms.items())) if len(self.terms) == 1 else None


def reduce(reaction, definitions, functions):
    """The reaction with a simpler law where its expression allows, else itself.

    Args:
        reaction: a `Reaction` with an `Expression`.
        definitions: {name: text} of the network's variables.
        functions: {name: ...} of its functions.

    >>> from simulators.chemistry.network import Reaction
    >>> law = Expression("2d-16*T32**(-1.3)*exp(-23*invT)")
    >>> reduce(Reaction(("C+", "H2"), ("CH2+",), law), {}, {}).law
    Arrhenius(alpha=2e-16, beta=-1.3, gamma=23.0)
    """
    tree = read(reaction, functions)
    trees = {name: parse(text, functions) for name, text in definitions.items()}
    found = _terms(tree, trees, 0)
    if found and found.only and reaction.orders == reaction.reactants:
        (p, q), c = found.only
        if q == 0 and c >= 0:
            return replace(reaction, law=Arrhenius(c * 300.0**p, p, -found.g + 0.0))
        if (p, q, found.g) == (0, 1, 0) and len(reaction.reactants) == 1:
            return replace(reaction, law=CosmicRay(c))
    left = list(reaction.orders)
    rest = _divided(tree, left)
    if len(left) < len(reaction.orders):
        return replace(reaction, law=Expression(unparse(rest), tuple(left)))
    return reaction


def _divided(tree, left):
    """A product without its divisions by densities of `left`, which lose these species."""
    kind = tree[0]
    if kind == "/" and tree[2][0] == "density" and tree[2][1] in left:
        left.remove(tree[2][1])
        return _divided(tree[1], left)
    if kind in ("*", "/"):
        return (kind, _divided(tree[1], left), tree[2])
    return tree


def _terms(tree, definitions, depth):
    """`_Terms` of a tree, or None where it has no such form."""
    kind = tree[0]
    if kind == "number":
        return _Terms({(0.0, 0.0): tree[1]})
    if kind == "name":
        return _named(tree[1], definitions, depth)
    if kind == "call":
        return _called(tree, definitions, depth)
    if kind not in ("negative", "+", "-", "*", "/", "**") or densities(tree):
        return None
    parts = [_terms(part, definitions, depth) for part in tree[1:]]
    if any(part is None for part in parts):
        return None
    if kind == "negative":
        return _scaled(parts[0], -1.0)
    a, b = parts
    if kind in "+-":
        return _sum(a, b if kind == "+" else _scaled(b, -1.0))
    if kind == "*":
        return _product(a, b)
    return _product(a, _raised(b, -1.0)) if kind == "/" else _raised_to(a, b)


def _named(name, definitions, depth):
    if name in definitions:
        return None if depth > 20 else _terms(definitions[name], definitions, depth + 1)
    if name in _ALIASES:
        c, p = _ALIASES[name]
        return _Terms({(p, 0.0): c})
    if name in ("user_crate", "crate", "zeta", "user_zeta"):
        return _Terms({(0.0, 1.0): 1.0})
    return None


def _called(tree, definitions, depth):
    name, arguments = tree[1:]
    if name not in ("exp", "sqrt"):
        return None
    inner = _terms(arguments[0], definitions, depth)
    if inner is None or name == "sqrt":
        return inner and _raised(inner, 0.5)
    if inner.g or not inner.terms.keys() <= {(0.0, 0.0), (-1.0, 0.0)}:
        return None
    return _Terms(
        {(0.0, 0.0): math.exp(inner.terms.get((0.0, 0.0), 0.0))}, inner.terms.get((-1.0, 0.0), 0.0)
    )


def _scaled(a, factor):
    return _Terms({key: c * factor for key, c in a.terms.items()}, a.g)


def _sum(a, b):
    if a.g != b.g:
        return None
    return _Terms({k: a.terms.get(k, 0.0) + b.terms.get(k, 0.0) for k in a.terms | b.terms}, a.g)


def _product(a, b):
    if a is None or b is None:
        return None
    terms = {}
    for (p, q), c in a.terms.items():
        for (r, s), d in b.terms.items():
            terms[p + r, q + s] = terms.get((p + r, q + s), 0.0) + c * d
    return _Terms(terms, a.g + b.g)


def _raised(a, power):
    if not a.only or a.only[1] <= 0.0:
        return None
    (p, q), c = a.only
    return _Terms({(p * power, q * power): c**power}, a.g * power)


def _raised_to(a, b):
    if b.g or b.terms.keys() != {(0.0, 0.0)}:
        return None
    return _raised(a, b.terms[0.0, 0.0])
