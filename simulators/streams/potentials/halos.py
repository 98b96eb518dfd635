"""Haloes: spherical, flattened or triaxial in the potential."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import as_float, cast, check, check_finite
from simulators.streams.potentials import physics
from simulators.streams.potentials.base import AbstractPotential
from simulators.streams.potentials.special import nfw_depth, nfw_pull
from simulators.streams.units import G

#: Critical density today [Msun/kpc^3] for H0 = 67.66 km/s/Mpc (Planck 2018, Table 2 last column).
RHO_CRITICAL = 127.0528153974983


class NFW(AbstractPotential):
    r"""Navarro, Frenk & White (1997) halo, with ellipsoidal equipotentials.

    $$\phi = -\frac{G m}{r_s} \frac{\ln(1 + u)}{u}, \quad
      u^2 = \frac{1}{r_s^2}\left(\frac{x^2}{a^2} + \frac{y^2}{b^2} + \frac{z^2}{c^2}\right)$$

    The flattening is in the potential (gala's convention), which leaves the density peanut-shaped
    and negative on the minor axis for strong flattening. a = b = c = 1 is the spherical halo and no
    special point: derivatives with respect to a, b, c are right there too.

    Args:
        m: scale mass [Msun], at least 0; M(<r) = m [ln(1 + u) - u / (1 + u)] when spherical.
        r_s: scale radius [kpc], above 0.
        a, b, c: axis scales of the equipotentials along x, y, z, above 0; c < 1 is oblate.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> halo = NFW(5.4e11, 15.62, c=0.9)
    >>> halo.acceleration([8.0, 0.0, 1.0]).shape
    (3,)
    """

    m: jax.Array = eqx.field(converter=as_float)
    r_s: jax.Array = eqx.field(converter=as_float)
    a: jax.Array = eqx.field(converter=as_float, default=1.0)
    b: jax.Array = eqx.field(converter=as_float, default=1.0)
    c: jax.Array = eqx.field(converter=as_float, default=1.0)

    def __check_init__(self):
        check(self, "m", open_end=False)
        check(self, "r_s", "a", "b", "c")

    @classmethod
    def from_virial_mass(cls, m_vir, concentration, overdensity=200.0, rho=RHO_CRITICAL, **axes):
        r"""From the mass within r_vir, where the mean density is `overdensity` times `rho`.

        Args:
            m_vir: virial mass [Msun].
            concentration: r_vir / r_s.
            overdensity: mean density over `rho`.
            rho: reference density [Msun/kpc^3], by default the critical density today.
            axes: a, b, c as in the constructor (the mass is that of the spherical halo).

        >>> halo = NFW.from_virial_mass(1e12, 12.0)
        >>> bool(abs(halo.enclosed_mass(12.0 * halo.r_s) / 1e12 - 1.0) < 1e-6)
        True
        """
        m_vir, k = as_float(m_vir), as_float(concentration)
        r_vir = jnp.cbrt(3.0 * m_vir / (4.0 * math.pi * overdensity * rho))
        return cls(m_vir / (k**3 * nfw_pull(k * k)), r_vir / k, **axes)

    @classmethod
    def from_circular_velocity(cls, v_c, r_s, r_ref=None, **axes):
        """From the circular velocity `v_c` [kpc/Myr] at `r_ref` [kpc], by default at `r_s`.

        The velocity is that of the spherical halo: axes a = b = 1 keep it in the plane.

        >>> halo = NFW.from_circular_velocity(0.2, 15.0, r_ref=8.0, c=0.8)
        >>> bool(abs(halo.circular_velocity(8.0) - 0.2) < 1e-6)
        True
        """
        v_c, r_s = as_float(v_c), as_float(r_s)
        r_ref = r_s if r_ref is None else as_float(r_ref)
        u = r_ref / r_s
        return cls(v_c**2 * r_s / (G * u * u * nfw_pull(u * u)), r_s, **axes)

    def _stretch(self, x):
        """Inverse squared semi-axes [kpc^-2] of the ellipsoid u = 1."""
        r_s, a, b, c = cast(x, self.r_s, self.a, self.b, self.c)
        return tuple(1.0 / (r_s * s) ** 2 for s in (a, b, c))

    def _u2(self, x, y, z):
        ia, ib, ic = self._stretch(x)
        (r_s,) = cast(x, self.r_s)
        # The same guard in kpc as everywhere, which also keeps u^-6 finite in float32.
        return at_least(x * x * ia + y * y * ib + z * z * ic, tiny(x) / r_s**2)

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        m, r_s = cast(x, self.m, self.r_s)
        return -G * m / r_s * nfw_depth(self._u2(x, y, z))

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        m, r_s = cast(x, self.m, self.r_s)
        ia, ib, ic = self._stretch(x)
        scale = -G * m / r_s
        pull = nfw_pull(self._u2(x, y, z))
        return pull * (x * (scale * ia)), pull * (y * (scale * ib)), pull * (z * (scale * ic))

    def tidal(self, x, y, z, t):
        r"""The Hessian G m / r_s [F delta_ij / s_i^2 + 2 F' x_i x_j / (s_i^2 s_j^2)] [Myr^-2].

        F = [ln(1 + u) - u/(1 + u)] / u^3, F' = dF / du^2 and the semi-axes s_i = r_s (a, b, c).
        """
        m, r_s = cast(x, self.m, self.r_s)
        u2 = self._u2(x, y, z)
        pull, slope = jax.jvp(nfw_pull, (u2,), (jnp.ones_like(u2),))
        scale = G * m / r_s
        even, slope = scale * pull, 2.0 * scale * slope
        ia, ib, ic = self._stretch(x)
        x, y, z = x * ia, y * ib, z * ic
        sx, sy, sz = slope * x, slope * y, slope * z
        xx, yy, zz = even * ia + sx * x, even * ib + sy * y, even * ic + sz * z
        return xx, sx * y, sx * z, yy, sy * z, zz

    def rho(self, x, y, z, t):
        r"""The density [Msun/kpc^3].

        With F = [ln(1 + u) - u/(1 + u)] / u^3, S = sum s_i^-2 and W = sum x_i^2 s_i^-4 over the
        semi-axes s_i = r_s (a, b, c):
        rho = m / (4 pi r_s) {F (S - 3 W / u^2) + W / [u^3 (1 + u)^2]}; the first term, which
        vanishes for the sphere, is formed so that it does to rounding.
        """
        m, r_s = cast(x, self.m, self.r_s)
        ia, ib, ic = self._stretch(x)
        u2 = self._u2(x, y, z)
        u = jnp.sqrt(u2)
        wa, wb, wc = x * x * ia / u2, y * y * ib / u2, z * z * ic / u2
        # S - 3 W / u^2, with the weights x_i^2 / (s_i^2 u^2) summing to one
        uneven = (ia - ib) * (wb - wa) + (ib - ic) * (wc - wb) + (ic - ia) * (wa - wc)
        even = (wa * ia + wb * ib + wc * ic) / (u * (1.0 + u) ** 2)
        return m / (4.0 * math.pi * r_s) * (nfw_pull(u2) * uneven + even)


class Logarithmic(AbstractPotential):
    r"""Triaxial logarithmic halo, $\phi = \frac{v_c^2}{2} \ln s^2$.

    $s^2 = r_h^2 + x'^2/q_1^2 + y'^2/q_2^2 + z^2/q_3^2$ with (x', y') turned by `angle` about z; the
    unit of s is 1 kpc (gala's convention; Law & Majewski 2010 use the same form).

    Args:
        v_c: velocity scale [kpc/Myr].
        r_h: core radius [kpc], at least 0.
        q1, q2, q3: axis scales, above 0.
        angle: of the x' axis from the x axis [rad].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> halo = Logarithmic(0.2, 0.0)
    >>> bool(abs(halo.circular_velocity(30.0) - 0.2) < 1e-6)
    True
    """

    v_c: jax.Array = eqx.field(converter=as_float)
    r_h: jax.Array = eqx.field(converter=as_float)
    q1: jax.Array = eqx.field(converter=as_float, default=1.0)
    q2: jax.Array = eqx.field(converter=as_float, default=1.0)
    q3: jax.Array = eqx.field(converter=as_float, default=1.0)
    angle: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "v_c", "r_h", open_end=False)
        check(self, "q1", "q2", "q3")
        check_finite(self, "angle")

    def _form(self, x):
        """Coefficients of s^2 - r_h^2 = A x^2 + 2 H x y + B y^2 + C z^2."""
        q1, q2, q3, angle = cast(x, self.q1, self.q2, self.q3, self.angle)
        p1, p2, p3 = 1.0 / q1**2, 1.0 / q2**2, 1.0 / q3**2
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return (
            p1 * cos**2 + p2 * sin**2,
            (p1 - p2) * cos * sin,
            p1 * sin**2 + p2 * cos**2,
            p3,
        )

    def _s2(self, x, y, z):
        a, h, b, c = self._form(x)
        (r_h,) = cast(x, self.r_h)
        inner = a * x * x + 2.0 * h * x * y + b * y * y + c * z * z
        return at_least(r_h**2 + inner, tiny(x))

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        (v_c,) = cast(x, self.v_c)
        return physics.logarithmic_phi(self._s2(x, y, z), v_c)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        (v_c,) = cast(x, self.v_c)
        a, h, b, c = self._form(x)
        pull = -(v_c**2) / self._s2(x, y, z)
        return pull * (a * x + h * y), pull * (h * x + b * y), pull * (c * z)

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        (v_c,) = cast(x, self.v_c)
        a, h, b, c = self._form(x)
        squares = (a * x + h * y) ** 2 + (h * x + b * y) ** 2 + (c * z) ** 2
        return physics.logarithmic_rho(self._s2(x, y, z), a + b + c, squares, v_c)
