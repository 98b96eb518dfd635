"""From a lens, a source and lens light to an image."""

import equinox as eqx
import jax.numpy as jnp

from simulators.lensing.light.base import AbstractLight
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.batches import one_by_one


def render(lens, source, lens_light, grid, psf=None):
    r"""The image of a lensed source and of the light of the lens, in flux per pixel.

    .. math:: d_p = A \sum_{p'} K_{p p'} \frac{1}{S^2} \sum_{\theta \in p'}
        [I_s(\theta - \alpha(\theta)) + I_l(\theta)]

    over the S x S subpixel centres of each pixel, A the pixel's area and K the PSF. A PSF of
    supersampling S convolves the subpixels before they are averaged. This is lenstronomy's
    `ImageModel.image`: a brightness in flux / arcsec^2 times the area, with
    `supersampling_convolution` and `supersampling_kernel_size=None` for the supersampled PSF.

    On CPUs `jax.vmap` makes one image after the other, in three quarters of the time of single
    calls. Of gradients it makes all at once, in twice the time: there use `jax.lax.map`.

    Args:
        lens: an `AbstractMass`, or None where nothing is deflected.
        source: an `AbstractLight` on the source plane, or None.
        lens_light: an `AbstractLight` on the sky, or None.
        grid: the `Grid`; the dtype of its pixel scale is that of the image.
        psf: a `PSF`, or None for perfect seeing.

    Returns:
        The image, shape (H, W).

    Raises:
        TypeError: for arguments in the wrong place.
        ValueError: without any light, or for a supersampled PSF on another grid.

    >>> from simulators.lensing.grid import Grid
    >>> from simulators.lensing.light import Gaussian
    >>> image = render(None, Gaussian(10.0, 0.2), None, Grid((41, 41), 0.05))
    >>> image.shape, round(float(image.sum()), 3)
    ((41, 41), 10.0)
    """
    _check(lens, [source], [lens_light])
    return _rendered(lens, source, lens_light, grid, psf)


@eqx.filter_jit
def _rendered(*scene):
    # Compiled as one for the sake of calls outside `jit`, where each would be a new program.
    return one_by_one(_render, *scene)


def _render(lens, source, lens_light, grid, psf):
    x, y = grid.subpixels()
    light = None if lens_light is None else lens_light.brightness(x, y)
    if source is not None:
        arc = source.brightness(*_trace(lens, x, y))
        light = arc if light is None else arc + light
    return _observe(light, grid, psf)


def design(lens, sources, lens_lights, grid, psf=None):
    """The images of all linear components, in flux per pixel, for `linear.fit_amplitudes`.

    Args:
        lens: an `AbstractMass`, or None.
        sources: profiles on the source plane; each gives the rows of its `basis`, a `Shapelets`
            one per amplitude and others their own brightness. Give them amplitude one.
        lens_lights: profiles on the sky, likewise.
        grid, psf: as in `render`.

    Returns:
        Images (K, H, W): the sources' first.

    Raises:
        TypeError: for arguments in the wrong place.
        ValueError: without any light, or for a supersampled PSF on another grid.

    >>> from simulators.lensing.grid import Grid
    >>> from simulators.lensing.light import Gaussian, Shapelets
    >>> basis = Shapelets([1.0] * 6, 2, 0.2)
    >>> design(None, [basis], [Gaussian(1.0, 0.2)], Grid((9, 9), 0.1)).shape
    (7, 9, 9)
    """
    _check(lens, sources, lens_lights)
    x, y = grid.subpixels()
    rows = []
    if sources:
        beta = _trace(lens, x, y)
        rows += [source.basis(*beta) for source in sources]
    rows += [light.basis(x, y) for light in lens_lights]
    # Each is seen by itself: one array of all subpixels XLA would compute element by element, in
    # five times the time.
    return jnp.concatenate([_observe(row, grid, psf) for row in rows])


def _check(lens, sources, lens_lights):
    if not (lens is None or isinstance(lens, AbstractMass)):
        raise TypeError(f"render: argument `lens` = {lens!r}; give an AbstractMass or None.")
    for name, lights in (("source", sources), ("lens_light", lens_lights)):
        for light in lights:
            if not (light is None or isinstance(light, AbstractLight)):
                raise TypeError(f"render: argument `{name}` = {light!r}; give an AbstractLight.")
    if not any(light is not None for light in (*sources, *lens_lights)):
        raise ValueError("render: there is neither a source nor lens light; give one of them.")


def _trace(lens, x, y):
    return (x, y) if lens is None else lens.trace(x, y)


def _observe(brightness, grid, psf):
    """Flux per pixel (..., H, W) from the brightness of subpixels (..., S S, H, W)."""
    if psf is None:
        return jnp.mean(brightness, axis=-3) * grid.pixel_area
    return psf.observe(brightness) * grid.pixel_area
