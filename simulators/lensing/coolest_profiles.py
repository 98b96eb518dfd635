"""The profiles of COOLEST templates and ours; see `simulators.lensing.coolest`."""

import dataclasses
import math

import numpy as np

from simulators.lensing import light as lights
from simulators.lensing import mass as masses
from simulators.lensing.observe_coolest import ESTIMATES


def to_ellipticity(q, phi):
    """(e1, e2) of an axis ratio and a position angle [deg] from +y, counter-clockwise.

    >>> [round(e, 4) for e in to_ellipticity(0.5, 90.0)]
    [0.3333, -0.0]
    """
    return _components((1.0 - q) / (1.0 + q), phi)


def from_ellipticity(e1, e2):
    """The axis ratio and the position angle [deg] within (-90, 90]; 0 for the round one.

    >>> [round(v, 4) for v in from_ellipticity(1.0 / 3.0, 0.0)]
    [0.5, 90.0]
    """
    size, phi = _polar(e1, e2)
    return (1.0 - size) / (1.0 + size), phi


def _components(size, phi):
    """Of `size` along `phi` [deg] from +y, with the symmetry of an ellipse."""
    angle = math.radians(2.0 * phi)
    return -size * math.cos(angle), -size * math.sin(angle)


def _polar(one, two):
    size = math.hypot(one, two)
    phi = 0.5 * math.degrees(math.atan2(-two, -one)) if size > 0.0 else 0.0
    return size, 90.0 if phi == -90.0 else phi


@dataclasses.dataclass(frozen=True)
class Profile:
    """A profile of COOLEST.

    Attributes:
        kind: our class.
        names: our names of its parameters.
        elliptical: whether q and phi become e1 and e2.
        placed: whether it has a centre; ours is at the origin otherwise.
        fixed: what our other fields must be.
    """

    kind: type
    names: dict
    elliptical: bool = True
    placed: bool = True
    fixed: dict = dataclasses.field(default_factory=dict)

    #: COOLEST's (amount, angle): without an amount of that value the angle says nothing.
    idle = ("q", "phi", 1.0)

    def parameters(self):
        """The names in COOLEST."""
        names = [*self.names, *(("q", "phi") if self.elliptical else ())]
        return [*names, *(("center_x", "center_y") if self.placed else ())]

    def values(self, given, reading, what):
        """COOLEST's parameters of a profile, or None where the template has none at all.

        The angle of what is round is not needed.
        """
        out = {key: reading.value(given.get(key) or {}) for key in self.parameters()}
        amount, angle, idle = self.idle
        if angle in out and out[angle] is None and out[amount] == idle:
            out[angle] = 0.0
        missing = [key for key, value in out.items() if value is None]
        if len(missing) == len(out):
            return None
        if missing:
            raise ValueError(
                f"from_coolest: there is no {' '.join(ESTIMATES[reading.estimate])} for "
                f"{', '.join(map(repr, missing))} of {what}; give one, take another `estimate` "
                f"({', '.join(ESTIMATES)}), or give skip=({what.split()[0]!r},) to leave it out."
            )
        return out

    def read(self, values):
        """Our profile from a dictionary of COOLEST's parameters."""
        fields = {ours: values[theirs] for theirs, ours in self.names.items()}
        if self.elliptical:
            if not values["q"] > 0.0:
                raise ValueError(
                    f"`q` = {values['q']}; give the minor over the major axis, above 0."
                )
            fields["e1"], fields["e2"] = to_ellipticity(values["q"], values["phi"])
        if self.placed:
            fields |= {key: values[key] for key in ("center_x", "center_y")}
        return self.kind(**fields)

    def row(self, part, writing):
        """The parameters of a template's profile."""
        return {key: _parameter(value) for key, value in self.write(part).items()}

    def write(self, part):
        """COOLEST's parameters of our profile."""
        self.check(part)
        values = {theirs: _plain(getattr(part, ours)) for theirs, ours in self.names.items()}
        if self.elliptical:
            values["q"], values["phi"] = from_ellipticity(float(part.e1), float(part.e2))
        if self.placed:
            values |= {key: float(getattr(part, key)) for key in ("center_x", "center_y")}
        return values

    def check(self, part):
        """Refuse what COOLEST cannot say."""
        fixed = self.fixed | ({} if self.placed else {"center_x": 0.0, "center_y": 0.0})
        for key, value in fixed.items():
            if getattr(part, key, value) != value:
                raise ValueError(
                    f"to_coolest: `{key}` = {getattr(part, key)} of {type(part).__name__}; COOLEST "
                    f"has {value} only."
                )


class _Shear(Profile):
    idle = ("gamma_ext", "phi_ext", 0.0)

    def read(self, values):
        return masses.Shear(*_components(values["gamma_ext"], values["phi_ext"]))

    def write(self, part):
        self.check(part)
        size, phi = _polar(float(part.gamma1), float(part.gamma2))
        return {"gamma_ext": size, "phi_ext": phi}


class _Chameleon(Profile):
    """b and s of the two `NIE`: theta_E and 2 w / (1 + q) of ours."""

    def read(self, values):
        half = 0.5 * (1.0 + values["q"])
        w_c, w_t = values["s_c"] * half, values["s_t"] * half
        rest = {"alpha_1": values["b"] * _unit(w_c, w_t), "w_c": w_c, "w_t": w_t}
        shape = {"e1": 0.0, "e2": 0.0, "center_x": values["center_x"]}
        shape["e1"], shape["e2"] = to_ellipticity(values["q"], values["phi"])
        return masses.Chameleon(**rest, **shape, center_y=values["center_y"])

    def write(self, part):
        values = Profile(self.kind, {}).write(part)
        half, w_c, w_t = 0.5 * (1.0 + values["q"]), float(part.w_c), float(part.w_t)
        b = float(part.alpha_1) / _unit(w_c, w_t)
        return values | {"b": b, "s_c": w_c / half, "s_t": w_t / half}


def _unit(w_c, w_t):
    """Deflection at 1 arcsec of the round lens with theta_E = 1."""
    return (math.hypot(1.0, w_c) - w_c) - (math.hypot(1.0, w_t) - w_t)


class _Cored(Profile):
    """Without its core: COOLEST does not say which radius theta_E is for a lens with one."""

    def parameters(self):
        return [*Profile.parameters(self), "r_core"]

    def read(self, values):
        if values["r_core"] != 0.0:
            raise ValueError(
                f"`r_core` = {values['r_core']}, and COOLEST does not say which radius theta_E is "
                "for a lens with a core; give 0."
            )
        return Profile.read(self, values)


@dataclasses.dataclass(frozen=True)
class _Pixels(Profile):
    """Values on a regular grid, in a file.

    Attributes:
        name: what the file is called when it is written.
        counts: whether the values are flux per pixel of the image.
    """

    name: str = ""
    counts: bool = False

    def values(self, given, reading, what):
        values, place = reading.image(given.get("pixels") or {}, what)
        return place | {"values": values / reading.area(what) if self.counts else values}

    def read(self, values):
        return self.kind(**values)

    def row(self, part, writing):
        self.check(part)
        area = writing.size("light on pixels") ** 2 if self.counts else 1.0
        place = (float(getattr(part, key)) for key in ("pixel_scale", "center_x", "center_y"))
        return {"pixels": writing.image(self.name, np.asarray(part.values) * area, *place)}


_SIZE = {"theta_E": "theta_E"}
MASS = {
    "SIE": Profile(masses.SIE, _SIZE),
    "PEMD": Profile(masses.EPL, _SIZE | {"gamma": "gamma"}),
    "NIE": _Cored(masses.SIE, _SIZE),
    "SPEMD": _Cored(masses.EPL, _SIZE | {"gamma": "gamma"}),
    "Chameleon": _Chameleon(masses.Chameleon, {"b": "alpha_1", "s_c": "w_c", "s_t": "w_t"}),
    "ExternalShear": _Shear(
        masses.Shear, {"gamma_ext": "gamma1", "phi_ext": "gamma2"}, False, False
    ),
    "ConvergenceSheet": Profile(masses.Sheet, {"kappa_s": "kappa_ext"}, False, False),
    "PixelatedRegularGridPotential": _Pixels(masses.PixelPotential, {}, name="potential"),
}
LIGHT = {
    "Sersic": Profile(
        lights.Sersic,
        {"I_eff": "amp", "theta_eff": "R_sersic", "n": "n_sersic"},
        fixed={"exact": False},
    ),
    "Shapelets": Profile(
        lights.Shapelets, {"amps": "amp", "n_max": "n_max", "beta": "beta"}, elliptical=False
    ),
    "Uniform": Profile(lights.Uniform, {"A": "amp"}, False, False),
    "PixelatedRegularGrid": _Pixels(
        lights.PixelSource, {}, fixed={"order": 1}, name="light", counts=True
    ),
}
# Why some of COOLEST's profiles cannot be read.
REASONS = {
    "NFW": "its rho_c has no unit",
    "LensedPS": "these are images of points, no surface brightness",
    "IrregularGrid": "interpolate it onto a PixelatedRegularGrid",
    "PixelatedRegularGridFullyDefined": "give a PixelatedRegularGridPotential",
}


def read_profile(table, row, reading, owner):
    """Our profile, or None where it is skipped or the template has no value at all.

    `owner` is the name of the galaxy or field, for messages.
    """
    name = row.get("type")
    if name in reading.skip:
        return None
    what = f"{name} of {owner!r}"
    if name not in table:
        reason = f" ({REASONS[name]})" if name in REASONS else ""
        raise ValueError(
            f"from_coolest: {what}: there is no counterpart of COOLEST's {name!r} here{reason}; "
            f"there are those of {', '.join(table)}; to leave it out, give skip=({name!r},)."
        )
    values = table[name].values(row.get("parameters") or {}, reading, what)
    try:
        return None if values is None else table[name].read(values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"from_coolest: {what}: {error}") from error


def write_profile(table, part, writing):
    """A profile of a template."""
    if type(part) is masses.SIS:
        part = masses.SIE(part.theta_E, center_x=part.center_x, center_y=part.center_y)
    for name, profile in table.items():
        if type(part) is profile.kind:
            return {"type": name, "parameters": profile.row(part, writing)}
    raise ValueError(
        f"to_coolest: there is no counterpart of {type(part).__name__} in COOLEST; there are those "
        f"of {', '.join(dict.fromkeys(profile.kind.__name__ for profile in table.values()))}."
    )


def _parameter(value):
    none = dict.fromkeys(("mean", "median", "percentile_16th", "percentile_84th"))
    return {
        "fixed": False,
        "point_estimate": {"value": value},
        "posterior_stats": none,
        "prior": {"type": None},
    }


def _plain(value):
    return value if isinstance(value, int) else np.asarray(value).tolist()
