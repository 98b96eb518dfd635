r"""Pixels of COOLEST templates, in FITS files beside them; see `coolest`.

Pixels in a template are a file, a field of view (the outer edges of the outermost pixels) and a
number of pixels along x and y; row 0 is the lowest. Where the numbers are zero they are the file's.
"""

import dataclasses
import math
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np

#: Estimates of a parameter: where they stand in a template.
ESTIMATES = {
    "point": ("point_estimate", "value"),
    "mean": ("posterior_stats", "mean"),
    "median": ("posterior_stats", "median"),
}


@dataclasses.dataclass
class Reading:
    """How a template is read.

    Attributes:
        folder: where its files are, or None.
        estimate: which of `ESTIMATES` is taken.
        skip: types of profiles that are left out.
        pixel_size: side of a pixel of the image [arcsec], or None.
    """

    folder: Path | None = None
    estimate: str = "point"
    skip: tuple = ()
    pixel_size: float | None = None

    def value(self, parameter):
        """The estimate of a parameter of the template, or None."""
        group, key = ESTIMATES[self.estimate]
        value = (parameter.get(group) or {}).get(key)
        return None if value == [] else value

    def area(self, what):
        """Of a pixel [arcsec^2]."""
        if not self.pixel_size:
            raise ValueError(
                f"from_coolest: {what} is in flux per pixel of the image, but the template does "
                "not say how large that is; give `pixel_size` of the instrument."
            )
        return self.pixel_size**2

    def load(self, pixels, what):
        """The values (H, W) of `pixels`."""
        path = (pixels.get("fits_file") or {}).get("path")
        if not path:
            raise ValueError(
                f"from_coolest: {what} names no file with its pixels; give `fits_file`."
            )
        if self.folder is None:
            raise ValueError(
                f"from_coolest: {what} is in the file {path!r}; give `folder`, where that is."
            )
        return _load(Path(self.folder) / path, what)

    def image(self, pixels, what):
        """The values (H, W), and the pixel scale and centre as keywords."""
        values = self.load(pixels, what)
        shape, scale, x, y = extent(pixels, what, values.shape)
        if scale is None:
            raise ValueError(
                f"from_coolest: {what} has an empty field of view; give `field_of_view_x` and "
                f"`field_of_view_y`, the edges of its {shape[1]} x {shape[0]} pixels."
            )
        return values, {"pixel_scale": scale, "center_x": x, "center_y": y}

    def data(self, pixels, what):
        """The values of an observation, or None for no file; one that is missing is warned of."""
        path = (pixels.get("fits_file") or {}).get("path")
        if not path or self.folder is None:
            return None
        if not (Path(self.folder) / path).is_file():
            warnings.warn(
                f"from_coolest: {what} is left out, there is no file {path!r} in "
                f"{str(self.folder)!r}; put it there.",
                stacklevel=5,
            )
            return None
        return self.load(pixels, what)


@dataclasses.dataclass
class Writing:
    """How a template is written.

    Attributes:
        stem: how the names of its files begin; None where none may be written.
        pixel_size: side of a pixel of the image [arcsec], or None.
        files: values by name of file, as they are gathered.
    """

    stem: str | None = None
    pixel_size: float | None = None
    files: dict = dataclasses.field(default_factory=dict)

    def size(self, what):
        """Side of a pixel [arcsec]."""
        if self.pixel_size is None:
            raise ValueError(
                f"to_coolest: COOLEST has {what} in pixels of the image, and the model has none; "
                "give it a `grid` or a `pixel_size`."
            )
        return self.pixel_size

    def image(self, name, values, scale, center_x=0.0, center_y=0.0):
        """Pixels of a template, of which the values go to a file."""
        values = np.asarray(values)
        if self.stem is None:
            raise ValueError(
                f"to_coolest: the {name} of the model has pixels, which COOLEST keeps in files "
                "beside the template; use write_coolest."
            )
        file, count = f"{self.stem}_{name}.fits", 1
        while file in self.files:
            count += 1
            file = f"{self.stem}_{name}_{count}.fits"
        self.files[file] = values
        return edges(values.shape, scale, center_x, center_y) | {"fits_file": {"path": file}}

    def save(self, folder):
        """Write the files; those of the same name are replaced."""
        from astropy.io import fits

        for name, values in self.files.items():
            fits.writeto(Path(folder) / name, values, overwrite=True)


def extent(pixels, what, shape=None):
    """Shape, pixel scale [arcsec] and centre; a scale of None for an empty field of view."""
    stated = pixels.get("num_pix_y") or 0, pixels.get("num_pix_x") or 0
    if shape is not None and any(stated) and stated != tuple(shape):
        raise ValueError(
            f"from_coolest: {what} has {stated[1]} x {stated[0]} pixels in the template and "
            f"{shape[1]} x {shape[0]} in its file; correct one of them."
        )
    height, width = stated if shape is None else shape
    (left, right), (bottom, top) = (
        pixels.get(f"field_of_view_{axis}") or (0, 0) for axis in ("x", "y")
    )
    if left == right or bottom == top or not (height and width):
        return (height, width), None, 0.0, 0.0
    if left > right or bottom > top:
        raise ValueError(
            f"from_coolest: {what} has a field of view from {left} to {right} and {bottom} to "
            f"{top}; give increasing edges, x to the right and y upwards, and pixels to match."
        )
    scale = (right - left) / width
    if not math.isclose(scale, (top - bottom) / height, rel_tol=1e-5):
        raise ValueError(
            f"from_coolest: {what} has {width} x {height} pixels over {right - left:g} x "
            f"{top - bottom:g} arcsec, which are not square; they cannot be read."
        )
    return (height, width), scale, 0.5 * (left + right), 0.5 * (bottom + top)


def _load(path, what):
    from astropy.io import fits

    if not path.is_file():
        raise FileNotFoundError(
            f"from_coolest: {what} is in {str(path)!r}, which is not there; put it beside the "
            "template."
        )
    try:
        with fits.open(path) as hdus:
            found = [hdu.data for hdu in hdus if hdu.data is not None]
            values = np.asarray(found[0]) if found else np.zeros(0)
    except OSError as error:
        raise ValueError(
            f"from_coolest: {what} is in {str(path)!r}, which is no FITS file ({error}); fetch it "
            "anew."
        ) from error
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "buif":
        raise ValueError(
            f"from_coolest: {what} is in {str(path)!r}, of which the first HDU with data is no "
            "image of numbers with two axes; correct the file or the link to it."
        )
    return values.astype(jnp.result_type(float))


def edges(shape, scale, center_x=0.0, center_y=0.0):
    out = {"num_pix_x": shape[1], "num_pix_y": shape[0]}
    for axis, size, centre in (("x", shape[1], center_x), ("y", shape[0], center_y)):
        half = 0.5 * size * scale
        out[f"field_of_view_{axis}"] = [centre - half, centre + half]
    return out
