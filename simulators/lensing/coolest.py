r"""Lens models in the COOLEST standard (Galan et al. 2023, JOSS 8, 5567), read and written.

A template is a JSON file: galaxies and massive fields, each at a redshift with lists of mass and
light profiles, the cosmology, and the observation. Its conventions, and how they map to ours:

- x to the right, y upwards, in arcsec: as here.
- position angles in degrees within (-90, 90], counter-clockwise from +y ("East of North"): for
  ellipses $e_1 + i e_2 = -\frac{1 - q}{1 + q} e^{2 i \phi}$ and for the shear
  $\gamma_1 + i \gamma_2 = -\gamma_\mathrm{ext} e^{2 i \phi_\mathrm{ext}}$.
- radii along the intermediate axis, $\sqrt{a b}$: as here.
- light is in flux per arcsec^2 in analytic profiles and per pixel of the image in pixelated ones,
  and the width of a Gaussian PSF is in pixels; here it is all per arcsec^2 and in arcsec.
- a field of view of the image from 0 to its size is that size alone, centred on the origin, as
  COOLEST's own code has it. A PSF is divided by its sum.

One estimate of each parameter is read. Of the files that a template refers to, pixelated profiles,
the image, its noise map and mask and the PSF are; chains, other noise and the rest of the
instrument are left alone. COOLEST leaves open what the strength of a lens refers to where there are
several planes: here, as if each were alone in front of the farthest source.
"""

import itertools
import json
from pathlib import Path

from simulators.lensing import light as lights
from simulators.lensing import mass as masses
from simulators.lensing.coolest_model import CoolestModel
from simulators.lensing.coolest_observation import read_observation, write_observation
from simulators.lensing.coolest_profiles import LIGHT, MASS, read_profile, write_profile
from simulators.lensing.cosmology import Cosmology
from simulators.lensing.observe_coolest import ESTIMATES, Reading, Writing, extent
from simulators.lensing.planes import MultiPlane


def read_coolest(path, *, estimate="point", skip=()) -> CoolestModel:
    """Read a template, and the FITS files beside it, from a JSON file.

    Data (not profiles) that a template refers to and that are not there are None, with a warning.

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
    try:
        return from_coolest(template, path.parent, estimate=estimate, skip=skip)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"read_coolest: in {str(path)!r}: {error}") from error
    except ValueError as error:
        raise ValueError(f"read_coolest: in {str(path)!r}: {error}") from error


def write_coolest(path, model: CoolestModel):
    """Write a template to a JSON file, and pixels to FITS files beside it; see `to_coolest`."""
    path = Path(path)
    writing = Writing(path.stem)
    template = _template(model, writing)
    writing.save(path.parent)
    path.write_text(json.dumps(template, indent=2, sort_keys=True) + "\n")


def from_coolest(template, folder=None, *, estimate="point", skip=()) -> CoolestModel:
    """The model in a template, a dictionary as `json.load` gives it.

    The source is the farthest entity. Profiles without any estimate are left out: they are not
    filled in yet. amp of our profiles is I_eff, per arcsec^2. Templates that COOLEST's Python
    interface pickled ('_pyAPI') are read as well; no code is run.

    Args:
        template: the dictionary.
        folder: where the FITS files are that it refers to; None leaves data out and refuses
            pixelated profiles.
        estimate: "point" for the point estimates, "mean" or "median" for those of the posterior.
        skip: types of profiles to leave out, as ("IrregularGrid",).

    Raises:
        FileNotFoundError: for a pixelated profile whose file is not there.
        ValueError: for a dictionary that is no template, a farthest entity with mass, profiles
            that we do not have (the message names those we have), parameters without an estimate,
            pixels that do not match, or a cosmology that is not flat.

    >>> from simulators.lensing.mass import SIE
    >>> template = to_coolest(CoolestModel(SIE(1.2, 0.1, 0.0), None, None, 0.5, 2.0))
    >>> template["lensing_entities"][0]["mass_model"][0]["type"]
    'SIE'
    >>> round(float(from_coolest(template).lens.e1), 4)
    0.1
    """
    if not isinstance(template, dict) or template.get("standard") != "COOLEST":
        raise ValueError(
            "from_coolest: this is no COOLEST template (its `standard` is not 'COOLEST'); give one."
        )
    if estimate not in ESTIMATES:
        raise ValueError(
            f"from_coolest: argument `estimate` = {estimate!r}; give one of {', '.join(ESTIMATES)}."
        )
    template = _unpickled(template)
    skip = (skip,) if isinstance(skip, str) else tuple(skip)
    reading = Reading(folder, estimate, skip, _pixel_size(template))
    entities = template.get("lensing_entities") or []
    redshifts = sorted({_redshift(entity) for entity in entities})
    rows = {
        (kind, z): [
            profile
            for entity in entities
            if _redshift(entity) == z
            for row in entity.get(f"{kind}_model") or []
            if (profile := read_profile(table, row, reading, entity.get("name", "")))
        ]
        for kind, table in (("mass", MASS), ("light", LIGHT))
        for z in redshifts
    }
    found = {key: sum(parts[1:], parts[0]) if parts else None for key, parts in rows.items()}
    near, far = redshifts, None
    # One plane alone is the lens where it has mass, and else a source.
    if len(near) > 1 or (near and found["mass", near[0]] is None):
        *near, far = near
    if far is not None and found["mass", far] is not None:
        raise ValueError(
            f"from_coolest: the farthest entity, at redshift {far}, has mass, which deflects "
            "nothing; only its light can be read."
        )
    cosmology = _read_cosmology(template.get("cosmology") or {})
    lens = [found["mass", z] for z in near]
    light = tuple(found["light", z] for z in near)
    if len(near) > 1:
        lens = [masses.Sheet(0.0) if part is None else part for part in lens]
        lens = [MultiPlane(tuple(lens), near, far, cosmology)]
    return CoolestModel(
        lens[0] if lens else None,
        found.get(("light", far)),
        light if len(near) > 1 else light[0] if light else None,
        near if len(near) > 1 else near[0] if near else None,
        far,
        cosmology,
        pixel_size=reading.pixel_size,
        **read_observation(template, reading),
    )


def to_coolest(model: CoolestModel) -> dict:
    """A template, ready for `json.dump`; for a model with pixels see `write_coolest`.

    Raises:
        ValueError: for profiles that COOLEST does not have, a centre of the shear or of a sheet off
            the origin, a grid that is turned, pixels, what is measured in pixels of the image where
            there are none, a plane without a redshift, or a cosmology that is not flat LCDM.
    """
    return _template(model, Writing())


def _template(model, writing):
    grid, size = model.grid, model.pixel_size
    if size is None and grid is not None:
        size = grid.pixel_scale
    writing.pixel_size = None if size is None else float(size)
    lenses = model.lens.lenses if model.several else (model.lens,)
    redshifts = model.lens.redshifts if model.several else [model.z_lens]
    entities = []
    every = zip(lenses, model.lights(), redshifts, strict=True)
    for number, (lens, light, z) in enumerate(every, 1):
        name = f"lens {number}" if model.several else "lens"
        entities += _entities(name, lens, light, z, writing)
    entities += _entities("source", None, model.source, model.z_source, writing)
    return {
        "standard": "COOLEST",
        "mode": "MAP",
        "meta": {},
        "coordinates_origin": {"ra": "00h00m00s", "dec": "+00d00m00s"},
        "cosmology": _write_cosmology(model.cosmology),
        "lensing_entities": entities,
        **write_observation(model, writing),
    }


def _parts(whole):
    if whole is None:
        return ()
    return whole.parts if isinstance(whole, masses.Composite | lights.Composite) else (whole,)


def _entities(name, lens, light, redshift, writing):
    """A galaxy, and fields of mass, in the order of the parts of the lens."""
    if redshift is None:
        if lens is None and light is None:
            return []
        raise ValueError(f"to_coolest: the {name} has no redshift; give the model one.")
    out = []
    for field, parts in itertools.groupby(
        _parts(lens), lambda part: isinstance(part, masses.Shear | masses.Sheet)
    ):
        kind = "MassField" if field else "Galaxy"
        out.append(
            {
                "name": f"field of {name}" if field else name,
                "type": kind,
                "redshift": float(redshift),
                "mass_model": [write_profile(MASS, part, writing) for part in parts],
            }
            | ({} if field else {"light_model": []})
        )
    rows = [write_profile(LIGHT, part, writing) for part in _parts(light)]
    galaxies = [entity for entity in out if entity["type"] == "Galaxy"]
    if galaxies:
        galaxies[0]["light_model"] = rows
    elif rows or not out:
        empty = {"name": name, "type": "Galaxy", "redshift": float(redshift), "mass_model": []}
        out.append(empty | {"light_model": rows})
    return out


def _redshift(entity):
    value = entity.get("redshift")
    if not isinstance(value, int | float) or not value >= 0.0:
        raise ValueError(
            f"from_coolest: the redshift of {entity.get('name')!r} is {value!r}; give a number, if "
            "only one that puts the planes in order."
        )
    return float(value)


def _pixel_size(template):
    """Side of a pixel [arcsec], or None."""
    size = (template.get("instrument") or {}).get("pixel_size")
    pixels = (template.get("observation") or {}).get("pixels") or {}
    return float(size) if size else extent(pixels, "the image")[1]


def _unpickled(value):
    """Plain dictionaries and lists of those that jsonpickle marks with the names of classes."""
    if isinstance(value, list):
        return [_unpickled(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "py/id" in value:
        raise ValueError(
            "from_coolest: the template refers to its objects by number ('py/id'); write it as "
            "plain JSON with COOLEST's `dump_simple`."
        )
    for key in ("py/seq", "py/tuple"):
        if key in value:
            return _unpickled(value[key])
    return {key: _unpickled(v) for key, v in value.items() if not key.startswith("py/")}


def _read_cosmology(values):
    name = values.get("astropy_name") or "FlatLambdaCDM"
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
