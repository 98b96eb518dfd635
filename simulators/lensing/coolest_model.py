"""What a COOLEST template says of a lens; see `coolest`."""

import equinox as eqx
import jax
import numpy as np

from simulators.lensing import image
from simulators.lensing.cosmology import Cosmology
from simulators.lensing.grid import Grid
from simulators.lensing.light import AbstractLight
from simulators.lensing.mass import AbstractMass
from simulators.lensing.noise import as_mask
from simulators.lensing.planes import MultiPlane
from simulators.lensing.psf import PSF
from simulators.shared.fields import as_float


def _optional(value):
    return None if value is None else as_float(value)


class CoolestModel(eqx.Module):
    """What a COOLEST template says of a lens.

    With several planes in front of the farthest source, `lens` is a `MultiPlane`, a plane without
    mass being a `Sheet` of zero, and `lens_light` and `z_lens` have an entry for each.

    Attributes:
        lens: all mass at `z_lens`, or None.
        source: light at `z_source`, or None.
        lens_light: light at `z_lens`, or None; for several planes a tuple of these.
        z_lens, z_source: redshifts, None where there is no such plane.
        cosmology: a flat `Cosmology`.
        grid: pixels of the observation, or None.
        noise: standard deviation [electrons / s], a number or (H, W), or None.
        psf_fwhm: full width at half maximum of a Gaussian PSF [arcsec], or None.
        psf: a pixelated PSF, or None.
        image: the observed flux [electrons / s / pixel], (H, W), or None.
        mask: true where a pixel counts, (H, W), or None.
        pixel_size: side of a pixel of the instrument [arcsec]; by default that of `grid`.
    """

    lens: AbstractMass | MultiPlane | None
    source: AbstractLight | None
    lens_light: AbstractLight | tuple | None
    z_lens: jax.Array | None = eqx.field(converter=_optional)
    z_source: jax.Array | None = eqx.field(converter=_optional)
    cosmology: Cosmology = eqx.field(default_factory=Cosmology)
    grid: Grid | None = None
    noise: jax.Array | None = eqx.field(converter=_optional, default=None)
    psf_fwhm: jax.Array | None = eqx.field(converter=_optional, default=None)
    psf: PSF | None = None
    image: jax.Array | None = eqx.field(converter=_optional, default=None)
    mask: jax.Array | None = eqx.field(converter=as_mask, default=None)
    pixel_size: jax.Array | None = eqx.field(converter=_optional, default=None)

    def __check_init__(self):
        light, count = self.lens_light, len(self.lens.lenses) if self.several else 1
        if not (light is None or isinstance(light, tuple) == self.several) or (
            self.several and light is not None and len(light) != count
        ):
            raise ValueError(
                f"CoolestModel: `lens_light` is a {type(light).__name__} for {count} "
                "lens plane(s); give light or None, and for a MultiPlane a tuple, an entry a plane."
            )

    @property
    def several(self):
        """Whether there are several planes in front of the source."""
        return isinstance(self.lens, MultiPlane)

    def lights(self):
        """The light of each plane in front of the source, or None, nearest first."""
        if self.lens_light is None:
            return (None,) * (len(self.lens.lenses) if self.several else 1)
        return self.lens_light if self.several else (self.lens_light,)

    def render(self):
        """The image that the model predicts [electrons / s / pixel], (H, W), without noise.

        Raises:
            ValueError: without a grid or any light.

        >>> from simulators.lensing.light import Gaussian
        >>> from simulators.lensing.mass import SIS
        >>> source = Gaussian(10.0, 0.1)
        >>> model = CoolestModel(SIS(1.0), source, None, 0.5, 2.0, grid=Grid((31, 31), 0.1))
        >>> model.render().shape
        (31, 31)
        """
        if self.grid is None:
            raise ValueError("CoolestModel: it has no `grid` to be rendered on; give it one.")
        psf = self.psf
        if psf is None and self.psf_fwhm is not None:
            # Four times the width, beyond which less than 1e-19 of the peak is left.
            scale, fine = float(self.grid.pixel_scale), self.grid.supersampling
            size = 2 * int(np.ceil(4.0 * float(self.psf_fwhm) * fine / scale)) + 1
            psf = PSF.gaussian(self.psf_fwhm, scale, size, fine)
        return image.render(None, None, _Sky(self), self.grid, psf)


class _Sky(AbstractLight):
    """All light of a model where it is seen."""

    model: CoolestModel

    def brightness(self, x, y):
        model = self.model
        if model.several:
            places = model.lens.rays(x, y)
        else:
            places = [(x, y), (x, y) if model.lens is None else model.lens.trace(x, y)]
        every = zip((*model.lights(), model.source), places, strict=True)
        seen = [light.brightness(*place) for light, place in every if light is not None]
        if not seen:
            raise ValueError("CoolestModel: there is no light; give a source or lens light.")
        return sum(seen[1:], seen[0])
