r"""One-dimensional functions behind the NFW lens and its truncated form.

With u = (R / Rs)^2, and C(u) = arccosh(1/x) / sqrt(1 - x^2) (Carlson's R_C(1, x^2), smooth through
x = 1), the NFW lens needs

.. math:: F = \frac{C - 1}{1 - u}, \quad G = \frac{\ln(x/2) + C}{u}, \quad
    H = \ln^2\frac x2 + (u - 1) C^2, \quad H' = G, \quad (u G)' = F / 2

for convergence, deflection and potential. The truncation of Baltz, Marshall & Oguri (2009) adds
the same functions at imaginary radius, t = (R / r_trunc)^2 = -u'.

No closed form loses digits to cancellation: below u = 1/2 the leading terms are taken out by hand,
above it everything is a positive combination of one smooth function of z = (1 - x) / (1 + x) that
is a polynomial to rounding. All polynomials are interpolated at Chebyshev nodes when this module
is imported. One logarithm, at most three roots and no inverse trigonometric function an element.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.elementwise import at_least, at_most, horner

_LN2 = math.log(2.0)
# Where the closed form at small radii hands over to the polynomial in z. Each side goes on a little
# beyond, so that no guard cuts a derivative at the seam.
_LOWEST, _SPLIT, _HIGHEST = 0.48, 0.5, 0.52
_Z_HIGHEST = (1.0 - math.sqrt(_LOWEST)) / (1.0 + math.sqrt(_LOWEST))
_Q = 1.0 - math.pi / 4.0


def _polynomial(integrand, low, high, degree):
    """The integral of integrand(argument, s) over 0 < s < 1, as a function of the argument.

    A polynomial in the argument mapped to (-1, 1), which keeps Horner's rule well conditioned.
    """
    nodes, weights = np.polynomial.legendre.leggauss(80)
    nodes, weights = (nodes + 1.0) / 2.0, weights / 2.0
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    fit = np.polynomial.chebyshev.chebinterpolate(
        lambda v: np.sum(weights * integrand((middle + half * v)[:, None], nodes), axis=-1), degree
    )
    coefficients = tuple(map(float, np.polynomial.chebyshev.cheb2poly(fit)))
    scale, shift = 1.0 / half, -middle / half
    return lambda argument: horner(coefficients, argument * scale + shift)


# With A(z) = atanh(sqrt z) / sqrt z, the integral of 1 / (1 - z s^2), this is its second divided
# difference at 0 and -1: A = 1 + (1 - pi/4) z + z (1 + z) _bend(z). C is (1 + z) A.
_bend = _polynomial(lambda z, s: s**4 / ((1.0 - z * s * s) * (1.0 + s * s)), -1.0, _Z_HIGHEST, 24)
# ln(1 + v) / v, for v from that of the largest u within the seam up to that of t = 1.
_V_LOW, _V_HIGH = (math.sqrt(1.0 - _HIGHEST) - 1.0) / 2.0, (math.sqrt(2.0) - 1.0) / 2.0
_log_slope = _polynomial(lambda v, s: 1.0 / (1.0 + v * s), _V_LOW, _V_HIGH, 15)
# asinh(sqrt q) / sqrt q
_asinh_slope = _polynomial(lambda q, s: 1.0 / np.sqrt(1.0 + q * s * s), 0.0, 1.0, 21)


def log_ratio(v):
    """ln(1 + v) / v for v > -1, smooth through v = 0."""
    small = (v > 0.9 * _V_LOW) & (v < 0.9 * _V_HIGH)
    clipped = at_most(at_least(v, _V_LOW), _V_HIGH)
    return jnp.where(small, _log_slope(clipped), jnp.log1p(v) / jnp.where(small, 1.0, v))


def _depth(u):
    """ln(2 / x), the logarithmic part of C."""
    return _LN2 - 0.5 * jnp.log(u)


def _inner(u):
    """Pieces for u < 1/2: s = sqrt(1 - u), w = (1 - s) / 2 and -ln(1 - w) / w."""
    u = at_most(u, _HIGHEST)
    s = jnp.sqrt(1.0 - u)
    w = u / (2.0 * (1.0 + s))
    return s, w, _log_slope(-w)


def _outer(u):
    """Pieces for u >= 1/2: x, 1 / (1 + x), z and the polynomial."""
    x = jnp.sqrt(at_least(u, _LOWEST))
    inverse = 1.0 / (1.0 + x)
    z = 2.0 * inverse - 1.0
    return x, inverse, z, _bend(z)


def _carlson_pieces(u):
    s, w, slope = _inner(u)
    inner = (_depth(u) - w * slope) / s
    _, inverse, z, bend = _outer(u)
    rise = _Q + 2.0 * inverse * bend
    return inner, 2.0 * inverse * (1.0 + z * rise), inverse, rise, s


def nfw_kappa(u):
    """F(u) for u > 0: the convergence over 2 rho_0 Rs.

    Differentiated as it stands: its derivative has no closed form that keeps its digits at u = 1.
    """
    inner, _, inverse, rise, s = _carlson_pieces(u)
    outer = inverse * inverse * (1.0 + 2.0 * inverse * rise)
    return jnp.where(u < _SPLIT, (inner - 1.0) / (s * s), outer)


@jax.custom_jvp
def nfw_pull(u):
    """G(u) for u > 0: the mean convergence within the radius over 4 rho_0 Rs."""
    s, _, slope = _inner(u)
    depth = _depth(u)
    inner = (depth - 0.5 * slope) / (s * (1.0 + s))
    _, outer, *_ = _carlson_pieces(u)
    return jnp.where(u < _SPLIT, inner, (outer - depth) / at_least(u, _LOWEST))


@nfw_pull.defjvp
def _nfw_pull_jvp(primals, tangents):
    (u,), (du,) = primals, tangents
    pull = nfw_pull(u)
    return pull, ((0.5 * nfw_kappa(u) - pull) / u) * du


@jax.custom_jvp
def nfw_psi(u):
    """H(u) for u > 0, zero at the centre: the potential over 2 rho_0 Rs^3."""
    _, w, slope = _inner(u)
    depth, lift = _depth(u), w * slope
    _, outer, *_ = _carlson_pieces(u)
    outer = depth * depth + (u - 1.0) * outer * outer
    return jnp.where(u < _SPLIT, lift * (2.0 * depth - lift), outer)


@nfw_psi.defjvp
def _nfw_psi_jvp(primals, tangents):
    (u,), (du,) = primals, tangents
    return nfw_psi(u), nfw_pull(u) * du


def _truncation(t, depth):
    """sigma = sqrt(1 + t), l = asinh(1/y), m = ln[(1 + sigma) / 2] and m / [(sigma - 1) / 2].

    `depth` is ln(2 / y), y = sqrt(t): the caller has that logarithm already.
    """
    sigma = jnp.sqrt(1.0 + t)
    v = t / (2.0 * (1.0 + sigma))
    slope = _log_slope(at_most(v, _V_HIGH))
    q = 1.0 / at_least(t, 1.0)
    large = jnp.sqrt(q) * _asinh_slope(q)
    near = t < 1.0
    m = jnp.where(near, v * slope, large - depth)
    return sigma, jnp.where(near, depth + m, large), m, jnp.where(near, slope, m / v)


@jax.custom_jvp
def cut_log(t, depth):
    """asinh(1 / y)."""
    return _truncation(t, depth)[1]


@cut_log.defjvp
def _cut_log_jvp(primals, tangents):
    (t, depth), (dt, _) = primals, tangents
    return cut_log(t, depth), (-0.5 / (t * jnp.sqrt(1.0 + t))) * dt


@jax.custom_jvp
def cut_lift(t, depth):
    """ln[(1 + sigma) / 2]."""
    return _truncation(t, depth)[2]


@cut_lift.defjvp
def _cut_lift_jvp(primals, tangents):
    (t, depth), (dt, _) = primals, tangents
    sigma = jnp.sqrt(1.0 + t)
    return cut_lift(t, depth), (0.5 / (sigma * (1.0 + sigma))) * dt


@jax.custom_jvp
def cut_pull(t, depth):
    """N(t) = [m + (sigma - 1) l] / t, the counterpart of G: (t N)' = l / (2 sigma)."""
    sigma, log, _, slope = _truncation(t, depth)
    return (0.5 * slope + log) / (1.0 + sigma)


@cut_pull.defjvp
def _cut_pull_jvp(primals, tangents):
    (t, depth), (dt, _) = primals, tangents
    pull = cut_pull(t, depth)
    return pull, ((0.5 * cut_log(t, depth) / jnp.sqrt(1.0 + t) - pull) / t) * dt


@jax.custom_jvp
def cut_psi(t, depth):
    """The integral of N from 0 to t, the counterpart of H."""
    sigma, log, m, _ = _truncation(t, depth)
    rise = t / (1.0 + sigma)
    return m * (m - 2.0 * log) + 2.0 * (rise * log + m)


@cut_psi.defjvp
def _cut_psi_jvp(primals, tangents):
    (t, depth), (dt, _) = primals, tangents
    return cut_psi(t, depth), cut_pull(t, depth) * dt


@jax.custom_jvp
def cut_excess(u, tau):
    """E(u) = 2 C(u) - pi / (tau + S), S = sqrt(tau^2 + u), which falls as 1 / u."""
    inner, *_ = _carlson_pieces(u)
    x, inverse, z, bend = _outer(u)
    root = jnp.sqrt(tau * tau + u)
    ratio = 1.0 / (tau + root)
    # pi [1 / (1 + x) - 1 / (tau + S)] + 8 D / (1 + x)^2, with D = [A(z) - A(-1)] / (1 + z)
    flat = (tau - 1.0) + tau * tau / (root + x)
    outer = inverse * (math.pi * flat * ratio + 8.0 * inverse * (_Q + z * bend))
    return jnp.where(u < _SPLIT, 2.0 * inner - math.pi * ratio, outer)


def cut_tail(u, tau):
    """E + pi / (tau + S) - pi / S: what E becomes in the convergence."""
    root = jnp.sqrt(tau * tau + u)
    return cut_excess(u, tau) - math.pi * tau / (root * (tau + root))


@cut_excess.defjvp
def _cut_excess_jvp(primals, tangents):
    (u, tau), (du, dtau) = primals, tangents
    root = jnp.sqrt(tau * tau + u)
    excess = cut_excess(u, tau)
    slope = math.pi / (root * (tau + root))
    along = (nfw_kappa(u) - 0.5 * excess - 0.5 * tau * slope) / u
    return excess, along * du + slope * dtau


def tnfw_depths(u, tau):
    """t = u / tau^2 and ln(2 / y)."""
    return u / (tau * tau), _depth(u) + jnp.log(tau)


def _fractions(tau):
    """a = tau^2 / (1 + tau^2), b = 1 - a and a - b."""
    b = 1.0 / (1.0 + tau * tau)
    a = tau * tau * b
    return a, b, (tau - 1.0) * (tau + 1.0) * b


def tnfw_pull(u, tau):
    """The mean convergence within the radius over 4 rho_0 Rs of the truncated halo."""
    a, b, c = _fractions(tau)
    return c * (a * nfw_pull(u) - b * cut_pull(*tnfw_depths(u, tau))) + a * b * cut_excess(u, tau)


def tnfw_kappa(u, tau):
    """The convergence over 2 rho_0 Rs of the truncated halo."""
    a, b, c = _fractions(tau)
    t, depth = tnfw_depths(u, tau)
    cut = cut_log(t, depth) / jnp.sqrt(1.0 + t)
    return a * nfw_kappa(u) - (c * b) * cut + (a * b) * cut_tail(u, tau)


def tnfw_psi(u, tau):
    """The potential over 2 rho_0 Rs^3 of the truncated halo, zero at the centre."""
    a, b, c = _fractions(tau)
    t, depth = tnfw_depths(u, tau)
    shells = u * (2.0 * cut_excess(u, tau) - 4.0 * nfw_pull(u))
    shells = shells + 2.0 * math.pi * tau * cut_lift(t, depth)
    return (a * c) * (nfw_psi(u) - cut_psi(t, depth)) + (a * b) * shells
