"""Observations in COOLEST templates: pixels, noise, mask and PSF; see `coolest`."""

import math
from pathlib import Path

import numpy as np

from simulators.lensing.grid import Grid
from simulators.lensing.observe_coolest import edges, extent
from simulators.lensing.psf import PSF


def read_observation(template, reading):
    """Grid, image, noise, mask, PSF and the PSF's width of a template, as keywords."""
    observation = template.get("observation") or {}
    pixels = observation.get("pixels") or {}
    mock = template.get("mode") == "MOCK"
    # The image of a mock is not there until it is made.
    image = None if mock and not _there(pixels, reading) else reading.data(pixels, "the image")
    psf = _read_psf((template.get("instrument") or {}).get("psf") or {}, reading)
    grid = _read_grid(pixels, reading, image, psf["psf"])
    noise = observation.get("noise") or {}
    sigma = noise.get("std_dev") if noise.get("type") == "UniformGaussianNoise" else None
    if noise.get("type") == "NoiseMap":
        sigma = _like(
            grid, reading.data(noise.get("noise_map") or {}, "the noise map"), "noise map"
        )
    masks = [row.get("mask") for row in template.get("likelihoods") or [] if row.get("mask")]
    mask = reading.data(masks[0], "the mask") if masks else None
    mask = None if mask is None else _like(grid, mask, "mask") != 0
    return {"grid": grid, "image": image, "noise": sigma, "mask": mask, **psf}


def write_observation(model, writing):
    """`instrument`, `observation` and, with a mask, `likelihoods` of a template."""
    shape, *place = _placed(model.grid)
    noise, psf = {"type": None}, {"type": None, "description": None}
    if model.noise is not None and model.noise.ndim == 0:
        noise = {"type": "UniformGaussianNoise", "std_dev": float(model.noise)}
    elif model.noise is not None:
        noise = {"type": "NoiseMap", "noise_map": writing.image("noise", model.noise, *place)}
    if model.psf is not None:
        scale = writing.size("a PSF") / model.psf.supersampling
        pixels = writing.image("psf", model.psf.kernel, scale)
        psf = {"type": "PixelatedPSF", "description": None, "pixels": pixels}
    elif model.psf_fwhm is not None:
        width = float(model.psf_fwhm) / writing.size("the width of a PSF")
        psf = {"type": "GaussianPSF", "description": None, "fwhm": width}
    if model.image is not None:
        pixels = writing.image("image", model.image, *place)
    else:
        pixels = edges(shape, *place) | {"fits_file": {"path": None}}
    out = {
        "instrument": {
            "name": "",
            "band": "",
            "pixel_size": writing.pixel_size,
            "readout_noise": None,
            "psf": psf,
        },
        "observation": {
            "exposure_time": None,
            "mag_sky_brightness": None,
            "mag_zero_point": None,
            "noise": noise,
            "pixels": pixels,
        },
    }
    if model.mask is not None:
        mask = writing.image("mask", np.asarray(model.mask).astype(np.uint8), *place)
        out["likelihoods"] = [{"type": "ImagingDataLikelihood", "mask": mask}]
    return out


def _placed(grid):
    """Shape, pixel scale and centre of a grid."""
    if grid is None:
        return (0, 0), 0.0, 0.0, 0.0
    if float(grid.rotation) != 0.0:
        raise ValueError(
            f"to_coolest: the grid is turned by {grid.rotation} rad; COOLEST's axes are those of "
            "the image: turn the model, and give a grid of rotation 0."
        )
    place = float(grid.pixel_scale), float(grid.center_x), float(grid.center_y)
    out = edges(grid.shape, *place)
    if out["field_of_view_x"][0] == out["field_of_view_y"][0] == 0.0:
        raise ValueError(
            f"to_coolest: the grid begins at the origin, as its centre ({place[1]:g}, {place[2]:g})"
            " has it, which COOLEST takes for one centred there; move the origin."
        )
    return grid.shape, *place


def _there(pixels, reading):
    path = (pixels.get("fits_file") or {}).get("path")
    return bool(path) and reading.folder is not None and (Path(reading.folder) / path).is_file()


def _read_grid(pixels, reading, image, psf):
    shape, scale, x, y = extent(pixels, "the image", None if image is None else image.shape)
    if not all(shape):
        return None
    lowest = [(pixels.get(f"field_of_view_{axis}") or (0, 0))[0] for axis in ("x", "y")]
    if scale is None or not any(lowest):
        # A size alone: the image is centred on the origin, as everywhere in COOLEST's own code.
        x = y = 0.0
    size = reading.pixel_size
    if scale is not None and size and not math.isclose(scale, size, rel_tol=1e-3):
        raise ValueError(
            f"from_coolest: a pixel is {scale:g} arcsec by the image's field of view and {size:g} "
            "by the instrument's `pixel_size`; correct one of them."
        )
    if not (scale or size):
        return None
    supersampling = 1 if psf is None else psf.supersampling
    return Grid(shape, scale or size, 0.0, x, y, supersampling=supersampling)


def _read_psf(psf, reading):
    found = {"psf": None, "psf_fwhm": None}
    if psf.get("type") == "GaussianPSF" and psf.get("fwhm"):
        if not reading.pixel_size:
            raise ValueError(
                f"from_coolest: the PSF is {psf['fwhm']} pixels wide, but the template does not "
                "say how large they are; give `pixel_size` of the instrument."
            )
        found["psf_fwhm"] = psf["fwhm"] * reading.pixel_size
    if psf.get("type") == "PixelatedPSF":
        pixels = psf.get("pixels") or {}
        kernel = reading.data(pixels, "the PSF")
        if kernel is not None:
            found["psf"] = _kernel(kernel, _sampling(pixels, reading.pixel_size))
    return found


def _sampling(pixels, pixel_size):
    """Pixels of the PSF per pixel of the image, 1 where the template does not say."""
    left, right = pixels.get("field_of_view_x") or (0, 0)
    width = pixels.get("num_pix_x") or 0
    if left == right or not width or not pixel_size:
        return 1
    ratio = pixel_size * width / abs(right - left)
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 0.01:
        raise ValueError(
            f"from_coolest: a pixel of the image is {ratio:g} of the PSF's; resample the PSF to an "
            "integer of at least 1."
        )
    return round(ratio)


def _kernel(values, supersampling):
    """Divided by its sum; of an even size it is centred as `fftconvolve(mode="same")` does."""
    total = values.sum()
    if not (np.isfinite(total) and total > 0.0):
        raise ValueError(
            f"from_coolest: the PSF sums to {total:g}; give finite values of positive sum."
        )
    even = [(1 - n % 2, 0) for n in values.shape]
    return PSF(np.pad(values / total, even), supersampling)


def _like(grid, values, name):
    """Refuse a map of another shape than the image's."""
    if values is not None and grid is not None and values.shape != grid.shape:
        raise ValueError(
            f"from_coolest: the {name} has shape {values.shape}, the image {grid.shape}; give one "
            "value a pixel."
        )
    return values
