"""Arithmetic written as text, read into a tree: never run as code.

The grammar is that of KROME's and JAFF's networks, a common part of Fortran and Python: numbers
(1.5, .5, 1d-9, 3e2, 0.0_8), + - * / **, comparisons, parentheses, names, and calls of known
functions. Names do not tell upper from lower case. Densities of species are n(idx_X), in KROME's
spelling with j for each + and k for each -, and all of them n(:) or n(1:nmols).

A tree is made of tuples: ("number", 1.5), ("name", "tgas"), ("+", a, b), ("negative", a),
("call", "exp", (a,)), ("density", "H2"), ("densities",), ("cases", ((value, condition), ...)).
"""

import re
from typing import NoReturn

from simulators.chemistry.species import species

# The point of "2.le.x" is not the number's.
_NUMBER = re.compile(r"(?:\d+(?:\.(?![A-Za-z]{2}\.)\d*)?|\.\d+)(?:[edED][+-]?\d+)?(?:_\d+)?")
_NAME = re.compile(r"[A-Za-z_]\w*")
_DOTTED = {
    ".lt.": "<", ".le.": "<=", ".gt.": ">", ".ge.": ">=", ".eq.": "==", ".ne.": "!=",
}  # fmt: skip
_MARK = re.compile(r"\.(?:lt|le|gt|ge|eq|ne)\.|\*\*|[<>=!]=|[-+*/(),<>:]", re.IGNORECASE)
_DENSITY = re.compile(r"n(?:_global)?\(\s*idx_([^\s()]+)\s*\)", re.IGNORECASE)
_TOKENS = (("density", _DENSITY), ("mark", _MARK), ("number", _NUMBER), ("name", _NAME))
_COMPARE = {"<", "<=", ">", ">=", "==", "!="}
#: Functions of numbers, by how many arguments they take; the last are those of `shielding`.
FUNCTIONS = {
    "exp": 1, "log": 1, "log10": 1, "sqrt": 1, "abs": 1, "sin": 1, "cos": 1, "tanh": 1,
    "min": None, "max": None, "merge": 3, "sum": 1, "get_hnuclei": 1,
    "shield_h2": 2, "shield_co": 2, "shield_n2": 2, "shield_c": 2,
}  # fmt: skip
_DOUBLE = {f"d{name}": name for name in ("exp", "log", "log10", "sqrt", "abs", "min", "max")}
# Far below Python's limit of recursion, over all frames that a level or a token may take.
_DEEPEST, _LONGEST = 60, 600


def parse(text, functions=()):
    """The tree of an expression.

    Args:
        text: the expression.
        functions: names of functions that may be called beside the known ones.

    Raises:
        ValueError: names the text and where in it the grammar ends.

    >>> parse("2d0*Tgas**.5")
    ('*', ('number', 2.0), ('**', ('name', 'tgas'), ('number', 0.5)))
    """
    return _Parser(text, {name.lower() for name in functions}).whole()


def unparse(tree):
    """Text from which `parse` makes the same tree.

    >>> unparse(parse("3d-18*sqrt(T)/n(idx_H2)"))
    '3e-18*sqrt(t)/n(idx_H2)'
    """
    return _text(tree, 0)


def names(tree):
    """The names of variables and functions in a tree.

    >>> sorted(names(parse("exp(-a/Tgas)")))
    ['a', 'exp', 'tgas']
    """
    if tree[0] == "name":
        return {tree[1]}
    inner = {n for part in tree[1:] if isinstance(part, tuple) for n in _inner_names(part)}
    return inner | ({tree[1]} if tree[0] == "call" else set())


def densities(tree):
    """The species whose densities a tree uses; "*" among them stands for all.

    >>> sorted(densities(parse("n(idx_H2)*n(idx_Hj)")))
    ['H+', 'H2']
    """
    if tree[0] == "density":
        return {tree[1]}
    if tree[0] == "densities":
        return {"*"}
    if tree[:2] == ("call", "get_hnuclei"):
        return set()
    return {
        x
        for part in tree[1:]
        if isinstance(part, tuple)
        for child in ([part] if part and isinstance(part[0], str) else _flat(part))
        for x in densities(child)
    }


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text, functions):
        self.text, self.functions = text, functions
        self.tokens, self.at, self.depth = list(self._tokens()), 0, 0
        if len(self.tokens) > _LONGEST:
            raise ValueError(
                f"expression: {text[:60]!r}... has more than {_LONGEST} parts; use variables"
            )

    def _tokens(self):
        at = 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            found = next(
                ((kind, m) for kind, p in _TOKENS if (m := p.match(self.text, at))), None
            ) or self.fail(at)
            kind, match = found
            yield kind, match[1] if kind == "density" else match[0].lower(), at
            at = match.end()
        yield "end", "", len(self.text)

    def fail(self, at) -> NoReturn:
        where = f"at {self.text[at : at + 12]!r}" if self.text[at:].strip() else "at its end"
        raise ValueError(f"expression: {self.text.strip()!r} cannot be read {where}")

    @property
    def next(self):
        return self.tokens[self.at][1] if self.tokens[self.at][0] != "name" else None

    def take(self, *marks):
        """The next token if it is one of `marks`, else None."""
        kind, token, _ = self.tokens[self.at]
        token = _DOTTED.get(token, token)
        if kind == "mark" and token in marks:
            self.at += 1
            return token
        return None

    def need(self, mark):
        if not self.take(mark):
            self.fail(self.tokens[self.at][2])

    def whole(self):
        tree = self.comparison()
        if self.tokens[self.at][0] != "end":
            self.fail(self.tokens[self.at][2])
        return tree

    def comparison(self):
        self.depth += 1
        if self.depth > _DEEPEST:
            raise ValueError(f"expression: {self.text[:60]!r}... is nested too deeply")
        tree = self.chain(("+", "-"), self.product)
        mark = self.take(*_COMPARE)
        if mark:
            tree = (mark, tree, self.chain(("+", "-"), self.product))
        self.depth -= 1
        return tree

    def product(self):
        return self.chain(("*", "/"), self.signed)

    def chain(self, marks, operand):
        tree = operand()
        while mark := self.take(*marks):
            tree = (mark, tree, operand())
        return tree

    def signed(self):
        negative = False
        while mark := self.take("+", "-"):
            negative ^= mark == "-"
        tree = self.power()
        return ("negative", tree) if negative else tree

    def power(self):
        base = self.atom()
        return ("**", base, self.signed()) if self.take("**") else base

    def atom(self):
        kind, token, at = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return ("number", float(token.split("_")[0].replace("d", "e")))
        if kind == "density":
            return ("density", _of_index(token))
        if kind == "name":
            return self.call(token, at) if self.take("(") else ("name", token)
        if token != "(":
            self.fail(at)
        tree = self.comparison()
        self.need(")")
        return tree

    def call(self, name, at):
        name = _DOUBLE.get(name, name)
        if name == "n":
            return self.all_densities()
        if name == "piecewise":
            return self.cases()
        if name not in FUNCTIONS and name not in self.functions:
            raise ValueError(
                f"expression: {self.text.strip()!r} calls {name!r}, which is not known; define it, "
                f"or use {sorted(FUNCTIONS)}"
            )
        arguments = [self.comparison()]
        while self.take(","):
            arguments.append(self.comparison())
        self.need(")")
        wanted = FUNCTIONS.get(name)
        if wanted is not None and len(arguments) != wanted:
            self.fail(at)
        return ("call", name, tuple(arguments))

    def all_densities(self):
        """What follows "n(": ":" or "1:nmols"."""
        ends = [t for _, t, _ in self.tokens[self.at : self.at + 4]]
        for pattern in ([":", ")"], ["1", ":", "nmols", ")"]):
            if ends[: len(pattern)] == pattern:
                self.at += len(pattern)
                return ("densities",)
        return self.fail(self.tokens[self.at][2])

    def cases(self):
        """What follows "Piecewise(": pairs of a value and a condition."""
        found = []
        while True:
            self.need("(")
            value = self.comparison()
            self.need(",")
            found.append((value, self.comparison()))
            self.need(")")
            if not self.take(","):
                break
        self.need(")")
        return ("cases", tuple(found))


def _of_index(written):
    """The species of KROME's idx_X: "Hj" is H+, "Hk" is H-."""
    signs = re.search(r"(j+|k+)$", written)
    name = written[: signs.start()] if signs else written
    name += ("+" if signs[0][0] == "j" else "-") * len(signs[0]) if signs else ""
    return species(name).name


def _flat(part):
    """Trees in nested tuples of trees."""
    for child in part:
        if isinstance(child, tuple):
            yield from [child] if child and isinstance(child[0], str) else _flat(child)


def _inner_names(part):
    trees = [part] if part and isinstance(part[0], str) else _flat(part)
    return {n for tree in trees for n in names(tree)}


_LEVEL = {"+": 1, "-": 1, "*": 2, "/": 2, "**": 4} | dict.fromkeys(_COMPARE, 0)


def _text(tree, level):
    kind = tree[0]
    if kind == "number":
        text, own = repr(tree[1]), 5
    elif kind == "name":
        text, own = tree[1], 5
    elif kind == "density":
        name = tree[1].replace("+", "j")
        name = re.sub(r"-+$", lambda signs: "k" * len(signs[0]), name)
        text, own = f"n(idx_{name})", 5
    elif kind == "densities":
        text, own = "n(:)", 5
    elif kind == "call":
        text, own = f"{tree[1]}({','.join(_text(a, 0) for a in tree[2])})", 5
    elif kind == "cases":
        pairs = ",".join(f"({_text(v, 0)},{_text(c, 0)})" for v, c in tree[1])
        text, own = f"piecewise({pairs})", 5
    elif kind == "negative":
        text, own = f"-{_text(tree[1], 4)}", 3
    else:
        own = _LEVEL[kind]
        # The right-hand side of - and /, and the left of **, bind more tightly.
        left = _text(tree[1], own + (kind == "**" or own == 0))
        text = f"{left}{kind}{_text(tree[2], own + (kind != '**'))}"
    return f"({text})" if own < level else text
