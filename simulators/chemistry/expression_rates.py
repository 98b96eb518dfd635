"""The rates of those reactions of a network whose law is an expression."""

import warnings
from collections import defaultdict

import jax.numpy as jnp
import numpy as np

from simulators.chemistry.arithmetic import Scope, read_functions
from simulators.chemistry.conditions import Local
from simulators.chemistry.expressions import densities, names, parse
from simulators.chemistry.laws import Expression
from simulators.shared.elementwise import at_least


class Expressions:
    """All expressions of a network, read once and evaluated together.

    Args:
        network: the network.

    Attributes:
        depends: indices of the species whose densities they use.
        moving: which of the expressions use densities, integers.

    Raises:
        ValueError: names the reaction whose expression cannot be read.
    """

    def __init__(self, network):
        self._functions = read_functions(network.functions)
        self._definitions = {
            name: parse(text, self._functions) for name, text in network.definitions.items()
        }
        self._index = {name: i for i, name in enumerate(network.species)}
        used, alike, moving, count = set(), defaultdict(list), [], 0
        for reaction in network.reactions:
            if isinstance(reaction.law, Expression):
                tree = read(reaction, self._functions)
                own = self._densities(tree, set())
                used |= own
                shape, numbers = template(tree)
                alike[shape, len(reaction.orders) - 1].append((count, numbers, reaction, tree))
                moving += [count] if own else []
                count += 1
        self._groups = [
            _Group(bodies, *zip(*entries, strict=True)) for (_, bodies), entries in alike.items()
        ]
        self.moving = np.array(moving, int)
        absent = sorted(used - {"*"} - self._index.keys())
        if absent:
            warnings.warn(
                f"Network: expressions use densities of {absent}, which no reaction has: they are "
                "zero.",
                stacklevel=4,
            )
        used -= set(absent)
        self.depends = tuple(
            range(len(network.species)) if "*" in used else sorted(self._index[n] for n in used)
        )

    def _densities(self, tree, seen):
        """Species whose densities a tree uses, through all definitions."""
        found = set(densities(tree))
        for name in names(tree) - seen:
            seen.add(name)
            inner = [self._definitions[name]] if name in self._definitions else []
            if name in self._functions:
                _, steps, result = self._functions[name]
                inner = [*(step for _, step in steps), result]
            found = found.union(*(self._densities(part, seen) for part in inner))
        return found

    def __call__(self, conditions, abundances, moving=False):
        """k of all expressions, or of the `moving` ones, shape (n, B)."""
        groups = self._groups
        if moving:
            # one piece of arithmetic has one set of names: all of a group move or none
            groups = [g for g in groups if np.isin(g.rows, self.moving).any()]
        scopes, parts = {}, []
        for group in groups:
            if group.limits not in scopes:
                local = Local(conditions, tuple(np.array(x) for x in group.limits))
                density = self._density(local, abundances)
                scopes[group.limits] = Scope(local, self._definitions, self._functions, density)
            parts.append(group.rates(scopes[group.limits]))
        width = max(part.shape[1] for part in parts)
        k = jnp.concatenate([jnp.broadcast_to(p, (p.shape[0], width)) for p in parts])
        return k[np.argsort(np.concatenate([g.rows for g in groups]))]

    def _density(self, local, abundances):
        if abundances is None:
            return None
        y = abundances.astype(local.n_H.dtype)
        y = y[:, None] if y.ndim == 1 else y

        def density(name):
            if name == "*":
                return jnp.sum(y, axis=0, keepdims=True) * local.n_H
            at = self._index.get(name)
            return jnp.zeros_like(y[:1]) if at is None else y[at][None] * local.n_H

        return density


class _Group:
    """Expressions that differ in numbers alone: one piece of arithmetic for all of them."""

    def __init__(self, bodies, rows, numbers, reactions, trees):
        self.rows, self._bodies, self._reaction = rows, bodies, reactions[0]
        low, high = zip(*(r.limits for r in reactions), strict=True)
        self.limits = (
            (low, high) if len(set(zip(low, high, strict=True))) > 1 else (low[:1], high[:1])
        )
        if len(rows) == 1:
            self._tree, self._numbers = trees[0], ()
        else:
            self._tree, _ = template(trees[0])
            self._numbers = np.array(numbers).T

    def rates(self, scope):
        """k of the group, shape (n, B) or (n, 1)."""
        n_H = scope.n_H
        numbers = [jnp.asarray(x[:, None], n_H.dtype) for x in self._numbers]
        try:
            value = scope.value(self._tree, numbers)
        except (ValueError, ArithmeticError) as error:
            raise ValueError(f"{self._reaction.where}: {self._reaction}: {error}") from None
        value = at_least(jnp.asarray(value, n_H.dtype), 0.0)
        for _ in range(self._bodies):
            value = value * n_H
        return jnp.broadcast_to(value, (len(self.rows), value.shape[1] if value.ndim else 1))


def template(tree):
    """A tree with its numbers replaced by ("slot", i), and these; exponents stay as they are.

    >>> template(parse("2*exp(-3*a)*t**2"))[1]
    (2.0, 3.0)
    """
    numbers = []
    return _opened(tree, numbers), tuple(numbers)


def _opened(tree, numbers):
    kind = tree[0]
    if kind == "number":
        numbers.append(tree[1])
        return ("slot", len(numbers) - 1)
    if kind in ("name", "density", "densities"):
        return tree
    if kind == "call":
        return (kind, tree[1], tuple(_opened(a, numbers) for a in tree[2]))
    if kind == "cases":
        pairs = tuple(tuple(_opened(part, numbers) for part in pair) for pair in tree[1])
        return (kind, pairs)
    if kind == "**" and tree[2][0] in ("number", "negative"):
        return (kind, _opened(tree[1], numbers), tree[2])
    return (kind, *(_opened(part, numbers) for part in tree[1:]))


def read(reaction, functions=()):
    """The tree of a reaction's expression.

    Raises:
        ValueError: names the reaction.
    """
    try:
        return parse(reaction.law.text, functions)
    except ValueError as error:
        raise ValueError(f"{reaction.where or 'Reaction'}: {reaction}: {error}.") from None
