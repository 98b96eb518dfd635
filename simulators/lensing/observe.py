"""Images of lenses from FITS files."""

import dataclasses
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.lensing.grid import Grid
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.psf import PSF
from simulators.shared.fields import as_float

#: A noise above so many times the median is how files mark a pixel that does not count.
MASKED_ABOVE = 1e3


class LensImage(eqx.Module):
    """An image with its noise, its mask, its pixels on the sky and its point-spread function.

    Attributes:
        image: flux per pixel, shape (H, W); zero where masked.
        noise: standard deviations and mask.
        grid: the pixels; the origin is the centre of the image.
        psf: the point-spread function, or None.
    """

    image: jax.Array = eqx.field(converter=as_float)
    noise: GaussianNoise
    grid: Grid
    psf: PSF | None = None

    def masked(self, mask) -> "LensImage":
        """The same image where `mask` (H, W) alone says which pixels count."""
        image = np.where(mask, self.image, 0.0)
        return LensImage(image, GaussianNoise(self.noise.noise_map, mask), self.grid, self.psf)

    def cut(self, half: int) -> "LensImage":
        """The central 2 half + 1 pixels of each side (2 half where the side is even).

        Raises ValueError for a piece larger than the image.
        """
        height, width = self.image.shape
        if half < 1 or 2 * half + 1 > min(height, width):
            raise ValueError(
                f"cut: half = {half} pixels of an image of shape {self.image.shape}; give 1 to "
                f"{(min(height, width) - 1) // 2}."
            )
        rows, columns = (slice(n // 2 - half, n // 2 + half + n % 2) for n in (height, width))
        cut = lambda a: None if a is None else a[rows, columns]  # noqa: E731
        image, noise_map, mask = map(cut, (self.image, self.noise.noise_map, self.noise.mask))
        grid = dataclasses.replace(self.grid, shape=image.shape)
        return LensImage(image, GaussianNoise(noise_map, mask), grid, self.psf)


def read_image(
    image, noise, psf=None, *, pixel_scale=None, mask=None, supersampling=1, extensions=None
) -> LensImage:
    """Read an image, its noise map and its point-spread function.

    The pixel scale and the orientation (x to the west and y to the north, as on a picture of the
    sky with north up, for the usual header) come from the image's WCS. Without one, give the pixel
    scale; x and y are then the columns and rows.

    Args:
        image, noise: FITS files, or arrays (H, W). Noise that is not finite, not positive or above
            `MASKED_ABOVE` times the median marks pixels that do not count, like pixels of the
            image that are not finite.
        psf: a FITS file or an array (h, w), both odd; it is divided by its sum where that
            is within a tenth of one: what stamps cut off.
        pixel_scale: side of a pixel [arcsec]; it goes before the WCS.
        mask: array (H, W), true where a pixel counts, beside what the noise says.
        supersampling: subpixels along a side of each pixel.
        extensions: names or numbers of the HDUs of image, noise and psf, where not the first with
            data.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for shapes that differ, no WCS and no pixel scale, or no pixel left.

    >>> import numpy as np
    >>> data = read_image(np.ones((5, 7)), np.full((5, 7), 0.1), pixel_scale=0.05)
    >>> data.image.shape, round(float(data.grid.pixel_scale), 3)
    ((5, 7), 0.05)
    """
    hdus = dict(zip(("image", "noise", "psf"), extensions or (None,) * 3, strict=True))
    flux, header = _pixels("image", image, hdus["image"])
    sigma, _ = _pixels("noise", noise, hdus["noise"])
    if sigma.shape != flux.shape:
        raise ValueError(
            f"noise: its shape is {sigma.shape}, that of the image {flux.shape}; give the noise "
            "map of this image."
        )
    good = np.isfinite(flux) & np.isfinite(sigma) & (sigma > 0)
    if mask is not None:
        if np.shape(mask) != flux.shape:
            raise ValueError(
                f"mask: its shape is {np.shape(mask)}, that of the image {flux.shape}; give one "
                "entry a pixel, true where it counts."
            )
        good &= np.asarray(mask, bool)
    if good.any():
        good &= sigma < MASKED_ABOVE * np.median(sigma[good])
    if not good.any():
        raise ValueError(
            "image: no pixel is left by the mask and the noise map; unmask some, or check that "
            "the noise is finite and positive."
        )
    scale, rotation = _scale(header, pixel_scale)
    kernel = None if psf is None else _kernel(_pixels("psf", psf, hdus["psf"])[0])
    grid = Grid(flux.shape, scale, rotation, supersampling=supersampling)
    noise = GaussianNoise(np.where(good, sigma, 1.0), good)
    return LensImage(np.where(good, flux, 0.0), noise, grid, kernel)


def _pixels(name, source, extension):
    """An image as a float array, and its FITS header or None."""
    if not isinstance(source, str | Path):
        return _checked(name, np.asarray(source)), None
    from astropy.io import fits

    if not Path(source).is_file():
        raise FileNotFoundError(f"{name}: there is no file {str(source)!r}; check the path.")
    try:
        with fits.open(source) as hdus:
            if extension is None:
                found = [hdu for hdu in hdus if getattr(hdu, "data", None) is not None]
                if not found:
                    raise ValueError(f"{name}: {str(source)!r} holds no image.")
                hdu = found[0]
            else:
                names = [hdu.name for hdu in hdus]
                if extension not in names and extension not in range(len(hdus)):
                    raise ValueError(
                        f"{name}: {str(source)!r} has no extension {extension!r}; it has {names}."
                    )
                hdu = hdus[extension]
            return _checked(name, np.asarray(hdu.data)), hdu.header
    except OSError as error:
        raise ValueError(f"{name}: {str(source)!r} is no FITS file ({error}).") from error


def _checked(name, pixels):
    if pixels.ndim != 2 or pixels.size == 0 or not np.issubdtype(pixels.dtype, np.number):
        raise ValueError(
            f"{name}: an array of shape {pixels.shape} and type {pixels.dtype}; give an image of "
            "numbers with two axes."
        )
    return pixels.astype(jnp.result_type(float))


def _scale(header, pixel_scale):
    """Side of a pixel [arcsec], and the angle from the rows to the sky [rad]."""
    if pixel_scale is not None:
        return float(pixel_scale), 0.0
    matrix = None if header is None else _matrix(header)
    if matrix is None:
        raise ValueError(
            "pixel_scale: the image has no WCS to take it from; give it [arcsec], as "
            "pixel_scale=0.05."
        )
    determinant = np.linalg.det(matrix)
    scale = np.sqrt(abs(determinant))
    if not np.allclose(np.hypot(*matrix), scale, rtol=1e-2):
        raise ValueError(
            "pixel_scale: the pixels of the image's WCS are not square; resample the image, or "
            "give pixel_scale."
        )
    # x to the west, so that a header with north up and east left is not turned.
    along_x = -matrix[0, 0] if determinant < 0 else matrix[0, 0]
    return float(scale * 3600.0), float(np.arctan2(matrix[1, 0], along_x))


def _matrix(header):
    """Degrees a pixel, the sky's axes in rows; None without celestial coordinates."""
    from astropy.wcs import WCS

    wcs = WCS(header)
    return wcs.celestial.pixel_scale_matrix if wcs.has_celestial else None


def _kernel(pixels):
    total = pixels.sum()
    if np.isfinite(total) and abs(total - 1.0) < 0.1:
        pixels = pixels / total
    return PSF(pixels)
