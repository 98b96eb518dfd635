"""The power-law bulge with an exponential cutoff."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from simulators.shared.elementwise import inverse_root
from simulators.shared.fields import as_float, cast, check
from simulators.streams.potentials.gamma import lower_fraction, upper_gamma
from simulators.streams.potentials.spherical import AbstractSpherical
from simulators.streams.units import G


class PowerLawCutoff(AbstractSpherical):
    r"""Spherical power law with an exponential cutoff, $\rho \propto r^{-\alpha} e^{-(r/r_c)^2}$.

    $$M(<r) = m \frac{\gamma(s, x)}{\Gamma(s)}, \quad
      \phi = -\frac{G m}{r_c \Gamma(s)}
             \left[\frac{\gamma(s, x)}{\sqrt x} + \Gamma(s - \tfrac12, x)\right]$$

    with $s = (3 - \alpha)/2$ and $x = (r/r_c)^2$, so that phi vanishes at infinity (as in gala;
    galpy's is zero at the centre instead). Total mass m; galpy's amplitude is the density at r_1.

    Args:
        m: total mass [Msun], at least 0.
        alpha: inner slope, at least 0 and below 3.
        r_c: cutoff radius [kpc], above 0.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> bulge = PowerLawCutoff(4.5e9, 1.8, 1.9)
    >>> bool(abs(bulge.enclosed_mass(30.0) / 4.5e9 - 1.0) < 1e-5)
    True
    """

    m: jax.Array = eqx.field(converter=as_float)
    alpha: jax.Array = eqx.field(converter=as_float)
    r_c: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check(self, "m", "alpha", open_end=False)
        check(self, "r_c")
        check(self, "alpha", open_end=False, below=3.0)

    def profile(self, r2):
        """phi(r) [kpc^2/Myr^2]."""
        m, alpha, r_c = cast(r2, self.m, self.alpha, self.r_c)
        s = 1.5 - 0.5 * alpha
        x = r2 / r_c**2
        shells = upper_gamma(s - 0.5, x) * jnp.exp(-gammaln(s)) / r_c
        return -G * m * (self._fraction(r2) * inverse_root(r2) + shells)

    def _fraction(self, r2):
        """M(<r) / m."""
        alpha, r_c = cast(r2, self.alpha, self.r_c)
        return lower_fraction(1.5 - 0.5 * alpha, r2 / r_c**2)

    def pull(self, r2):
        """G M(<r) / r^3 [Myr^-2]."""
        (m,) = cast(r2, self.m)
        return G * m * self._fraction(r2) / (r2 * jnp.sqrt(r2))

    def shell(self, r2):
        """rho(r) [Msun/kpc^3]."""
        m, alpha, r_c = cast(r2, self.m, self.alpha, self.r_c)
        x = r2 / r_c**2
        scale = m / (2.0 * math.pi * r_c**3)
        return scale * jnp.exp(-0.5 * alpha * jnp.log(x) - x - gammaln(1.5 - 0.5 * alpha))
