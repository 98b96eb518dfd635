"""Gaussians and a uniform sky."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.ellipse import check_ellipticity
from simulators.lensing.light.base import AbstractLight, elliptical_square
from simulators.shared.fields import as_float, cast, check, check_finite


class Gaussian(AbstractLight):
    r"""Elliptical Gaussian, $I = \frac{\mathrm{amp}}{2\pi\sigma^2} e^{-R^2 / 2\sigma^2}$.

    $R^2 = q x'^2 + y'^2 / q$ along the major and the minor axis, so that `amp` is the flux and
    `sigma` the geometric mean of both widths (lenstronomy's "GAUSSIAN" and "GAUSSIAN_ELLIPSE").

    Args:
        amp: total flux.
        sigma: width [arcsec], above 0.
        e1, e2: ellipticity, $(1 - q) / (1 + q)$ times $\cos 2\phi$, $\sin 2\phi$.
        center_x, center_y: centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> round(float(Gaussian(1.0, 0.5).surface_brightness([0.0, 0.0])), 4)
    0.6366
    """

    amp: jax.Array = eqx.field(converter=as_float)
    sigma: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check_finite(self, "amp", "center_x", "center_y")
        check(self, "sigma")
        check_ellipticity(self)

    def brightness(self, x, y):
        """The surface brightness [flux / arcsec^2]."""
        amp, sigma = cast(x, self.amp, self.sigma)
        square = elliptical_square(self, x, y)
        inverse = 1.0 / (sigma * sigma)
        return amp * inverse / (2.0 * math.pi) * jnp.exp(-0.5 * inverse * square)

    def flux(self):
        """The total flux, `amp`."""
        return self.amp


class Uniform(AbstractLight):
    """The same brightness everywhere: a sky level.

    Args:
        amp: brightness [flux / arcsec^2].

    Raises:
        ValueError: for a concrete amplitude that is not finite.

    >>> float(Uniform(2.0).surface_brightness([3.0, 4.0]))
    2.0
    """

    amp: jax.Array = eqx.field(converter=as_float)

    def __check_init__(self):
        check_finite(self, "amp")

    def brightness(self, x, y):
        """The surface brightness [flux / arcsec^2]."""
        (amp,) = cast(x, self.amp)
        return jnp.broadcast_to(amp, x.shape)
