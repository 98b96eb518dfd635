r"""The angular part of power-law lenses with elliptical convergence.

Tessore & Metcalf (2015, A&A 580, A79) find the deflection from F(u) = F(1, a; 2 - a; u), a Gauss
hypergeometric function of a complex u with \|u\| = (1 - q) / (1 + q), for a = (gamma - 1) / 2. Its
power series takes 320 terms for 14 digits at q = 0.05. Here it is summed in

.. math:: r = \frac{1 - \kappa}{1 + \kappa}, \quad \kappa = (1 - u)^{1/4}, \quad
    u = \frac{8 r (1 + r^2)}{(1 + r)^4}

which takes the plane, cut along u > 1 where F branches, into the unit disc. F(r) is regular in all
of the disc: its singular points u = 0 (on the other sheets), 1 and infinity lie at r^4 = 1 and at
infinity. As \|r\| < 0.29 for q > 0.05 and 0.46 for q > 0.01, some 28 terms do. From

.. math:: u (1 - u) \frac{dF}{du} = (1 - a)(1 - F) + a u F, \quad\text{so}\quad
    r (1 - r^4) \frac{dF}{dr} = (1 - a)(1 + r)^4 (1 - F) + 8 a r (1 + r^2) F

the coefficients obey a recurrence of five terms. They depend on the slope alone, analytically up to
a = 2, and are found once a lens, not once a ray, from a table of polynomials in a. The cost depends
neither on the slope nor on the axis ratio, and neither gamma = 2 nor q = 1 is special.

Complex numbers are pairs of real arrays.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
_DEGREE = 22


def default_terms(dtype):
    """Terms that leave rounding for q >= 0.1, and 2e-12 (float64) at q = 0.05."""
    return 28 if dtype == jnp.float64 else 16


def times(ar, ai, br, bi):
    """A complex product."""
    return ar * br - ai * bi, ar * bi + ai * br


def _chain(coefficients, r, s):
    """Remainder (b0, b1) of a real polynomial divided by z^2 - r z + s: it is b0 - z* b1 at z."""
    low, high = coefficients[-1], 0.0
    for c in coefficients[-2::-1]:
        # in this order each step waits for one multiply-add only
        low, high = (c - s * high) + r * low, low
    return low, high


def _polynomial(coefficients, zr, zi):
    """Sum of c_n z^n for real c_n: two real multiply-adds a term.

    Even and odd powers apart, so that the processor has two chains to work on.
    """
    qr, qi = zr * zr - zi * zi, 2.0 * zr * zi
    r, s = 2.0 * qr, qr * qr + qi * qi
    even, carried = _chain(coefficients[0::2], r, s)
    odd, carried_odd = _chain(coefficients[1::2], r, s)
    pr, pi = times(zr, zi, odd - qr * carried_odd, qi * carried_odd)
    return even - qr * carried + pr, qi * carried + pi


def _recurrence(a, terms):
    """The coefficients of r^n in (F - 1) / r."""
    b = 1.0 - a
    f = [0.0 * a, 0.0 * a, 0.0 * a, 0.0 * a + 1.0]
    for n in range(1, terms + 1):
        total = (8.0 * a - 4.0 * b) * (f[-1] + f[-3]) - 6.0 * b * f[-2] + (n - 4.0 - b) * f[-4]
        f.append((total + (b * _BINOMIAL[n] if n < 5 else 0.0)) / (n + b))
    return f[4:]


@functools.cache
def _table(terms):
    """Coefficients of powers of 2 a - 1 (rows) for each of `_recurrence` over a (columns).

    By interpolation in Chebyshev points. The next pole, at a = 2, leaves errors of 0.17^degree.
    """
    x = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    a = 0.5 * (1.0 + x)
    values = np.stack(_recurrence(a, terms), axis=-1) / a[:, None]
    chebyshev = np.linalg.solve(np.polynomial.chebyshev.chebvander(x, _DEGREE), values)
    return np.stack([np.polynomial.chebyshev.cheb2poly(c) for c in chebyshev.T], axis=-1)


def _coefficients(a, terms):
    """`_recurrence` by `_table`: unrolled, it takes XLA a second to compile."""
    x = 2.0 * a - 1.0
    powers = [a]
    for _ in range(_DEGREE):
        powers.append(powers[-1] * x)
    table = jnp.asarray(_table(terms), x.dtype)
    found = jnp.matmul(jnp.stack(powers, axis=-1), table, precision=jax.lax.Precision.HIGHEST)
    return [found[..., n] for n in range(terms)]


def _map(ur, ui):
    """r, and r / u, both as (real, imaginary), for |u| < 1."""
    a, b = 1.0 - ur, -ui
    m = jnp.sqrt(a * a + b * b)
    # a > 0: nothing cancels, and the roots stay off their cuts
    sr = jnp.sqrt(0.5 * (m + a))
    si = 0.5 * b / sr
    root = jnp.sqrt(m)
    kr = jnp.sqrt(0.5 * (root + sr))
    ki = 0.5 * si / kr
    # 1 - |kappa|^2 from 1 - |1 - u|^2 = 2 Re u - |u|^2, for the sake of its digits where u is small
    rest = (1.0 + m) * (1.0 + root)
    scale = 1.0 / (rest * (1.0 + 2.0 * kr + root))
    rr, ri = (ur * (2.0 - ur) - ui * ui) * scale, -2.0 * ki * (scale * rest)
    # r / u = (1 + r)^2 / [4 (1 + kappa^2)]
    scale = 0.25 / (1.0 + 2.0 * sr + m)
    qr, qi = times(1.0 + rr, ri, 1.0 + rr, ri)
    return (rr, ri), times(qr, qi, (1.0 + sr) * scale, -si * scale)


def _angle(coefficients, ur, ui):
    """F."""
    r, _ = _map(ur, ui)
    pr, pi = times(*r, *_polynomial(coefficients, *r))
    return 1.0 + pr, pi


def _angle_and_slope(coefficients, ur, ui, a):
    """F, and dF/du = [a F - (1 - a) (F - 1) / u] / (1 - u): nothing cancels at u = 0."""
    r, ratio = _map(ur, ui)
    sums = _polynomial(coefficients, *r)
    pr, pi = times(*r, *sums)
    er, ei = times(*ratio, *sums)
    cr = 1.0 - ur
    m2 = cr * cr + ui * ui
    nr, ni = a * (1.0 + pr) - (1.0 - a) * er, a * pi - (1.0 - a) * ei
    return (1.0 + pr, pi), times(nr, ni, cr / m2, ui / m2)


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def power_law_angle(ur, ui, a, terms):
    """F(1, a; 2 - a; u) for |u| < 1 and 0 < a < 1, as (real, imaginary).

    Its derivatives are given, because those of the series' coefficients, one by one, would be
    `terms` sums over all rays.
    """
    return _angle(_coefficients(a, terms), ur, ui)


@functools.partial(power_law_angle.defjvp, symbolic_zeros=True)
def _power_law_angle_jvp(terms, primals, tangents):
    (ur, ui, a), (dur, dui, da) = primals, tangents
    k, dk = jax.jvp(lambda a: _coefficients(a, terms), (a,), (jnp.ones_like(a),))
    value, slope = _angle_and_slope(k, ur, ui, a)
    dur, dui = (
        jnp.zeros_like(u) if isinstance(d, SymbolicZero) else d for u, d in ((ur, dur), (ui, dui))
    )
    out = times(*slope, dur, dui)
    if not isinstance(da, SymbolicZero):
        r, _ = _map(ur, ui)
        out = tuple(o + s * da for o, s in zip(out, times(*r, *_polynomial(dk, *r)), strict=True))
    return value, out


@functools.cache
def _isothermal(terms):
    return tuple(map(float, _recurrence(0.5, terms)))


@jax.custom_jvp
def isothermal_angle(ur, ui):
    r"""F(1, 1/2; 3/2; u) = artanh(\sqrt u) / \sqrt u for \|u\| < 1, as (real, imaginary)."""
    return _angle(_isothermal(default_terms(ur.dtype)), ur, ui)


@isothermal_angle.defjvp
def _isothermal_angle_jvp(primals, tangents):
    coefficients = _isothermal(default_terms(primals[0].dtype))
    value, slope = _angle_and_slope(coefficients, *primals, 0.5)
    return value, times(*slope, *tangents)
