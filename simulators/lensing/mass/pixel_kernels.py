r"""What a square pixel of unit convergence does, in units of its side.

The integrals of ln r / pi over a pixel, and of its derivatives, are differences over the four
corners of

.. math:: \tfrac12 [x y \ln r^2 + x^2 \arctan(y / x) + y^2 \arctan(x / y)], \quad
    \tfrac12 y \ln r^2 + x \arctan(y / x), \quad \tfrac12 \ln r^2

for psi (up to a constant), psi_x and psi_xy. From 8 pixels on, where the differences lose digits,
they are multipoles: those of a square are of order 0, 4, 8, ...
"""

import functools
import math

import numpy as np

from simulators.lensing.psf import good_size

#: Highest order of the multipoles of a map of pixels.
ORDER = 4

_FAR = 8.0
# Means of Re z^4 and of Re z^8 over a pixel
_FOURTH, _EIGHTH = -1.0 / 60.0, 1.0 / 720.0


def pixel(x, y):
    """psi, psi_x, psi_y, psi_xy at integer offsets from the centre of a pixel: (4, ...).

    >>> import numpy as np
    >>> [round(float(v), 4) for v in pixel(np.array([1.0]), np.array([0.0]))[:2, 0]]
    [0.0013, 0.3134]
    """
    near = np.hypot(x, y) < _FAR
    close = np.stack(_near(np.where(near, x, 0.0), np.where(near, y, 0.0)))
    return np.where(near, close, np.stack(_far(np.where(near, _FAR, x), y))) / math.pi


def _near(x, y):
    def corners(f):
        high, low, right, left = y + 0.5, y - 0.5, x + 0.5, x - 0.5
        return f(right, high) - f(left, high) - f(right, low) + f(left, low)

    def potential(x, y):
        turn = x * x * np.arctan(y / x) + y * y * np.arctan(x / y)
        return 0.5 * (x * y * (np.log(x * x + y * y) - 3.0) + turn)

    def slope(x, y):
        return 0.5 * y * np.log(x * x + y * y) + x * np.arctan(y / x)

    return (
        corners(potential),
        corners(slope),
        corners(lambda x, y: slope(y, x)),
        corners(lambda x, y: 0.5 * np.log(x * x + y * y)),
    )


def _far(x, y):
    z = x + 1j * y
    inverse, fourth = 1.0 / z, z**-4.0
    psi = np.log(np.abs(z)) - (fourth * (_FOURTH / 4.0 + fourth * _EIGHTH / 8.0)).real
    first = inverse * (1.0 + fourth * (_FOURTH + fourth * _EIGHTH))
    second = inverse**2 * (1.0 + fourth * (5.0 * _FOURTH + fourth * 9.0 * _EIGHTH))
    return psi, first.real, -first.imag, second.imag


@functools.cache
def transforms(shape, margin):
    """Transforms of `pixel` that take a map of pixels to itself with a margin, and their size.

    Entry n of an axis of N holds the offset n - margin, or n - margin - N for the last ones.
    """
    size = tuple(good_size(2 * n + 2 * margin - 1) for n in shape)
    offsets = []
    for n, full in zip(shape, size, strict=True):
        index = np.arange(full)
        offsets.append(np.where(index < n + 2 * margin, index, index - full) - float(margin))
    y, x = np.meshgrid(*offsets, indexing="ij")
    return np.fft.rfft2(pixel(x, y)), size


@functools.cache
def moments(shape):
    """Mean of z^k / pi over each pixel for k to `ORDER`, from the centre: real and imaginary."""
    nodes, weights = np.polynomial.legendre.leggauss(3)
    rows, columns = (np.arange(n) - 0.5 * (n - 1) for n in shape)
    total = 0.0
    for dy, wy in zip(0.5 * nodes, 0.5 * weights, strict=True):
        for dx, wx in zip(0.5 * nodes, 0.5 * weights, strict=True):
            z = (columns + dx)[None, :] + 1j * (rows + dy)[:, None]
            total = total + wx * wy * z ** np.arange(ORDER + 1)[:, None, None]
    return total.real / math.pi, total.imag / math.pi
