"""Discs of the Miyamoto-Nagai family."""

import equinox as eqx
import jax

from simulators.shared.fields import as_float, cast, check
from simulators.streams.potentials import physics
from simulators.streams.potentials.base import AbstractPotential
from simulators.streams.units import G


class MiyamotoNagai(AbstractPotential):
    r"""Miyamoto & Nagai (1975, PASJ 27, 533) disc.

    $$\phi = -G m \left[x^2 + y^2 + \left(a + \sqrt{z^2 + b^2}\right)^2\right]^{-1/2}$$

    Args:
        m: total mass [Msun], at least 0.
        a: radial scale [kpc], at least 0 (0 is a Plummer sphere).
        b: vertical scale [kpc], above 0.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> disc = MiyamotoNagai(6.8e10, 3.0, 0.28)
    >>> bool(disc.density([8.0, 0.0, 0.0]) > disc.density([8.0, 0.0, 1.0]))
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    a: jax.Array = eqx.field(converter=as_float)
    b: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", "a", open_end=False)
        check(self, "b")

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        m, a, b = cast(x, self.m, self.a, self.b)
        return physics.miyamoto_nagai_phi(x, y, z, G * m, a, b)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        m, a, b = cast(x, self.m, self.a, self.b)
        return physics.miyamoto_nagai_acc(x, y, z, G * m, a, b)

    def tidal(self, x, y, z, t):
        """The Hessian of phi [Myr^-2]."""
        m, a, b = cast(x, self.m, self.a, self.b)
        return physics.miyamoto_nagai_tidal(x, y, z, G * m, a, b)

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        m, a, b = cast(x, self.m, self.a, self.b)
        return physics.miyamoto_nagai_rho(x, y, z, m, a, b)


# Smith et al. (2015), Tables 1 and 2: rows are m1, m2, m3 over the disc's mass and a1, a2, a3 over
# h_r, columns the coefficients of k^4, k^3, k^2, k, 1 with k = b / h_r.
_POSITIVE_DENSITY = (
    (0.0036, -0.0330, 0.1117, -0.1335, 0.1749),
    (-0.0131, 0.1090, -0.3035, 0.2921, -5.7976),
    (-0.0048, 0.0454, -0.1425, 0.1012, 6.7120),
    (-0.0158, 0.0993, -0.2070, -0.7089, 0.6445),
    (-0.0319, 0.1514, -0.1279, -0.9325, 2.6836),
    (-0.0326, 0.1816, -0.2943, -0.6329, 2.3193),
)
_ANY_DENSITY = (
    (-0.0090, 0.0640, -0.1653, 0.1164, 1.9487),
    (0.0173, -0.0903, 0.0877, 0.2029, -1.3077),
    (-0.0051, 0.0287, -0.0361, -0.0544, 0.2242),
    (-0.0358, 0.2610, -0.6987, -0.1193, 2.0074),
    (-0.0830, 0.4992, -0.7967, -1.2966, 4.4441),
    (-0.0247, 0.1718, -0.4124, -0.5944, 0.7333),
)


class MN3Disc(AbstractPotential):
    r"""Three Miyamoto-Nagai discs of one height that stand for an exponential disc.

    Smith et al. (2015, MNRAS 448, 2934): $\Sigma \propto e^{-R/h_r}$ within some 5 h_r (to 8 h_r,
    at the price of regions of negative density, with `positive_density` false), vertically
    $\mathrm{sech}^2(z/h_z)$ or, with `sech2` false, $e^{-|z|/h_z}$. Differentiable in m, h_r, h_z.

    Args:
        m: mass [Msun], at least 0.
        h_r: radial scale length [kpc], above 0.
        h_z: scale height [kpc], above 0.
        positive_density, sech2: choices of the approximation (static).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> disc = MN3Disc(4.77e10, 2.6, 0.3)
    >>> bool(disc.density([8.0, 0.0, 0.0]) > 0.0)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    h_r: jax.Array = eqx.field(converter=as_float)
    h_z: jax.Array = eqx.field(converter=as_float)
    positive_density: bool = eqx.field(static=True, default=True)
    sech2: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        check(self, "m", open_end=False)
        check(self, "h_r", "h_z")

    def _discs(self, x):
        """(m, a, b) of the three discs."""
        m, h_r, h_z = cast(x, self.m, self.h_r, self.h_z)
        k = h_z / h_r
        # Smith et al. (2015), eqs. 10 (sech^2) and 9 (exponential)
        cubic = (-0.033, 0.262, 0.659) if self.sech2 else (-0.269, 1.08, 1.092)
        k = ((cubic[0] * k + cubic[1]) * k + cubic[2]) * k
        rows = []
        for row in _POSITIVE_DENSITY if self.positive_density else _ANY_DENSITY:
            value = row[0] * k + row[1]
            for coefficient in row[2:]:
                value = value * k + coefficient
            rows.append(value)
        return [(m * mass, h_r * a, h_r * k) for mass, a in zip(rows[:3], rows[3:], strict=True)]

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        one, two, three = (
            physics.miyamoto_nagai_phi(x, y, z, G * m, a, b) for m, a, b in self._discs(x)
        )
        return one + two + three

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        parts = [physics.miyamoto_nagai_acc(x, y, z, G * m, a, b) for m, a, b in self._discs(x)]
        ax, ay, az = (one + two + three for one, two, three in zip(*parts, strict=True))
        return ax, ay, az

    def tidal(self, x, y, z, t):
        """The Hessian of phi [Myr^-2]."""
        parts = [physics.miyamoto_nagai_tidal(x, y, z, G * m, a, b) for m, a, b in self._discs(x)]
        return tuple(one + two + three for one, two, three in zip(*parts, strict=True))

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        one, two, three = (physics.miyamoto_nagai_rho(x, y, z, *disc) for disc in self._discs(x))
        return one + two + three
