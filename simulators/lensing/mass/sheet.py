"""Quadratic potentials: what distant mass does to a lens."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import from_centre
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.fields import as_float, cast, check_finite


class Shear(AbstractMass):
    r"""External shear, $\psi = \tfrac12 \gamma_1 (x^2 - y^2) + \gamma_2 x y$.

    Args:
        gamma1, gamma2: shear along the axes and the diagonals.
        center_x, center_y: where the deflection vanishes [arcsec].

    Raises:
        ValueError: for concrete parameters that are not finite.

    >>> [round(float(a), 4) for a in Shear(0.1, 0.05).deflection([1.0, 2.0])]
    [0.2, -0.15]
    """

    gamma1: jax.Array = eqx.field(converter=as_float)
    gamma2: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check_finite(self, "gamma1", "gamma2", "center_x", "center_y")

    def psi(self, x, y):
        """The lens potential [arcsec^2]."""
        gamma1, gamma2 = cast(x, self.gamma1, self.gamma2)
        x, y = from_centre(self, x, y)
        return 0.5 * gamma1 * (x * x - y * y) + gamma2 * x * y

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        gamma1, gamma2 = cast(x, self.gamma1, self.gamma2)
        x, y = from_centre(self, x, y)
        return gamma1 * x + gamma2 * y, gamma2 * x - gamma1 * y

    def hessian(self, x, y):
        """Second derivatives of psi."""
        gamma1, gamma2 = cast(x, self.gamma1, self.gamma2)
        zero = jnp.zeros_like(x)
        return zero + gamma1, zero + gamma2, zero - gamma1

    def kappa(self, x, y):
        """Zero."""
        return jnp.zeros_like(x)


class Sheet(AbstractMass):
    r"""Sheet of uniform convergence, $\psi = \tfrac12 \kappa_{ext} (x^2 + y^2)$.

    Args:
        kappa_ext: the convergence; lenstronomy's CONVERGENCE calls it kappa, here the name of the
            method.
        center_x, center_y: where the deflection vanishes [arcsec].

    Raises:
        ValueError: for concrete parameters that are not finite.

    >>> [round(float(a), 4) for a in Sheet(0.1).deflection([1.0, 2.0])]
    [0.1, 0.2]
    """

    kappa_ext: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check_finite(self, "kappa_ext", "center_x", "center_y")

    def psi(self, x, y):
        """The lens potential [arcsec^2]."""
        (kappa,) = cast(x, self.kappa_ext)
        x, y = from_centre(self, x, y)
        return 0.5 * kappa * (x * x + y * y)

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        (kappa,) = cast(x, self.kappa_ext)
        x, y = from_centre(self, x, y)
        return kappa * x, kappa * y

    def hessian(self, x, y):
        """Second derivatives of psi."""
        (kappa,) = cast(x, self.kappa_ext)
        zero = jnp.zeros_like(x)
        return zero + kappa, zero, zero + kappa

    def kappa(self, x, y):
        """The convergence."""
        (kappa,) = cast(x, self.kappa_ext)
        return jnp.zeros_like(x) + kappa
