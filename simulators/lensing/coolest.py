r"""Lens models in the COOLEST standard (Galan et al. 2023, JOSS 8, 5567), read and written.

A template is a JSON file: galaxies and massive fields, each at a redshift with lists of mass and
light profiles, the cosmology, and the observation. Its conventions, and how they map to ours:

- x to the right, y upwards, in arcsec: as here.
- position angles in degrees within (-90, 90], counter-clockwise from +y ("East of North"): for
  ellipses $e_1 + i e_2 = -\frac{1 - q}{1 + q} e^{2 i \phi}$ and for the shear
  $\gamma_1 + i \gamma_2 = -\gamma_\mathrm{ext} e^{2 i \phi_\mathrm{ext}}$.
- radii along the intermediate axis, $\sqrt{a b}$: as here.

Only point estimates are read. Files that a template refers to (images, PSFs, chains) are left
alone.
"""

import json
import math
from pathlib import Path

import equinox as eqx
import jax

from simulators.lensing import light as lights
from simulators.lensing import mass as masses
from simulators.lensing.coolest_profiles import LIGHT, MASS, read_profile, write_profile
from simulators.lensing.cosmology import Cosmology
from simulators.lensing.grid import Grid
from simulators.lensing.light import AbstractLight
from simulators.lensing.mass import AbstractMass
from simulators.shared.fields import as_float


def _optional(value):
    return None if value is None else as_float(value)


class CoolestModel(eqx.Module):
    """What a COOLEST template says of a lens with one lens plane and one source.

    Attributes:
        lens: all mass at `z_lens`, or None.
        source: light at `z_source`, or None.
        lens_light: light at `z_lens`, or None.
        z_lens, z_source: redshifts.
        cosmology: a flat `Cosmology`.
        grid: pixels of the observation, or None.
        noise: standard deviation of uniform noise [electrons / s], or None.
        psf_fwhm: full width at half maximum of a Gaussian PSF [arcsec], or None.
    """

    lens: AbstractMass | None
    source: AbstractLight | None
    lens_light: AbstractLight | None
    z_lens: jax.Array = eqx.field(converter=as_float)
    z_source: jax.Array = eqx.field(converter=as_float)
    cosmology: Cosmology = eqx.field(default_factory=Cosmology)
    grid: Grid | None = None
    noise: jax.Array | None = eqx.field(converter=_optional, default=None)
    psf_fwhm: jax.Array | None = eqx.field(converter=_optional, default=None)


def read_coolest(path) -> CoolestModel:
    """Read a template from a JSON file.

    Raises:
        FileNotFoundError: for a file that is not there.
        ValueError: for a file that is no template, and as `from_coolest`.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"read_coolest: there is no file {str(path)!r}; check the path.")
    try:
        template = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"read_coolest: {str(path)!r} is no JSON file ({error}).") from error
    return from_coolest(template)


def write_coolest(path, model: CoolestModel):
    """Write a template to a JSON file; see `to_coolest`."""
    Path(path).write_text(json.dumps(to_coolest(model), indent=2, sort_keys=True) + "\n")


def from_coolest(template) -> CoolestModel:
    """The model in a template, a dictionary as `json.load` gives it.

    The source is the entity of the largest redshift. Profiles without any point estimate are left
    out: they are not filled in yet. amp of our profiles is I_eff, per arcsec^2.

    Raises:
        ValueError: for a dictionary that is no template, more than one lens plane or source plane,
            profiles that we do not have (the message names those we have), parameters without a
            value, or a cosmology that is not flat.

    >>> from simulators.lensing.mass import SIE
    >>> template = to_coolest(CoolestModel(SIE(1.2, 0.1, 0.0), None, None, 0.5, 2.0))
    >>> template["lensing_entities"][0]["mass_model"][0]["type"]
    'SIE'
    >>> round(float(from_coolest(template).lens.e1), 4)
    0.1
    """
    if not isinstance(template, dict) or template.get("standard") != "COOLEST":
        raise ValueError(
            "from_coolest: this is no COOLEST template (its `standard` is not 'COOLEST'); give the "
            "plain JSON template, not the pickled one ('_pyAPI')."
        )
    entities = template.get("lensing_entities") or []
    redshifts = sorted({float(entity["redshift"]) for entity in entities})
    if len(redshifts) != 2:
        raise ValueError(
            f"from_coolest: the entities have redshifts {redshifts}; a lens plane and a source "
            "plane can be read."
        )
    z_lens, z_source = redshifts
    found = {}
    for kind, table in (("mass", MASS), ("light", LIGHT)):
        for z in redshifts:
            rows = [
                row
                for e in entities
                if float(e["redshift"]) == z
                for row in e.get(f"{kind}_model") or []
            ]
            parts = [part for part in (read_profile(table, row) for row in rows) if part]
            found[kind, z] = sum(parts[1:], parts[0]) if parts else None
    if found["mass", z_source] is not None:
        raise ValueError("from_coolest: the source has mass; only its light can be read.")
    observation = template.get("observation") or {}
    noise = observation.get("noise") or {}
    psf = (template.get("instrument") or {}).get("psf") or {}
    return CoolestModel(
        found["mass", z_lens],
        found["light", z_source],
        found["light", z_lens],
        z_lens,
        z_source,
        _read_cosmology(template.get("cosmology") or {}),
        _read_grid(observation.get("pixels") or {}),
        noise.get("std_dev") if noise.get("type") == "UniformGaussianNoise" else None,
        psf.get("fwhm") if psf.get("type") == "GaussianPSF" else None,
    )


def to_coolest(model: CoolestModel) -> dict:
    """A template, ready for `json.dump`.

    Raises:
        ValueError: for profiles that COOLEST does not have, a centre of the shear or of a sheet off
            the origin, a grid that is turned, or a cosmology that is not flat LCDM.
    """
    mass, field = [], []
    for part in _parts(model.lens):
        profile = write_profile(MASS, part)
        (field if isinstance(part, masses.Shear | masses.Sheet) else mass).append(profile)
    light = [write_profile(LIGHT, part) for part in _parts(model.lens_light)]
    source = [write_profile(LIGHT, part) for part in _parts(model.source)]
    z_lens, z_source = float(model.z_lens), float(model.z_source)
    entities = [_entity("lens", "Galaxy", z_lens, mass, light)]
    if field:
        entities.append(_entity("field", "MassField", z_lens, field))
    entities.append(_entity("source", "Galaxy", z_source, [], source))
    noise, psf = {"type": None}, {"type": None, "description": None}
    if model.noise is not None:
        noise = {"type": "UniformGaussianNoise", "std_dev": float(model.noise)}
    if model.psf_fwhm is not None:
        psf = {"type": "GaussianPSF", "description": None, "fwhm": float(model.psf_fwhm)}
    pixels = _write_grid(model.grid)
    size = None if model.grid is None else float(model.grid.pixel_scale)
    return {
        "standard": "COOLEST",
        "mode": "MAP",
        "meta": {},
        "coordinates_origin": {"ra": "00h00m00s", "dec": "+00d00m00s"},
        "cosmology": _write_cosmology(model.cosmology),
        "instrument": {
            "name": "",
            "band": "",
            "pixel_size": size,
            "readout_noise": None,
            "psf": psf,
        },
        "lensing_entities": entities,
        "observation": {
            "exposure_time": None,
            "mag_sky_brightness": None,
            "mag_zero_point": None,
            "noise": noise,
            "pixels": pixels,
        },
    }


def _parts(whole):
    if whole is None:
        return ()
    return whole.parts if isinstance(whole, masses.Composite | lights.Composite) else (whole,)


def _entity(name, kind, redshift, mass, light=None):
    entity = {"name": name, "type": kind, "redshift": redshift, "mass_model": mass}
    return entity if light is None else entity | {"light_model": light}


def _read_cosmology(values):
    name = values.get("astropy_name", "FlatLambdaCDM")
    if name != "FlatLambdaCDM":
        raise ValueError(f"from_coolest: the cosmology is {name!r}; 'FlatLambdaCDM' can be read.")
    return Cosmology(values.get("H0", 70.0), values.get("Om0", 0.3))


def _write_cosmology(cosmology):
    if float(cosmology.w) != -1.0 or float(cosmology.Ok0) != 0.0:
        raise ValueError(
            f"to_coolest: w = {cosmology.w} and Ok0 = {cosmology.Ok0}; COOLEST templates hold flat "
            "LCDM: give w = -1 and Ok0 = 0."
        )
    values = {"H0": float(cosmology.H0), "Om0": float(cosmology.Om0)}
    return values | {"astropy_name": "FlatLambdaCDM"}


def _read_grid(pixels):
    width, height = pixels.get("num_pix_x"), pixels.get("num_pix_y")
    if not width or not height:
        return None
    (left, right), (bottom, top) = pixels["field_of_view_x"], pixels["field_of_view_y"]
    scale = (right - left) / width
    if scale <= 0.0 or not math.isclose(scale, (top - bottom) / height, rel_tol=1e-6):
        raise ValueError(
            f"from_coolest: {width} x {height} pixels over {right - left} x {top - bottom} arcsec "
            "are not square; they cannot be read."
        )
    return Grid((height, width), scale, 0.0, 0.5 * (left + right), 0.5 * (bottom + top))


def _write_grid(grid):
    if grid is None:
        empty = {"field_of_view_x": [0, 0], "field_of_view_y": [0, 0]}
        return empty | {"num_pix_x": 0, "num_pix_y": 0, "fits_file": {"path": None}}
    if float(grid.rotation) != 0.0:
        raise ValueError(
            f"to_coolest: the grid is turned by {grid.rotation} rad; COOLEST's axes are those of "
            "the image: turn the model, and give a grid of rotation 0."
        )
    out = {"num_pix_x": grid.shape[1], "num_pix_y": grid.shape[0], "fits_file": {"path": None}}
    for axis, size, centre in (
        ("x", grid.shape[1], grid.center_x),
        ("y", grid.shape[0], grid.center_y),
    ):
        half = 0.5 * size * float(grid.pixel_scale)
        out[f"field_of_view_{axis}"] = [float(centre) - half, float(centre) + half]
    return out
