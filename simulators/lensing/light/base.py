r"""The interface of a surface brightness, and sums of them.

A profile is a brightness [flux / arcsec^2] on the sky or on the source plane: lensing conserves
it, so a lensed source is `brightness` at the ray-traced positions.
"""

import abc
from functools import reduce
from operator import add

import equinox as eqx
import jax.numpy as jnp

from simulators.lensing.directions import Coordinate, Directions, from_centre, split
from simulators.shared.elementwise import at_least, inverse_root
from simulators.shared.fields import cast


class AbstractLight(eqx.Module):
    """A surface brightness: a pytree whose leaves are its parameters.

    A new profile gives `brightness`, which works elementwise on separate coordinate arrays x and y
    [arcsec] of one common shape; the coordinates decide the dtype of the result. Values and
    gradients are finite everywhere: at the centre, for round profiles and for those without flux.

    A profile with amplitudes to be solved for (see `simulators.lensing.linear`) may give `basis`.

    Profiles add up: `bulge + disc` is a `Composite`.
    """

    @abc.abstractmethod
    def brightness(self, x: Coordinate, y: Coordinate) -> Coordinate:
        """The surface brightness [flux / arcsec^2]."""

    def basis(self, x, y):
        """The K profiles whose amplitudes are linear, shape (K, ...); by default this one."""
        return self.brightness(x, y)[None]

    def surface_brightness(self, theta: Directions):
        """Surface brightness [flux / arcsec^2] at directions `theta` [arcsec]: shape (...)."""
        return self.brightness(*split(self, theta))

    def __add__(self, other):
        """A `Composite` of both; sums of sums are flat."""
        if not isinstance(other, AbstractLight):
            return NotImplemented
        return Composite(*_parts(self), *_parts(other))

    def __radd__(self, other):
        """`sum([bulge, disc])` starts from the integer 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


class Composite(AbstractLight):
    """A sum of profiles.

    The sum is one elementwise expression, so that XLA fuses the parts into one loop.

    Raises:
        TypeError: if a part is no profile.
        ValueError: without parts.

    >>> from simulators.lensing.light import Gaussian, Uniform
    >>> light = Gaussian(1.0, 0.5) + Uniform(0.1)
    >>> round(float(light.surface_brightness([0.0, 0.0])), 4)
    0.7366
    """

    parts: tuple[AbstractLight, ...]

    def __init__(self, *parts):
        for part in parts:
            if not isinstance(part, AbstractLight):
                raise TypeError(f"Composite: a part is {part!r}; give light profiles.")
        if not parts:
            raise ValueError("Composite: no parts; give at least one light profile.")
        self.parts = parts

    def brightness(self, x, y):
        """Sum of the parts' brightnesses."""
        return reduce(add, (part.brightness(x, y) for part in self.parts))

    def basis(self, x, y):
        """The parts' bases, one after the other."""
        return jnp.concatenate([part.basis(x, y) for part in self.parts])


def elliptical_square(light, x, y):
    r"""R^2 = q x'^2 + y'^2 / q [arcsec^2], (x', y') along the major and the minor axis.

    R is the geometric mean of the semi-axes of the ellipse through the point ("product average"),
    written without angles so that nothing is singular where the ellipse is round. The bound of
    1 - e^2 is lenstronomy's; it is met by traced parameters only.
    """
    e1, e2 = cast(x, light.e1, light.e2)
    norm = inverse_root(at_least(1.0 - e1 * e1 - e2 * e2, 1e-6))
    along, across, turn = (1.0 - e1) * norm, (1.0 + e1) * norm, e2 * norm
    x, y = from_centre(light, x, y)
    u, v = along * x - turn * y, across * y - turn * x
    return u * u + v * v


def _parts(light):
    return light.parts if isinstance(light, Composite) else (light,)
