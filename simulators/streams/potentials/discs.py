"""Discs of the Miyamoto-Nagai family."""

import equinox as eqx
import jax

from simulators.streams.potentials import physics
from simulators.streams.potentials.base import AbstractPotential, cast, check
from simulators.streams.units import G, as_float


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

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        m, a, b = cast(x, self.m, self.a, self.b)
        return physics.miyamoto_nagai_rho(x, y, z, m, a, b)
