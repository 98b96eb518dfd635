"""Spherical potentials with closed forms."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import as_float, cast, check
from simulators.streams.potentials import physics
from simulators.streams.potentials.base import AbstractPotential
from simulators.streams.potentials.special import squared_radius
from simulators.streams.units import G


def isotropic(x, y, z, even, slope):
    """even delta_ij + slope x_i x_j as (xx, xy, xz, yy, yz, zz)."""
    sx, sy, sz = slope * x, slope * y, slope * z
    return even + sx * x, sx * y, sx * z, even + sy * y, sy * z, even + sz * z


class AbstractSpherical(AbstractPotential):
    """A potential of the radius alone.

    A leaf gives `profile`, `pull` and `shell` as functions of the squared radius [kpc^2].
    """

    @abc.abstractmethod
    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""

    @abc.abstractmethod
    def pull(self, r2):
        """dphi/dr / r = G M(<r) / r^3 [Myr^-2]."""

    @abc.abstractmethod
    def shell(self, r2):
        """rho(r) [Msun/kpc^3]."""

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        return self.profile(squared_radius(x, y, z))

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        pull = self.pull(squared_radius(x, y, z))
        return -pull * x, -pull * y, -pull * z

    def tidal(self, x, y, z, t):
        r"""The Hessian pull delta_ij + 2 pull' x_i x_j [Myr^-2], pull' = d pull / d r^2."""
        r2 = squared_radius(x, y, z)
        pull, slope = jax.jvp(self.pull, (r2,), (jnp.ones_like(r2),))
        return isotropic(x, y, z, pull, (2.0 * slope * r2) / r2)

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        return self.shell(squared_radius(x, y, z))

    def enclosed_mass(self, radius, t=0.0):
        """Mass [Msun] within `radius` [kpc], r^3 pull / G."""
        radius = as_float(radius)
        return radius**3 * self.pull(at_least(radius * radius, tiny(radius))) / G


class Kepler(AbstractSpherical):
    r"""Point mass, $\phi = -G m / r$.

    Args:
        m: mass [Msun], at least 0.

    Raises:
        ValueError: for a concrete negative or non-finite mass.

    >>> v = Kepler(1e11).circular_velocity(8.0)
    >>> bool(abs(v - (4.498502151469554e-12 * 1e11 / 8.0) ** 0.5) < 1e-7)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", open_end=False)

    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""
        (m,) = cast(r2, self.m)
        return physics.kepler_phi(r2, G * m)

    def pull(self, r2):
        """G m / r^3 [Myr^-2]."""
        (m,) = cast(r2, self.m)
        return physics.kepler_pull(r2, G * m)

    def shell(self, r2):
        """Zero: the density vanishes off the origin."""
        (m,) = cast(r2, self.m)
        return jnp.zeros_like(r2 * m)


class Plummer(AbstractSpherical):
    r"""Plummer (1911) sphere, $\phi = -G m / \sqrt{r^2 + b^2}$.

    Args:
        m: total mass [Msun], at least 0.
        b: scale radius [kpc], above 0.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> mass = Plummer(2e4, 0.01).enclosed_mass(0.01)
    >>> bool(abs(mass - 2e4 / 2**1.5) < 0.1)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    b: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", open_end=False)
        check(self, "b")

    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""
        m, b = cast(r2, self.m, self.b)
        return physics.plummer_phi(r2, G * m, b)

    def pull(self, r2):
        """G M(<r) / r^3 [Myr^-2]."""
        m, b = cast(r2, self.m, self.b)
        return physics.plummer_pull(r2, G * m, b)

    def shell(self, r2):
        """rho(r) [Msun/kpc^3]."""
        m, b = cast(r2, self.m, self.b)
        return physics.plummer_rho(r2, m, b)


class Hernquist(AbstractSpherical):
    r"""Hernquist (1990, ApJ 356, 359) sphere, $\phi = -G m / (r + a)$.

    Args:
        m: total mass [Msun], at least 0.
        a: scale radius [kpc], above 0 (gala calls it c).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> bool(abs(Hernquist(5e9, 1.0).enclosed_mass(1.0) / 5e9 - 0.25) < 1e-6)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    a: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", open_end=False)
        check(self, "a")

    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""
        m, a = cast(r2, self.m, self.a)
        return physics.hernquist_phi(r2, G * m, a)

    def pull(self, r2):
        """G M(<r) / r^3 [Myr^-2]."""
        m, a = cast(r2, self.m, self.a)
        return physics.hernquist_pull(r2, G * m, a)

    def shell(self, r2):
        """rho(r) [Msun/kpc^3]."""
        m, a = cast(r2, self.m, self.a)
        return physics.hernquist_rho(r2, m, a)


class Jaffe(AbstractSpherical):
    r"""Jaffe (1983, MNRAS 202, 995) sphere, $\phi = -(G m / a) \ln(1 + a / r)$.

    Args:
        m: total mass [Msun], at least 0.
        a: scale radius [kpc], which holds half the mass, above 0 (gala calls it c).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> bool(abs(Jaffe(5e9, 1.0).enclosed_mass(1.0) / 5e9 - 0.5) < 1e-6)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    a: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", open_end=False)
        check(self, "a")

    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""
        m, a = cast(r2, self.m, self.a)
        return physics.jaffe_phi(r2, G * m, a)

    def pull(self, r2):
        """G M(<r) / r^3 [Myr^-2]."""
        m, a = cast(r2, self.m, self.a)
        return physics.jaffe_pull(r2, G * m, a)

    def shell(self, r2):
        """rho(r) [Msun/kpc^3]."""
        m, a = cast(r2, self.m, self.a)
        return physics.jaffe_rho(r2, m, a)


class Isochrone(AbstractSpherical):
    r"""Henon's (1959) isochrone, $\phi = -G m / (b + \sqrt{r^2 + b^2})$.

    Args:
        m: total mass [Msun], at least 0.
        b: scale radius [kpc], above 0.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> bool(Isochrone(1e11, 3.0).potential([0.0, 0.0, 0.0]) < 0.0)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    b: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", open_end=False)
        check(self, "b")

    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""
        m, b = cast(r2, self.m, self.b)
        return physics.isochrone_phi(r2, G * m, b)

    def pull(self, r2):
        """G M(<r) / r^3 [Myr^-2]."""
        m, b = cast(r2, self.m, self.b)
        return physics.isochrone_pull(r2, G * m, b)

    def shell(self, r2):
        """rho(r) [Msun/kpc^3]."""
        m, b = cast(r2, self.m, self.b)
        return physics.isochrone_rho(r2, m, b)
