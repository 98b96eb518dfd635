"""Point spread functions and the convolution with them."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.fields import as_float, cast, known


class PSF(eqx.Module):
    r"""A point spread function on pixels; images are convolved with it as they are rendered.

    Convolution is linear with zeros beyond the image, as
    `scipy.signal.fftconvolve(image, kernel, mode="same")`.

    It runs through real Fourier transforms of padded size N: only the half-width of the kernel is
    padded, because what wraps around is cut off, and N is the next multiple of 8 whose other
    factors are 2, 3, 5 and 7. One core, float64, ms, for a 21 x 21 kernel: 0.2 on 100 x 100, 1.1 on
    200 x 200; 41 x 41 on 400 x 400, 4.8. XLA's direct convolution took 9.3, 40 and 260, and broke
    even at 5 x 5. The kernel is transformed anew each time: it may be differentiated.

    Args:
        kernel: odd number of rows and of columns, the centre in the middle; it sums to one
            (divide by its sum) within 1e-3, and is used as it is.
        supersampling: pixels of the kernel per pixel of the image, along each axis (static). Above
            1 a `Grid` of the same supersampling is convolved before its subpixels are averaged.

    Raises:
        ValueError: for a kernel of another shape or, where it is concrete, another sum, and for
            values that are not finite.

    >>> psf = PSF([[0.0, 0.1, 0.0], [0.1, 0.6, 0.1], [0.0, 0.1, 0.0]])
    >>> [round(float(v), 3) for v in psf.convolve(as_float([[0.0, 0.0, 1.0]]))[0]]
    [0.0, 0.1, 0.6]
    """

    kernel: jax.Array = eqx.field(converter=as_float)
    supersampling: int = eqx.field(static=True, default=1)

    def __check_init__(self):
        shape = self.kernel.shape
        if len(shape) != 2 or any(n % 2 == 0 for n in shape):
            raise ValueError(
                f"PSF: argument `kernel` has shape {shape}; give an odd number of rows and of "
                "columns, the centre in the middle."
            )
        if not isinstance(self.supersampling, int) or self.supersampling < 1:
            raise ValueError(
                f"PSF: argument `supersampling` = {self.supersampling!r}; give an int >= 1."
            )
        if not known(self.kernel):
            return
        kernel = np.asarray(self.kernel, dtype=float)
        if not np.all(np.isfinite(kernel)):
            bad = np.argwhere(~np.isfinite(kernel))[0]
            raise ValueError(
                f"PSF: argument `kernel` has {kernel[tuple(bad)]} at {tuple(map(int, bad))}; give "
                "finite values."
            )
        total = kernel.sum()
        if total <= 0.0:
            raise ValueError(
                f"PSF: argument `kernel` sums to {total:g}; give a kernel of positive sum, divided "
                "by it."
            )
        if abs(total - 1.0) > 1e-3:
            raise ValueError(
                f"PSF: argument `kernel` sums to {total:g}, not to 1 within 1e-3; normalise it: "
                "divide it by its sum."
            )

    @classmethod
    def gaussian(cls, fwhm, pixel_scale, size, supersampling=1):
        """A Gaussian sampled at pixel centres and normalised.

        Args:
            fwhm: full width at half maximum [arcsec].
            pixel_scale: side of a pixel of the image [arcsec].
            size: rows and columns of the kernel, odd.
            supersampling: pixels of the kernel per pixel of the image.

        >>> PSF.gaussian(0.1, 0.05, 21).kernel.shape
        (21, 21)
        """
        fwhm = as_float(fwhm)
        (pixel_scale,) = cast(fwhm, pixel_scale)
        steps = (jnp.arange(size) - size // 2).astype(fwhm.dtype)
        u = steps * (pixel_scale / (supersampling * fwhm))
        line = jnp.exp(-4.0 * math.log(2.0) * u * u)
        line = line / jnp.sum(line)
        return cls(line[:, None] * line[None, :], supersampling)

    def convolve(self, image):
        """An image (..., H, W) sampled as the kernel is, convolved with it: the same shape."""
        (kernel,) = cast(image, self.kernel)
        return _convolve(image[..., None, :, :], kernel[None])

    def observe(self, subpixels):
        """Pixels (..., H, W) seen through the PSF from subpixels (..., S S, H, W).

        The layout is that of `Grid.subpixels`. With a kernel of supersampling 1 the subpixels are
        averaged and convolved. Otherwise the kernel, smoothed by the pixel, is cut into the S S
        kernels that take each set of subpixels to the pixels. Their transforms add up before the
        one way back, so nothing is transformed at S times the size.
        """
        (kernel,) = cast(subpixels, self.kernel)
        s = self.supersampling
        if s == 1:
            return _convolve(jnp.mean(subpixels, axis=-3, keepdims=True), kernel[None])
        if subpixels.shape[-3] != s * s:
            raise ValueError(
                f"PSF: the kernel has supersampling {s}, and there are {subpixels.shape[-3]} "
                f"subpixels; give a Grid of supersampling {s}, or a kernel of supersampling 1."
            )
        return _convolve(subpixels, _phases(kernel, s))


def _phases(kernel, s):
    """Kernels (S S, k, l) from subpixels to the mean over each pixel of the convolved subpixels.

    Output pixel I is the mean over a of sum_q K[q] image[s I + a - q + c]. With n = s m + phi for
    the subpixel's index, it is the sum over m and phi of P[s (I - m) + s - 1 - phi + c], where P
    is K convolved with a box of s, over s.
    """
    for axis in (0, 1):
        half = kernel.shape[axis] // 2
        # The reach of the kernel in pixels, either side
        reach = -((1 - s - half) // s)
        pad = s * reach - half
        parts = []
        for shift in range(s):
            width = [(0, 0), (0, 0)]
            width[axis] = (pad + shift, pad + s - 1 - shift)
            parts.append(jnp.pad(kernel, width))
        kernel = sum(parts) / s
    height, width = kernel.shape[0] // s, kernel.shape[1] // s
    parts = kernel.reshape(height, s, width, s)[:, ::-1, :, ::-1]
    return parts.transpose(1, 3, 0, 2).reshape(s * s, height, width)


def _convolve(images, kernels):
    """Sum over axis -3 of images (..., P, H, W) convolved with kernels (P, k, l): (..., H, W)."""
    shape, half = images.shape[-2:], tuple(n // 2 for n in kernels.shape[-2:])
    # What a kernel larger than the image would carry beyond it is cut off.
    kernels, half = _crop(kernels, half, shape)
    size = tuple(good_size(n + h) for n, h in zip(shape, half, strict=True))
    product = jnp.fft.rfft2(images, s=size) * jnp.broadcast_to(
        jnp.fft.rfft2(kernels, s=size), (*images.shape[:-2], size[0], size[1] // 2 + 1)
    )
    full = jnp.fft.irfft2(jnp.sum(product, axis=-3), s=size)
    return full[..., half[0] : half[0] + shape[0], half[1] : half[1] + shape[1]]


def _crop(kernels, half, shape):
    keep = tuple(min(h, n - 1) for h, n in zip(half, shape, strict=True))
    rows, columns = (slice(h - k, h + k + 1) for h, k in zip(half, keep, strict=True))
    return kernels[..., rows, columns], keep


def good_size(least):
    """The smallest multiple of 8 from `least` on with no prime factor above 7."""
    size = -(-least // 8) * 8
    while math.gcd(size, 210**12) != size:
        size += 8
    return size
