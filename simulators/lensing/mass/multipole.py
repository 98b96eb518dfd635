"""Departures of a lens from an ellipse."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import from_centre
from simulators.lensing.mass.angular import times
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.elementwise import at_least, inverse_root, tiny
from simulators.shared.fields import as_float, cast, check_finite


class Multipole(AbstractMass):
    r"""Circular multipole of an isothermal lens (Xu et al. 2015, MNRAS 447, 3189, appendix B3).

    $$\psi = \frac{a_m}{1 - m^2}\, r \cos m (\varphi - \varphi_m), \quad
      \kappa = \frac{a_m}{2 r} \cos m (\varphi - \varphi_m)$$

    for the polar angle $\varphi$ of a ray; lenstronomy's MULTIPOLE. With m = 4, a_m > 0 makes the
    contours of an isothermal lens discy along `phi_m`, a_m < 0 boxy.

    Args:
        m: the order, a static integer of at least 2 (m = 1 would need a length).
        a_m: amplitude [arcsec].
        phi_m: orientation [rad].
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for another m, or concrete parameters that are not finite.

    >>> [round(float(a), 4) for a in Multipole(4, 0.15, 0.3).deflection([1.0, 0.0])]
    [-0.0036, -0.0373]
    """

    m: int = eqx.field(static=True)
    a_m: jax.Array = eqx.field(converter=as_float)
    phi_m: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        if not isinstance(self.m, int) or self.m < 2:
            raise ValueError(
                f"Multipole: argument `m` = {self.m!r} is no order; give an integer of at least 2."
            )
        check_finite(self, "a_m", "phi_m", "center_x", "center_y")

    def _local(self, x, y):
        """1 / r, (cos, sin) of the polar angle, and a_m (cos, sin) of m (phi - phi_m)."""
        a_m, phi_m = cast(x, self.a_m, self.phi_m)
        x, y = from_centre(self, x, y)
        inverse = inverse_root(at_least(x * x + y * y, tiny(x)))
        c, s = x * inverse, y * inverse
        wave = a_m * jnp.cos(self.m * phi_m), -a_m * jnp.sin(self.m * phi_m)
        power = c, s
        for bit in f"{self.m:b}"[1:]:
            power = times(*power, *power)
            if bit == "1":
                power = times(*power, c, s)
        return inverse, c, s, times(*wave, *power)

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero at the centre."""
        inverse, _, _, (cosine, _) = self._local(x, y)
        return cosine / (inverse * (1.0 - self.m**2))

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        _, c, s, (cosine, sine) = self._local(x, y)
        return times(c / (1.0 - self.m**2), s / (1.0 - self.m**2), cosine, -self.m * sine)

    def hessian(self, x, y):
        """Second derivatives of psi."""
        inverse, c, s, (cosine, _) = self._local(x, y)
        scale = cosine * inverse
        return scale * s * s, -scale * s * c, scale * c * c

    def kappa(self, x, y):
        """The convergence."""
        inverse, _, _, (cosine, _) = self._local(x, y)
        return 0.5 * inverse * cosine
