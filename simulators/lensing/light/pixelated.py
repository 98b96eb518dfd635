"""A source on a grid of pixels."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import from_centre
from simulators.lensing.grid import check_pixels
from simulators.lensing.light.base import AbstractLight
from simulators.shared.elementwise import at_least, at_most
from simulators.shared.fields import as_float, cast


class PixelSource(AbstractLight):
    r"""Brightness given at pixel centres and interpolated between them.

    Row i, column j of `values` stands at
    $x = x_c + (j - (W - 1) / 2)\,s$, $y = y_c + (i - (H - 1) / 2)\,s$ with the pixel scale s. All
    values beyond the array count as zero, so that the brightness falls to zero within 1
    (order 1) or 2 pixels (order 3) of the outermost centres and is continuous there too.

    Order 1 is bilinear (lenstronomy's "INTERPOL"). Order 3 is the cubic convolution of Keys (1981,
    IEEE ASSP 29, 1153; a = -1/2): it goes through the values, has a continuous gradient,
    reproduces parabolas and takes 16 values a point instead of 4; beside steep edges it overshoots.

    Args:
        values: brightness [flux / arcsec^2], shape (H, W).
        pixel_scale: distance of pixel centres [arcsec], above 0.
        center_x, center_y: centre of the array [arcsec].
        order: 1 or 3 (static).

    Raises:
        ValueError: for concrete parameters outside these bounds, or values that are not 2-d.

    >>> source = PixelSource([[0.0, 1.0], [2.0, 3.0]], 0.1)
    >>> round(float(source.surface_brightness([0.05, 0.0])), 4)
    2.0
    """

    values: jax.Array = eqx.field(converter=as_float)
    pixel_scale: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)
    order: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        check_pixels(self)
        if self.order not in (1, 3):
            raise ValueError(f"PixelSource: argument `order` = {self.order!r}; give 1 or 3.")

    def brightness(self, x, y):
        """The surface brightness [flux / arcsec^2]."""
        values, scale = cast(x, self.values, self.pixel_scale)
        x, y = from_centre(self, x, y)
        height, width = values.shape
        rim = (self.order + 1) // 2
        # Around the array, zeros: a rim that the interpolation reaches, and what it reads there.
        values = jnp.pad(values, ((2 * rim - 1, 2 * rim),) * 2)
        inverse = 1.0 / scale
        column, across = _place(x * inverse, width, rim, self.order)
        row, up = _place(y * inverse, height, rim, self.order)
        start = row * values.shape[1] + column
        flat = values.reshape(-1)
        total = None
        for i, weight in enumerate(up):
            line = None
            for j, share in enumerate(across):
                tap = flat.at[start + (i * values.shape[1] + j)].get(mode="promise_in_bounds")
                line = share * tap if line is None else line + share * tap
            total = weight * line if total is None else total + weight * line
        return total


def _place(u, size, rim, order):
    """Padded index of the first value used at `u` [pixels] from the centre, and all weights."""
    low, high = -float(rim), size - 1.0 + rim
    u = at_most(at_least(u + 0.5 * (size - 1), low), high)
    whole = jnp.floor(u)
    f = u - whole
    first = whole.astype(jnp.int32) + rim
    if order == 1:
        return first, (1.0 - f, f)
    g = 1.0 - f
    outer, inner = -0.5 * f * g, 1.0 + f * g
    return first, (outer * g, g * (inner - 0.5 * f * f), f * (inner - 0.5 * g * g), outer * f)
