"""Bars, at rest in their own frame (`LongMuraliBar`) or rotating (`DehnenBar`)."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.shared.elementwise import at_least, at_most, inverse_root
from simulators.shared.fields import as_float, cast, check, check_finite
from simulators.streams.potentials import physics
from simulators.streams.potentials.base import AbstractPotential
from simulators.streams.potentials.special import squared_radius
from simulators.streams.units import G


class LongMuraliBar(AbstractPotential):
    r"""A Miyamoto-Nagai-like disc smeared along a rod (Long & Murali 1992, ApJ 397, 44).

    $$\phi = -\frac{G m}{2 a} \ln\frac{T_+ + T_- + 2a}{T_+ + T_- - 2a}, \quad
      T_\pm^2 = (x' \pm a)^2 + y'^2 + \left(b + \sqrt{c^2 + z^2}\right)^2$$

    with (x', y') turned by `angle` about z. It stands still: `Rotating(bar, omega)` turns it.

    Args:
        m: mass [Msun], at least 0.
        a: half-length [kpc], above 0.
        b: thickness in the plane [kpc], at least 0.
        c: thickness across the plane [kpc], above 0.
        angle: of the bar from the x axis [rad] (gala's alpha).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> bar = LongMuraliBar(1e10, 4.0, 0.5, 1.0)
    >>> bool(bar.circular_velocity(8.0) > bar.circular_velocity(8.0, azimuth=1.57))
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    a: jax.Array = eqx.field(converter=as_float)
    b: jax.Array = eqx.field(converter=as_float)
    c: jax.Array = eqx.field(converter=as_float)
    angle: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "m", "b", open_end=False)
        check(self, "a", "c")
        check_finite(self, "angle")

    def _turn(self, x, y):
        (angle,) = cast(x, self.angle)
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        return cos, sin, cos * x + sin * y, cos * y - sin * x

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        m, a, b, c = cast(x, self.m, self.a, self.b, self.c)
        _, _, x, y = self._turn(x, y)
        return physics.long_murali_phi(x, y, z, G * m, a, b, c)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        m, a, b, c = cast(x, self.m, self.a, self.b, self.c)
        cos, sin, x, y = self._turn(x, y)
        ax, ay, az = physics.long_murali_acc(x, y, z, G * m, a, b, c)
        return cos * ax - sin * ay, sin * ax + cos * ay, az

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        m, a, b, c = cast(x, self.m, self.a, self.b, self.c)
        _, _, x, y = self._turn(x, y)
        return physics.long_murali_rho(x, y, z, m, a, b, c)


class DehnenBar(AbstractPotential):
    r"""Rotating quadrupole of a bar that may grow (Dehnen 2000, AJ 119, 800).

    In three dimensions after Monari et al. (2016, MNRAS 461, 3835):

    $$\phi = A(t) \cos[2(\varphi - \varphi_b - \Omega t)] \frac{R^2}{r^2} \times
      \begin{cases} (r/r_b)^3 - 2 & r \le r_b \\ -(r_b/r)^3 & r > r_b \end{cases}$$

    A(t) rises from 0 at `t_form` to `strength` at `t_form + t_grow` by Dehnen's quintic (eq. 4). A
    perturbation without net mass: add it to an axisymmetric model. At the centre, where the model
    has no limit, the guarded radius makes it finite.

    Args:
        strength: amplitude A_f [kpc^2/Myr^2].
        r_b: bar radius [kpc], above 0.
        omega: pattern speed [rad/Myr].
        angle: of the bar from the x axis at t = 0 [rad].
        t_form: start of growth [Myr].
        t_grow: duration of growth [Myr], above 0. By default the bar was complete long ago.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> bar = DehnenBar.from_alpha(0.01, 0.225, 8.0, r_b=3.5, omega=0.04)
    >>> bar.potential([8.0, 0.0, 0.0], t=100.0).shape
    ()
    """

    strength: jax.Array = eqx.field(converter=as_float)
    r_b: jax.Array = eqx.field(converter=as_float)
    omega: jax.Array = eqx.field(converter=as_float)
    angle: jax.Array = eqx.field(converter=as_float, default=0.0)
    t_form: jax.Array = eqx.field(converter=as_float, default=-1e9)
    t_grow: jax.Array = eqx.field(converter=as_float, default=1.0)

    def __check_init__(self):
        check(self, "r_b", "t_grow")
        check_finite(self, "strength", "omega", "angle", "t_form")

    @classmethod
    def from_alpha(cls, alpha, v_0, r_0, r_b, omega, **options):
        """From Dehnen's alpha = 3 A_f / v_0^2 (r_b / r_0)^3, the relative force at `r_0` [kpc].

        `v_0` [kpc/Myr] is the circular velocity at `r_0`; `options` are angle, t_form, t_grow.
        """
        alpha, v_0, r_0, r_b = map(as_float, (alpha, v_0, r_0, r_b))
        return cls(alpha * v_0**2 / 3.0 * (r_0 / r_b) ** 3, r_b, omega, **options)

    def _pattern(self, x, t):
        """A(t) cos and A(t) sin of twice the bar's angle."""
        t, strength, omega, angle = cast(x, t, self.strength, self.omega, self.angle)
        t_form, t_grow = cast(x, self.t_form, self.t_grow)
        xi = at_most(at_least(2.0 * (t - t_form) / t_grow - 1.0, -1.0), 1.0)
        xi2 = xi * xi
        grown = strength * (((3.0 * xi2 - 10.0) * xi2 + 15.0) * xi / 16.0 + 0.5)
        phase = 2.0 * (angle + omega * t)
        return grown * jnp.cos(phase), grown * jnp.sin(phase)

    def _radial(self, x, y, z):
        """W = U(r) / r^2 and W' / r, with phi = A Q W and Q the quadrupole (x^2 - y^2, 2 x y)."""
        (r_b,) = cast(x, self.r_b)
        r2 = squared_radius(x, y, z)
        inverse = inverse_root(r2)
        inverse2 = inverse * inverse
        inside = r2 <= r_b * r_b
        # The branch not taken gets r = r_b, so that its powers cannot overflow.
        far = at_most(inverse, 1.0 / r_b)
        far2 = far * far
        cube = r_b * r_b * r_b
        outer = -cube * (far2 * far2 * far)
        inner = r2 * inverse / cube - 2.0 * inverse2
        slope = inverse / cube + 4.0 * inverse2 * inverse2
        return (
            inside,
            jnp.where(inside, inner, outer),
            jnp.where(inside, slope, -5.0 * outer * far2),
        )

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        cos, sin = self._pattern(x, t)
        _, w, _ = self._radial(x, y, z)
        return ((x * x - y * y) * cos + 2.0 * x * y * sin) * w

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        cos, sin = self._pattern(x, t)
        _, w, slope = self._radial(x, y, z)
        pull = ((x * x - y * y) * cos + 2.0 * x * y * sin) * slope
        ax = -pull * x - 2.0 * w * (x * cos + y * sin)
        ay = -pull * y - 2.0 * w * (x * sin - y * cos)
        return ax, ay, -pull * z

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3], of either sign: 6 A Q W' / r plus A Q W'', zero beyond r_b.

        Inside, with W = r / r_b^3 - 2 / r^2, that is A Q (6 / (r_b^3 r) + 12 / r^4).
        """
        (r_b,) = cast(x, self.r_b)
        cos, sin = self._pattern(x, t)
        inside, _, _ = self._radial(x, y, z)
        inverse2 = 1.0 / squared_radius(x, y, z)
        laplacian = 6.0 * jnp.sqrt(inverse2) / r_b**3 + 12.0 * inverse2 * inverse2
        q = (x * x - y * y) * cos + 2.0 * x * y * sin
        return jnp.where(inside, q * laplacian / (4.0 * math.pi * G), 0.0)
