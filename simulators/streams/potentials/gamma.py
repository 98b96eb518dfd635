"""Incomplete gamma functions at a fixed cost, differentiable in both arguments.

`jax.scipy.special.gammainc` loops until its slowest element has converged. The power law with a
cutoff needs one order s for all elements, so plain polynomials in x do, whose coefficients XLA
hoists out of an integrator's loop. Derivatives with respect to x are closed forms, given as custom
rules, which keeps Hessians and reverse passes as cheap as values.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.scipy.special import gammaln

from simulators.shared.elementwise import at_least, at_most, horner

# Kummer's series below, Legendre's continued fraction above: at x = 8 they need 43 terms and 10
# levels for 1e-16 with any order in (-1/2, 3/2].
_SPLIT = 8.0
_TERMS = 44
_LEVELS = 11
# Beyond, the upper functions are below 1e-16 and the recurrence would leave the float32 range.
_LARGEST = 37.0
_NODES = 22


def _with_closed_slope(raw, slope_x):
    """raw(s, x) with d/dx given by slope_x(s, x), d/ds by forward differentiation of `raw`."""
    function = jax.custom_jvp(raw)

    def rule(primals, tangents):
        s, x = primals
        ds, dx = tangents
        tangent = jnp.zeros_like(x)
        if not isinstance(dx, SymbolicZero):
            tangent = tangent + slope_x(s, x) * dx
        if not isinstance(ds, SymbolicZero):
            # As a number times ds, so that reverse mode stores one array and not every partial sum.
            _, slope_s = jax.jvp(lambda s: raw(s, x), (s,), (jnp.ones_like(s),))
            tangent = tangent + slope_s * ds
        return function(s, x), tangent

    function.defjvp(rule, symbolic_zeros=True)
    return function


def _kummer(s, x):
    """sum_n x^n / [s (s + 1) ... (s + n)]: all terms positive, so no digits are lost.

    A polynomial in x / _SPLIT, so that coefficients and powers stay in the range of float32, in
    four interleaved chains: a single Horner chain would wait for its own results.
    """
    y = x / _SPLIT
    coefficients = [1.0 / s]
    for n in range(1, _TERMS):
        coefficients.append(coefficients[-1] * (_SPLIT / (s + n)))
    y2 = y * y
    a, b, c, d = (horner(coefficients[k::4], y2 * y2) for k in range(4))
    return (a + y2 * c) + y * (b + y2 * d)


def _legendre(s, x):
    """Gamma(s, x) x^-s e^x as a continued fraction, by the forward recurrence: one division."""
    before, numerator = jnp.zeros_like(x), jnp.ones_like(x)
    previous, denominator = jnp.ones_like(x), x + (1.0 - s)
    for n in range(1, _LEVELS + 1):
        b, a = x + (2.0 * n + 1.0 - s), n * (s - n)
        before, numerator = numerator, b * numerator + a * before
        previous, denominator = denominator, b * denominator + a * previous
    return numerator / denominator


def _lower(s, x):
    weight = jnp.exp(s * jnp.log(x) - x - gammaln(s))
    below = weight * _kummer(s, at_most(x, _SPLIT))
    above = 1.0 - weight * _legendre(s, at_most(at_least(x, _SPLIT), _LARGEST))
    return jnp.where(x < _SPLIT, below, above)


#: P(s, x) = gamma(s, x) / Gamma(s) for 0 < s <= 3/2 and x > 0, right to 1e-14 relative.
#: `s` is a scalar or of the shape of `x`.
lower_fraction = _with_closed_slope(
    _lower, lambda s, x: jnp.exp((s - 1.0) * jnp.log(x) - x - gammaln(s))
)


def _power_gap(s, log_x):
    """(1 - x^s) / s, which is -ln x at s = 0."""
    y = s * log_x
    near = jnp.abs(y) < 1e-3
    safe = jnp.where(near, 1.0, y)
    small = jnp.where(near, y, 0.0)
    series = 1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0 * (1.0 + small / 5.0)))
    return -log_x * jnp.where(near, series, jnp.expm1(safe) / safe)


def _upper(s, x):
    low = jnp.log(at_most(at_least(x, 1.0), _LARGEST))
    width = math.log(_LARGEST) - low
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    total = jnp.zeros_like(x)
    for node, weight in zip(nodes, weights, strict=True):
        w = low + float(0.5 + 0.5 * node) * width
        total = total + float(0.5 * weight) * jnp.exp(s * w - jnp.exp(w))
    total = total * width

    inner = at_most(x, 1.0)
    log_x = jnp.log(inner)
    power = jnp.exp(s * log_x)
    total = total + _power_gap(s, log_x)
    for n in range(1, 19):
        power = power * inner
        total = total + (-1.0) ** n / math.factorial(n) / (s + n) * (1.0 - power)
    return total


#: Gamma(s, x), the integral of w^(s - 1) exp(-w) from x up, for -1 < s < 2 and x > 0.
#: Below x = 1 the alternating series from x to 1, with its singular looking term at s = 0 taken
#: together; above, Gauss-Legendre quadrature in ln w, where the integrand is entire. Absolute error
#: 1e-15, which is what a potential, a sum with larger terms, needs.
upper_gamma = _with_closed_slope(_upper, lambda s, x: -jnp.exp((s - 1.0) * jnp.log(x) - x))
