"""The smallest lens, for tests of images."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.mass.base import AbstractMass
from simulators.shared.elementwise import at_least, inverse_root, tiny
from simulators.shared.fields import as_float, cast


class RoundLens(AbstractMass):
    """A singular isothermal sphere, psi = theta_E |theta|."""

    theta_E: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float)
    center_y: jax.Array = eqx.field(converter=as_float)

    def psi(self, x, y):
        theta_e, center_x, center_y = cast(x, self.theta_E, self.center_x, self.center_y)
        square = (x - center_x) ** 2 + (y - center_y) ** 2
        return theta_e * jnp.sqrt(at_least(square, tiny(x)))

    def alpha(self, x, y):
        theta_e, center_x, center_y = cast(x, self.theta_E, self.center_x, self.center_y)
        x, y = x - center_x, y - center_y
        pull = theta_e * inverse_root(at_least(x * x + y * y, tiny(x)))
        return pull * x, pull * y
