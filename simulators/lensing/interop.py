"""lenstronomy's lists of models and keyword arguments to our lenses and profiles, and back.

lenstronomy itself is not needed. Where it knows several names for one lens, the first of the table
is written. Angles and coordinates keep their meaning: nothing is turned or mirrored.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from simulators.lensing import light as lights
from simulators.lensing import mass as masses
from simulators.shared.fields import known

_PLACE = {"ra_0": "center_x", "dec_0": "center_y"}


@dataclasses.dataclass(frozen=True)
class _Row:
    """One of lenstronomy's models.

    Attributes:
        kind: our class.
        names: lenstronomy's names of our fields, where they differ.
        fixed: our fields that lenstronomy does not have, with the values it implies.
        ignored: lenstronomy's arguments without a counterpart, with the values that they must have.
    """

    kind: type
    names: dict = dataclasses.field(default_factory=dict)
    fixed: dict = dataclasses.field(default_factory=dict)
    ignored: dict = dataclasses.field(default_factory=dict)


_ROUND = {"e1": 0.0, "e2": 0.0}
MASS = {
    "EPL": _Row(masses.EPL, fixed={"terms": None}),
    "PEMD": _Row(masses.EPL, fixed={"terms": None}),
    "SIE": _Row(masses.SIE),
    "NIE": _Row(masses.NIE),
    "SIS": _Row(masses.SIS),
    "POINT_MASS": _Row(masses.Point),
    "SHEAR": _Row(masses.Shear, {v: k for k, v in _PLACE.items()}),
    "CONVERGENCE": _Row(masses.Sheet, {"kappa_ext": "kappa"} | {v: k for k, v in _PLACE.items()}),
    "MULTIPOLE": _Row(masses.Multipole, ignored={"r_E": None}),
    "NFW": _Row(masses.NFW),
    "NFW_ELLIPSE_POTENTIAL": _Row(masses.NFWEllipsePotential),
    "TNFW": _Row(masses.TNFW),
    "PJAFFE_ELLIPSE_POTENTIAL": _Row(masses.DualPIE),
    "PJAFFE": _Row(masses.DualPIE, fixed=_ROUND),
    "CHAMELEON": _Row(masses.Chameleon),
    "SERSIC": _Row(masses.SersicMass, fixed=_ROUND | {"exact": False}),
}
LIGHT = {
    "SERSIC_ELLIPSE": _Row(lights.Sersic, fixed={"exact": False}),
    "SERSIC": _Row(lights.Sersic, fixed=_ROUND | {"exact": False}),
    "CORE_SERSIC": _Row(lights.CoreSersic, fixed={"alpha": 3.0, "exact": False}),
    "GAUSSIAN_ELLIPSE": _Row(lights.Gaussian),
    "GAUSSIAN": _Row(lights.Gaussian, fixed=_ROUND),
    "UNIFORM": _Row(lights.Uniform),
    "SHAPELETS": _Row(lights.Shapelets),
    "INTERPOL": _Row(
        lights.PixelSource,
        {"values": "image", "pixel_scale": "scale"},
        {"order": 1},
        {"amp": 1.0, "phi_G": 0.0},
    ),
}


def lens_from_lenstronomy(lens_model_list, kwargs_lens):
    """A lens from lenstronomy's `lens_model_list` and `kwargs_lens`.

    Args:
        lens_model_list: names, all in one plane.
        kwargs_lens: a dictionary of parameters for each; they may be traced.

    Returns:
        The lens of one name, or a `Composite` of several.

    Raises:
        ValueError: for a model that we do not have (the message names those we have), lists of
            different lengths, and arguments that are missing, unknown or without a counterpart.

    >>> shear = {"gamma1": 0.1, "gamma2": 0.0}
    >>> lens = lens_from_lenstronomy(["SIS", "SHEAR"], [{"theta_E": 1.0}, shear])
    >>> [round(float(a), 4) for a in lens.deflection([2.0, 0.0])]
    [1.2, 0.0]
    """
    return _read(MASS, "lens_from_lenstronomy", lens_model_list, kwargs_lens)


def lens_to_lenstronomy(lens):
    """`lens_model_list` and `kwargs_lens` for lenstronomy, of a lens or a sum of lenses.

    Raises:
        ValueError: for a lens that lenstronomy's models cannot say.

    >>> from simulators.lensing.mass import SIS
    >>> lens_to_lenstronomy(SIS(1.0))
    (['SIS'], [{'theta_E': 1.0, 'center_x': 0.0, 'center_y': 0.0}])
    """
    return _write(MASS, "lens_to_lenstronomy", lens, masses.Composite)


def light_from_lenstronomy(light_model_list, kwargs_light):
    """A profile from lenstronomy's list of light models and its arguments.

    See `lens_from_lenstronomy`. lenstronomy's Sersic profiles are cut at 1000 R_sersic, ours are
    not.

    >>> sky = light_from_lenstronomy(["UNIFORM"], [{"amp": 2.0}])
    >>> float(sky.surface_brightness([0.0, 0.0]))
    2.0
    """
    return _read(LIGHT, "light_from_lenstronomy", light_model_list, kwargs_light)


def light_to_lenstronomy(light):
    """lenstronomy's list of light models and its arguments; see `lens_to_lenstronomy`.

    >>> from simulators.lensing.light import Uniform
    >>> light_to_lenstronomy(Uniform(2.0))
    (['UNIFORM'], [{'amp': 2.0}])
    """
    return _write(LIGHT, "light_to_lenstronomy", light, lights.Composite)


def _read(table, caller, names, arguments):
    if len(names) != len(arguments) or not names:
        raise ValueError(
            f"{caller}: {len(names)} names and {len(arguments)} dictionaries of arguments; give "
            "one dictionary a name, and at least one."
        )
    parts = [_read_one(table, caller, *row) for row in zip(names, arguments, strict=True)]
    return parts[0] if len(parts) == 1 else sum(parts)


def _read_one(table, caller, name, arguments):
    if name not in table:
        raise ValueError(
            f"{caller}: there is no counterpart of lenstronomy's {name!r} here; there are those of "
            f"{', '.join(sorted(table))}."
        )
    row, values = table[name], dict(arguments)
    ignored = {key: values.pop(key) for key in row.ignored if key in values}
    for key, value in ignored.items():
        expected = row.ignored[key]
        if expected is not None and not (
            not isinstance(value, jax.core.Tracer) and float(value) == expected
        ):
            raise ValueError(
                f"{caller}: argument `{key}` = {value} of {name}; only {expected:g} has a "
                "counterpart here."
            )
    ours = {theirs: field for field, theirs in row.names.items()}
    values = {ours.get(key, key): value for key, value in values.items()}
    fields = {field.name: field for field in dataclasses.fields(row.kind)}
    unknown = [row.names.get(key, key) for key in values if key not in fields or key in row.fixed]
    if unknown:
        raise ValueError(
            f"{caller}: arguments {', '.join(map(repr, unknown))} of {name} have no counterpart in "
            f"{row.kind.__name__}; remove them."
        )
    missing = [
        row.names.get(key, key)
        for key, field in fields.items()
        if key not in values | row.fixed and field.default is dataclasses.MISSING
    ]
    if missing:
        raise ValueError(
            f"{caller}: {name} lacks arguments {', '.join(map(repr, missing))}; give them."
        )
    return row.kind(**row.fixed | values)


def _write(table, caller, whole, composite):
    parts = whole.parts if isinstance(whole, composite) else (whole,)
    names, arguments = zip(*(_write_one(table, caller, part) for part in parts), strict=True)
    return list(names), list(arguments)


def _write_one(table, caller, part):
    reasons = []
    for name, row in table.items():
        if type(part) is not row.kind:
            continue
        values = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
        wrong = [key for key, value in row.fixed.items() if not _equal(values.pop(key), value)]
        if not wrong:
            return name, {row.names.get(key, key): _plain(v) for key, v in values.items()}
        reasons.append(f"{name} has no `{'`, no `'.join(wrong)}`")
    kind = type(part).__name__
    why = "; ".join(reasons) or "it has no counterpart"
    raise ValueError(
        f"{caller}: lenstronomy cannot say this {kind} ({why}); it can say "
        f"{', '.join(sorted({row.kind.__name__ for row in table.values()}))}."
    )


def _equal(value, expected):
    if not isinstance(value, jax.Array):
        return value == expected
    return known(value) and bool(jnp.all(value == expected))


def _plain(value):
    """A float for a number, a NumPy array for an array."""
    if not isinstance(value, jax.Array):
        return value
    return float(value) if value.ndim == 0 else np.asarray(value)
