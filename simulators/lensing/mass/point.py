"""Lenses of the radius alone, without a length of their own."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import from_centre
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.elementwise import at_least, inverse_root, tiny
from simulators.shared.fields import as_float, cast, check, check_finite


def _local(lens, x, y):
    """Coordinates from the centre and the squared radius, held above zero."""
    x, y = from_centre(lens, x, y)
    return x, y, at_least(x * x + y * y, tiny(x))


class Point(AbstractMass):
    r"""Point mass, $\psi = \theta_E^2 \ln r$.

    Args:
        theta_E: Einstein radius [arcsec], at least 0.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> [round(float(a), 4) for a in Point(1.0).deflection([0.0, 2.0])]
    [0.0, 0.5]
    """

    theta_E: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "theta_E", open_end=False)
        check_finite(self, "center_x", "center_y")

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero at 1 arcsec."""
        (theta_E,) = cast(x, self.theta_E)
        _, _, r2 = _local(self, x, y)
        return (0.5 * theta_E * theta_E) * jnp.log(r2)

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        (theta_E,) = cast(x, self.theta_E)
        x, y, r2 = _local(self, x, y)
        pull = theta_E * theta_E / r2
        return pull * x, pull * y

    def hessian(self, x, y):
        """Second derivatives of psi."""
        (theta_E,) = cast(x, self.theta_E)
        x, y, r2 = _local(self, x, y)
        inverse = 1.0 / r2
        scale = theta_E * theta_E * inverse * inverse
        yy = scale * (x * x - y * y)
        return -yy, -2.0 * scale * x * y, yy

    def kappa(self, x, y):
        """Zero: the convergence vanishes off the centre."""
        return jnp.zeros_like(x)


class SIS(AbstractMass):
    r"""Singular isothermal sphere, $\psi = \theta_E r$.

    Args:
        theta_E: Einstein radius [arcsec], at least 0.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> [round(float(a), 4) for a in SIS(1.0).deflection([3.0, 4.0])]
    [0.6, 0.8]
    """

    theta_E: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "theta_E", open_end=False)
        check_finite(self, "center_x", "center_y")

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero at the centre."""
        (theta_E,) = cast(x, self.theta_E)
        _, _, r2 = _local(self, x, y)
        return theta_E * jnp.sqrt(r2)

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        (theta_E,) = cast(x, self.theta_E)
        x, y, r2 = _local(self, x, y)
        pull = theta_E * inverse_root(r2)
        return pull * x, pull * y

    def hessian(self, x, y):
        """Second derivatives of psi."""
        (theta_E,) = cast(x, self.theta_E)
        x, y, r2 = _local(self, x, y)
        inverse = inverse_root(r2)
        c, s = x * inverse, y * inverse
        pull = theta_E * inverse
        return pull * s * s, -pull * s * c, pull * c * c

    def kappa(self, x, y):
        """The convergence."""
        (theta_E,) = cast(x, self.theta_E)
        _, _, r2 = _local(self, x, y)
        return 0.5 * theta_E * inverse_root(r2)
