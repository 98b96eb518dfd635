r"""Lenses on a grid of pixels: a convergence, or a potential.

Row i, column j of `values` stands at $x = x_c + (j - (W - 1) / 2)\,s$ and
$y = y_c + (i - (H - 1) / 2)\,s$ for the pixel scale s, as in `light.PixelSource`. Potentials are
interpolated by piecewise cubics, and deflection and second derivatives are the exact derivatives of
the interpolant.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.lensing.directions import from_centre
from simulators.lensing.grid import check_pixels
from simulators.lensing.mass.angular import times
from simulators.lensing.mass.base import AbstractMass
from simulators.lensing.mass.pixel_kernels import moments, transforms
from simulators.shared.elementwise import at_least, at_most
from simulators.shared.fields import as_float, cast


class PixelConvergence(AbstractMass):
    r"""A convergence that is constant within each pixel and zero beyond the array.

    .. math:: \psi(\theta) = \frac1\pi \sum_p \kappa_p \int_p \ln |\theta - \theta'|\, d^2\theta'

    At the pixel centres of the array and of a margin around it psi, its gradient and psi_xy are
    exact: closed forms for a square pixel, convolved with the array by Fourier transforms padded
    with zeros (of size 2 H + 2 margin - 1 and more). Between the centres psi is the bicubic Hermite
    polynomial of these: deflections are continuous, second derivatives jump between cells. Beyond
    the margin psi is the multipole expansion up to order `ORDER`; there is a small step in between.

    For a smooth lens sampled at pixel centres the error of the deflection falls as the square of
    the pixel scale, that of the convergence in proportion to it. In float32, deflections and second
    derivatives are good to a few 1e-7 of psi / s and of psi / s^2.

    Args:
        values: convergence, shape (H, W).
        pixel_scale: distance of pixel centres [arcsec], above 0.
        center_x, center_y: centre of the array [arcsec].
        margin: pixels around the array, at least 1 (static); by default half its longer side.

    Raises:
        ValueError: for concrete parameters outside these bounds, or values that are not 2-d.

    >>> from simulators.lensing.mass.pixelated import PixelConvergence
    >>> lens = PixelConvergence([[0.0, 0.5], [0.5, 1.0]], 0.5)
    >>> [round(float(a), 4) for a in lens.deflection([1.0, 0.5])]
    [0.1526, 0.0646]
    """

    values: jax.Array = eqx.field(converter=as_float)
    pixel_scale: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)
    margin: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check_pixels(self)
        if self.margin is not None and not (isinstance(self.margin, int) and self.margin >= 1):
            raise ValueError(
                f"PixelConvergence: argument `margin` = {self.margin!r}; give an int of at least "
                "1, or None."
            )

    def _pieces(self, x, y):
        """Place [pixels] of the rays, and psi, psi_x, psi_y, psi_xy at the centres [pixels]."""
        values, scale = cast(x, self.values, self.pixel_scale)
        margin = self.margin or max(1, max(values.shape) // 2)
        tables, size = transforms(values.shape, margin)
        spectrum = jnp.fft.rfft2(values, s=size)
        height, width = (n + 2 * margin for n in values.shape)
        table = jnp.fft.irfft2(spectrum[None] * jnp.asarray(tables, spectrum.dtype), s=size)
        table = table[:, :height, :width]
        x, y = from_centre(self, x, y)
        return values, scale, x / scale, y / scale, table

    def _evaluate(self, x, y, orders):
        """Derivatives of psi of the `orders` (across, up) in pixels, and the pixel scale."""
        values, scale, u, v, table = self._pieces(x, y)
        height, width = table.shape[1:]
        left, across, in_x = _hermite(u, width)
        bottom, up, in_y = _hermite(v, height)
        # by end of the cell and order of derivative: up, then across
        offsets = [
            (2 * i + j) * height * width + b * width + a for b, i, a, j in np.ndindex(2, 2, 2, 2)
        ]
        taps = _taps(table, bottom * width + left, offsets)
        far = _multipoles(values, u, v)
        inside = in_x & in_y
        out = [jnp.where(inside, _weighed(taps, up[q], across[p]), far[p, q]) for p, q in orders]
        return scale, out

    def psi(self, x, y):
        """The lens potential [arcsec^2], up to a constant."""
        scale, (value,) = self._evaluate(x, y, [(0, 0)])
        return scale * scale * value

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        scale, (along, across) = self._evaluate(x, y, [(1, 0), (0, 1)])
        return scale * along, scale * across

    def hessian(self, x, y):
        """Second derivatives of psi."""
        _, out = self._evaluate(x, y, [(2, 0), (1, 1), (0, 2)])
        return tuple(out)


class PixelPotential(AbstractMass):
    r"""A potential given at pixel centres, in between a bicubic B-spline through the values.

    .. math:: \psi = s^2 \sum_{ij} c_{ij} B(x / s - j)\, B(y / s - i)

    (de Boor 1978) with the cubic B-spline B and pixels counted from the array's corner. psi is
    `values` at the centres; deflection and second derivatives are continuous everywhere. The
    coefficients beyond the array are zero, so that the potential ends within two pixels of it: to
    leave no edge, let the values fall to zero there, and keep the rays inside.

    Args:
        values: psi [arcsec^2], shape (H, W).
        pixel_scale: distance of pixel centres [arcsec], above 0.
        center_x, center_y: centre of the array [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds, or values that are not 2-d.

    >>> from simulators.lensing.mass.pixelated import PixelPotential
    >>> lens = PixelPotential([[0.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 0.0]], 0.5)
    >>> round(float(lens.potential([0.0, 0.0])), 4)
    0.1
    """

    values: jax.Array = eqx.field(converter=as_float)
    pixel_scale: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check_pixels(self)

    def _evaluate(self, x, y, orders):
        """Derivatives of psi [arcsec^2] of the `orders` (across, up) in pixels, and 1 / s."""
        values, scale = cast(x, self.values, self.pixel_scale)
        inverse = 1.0 / scale
        x, y = from_centre(self, x, y)
        height, width = values.shape
        by_row, by_column = (jnp.asarray(_spline_inverse(n), x.dtype) for n in values.shape)
        matmul = functools.partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
        coefficients = jnp.pad(matmul(matmul(by_row, values), by_column), 4)
        left, across = _spline(x * inverse, width)
        bottom, up = _spline(y * inverse, height)
        offsets = [b * (width + 8) + a for b, a in np.ndindex(4, 4)]
        taps = _taps(coefficients, bottom * (width + 8) + left, offsets)
        return inverse, [_weighed(taps, up[q], across[p]) for p, q in orders]

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero beyond the array."""
        return self._evaluate(x, y, [(0, 0)])[1][0]

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        inverse, (along, across) = self._evaluate(x, y, [(1, 0), (0, 1)])
        return inverse * along, inverse * across

    def hessian(self, x, y):
        """Second derivatives of psi."""
        inverse, out = self._evaluate(x, y, [(2, 0), (1, 1), (0, 2)])
        return tuple(inverse * inverse * v for v in out)


def _cell(u, size, low, high):
    """Index of the cell and the place within it, of `u` [pixels] from the centre of `size`."""
    u = at_most(at_least(u + 0.5 * (size - 1), float(low)), float(high))
    # The last cell holds its end too.
    whole = at_most(jnp.floor(u), high - 1.0)
    return whole.astype(jnp.int32) - low, u - whole


def _taps(table, start, offsets):
    """Entries of the flat table at `start` + each of 16 offsets: (4, 4, ...)."""
    offsets = jnp.asarray(offsets, start.dtype).reshape(4, 4, *(1,) * start.ndim)
    return table.reshape(-1).at[start[None, None] + offsets].get(mode="promise_in_bounds")


def _weighed(taps, up, across):
    """Sum over the taps with the products of both weights."""
    return jnp.sum(jnp.stack(up)[:, None] * jnp.stack(across)[None] * taps, axis=(0, 1))


def _hermite(u, size):
    """Cell, weights (value, slope) at its start and its end by order of derivative, and inside."""
    index, t = _cell(u, size, 0, size - 1)
    g = 1.0 - t
    inside = jnp.abs(u) <= 0.5 * (size - 1)
    weights = (
        (g * g * (1.0 + 2.0 * t), t * g * g, t * t * (3.0 - 2.0 * t), -t * t * g),
        (-6.0 * t * g, g * (1.0 - 3.0 * t), 6.0 * t * g, t * (3.0 * t - 2.0)),
        (12.0 * t - 6.0, 6.0 * t - 4.0, 6.0 - 12.0 * t, 6.0 * t - 2.0),
    )
    return index, weights, inside


def _spline(u, size):
    """First of the four coefficients, and their weights by order of derivative."""
    index, t = _cell(u, size, -3, size + 2)
    g = 1.0 - t
    weights = (
        (
            g**3 / 6.0,
            2.0 / 3.0 - 0.5 * t * t * (1.0 + g),
            2.0 / 3.0 - 0.5 * g * g * (1.0 + t),
            t**3 / 6.0,
        ),
        (-0.5 * g * g, t * (1.5 * t - 2.0), g * (2.0 - 1.5 * g), 0.5 * t * t),
        (g, 3.0 * t - 2.0, 1.0 - 3.0 * t, t),
    )
    return index, weights


@functools.cache
def _spline_inverse(size):
    """From values at the centres to coefficients; symmetric."""
    matrix = np.eye(size) * (2.0 / 3.0)
    matrix += (np.eye(size, k=1) + np.eye(size, k=-1)) / 6.0
    return np.linalg.inv(matrix)


def _multipoles(values, u, v):
    """psi far away and its derivatives, in pixels, by order: Re ln z - Re sum_k M_k / (k z^k)."""
    real, imaginary = (
        jnp.tensordot(jnp.asarray(m, values.dtype), values, 2) for m in moments(values.shape)
    )
    r2 = at_least(u * u + v * v, 0.25)
    inverse = u / r2, -v / r2
    # Horner's rule in 1 / z, for psi, and z times the first and z^2 times the second derivative
    series = [(jnp.zeros_like(u), jnp.zeros_like(u)) for _ in range(3)]
    for k in range(len(real) - 1, -1, -1):
        for order, factor in enumerate((-1.0 / k if k else 0.0, 1.0, -(k + 1.0))):
            rest = times(*series[order], *inverse)
            series[order] = rest[0] + factor * real[k], rest[1] + factor * imaginary[k]
    first = times(*series[1], *inverse)
    second = times(*times(*series[2], *inverse), *inverse)
    value = 0.5 * real[0] * jnp.log(r2) + series[0][0]
    return {
        (0, 0): value,
        (1, 0): first[0],
        (0, 1): -first[1],
        (2, 0): second[0],
        (1, 1): -second[1],
        (0, 2): -second[0],
    }
