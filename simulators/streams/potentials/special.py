"""Elementwise functions of the force loops, on those of `simulators.shared.elementwise`."""

import math

import jax
import jax.numpy as jnp
from jax import lax

from simulators.shared.elementwise import at_least, horner, inverse_root, tiny

# sum_n z^n / (2n + 3), the tail of atanh(s) = s + s z (1/3 + z/5 + ...) with z = s^2, interpolated
# at Chebyshev nodes of 0 <= z <= (sqrt(2) - 1)^4 = 0.0295; relative error below 1e-16 of the sum
# atanh(s), for 7 coefficients where the Taylor series needs 11.
_ATANH_TAIL = (
    0.3333333333333335,
    0.19999999999949752,
    0.14285714312987743,
    0.1111110556739754,
    0.09091444562630861,
    0.07665860800278021,
    0.07308224842521703,
)


def squared_radius(x, y, z):
    """x^2 + y^2 + z^2, never below `tiny`, so that values and derivatives at the origin are finite.

    The guard also cuts the gradient there, which makes forces vanish at the origin by symmetry.
    """
    return at_least(x * x + y * y + z * z, tiny(x))


def _reduce(w):
    """Split w > 0 into mantissa and exponent, w = m 2^k with m in [sqrt(1/2), sqrt(2))."""
    info = jnp.finfo(w.dtype)
    integer = jnp.dtype(f"int{info.bits}")
    least = lax.bitcast_convert_type(jnp.asarray(math.sqrt(0.5), w.dtype), integer)
    shift = jnp.asarray(info.nmant, integer)
    bits = lax.bitcast_convert_type(w, integer)
    k = lax.shift_right_arithmetic(bits - least, jnp.full_like(bits, shift))
    m = lax.bitcast_convert_type(bits - lax.shift_left(k, jnp.full_like(bits, shift)), w.dtype)
    return m, k.astype(w.dtype)


def _log_terms(u):
    """The pieces of ln(1 + u) = k ln 2 + 2 s + tail, and u / (1 + u), with one division."""
    m, k = _reduce(1.0 + u)
    small = k == 0.0
    # Below sqrt(2) - 1 nothing was rounded away: f = u keeps every digit of a small u.
    f = jnp.where(small, u, m - 1.0)
    inverse = 1.0 / ((1.0 + u) * (2.0 + f))
    s = f * (1.0 + u) * inverse
    v = u * (2.0 + f) * inverse
    tail = 2.0 * s * (s * s) * horner(_ATANH_TAIL, s * s)
    return small, k, s, v, tail


@jax.custom_jvp
def nfw_pull(u2):
    """[ln(1 + u) - u / (1 + u)] / u^3 for u^2 > 0: the NFW force over the radius.

    Right to a few ulp for every u, without a series at small u: in the range reduction of the
    logarithm the two leading terms 2 s - u / (1 + u), s = u / (2 + u), cancel exactly into the
    product s u / (1 + u). Measured 2 ns; the same formula on `jnp.log1p` takes 6.4 ns, loses
    eps / u to cancellation and needs a series branch.
    """
    u = jnp.sqrt(u2)
    small, k, s, v, tail = _log_terms(u)
    head = jnp.where(small, s * v, k * math.log(2.0) + (2.0 * s - v))
    # A division, where inverse^3 is at hand: XLA on CPUs copies a cheap producer into the loop of
    # each of its users, so a product here runs the polynomial three times (for ax, ay and az: 6.1
    # ns a force); behind an op that it counts as expensive it runs once (2.9 ns).
    return (head + tail) / (u2 * u)


@nfw_pull.defjvp
def _nfw_pull_jvp(primals, tangents):
    (u2,), (du2,) = primals, tangents
    u = jnp.sqrt(u2)
    pull = nfw_pull(u2)
    w2 = (1.0 + u) * (1.0 + u)
    # A division, as in `nfw_pull`.
    slope = (0.5 - 1.5 * u * pull * w2) / (w2 * (u2 * u))
    return pull, slope * du2


@jax.custom_jvp
def nfw_depth(u2):
    """ln(1 + u) / u for u^2 > 0: minus the NFW potential in units of G M / r_s."""
    inverse = inverse_root(u2)
    small, k, s, _, tail = _log_terms(u2 * inverse)
    return (jnp.where(small, 2.0 * s, k * math.log(2.0) + 2.0 * s) + tail) * inverse


@nfw_depth.defjvp
def _nfw_depth_jvp(primals, tangents):
    (u2,), (du2,) = primals, tangents
    return nfw_depth(u2), -0.5 * nfw_pull(u2) * du2
