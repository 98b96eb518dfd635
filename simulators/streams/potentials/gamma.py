"""Incomplete gamma functions at a fixed cost, differentiable in both arguments.

`jax.scipy.special.gammainc` loops until the slowest element has converged (1 to 3 microseconds an
element in a force loop) and has a derivative with respect to its order that costs as much again.
The power-law-with-cutoff potential needs one order for all elements, so the series here is a plain
polynomial in x, whose coefficients XLA hoists out of an integrator's loop.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

#: Beyond x = 37 the upper functions are below 1e-16, in float64 as good as zero.
LARGEST = 37.0
# Terms of Kummer's series until the rest is below 1e-17 of the sum at x = LARGEST.
_TERMS = 100
_NODES = 22


def _kummer(s, x):
    """e^-x sum_n x^n / [s (s + 1) ... (s + n)]: all terms positive, so no digits are lost."""
    total = jnp.ones_like(x)
    for n in range(_TERMS, 0, -1):
        total = 1.0 + x * (1.0 / (s + n)) * total
    return jnp.exp(-x) * total / s


@jax.custom_jvp
def scaled_lower_gamma(s, x):
    """g(s, x) = x^-s gamma(s, x), the integral of w^(s - 1) exp(-x w) over 0 < w < 1.

    Entire in x, with g(s, 0) = 1 / s. For s > 0 and 0 <= x <= `LARGEST`, `s` a scalar or of the
    shape of `x`; right to 1e-14.
    """
    return _kummer(s, x)


def _scaled_lower_gamma_jvp(primals, tangents):
    s, x = primals
    ds, dx = tangents
    tangent = jnp.zeros_like(x)
    # dg/dx = -g(s + 1, x) needs no differences, and reverse mode stores no partial sums.
    if not isinstance(dx, SymbolicZero):
        tangent = tangent - scaled_lower_gamma(s + 1.0, x) * dx
    if not isinstance(ds, SymbolicZero):
        _, slope = jax.jvp(lambda s: _kummer(s, x), (s,), (jnp.ones_like(s),))
        tangent = tangent + slope * ds
    return scaled_lower_gamma(s, x), tangent


scaled_lower_gamma.defjvp(_scaled_lower_gamma_jvp, symbolic_zeros=True)


def _power_gap(s, log_x):
    """(1 - x^s) / s, which is -ln x at s = 0."""
    y = s * log_x
    near = jnp.abs(y) < 1e-3
    safe = jnp.where(near, 1.0, y)
    small = jnp.where(near, y, 0.0)
    series = 1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0 * (1.0 + small / 5.0)))
    return -log_x * jnp.where(near, series, jnp.expm1(safe) / safe)


def upper_gamma(s, x):
    """Gamma(s, x), the integral of w^(s - 1) exp(-w) from x up, for -1 < s < 2 and x > 0.

    Below x = 1 the alternating series from x to 1, with its singular looking term at s = 0 taken
    together; from max(x, 1) to `LARGEST` Gauss-Legendre quadrature in ln w, where the integrand is
    entire. Absolute error 1e-15, which is what a potential, a sum with larger terms, needs.
    """
    low = jnp.log(jnp.clip(x, 1.0, LARGEST))
    width = math.log(LARGEST) - low
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    total = jnp.zeros_like(x)
    for node, weight in zip(nodes, weights, strict=True):
        w = low + float(0.5 + 0.5 * node) * width
        total = total + float(0.5 * weight) * jnp.exp(s * w - jnp.exp(w))
    total = total * width

    inner = jnp.minimum(x, 1.0)
    log_x = jnp.log(inner)
    power = jnp.exp(s * log_x)
    total = total + _power_gap(s, log_x)
    factor = jnp.ones_like(x)
    for n in range(1, 19):
        factor = factor * inner
        total = total + (-1.0) ** n / math.factorial(n) / (s + n) * (1.0 - power * factor)
    return total
