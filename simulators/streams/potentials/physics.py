"""Closed forms of the potentials: pure elementwise functions of floats.

Spherical and ellipsoidal families take a squared radius that the caller has kept off zero
(`special.squared_radius`) and give phi [kpc^2/Myr^2], the `pull` -dphi/dr / r [Myr^-2], by which
the position is multiplied to get minus the acceleration, and rho [Msun/kpc^3]. Other families give
accelerations. `gm` is G m [kpc^3/Myr^2].

Inverse roots are from `inverse_root`: see the timings in `special`. Subexpressions that two
components share, such as the radius, are merged by XLA once they stand in one compiled expression.
"""

import math

import jax.numpy as jnp

from simulators.shared.elementwise import at_least, inverse_root, tiny
from simulators.streams.units import G

_FOUR_PI = 4.0 * math.pi


def kepler_phi(r2, gm):
    """-G m / r."""
    return -gm * inverse_root(r2)


def kepler_pull(r2, gm):
    """G m / r^3."""
    inverse = inverse_root(r2)
    return gm * inverse * inverse * inverse


def plummer_phi(r2, gm, b):
    """-G m / sqrt(r^2 + b^2) (Plummer 1911)."""
    return -gm * inverse_root(r2 + b * b)


def plummer_pull(r2, gm, b):
    """G m / (r^2 + b^2)^(3/2)."""
    inverse = inverse_root(r2 + b * b)
    return gm * inverse * inverse * inverse


def plummer_rho(r2, m, b):
    """3 m b^2 / (4 pi (r^2 + b^2)^(5/2))."""
    inverse = inverse_root(r2 + b * b)
    square = inverse * inverse
    return 3.0 / _FOUR_PI * m * b * b * square * square * inverse


def hernquist_phi(r2, gm, a):
    """-G m / (r + a) (Hernquist 1990, eq. 5)."""
    return -gm / (jnp.sqrt(r2) + a)


def hernquist_pull(r2, gm, a):
    """G m / (r (r + a)^2)."""
    inverse = inverse_root(r2)
    w = r2 * inverse + a
    return gm * inverse / (w * w)


def hernquist_rho(r2, m, a):
    """m a / (2 pi r (r + a)^3) (Hernquist 1990, eq. 2)."""
    inverse = inverse_root(r2)
    w = r2 * inverse + a
    return m * a * inverse / (2.0 * math.pi * (w * w * w))


def jaffe_phi(r2, gm, a):
    """-G m / a ln(1 + a / r) (Jaffe 1983)."""
    return -gm / a * jnp.log1p(a * inverse_root(r2))


def jaffe_pull(r2, gm, a):
    """G m / (r^2 (r + a))."""
    return gm / (r2 * (jnp.sqrt(r2) + a))


def jaffe_rho(r2, m, a):
    """m a / (4 pi r^2 (r + a)^2)."""
    w = jnp.sqrt(r2) + a
    return m * a / (_FOUR_PI * r2 * w * w)


def isochrone_phi(r2, gm, b):
    """-G m / (b + sqrt(r^2 + b^2)) (Henon 1959)."""
    return -gm / (b + jnp.sqrt(r2 + b * b))


def isochrone_pull(r2, gm, b):
    """G m / (s (b + s)^2), s = sqrt(r^2 + b^2)."""
    s2 = r2 + b * b
    inverse = inverse_root(s2)
    w = b + s2 * inverse
    return gm * inverse / (w * w)


def isochrone_rho(r2, m, b):
    """m b (b + 2 s) / (4 pi (b + s)^2 s^3).

    The textbook form 3 (b + s) s^2 - r^2 (b + 3 s) (Binney & Tremaine 2008, eq. 2.49) with the
    common factor b + s divided out, which removes its cancellation at large radii.
    """
    s2 = r2 + b * b
    inverse = inverse_root(s2)
    s = s2 * inverse
    w = b + s
    return m * b * (b + 2.0 * s) * inverse * inverse * inverse / (_FOUR_PI * w * w)


def _disc_height(z, b):
    """sqrt(z^2 + b^2) and its inverse, finite in the plane of a razor-thin disc."""
    h2 = at_least(z * z + b * b, tiny(z))
    inverse = inverse_root(h2)
    return h2 * inverse, inverse


def miyamoto_nagai_phi(x, y, z, gm, a, b):
    """-G m / sqrt(x^2 + y^2 + (a + sqrt(z^2 + b^2))^2) (Miyamoto & Nagai 1975, eq. 4)."""
    height, _ = _disc_height(z, b)
    s = a + height
    return -gm * inverse_root(x * x + y * y + s * s)


def miyamoto_nagai_acc(x, y, z, gm, a, b):
    """Minus the gradient of `miyamoto_nagai_phi`."""
    height, inverse_height = _disc_height(z, b)
    s = a + height
    inverse = inverse_root(x * x + y * y + s * s)
    pull = -gm * (inverse * inverse * inverse)
    return pull * x, pull * y, pull * z * (s * inverse_height)


def miyamoto_nagai_tidal(x, y, z, gm, a, b):
    """The Hessian of `miyamoto_nagai_phi` as (xx, xy, xz, yy, yz, zz).

    With h^2 = z^2 + b^2, s = a + h, d^2 = R^2 + s^2 and w = s z / h, of which dw/dz is
    z^2 / h^2 + s b^2 / h^3: P = G m / d^3 times (1, 1, dw/dz) on the diagonal, minus
    3 P / d^2 times the products of (x, y, w).
    """
    height, inverse_height = _disc_height(z, b)
    s = a + height
    d2 = x * x + y * y + s * s
    inverse = inverse_root(d2)
    pull = gm * (inverse * inverse * inverse)
    slope = -3.0 * pull / d2
    tilt = z * inverse_height
    w = s * tilt
    sx, sy, sw = slope * x, slope * y, slope * w
    ratio = b * inverse_height
    bend = tilt * tilt + s * inverse_height * (ratio * ratio)
    return pull + sx * x, sx * y, sx * w, pull + sy * y, sy * w, pull * bend + sw * w


def miyamoto_nagai_rho(x, y, z, m, a, b):
    """b^2 m [a R^2 + (a + 3 h) (a + h)^2] / (4 pi d^5 h^3), h^2 = z^2 + b^2, d^2 = R^2 + (a + h)^2.

    Miyamoto & Nagai (1975), eq. 5.
    """
    height, inverse_height = _disc_height(z, b)
    s = a + height
    big_r2 = x * x + y * y
    inverse = inverse_root(big_r2 + s * s)
    square = inverse * inverse
    shape = a * big_r2 + (a + 3.0 * height) * s * s
    cube = inverse_height * inverse_height * inverse_height
    return m * b * b / _FOUR_PI * shape * (square * square * inverse) * cube


def logarithmic_phi(s2, v_c):
    """v_c^2 / 2 ln(s^2), s^2 = r_h^2 + x^2/q1^2 + y^2/q2^2 + z^2/q3^2 [kpc^2]."""
    return 0.5 * v_c * v_c * jnp.log(s2)


def logarithmic_rho(s2, trace, squares, v_c):
    """v_c^2 / (4 pi G) [sum_i q_i^-2 / s^2 - 2 sum_i x_i^2 q_i^-4 / s^4]."""
    return v_c * v_c / (_FOUR_PI * G) * (trace - 2.0 * squares / s2) / s2


def _rod(x, y, z, a, b, c):
    """Shared lengths of the Long-Murali bar; see `long_murali_phi`."""
    c_height, inverse_c = _disc_height(z, c)
    s = b + c_height
    off2 = y * y + s * s
    minus2 = (x - a) * (x - a) + off2
    plus2 = (x + a) * (x + a) + off2
    inverse_product = inverse_root(minus2) * inverse_root(plus2)
    t_minus = minus2 * inverse_root(minus2)
    t_plus = plus2 * inverse_root(plus2)
    total = t_minus + t_plus
    # (total^2 - 4 a^2) / 2 without its cancellation far from the bar
    focal = x * x - a * a + off2 + t_minus * t_plus
    return s, inverse_c, total, inverse_product, focal, minus2 + plus2


def long_murali_phi(x, y, z, gm, a, b, c):
    """-G m / (2 a) ln[(T+ + T- + 2 a) / (T+ + T- - 2 a)], bar along x.

    T-+^2 = (x -+ a)^2 + y^2 + (b + sqrt(c^2 + z^2))^2. Equal to Long & Murali (1992, eq. 8a), in
    the symmetric form of a rod's potential: theirs loses digits at x < -a.
    """
    _, _, total, _, focal, _ = _rod(x, y, z, a, b, c)
    # 4 a / (total - 2 a), with total^2 - 4 a^2 = 2 focal
    return -gm / (2.0 * a) * jnp.log1p(2.0 * a * (total + 2.0 * a) / focal)


def long_murali_acc(x, y, z, gm, a, b, c):
    """Minus the gradient of `long_murali_phi` (Long & Murali 1992, eq. 9)."""
    s, inverse_c, total, inverse_product, focal, _ = _rod(x, y, z, a, b, c)
    across = -gm * total * inverse_product / focal
    return (
        -2.0 * gm * x * inverse_product / total,
        across * y,
        across * s * inverse_c * z,
    )


def long_murali_rho(x, y, z, m, a, b, c):
    """c^2 m / (4 pi h^3) K [b + h s^2 (S / P + T^2 / F - 1) / P], all terms positive.

    h^2 = z^2 + c^2, s = b + h, P = T+ T-, T = T+ + T-, S = T+^2 + T-^2, F = (T^2 - 4 a^2) / 2 and
    K = T / (P F). Away from the rod the potential is harmonic in (x, y, s), so that the Laplacian
    keeps only the terms with dh/dz and d2h/dz2.
    """
    s, inverse_c, total, inverse_product, focal, squares = _rod(x, y, z, a, b, c)
    inverse_focal = 1.0 / focal
    k = total * inverse_product * inverse_focal
    bend = (squares * inverse_product + total * total * inverse_focal - 1.0) * inverse_product
    cube = inverse_c * inverse_c * inverse_c
    return m * c * c / _FOUR_PI * cube * k * (b + s * s * bend / inverse_c)
