"""Expressions as JAX: the value of a tree in given gas, with finite derivatives."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from simulators.chemistry import shielding
from simulators.chemistry.expressions import parse
from simulators.shared.elementwise import at_least, at_most

#: Boltzmann's constant [eV / K] as KROME has it, so that its Te are ours.
_EV = 8.617343e-5


class Scope:
    """What the names in expressions stand for, in one set of conditions.

    Args:
        local: a `conditions.Local`.
        definitions: {name: tree}, the network's own variables. Extras of the conditions stand in
            their place where they have the same name.
        functions: {name: (arguments, ((variable, tree), ...), tree of the result)}.
        density: function of a species' name that returns its density [1 / cm^3], shape (1, B), or
            of "*" for the sum over all; None if the abundances are not known.

    The known variables are tgas [K], t32 = tgas / 300, invt = invtgas, invt32, sqrtgas, invsqrt,
    te = tgas in eV, invte, lnte, lnt, logt (decimal), nh = n_H, av, tdust, chi (= g0), zeta
    (= crate), grain_abundance, grain_radius, albedo, particles, and the conditions' extras; all
    with or without "user_" before them.
    """

    def __init__(self, local, definitions, functions, density=None):
        self._local, self._definitions, self._functions = local, definitions, functions
        self._density, self._values, self._waiting = density, {}, set()
        self._extras = {name.lower(): value for name, value in local.extras.items()}

    @property
    def n_H(self):
        """Density of hydrogen nuclei [1 / cm^3], shape (1, B)."""
        return self._local.n_H

    def value(self, tree, slots=()):
        """The value of a tree: a Python number, or an array that broadcasts against (n or 1, B).

        Args:
            tree: a tree, or a template of `expression_rates`.
            slots: what its slots stand for.
        """
        return self._value(tree, dict(enumerate(slots)))

    def variable(self, name):
        """The value of a variable.

        Raises:
            ValueError: if nothing has that name, or if it is defined by itself.
        """
        if name not in self._values:
            if name in self._waiting:
                raise ValueError(f"expression: variable {name!r} is defined by itself.")
            self._waiting.add(name)
            self._values[name] = self._find(name)
            self._waiting.remove(name)
        return self._values[name]

    def _find(self, name):
        short = name.removeprefix("user_")
        for known in (name, short):
            if known in self._extras:
                return self._extras[known]
        if name in self._definitions:
            return self.value(self._definitions[name])
        for known in (name, short):
            if known in KNOWN:
                return KNOWN[known](self._local)
        raise ValueError(
            f"Conditions: an expression uses {name!r}, which is not given; add it to the "
            f"conditions: extras={{{short!r}: ...}}."
        )

    def _value(self, tree, inner):
        kind = tree[0]
        if kind == "number":
            return tree[1]
        if kind == "slot":
            return inner[tree[1]]
        if kind == "name":
            return self._named(tree[1], inner)
        if kind == "negative":
            return -self._value(tree[1], inner)
        if kind == "call":
            return self._call(tree[1], tree[2], inner)
        if kind == "cases":
            return self._cases(tree[1], inner)
        if kind in ("density", "densities"):
            return self._count(tree[1] if kind == "density" else "*")
        return _OPERATIONS[kind](self._value(tree[1], inner), self._value(tree[2], inner))

    def _named(self, name, inner):
        if name in inner:
            return inner[name]
        return _CONSTANTS[name] if name in _CONSTANTS else self.variable(name)

    def _count(self, name):
        if self._density is None:
            raise ValueError(
                "RateTable: the network's expressions use densities of species; call it with "
                "abundances."
            )
        return self._density(name)

    def _call(self, name, arguments, inner):
        if name == "get_hnuclei":
            return self._local.n_H
        if name == "sum":
            return self._value(arguments[0], inner)
        values = [self._value(a, inner) for a in arguments]
        if name == "merge":
            return _where(values[2], values[0], values[1])
        if name in _FUNCTIONS:
            return _FUNCTIONS[name](*values)
        parameters, steps, result = self._functions[name]
        if len(values) != len(parameters):
            raise ValueError(
                f"function {name!r} takes {len(parameters)} numbers, not {len(values)}"
            )
        scope = dict(zip(parameters, values, strict=True))
        for variable, tree in steps:
            scope[variable] = self._value(tree, scope)
        return self._value(result, scope)

    def _cases(self, cases, inner):
        *others, (value, condition) = cases
        total = self._value(value, inner)
        if self._value(condition, inner) is not True:
            total = _where(self._value(condition, inner), total, 0.0)
        for value, condition in reversed(others):
            total = _where(self._value(condition, inner), self._value(value, inner), total)
        return total


def read_functions(functions):
    """Trees of `Network.functions`, as `Scope` wants them."""
    trees = {}
    for name, (arguments, lines) in functions.items():
        steps = [line.split("=", 1) for line in lines[:-1]]
        steps = tuple((v.strip().lower(), parse(text, functions)) for v, text in steps)
        result = parse(lines[-1].removeprefix("return "), functions)
        trees[name] = (tuple(arguments), steps, result)
    return trees


def _plain(*values):
    return all(isinstance(v, float | bool | int) for v in values)


def _tiny(x):
    return float(jnp.finfo(x.dtype).tiny)


def _divide(a, b):
    if _plain(b):
        return a / b
    least = 1e3 * _tiny(b)
    b = jnp.where(jnp.abs(b) < least, jnp.where(b < 0.0, -least, least), b)
    return _quotient(*jnp.broadcast_arrays(jnp.asarray(a, b.dtype), b))


@jax.custom_jvp
def _quotient(a, b):
    """a / b, whose derivative does not square a small b."""
    return a / b


@_quotient.defjvp
def _quotient_jvp(primals, tangents):
    (a, b), (da, db) = primals, tangents
    quotient = a / b
    return quotient, da / b - quotient * (db / b)


def _power(a, b):
    if _plain(a, b):
        return a**b
    if _plain(b):
        if b == int(b) and abs(b) <= 32:
            whole = lax.integer_pow(a, abs(int(b)))
            return whole if b >= 0 else _divide(1.0, whole)
        return _exp(b * _log(a))
    return _exp(b * (math.log(a) if _plain(a) and a > 0 else _log(a)))


def _exp(x):
    if _plain(x):
        return math.exp(x)
    return jnp.exp(at_most(x, 0.9 * math.log(float(jnp.finfo(x.dtype).max))))


def _log(x):
    return math.log(x) if _plain(x) else jnp.log(at_least(x, 1e3 * _tiny(x)))


def _sqrt(x):
    return math.sqrt(x) if _plain(x) else jnp.sqrt(at_least(x, 1e3 * _tiny(x)))


def _where(condition, a, b):
    if _plain(condition):
        return a if condition else b
    dtype = next((v.dtype for v in (a, b) if not _plain(v)), None)
    a, b = (jnp.asarray(v, dtype) for v in (a, b))
    return jnp.where(condition, a, b)


def _larger(*values):
    return _fold(values, max, at_least)


def _smaller(*values):
    return _fold(values, min, at_most)


def _fold(values, plain, traced):
    total = values[0]
    for value in values[1:]:
        if _plain(total, value):
            total = plain(total, value)
        else:
            a, b = (value, total) if _plain(total) else (total, value)
            total = traced(a, b)
    return total


def _either(plain, traced):
    return lambda x: plain(x) if _plain(x) else traced(x)


_OPERATIONS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "**": _power,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
_FUNCTIONS = {
    "exp": _exp,
    "log": _log,
    "log10": lambda x: _log(x) / math.log(10.0),
    "sqrt": _sqrt,
    "abs": _either(abs, jnp.abs),
    "sin": _either(math.sin, jnp.sin),
    "cos": _either(math.cos, jnp.cos),
    "tanh": _either(math.tanh, jnp.tanh),
    "min": _smaller,
    "max": _larger,
    "shield_h2": shielding.h2,
    "shield_co": shielding.co,
    "shield_n2": shielding.n2,
    "shield_c": shielding.c,
}
_CONSTANTS = {"true": True, "false": False, "pi": math.pi}
KNOWN = {
    "tgas": lambda c: c.T,
    "t32": lambda c: c.T / 300.0,
    "invt": lambda c: c.inverse_T,
    "invtgas": lambda c: c.inverse_T,
    "invt32": lambda c: 300.0 * c.inverse_T,
    "sqrtgas": lambda c: jnp.sqrt(c.T),
    "invsqrt": lambda c: jnp.sqrt(c.inverse_T),
    "te": lambda c: c.T * _EV,
    "invte": lambda c: c.inverse_T / _EV,
    "lnte": lambda c: c.log_T300 + math.log(300.0 * _EV),
    "lnt": lambda c: c.log_T300 + math.log(300.0),
    "logt": lambda c: (c.log_T300 + math.log(300.0)) / math.log(10.0),
    "nh": lambda c: c.n_H,
    "av": lambda c: c.A_V,
    "tdust": lambda c: c.T_dust,
    "chi": lambda c: c.G0,
    "g0": lambda c: c.G0,
    "zeta": lambda c: c.zeta,
    "crate": lambda c: c.zeta,
    "albedo": lambda c: c.albedo,
    "grain_abundance": lambda c: c.grain_abundance,
    "grain_radius": lambda c: c.grain_radius,
    "particles": lambda c: c.particles,
}
