r"""The interface of a lens, and sums of them.

Angles are in arcsec. With the lens potential psi [arcsec^2], all quantities are scaled by the
distances, so that a ray seen at theta left the source plane at

.. math:: \beta = \theta - \alpha, \quad \alpha = \nabla\psi, \quad
    \kappa = \tfrac12 (\psi_{xx} + \psi_{yy}), \quad
    \gamma_1 = \tfrac12 (\psi_{xx} - \psi_{yy}), \quad \gamma_2 = \psi_{xy}

(Schneider, Ehlers & Falco 1992, chapter 5).
"""

import abc
from functools import reduce
from operator import add

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import Coordinate, Directions, split


class AbstractMass(eqx.Module):
    """A lens: a pytree whose leaves are its parameters.

    A new lens gives `psi`; where a closed form pays it also gives `alpha` and `hessian`. These
    three are the kernels: they work elementwise on separate coordinate arrays x and y [arcsec] of
    one common shape, and the coordinates decide the dtype of the result. Values and gradients are
    finite everywhere: at the centre, for round lenses and for lenses without mass.

    The other methods are for users and take directions `theta` of shape (..., 2) [arcsec].

    Lenses in one plane add up: `galaxy + shear` is a `Composite`.
    """

    @abc.abstractmethod
    def psi(self, x: Coordinate, y: Coordinate) -> Coordinate:
        """The lens potential [arcsec^2], up to a constant."""

    def alpha(self, x, y):
        """The deflection grad psi [arcsec] as (x, y); by default one reverse pass."""
        value, pullback = jax.vjp(self.psi, x, y)
        return pullback(jnp.ones_like(value))

    def hessian(self, x, y):
        """Second derivatives of psi as (xx, xy, yy), by default from derivatives of `alpha`."""
        zero, one = jnp.zeros_like(x), jnp.ones_like(x)
        _, push = jax.linearize(self.alpha, x, y)
        xx, xy = push(one, zero)
        _, yy = push(zero, one)
        return xx, xy, yy

    def kappa(self, x, y):
        """The convergence; by default half the Laplacian of psi."""
        xx, _, yy = self.hessian(x, y)
        return 0.5 * (xx + yy)

    def trace(self, x, y):
        """Where the rays seen at x, y left the source plane [arcsec], theta - alpha, as (x, y)."""
        ax, ay = self.alpha(x, y)
        return x - ax, y - ay

    def potential(self, theta: Directions):
        """Lens potential [arcsec^2] at directions `theta` [arcsec]: shape (...)."""
        return self.psi(*split(self, theta))

    def deflection(self, theta: Directions):
        """Deflection [arcsec] at directions `theta` [arcsec]: shape (..., 2)."""
        return jnp.stack(self.alpha(*split(self, theta)), axis=-1)

    def convergence(self, theta: Directions):
        """Convergence at directions `theta` [arcsec]: shape (...)."""
        return self.kappa(*split(self, theta))

    def shear(self, theta: Directions):
        """Shear (gamma_1, gamma_2) at directions `theta` [arcsec]: shape (..., 2)."""
        xx, xy, yy = self.hessian(*split(self, theta))
        return jnp.stack([0.5 * (xx - yy), xy], axis=-1)

    def magnification(self, theta: Directions):
        r"""Signed magnification at directions `theta` [arcsec]: shape (...).

        .. math:: \mu = 1 / [(1 - \psi_{xx})(1 - \psi_{yy}) - \psi_{xy}^2]
        """
        xx, xy, yy = self.hessian(*split(self, theta))
        return 1.0 / ((1.0 - xx) * (1.0 - yy) - xy * xy)

    def source_position(self, theta: Directions):
        """Where the rays seen at `theta` [arcsec] left the source plane [arcsec]: (..., 2)."""
        return jnp.stack(self.trace(*split(self, theta)), axis=-1)

    def __add__(self, other):
        """A `Composite` of both; sums of sums are flat."""
        if not isinstance(other, AbstractMass):
            return NotImplemented
        return Composite(*_parts(self), *_parts(other))

    def __radd__(self, other):
        """`sum([galaxy, shear])` starts from the integer 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


class Composite(AbstractMass):
    """A sum of lenses in one plane.

    The sum is one elementwise expression, so that XLA fuses the parts into one loop.

    >>> from simulators.lensing.mass import EPL, Composite, Shear
    >>> lens = EPL(theta_E=1.0) + Shear(0.05, 0.0)
    >>> [round(float(a), 3) for a in lens.deflection([2.0, 0.0])]
    [1.1, 0.0]
    """

    parts: tuple[AbstractMass, ...]

    def __init__(self, *parts):
        for part in parts:
            if not isinstance(part, AbstractMass):
                raise TypeError(f"Composite: a part is {part!r}; give lenses.")
        if not parts:
            raise ValueError("Composite: no parts; give at least one lens.")
        self.parts = parts

    def psi(self, x, y):
        """Sum of the parts' potentials."""
        return reduce(add, (part.psi(x, y) for part in self.parts))

    def alpha(self, x, y):
        """Sum of the parts' deflections."""
        return _added(part.alpha(x, y) for part in self.parts)

    def hessian(self, x, y):
        """Sum of the parts' second derivatives."""
        return _added(part.hessian(x, y) for part in self.parts)

    def kappa(self, x, y):
        """Sum of the parts' convergences."""
        return reduce(add, (part.kappa(x, y) for part in self.parts))


def _added(rows):
    """Component by component."""
    return tuple(reduce(add, column) for column in zip(*rows, strict=True))


def _parts(lens):
    return lens.parts if isinstance(lens, Composite) else (lens,)
