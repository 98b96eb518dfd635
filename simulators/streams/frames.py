"""Coordinates: Galactocentric, ICRS and stream-aligned great-circle frames.

Every transformation works elementwise on six separate arrays of one common shape (structure of
arrays), is differentiable in all of them and in the solar parameters, and keeps the dtype of the
coordinates. Positions are in kpc and Galactocentric velocities in kpc/Myr; what an observer reads
off is in deg, kpc, mas/yr and km/s.

The Galactocentric frame is right-handed, with the Sun at x = -R0 (to the small tilt that z_sun
makes), y along the Galactic rotation at the Sun and z to the north Galactic pole: the conventions,
and by default the numbers, of astropy's `Galactocentric` (`galactocentric_frame_defaults` "v4.0").

At a pole of the sky frame the longitude is set to 0 with a zero gradient, and at zero distance the
direction is (0, 0) and the distance `FLOOR`, so values and gradients stay finite everywhere.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from simulators.streams.reference import GD1, GreatCircleFrame, SolarFrame, compose, inverse
from simulators.streams.units import DEG, KMS, MAS_PER_YR

__all__ = [
    "FLOOR",
    "GD1",
    "ICRS",
    "GreatCircleFrame",
    "PhaseSpace",
    "SolarFrame",
    "StreamCoordinates",
    "galactocentric_to_icrs",
    "galactocentric_to_stream",
    "icrs_to_galactocentric",
    "icrs_to_stream",
    "stream_to_galactocentric",
    "stream_to_icrs",
    "wrap_degrees",
]

#: Distances, also those from the polar axis, are taken as no smaller than this [kpc]. Its inverse
#: square still fits float32.
FLOOR = 1e-12


class PhaseSpace(NamedTuple):
    """Galactocentric positions [kpc] and velocities [kpc/Myr], each of one common shape."""

    x: Float[Array, "..."]
    y: Float[Array, "..."]
    z: Float[Array, "..."]
    vx: Float[Array, "..."]
    vy: Float[Array, "..."]
    vz: Float[Array, "..."]


class ICRS(NamedTuple):
    """Equatorial observables: deg, deg, kpc, mas/yr, mas/yr, km/s; ra in [0, 360)."""

    ra: Float[Array, "..."]
    dec: Float[Array, "..."]
    distance: Float[Array, "..."]
    pm_ra_cosdec: Float[Array, "..."]
    pm_dec: Float[Array, "..."]
    radial_velocity: Float[Array, "..."]


class StreamCoordinates(NamedTuple):
    """Observables along a stream: deg, deg, kpc, mas/yr, mas/yr, km/s; phi1 in (-180, 180]."""

    phi1: Float[Array, "..."]
    phi2: Float[Array, "..."]
    distance: Float[Array, "..."]
    pm_phi1_cosphi2: Float[Array, "..."]
    pm_phi2: Float[Array, "..."]
    radial_velocity: Float[Array, "..."]


def galactocentric_to_stream(
    x, y, z, vx, vy, vz, frame: GreatCircleFrame = GD1, solar: SolarFrame | None = None
) -> StreamCoordinates:
    """Galactocentric phase space to what an observer sees along a stream, in one fused rotation.

    s = S A^T (x - x_sun) and likewise for the velocity, with S the stream's matrix and A, x_sun
    the solar frame's.

    Args:
        x, y, z: Galactocentric positions [kpc], any common shape.
        vx, vy, vz: velocities [kpc/Myr].
        frame: the stream's great-circle frame.
        solar: the Sun's place and motion; `SolarFrame()` when left out.

    >>> obs = galactocentric_to_stream(-12.0, 0.5, 6.0, -0.11, -0.25, 0.1)
    >>> [round(float(v), 2) for v in (obs.phi1, obs.phi2, obs.distance)]
    [-29.87, 0.65, 7.14]
    """
    solar = SolarFrame() if solar is None else solar
    rotation = compose(_of(frame.matrix, solar.ra), solar.matrix().T)
    coords = _common(x, y, z, vx, vy, vz)
    return StreamCoordinates(*_observe(*_into(rotation, solar, coords)))


def stream_to_galactocentric(
    phi1,
    phi2,
    distance,
    pm_phi1_cosphi2,
    pm_phi2,
    radial_velocity,
    frame: GreatCircleFrame = GD1,
    solar: SolarFrame | None = None,
) -> PhaseSpace:
    """The inverse of `galactocentric_to_stream`: a progenitor's observables to phase space.

    Args:
        phi1, phi2: stream coordinates [deg], any common shape.
        distance: heliocentric distance [kpc].
        pm_phi1_cosphi2, pm_phi2: proper motions [mas/yr].
        radial_velocity: heliocentric radial velocity [km/s].
        frame: the stream's great-circle frame.
        solar: the Sun's place and motion; `SolarFrame()` when left out.

    >>> w = stream_to_galactocentric(-13.0, 0.0, 8.8, -10.5, -2.5, -185.0)
    >>> [round(float(v), 2) for v in w]
    [-11.46, 2.74, 7.69, -0.1, -0.22, -0.09]
    """
    solar = SolarFrame() if solar is None else solar
    rotation = compose(solar.matrix(), _of(inverse(frame.matrix), solar.ra))
    coords = _common(phi1, phi2, distance, pm_phi1_cosphi2, pm_phi2, radial_velocity)
    return _back(rotation, solar, _cartesian(*coords))


def galactocentric_to_icrs(x, y, z, vx, vy, vz, solar: SolarFrame | None = None) -> ICRS:
    """Galactocentric phase space [kpc, kpc/Myr] to ICRS observables.

    >>> sky = galactocentric_to_icrs(-12.0, 0.5, 6.0, -0.11, -0.25, 0.1)
    >>> [round(float(v), 1) for v in (sky.ra, sky.dec)]
    [157.1, 44.2]
    """
    solar = SolarFrame() if solar is None else solar
    coords = _common(x, y, z, vx, vy, vz)
    lon, *rest = _observe(*_into(solar.matrix().T, solar, coords))
    return ICRS(jnp.where(lon < 0, lon + 360.0, lon), *rest)


def icrs_to_galactocentric(
    ra, dec, distance, pm_ra_cosdec, pm_dec, radial_velocity, solar: SolarFrame | None = None
) -> PhaseSpace:
    """ICRS observables [deg, deg, kpc, mas/yr, mas/yr, km/s] to Galactocentric phase space.

    >>> w = icrs_to_galactocentric(266.4051, -28.936175, 8.122, 0.0, 0.0, 0.0)
    >>> bool(abs(w.x) + abs(w.y) + abs(w.z) < 1e-5)
    True
    """
    solar = SolarFrame() if solar is None else solar
    coords = _common(ra, dec, distance, pm_ra_cosdec, pm_dec, radial_velocity)
    return _back(solar.matrix(), solar, _cartesian(*coords))


def icrs_to_stream(
    ra, dec, distance, pm_ra_cosdec, pm_dec, radial_velocity, frame: GreatCircleFrame = GD1
) -> StreamCoordinates:
    """Turn sky positions and proper motions from ICRS to a stream's frame.

    Distance and radial velocity pass through and do not enter the rest, so that any number stands
    in for one that was not measured.

    >>> obs = icrs_to_stream(148.0, 36.0, 8.0, -6.0, -12.0, 5.0)
    >>> round(float(obs.phi1), 1), round(float(obs.pm_phi1_cosphi2), 1)
    (-40.6, -13.2)
    """
    coords = _common(ra, dec, distance, pm_ra_cosdec, pm_dec, radial_velocity)
    turned = _turn(frame.matrix, *coords)
    return StreamCoordinates(*turned[:2], coords[2], *turned[2:], coords[5])


def stream_to_icrs(
    phi1,
    phi2,
    distance,
    pm_phi1_cosphi2,
    pm_phi2,
    radial_velocity,
    frame: GreatCircleFrame = GD1,
) -> ICRS:
    """The inverse of `icrs_to_stream`.

    >>> sky = stream_to_icrs(0.0, 0.0, 10.0, -9.0, -2.0, -200.0)
    >>> round(float(sky.ra), 2), round(float(sky.dec), 2)
    (200.0, 59.45)
    """
    coords = _common(phi1, phi2, distance, pm_phi1_cosphi2, pm_phi2, radial_velocity)
    lon, lat, *motions = _turn(inverse(frame.matrix), *coords)
    return ICRS(jnp.where(lon < 0, lon + 360.0, lon), lat, coords[2], *motions, coords[5])


def wrap_degrees(angle: Float[Array, "..."]) -> Float[Array, "..."]:
    """Bring an angle [deg] into (-180, 180]; the gradient is one everywhere.

    >>> [float(wrap_degrees(a)) for a in (-180.0, 190.0, 180.0)]
    [180.0, -170.0, 180.0]
    """
    return angle - 360.0 * jnp.ceil((angle - 180.0) / 360.0)


def _common(*coords):
    """The coordinates as floating arrays of their one common dtype."""
    dtype = jnp.result_type(*coords)
    if not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    return tuple(jnp.asarray(c, dtype) for c in coords)


def _of(matrix, like):
    return jnp.asarray(matrix, like.dtype)


def _apply(m, x, y, z):
    return tuple(m[i, 0] * x + m[i, 1] * y + m[i, 2] * z for i in range(3))


def _into(rotation, solar, coords):
    """Galactocentric to heliocentric Cartesian coordinates."""
    dtype = coords[0].dtype
    m = rotation.astype(dtype)
    sun, v_sun = solar.position().astype(dtype), solar.velocity().astype(dtype)
    place = _apply(m, *(c - s for c, s in zip(coords[:3], sun, strict=True)))
    return *place, *_apply(m, *(c - s for c, s in zip(coords[3:], v_sun, strict=True)))


def _back(rotation, solar, coords):
    dtype = coords[0].dtype
    m = rotation.astype(dtype)
    sun, v_sun = solar.position().astype(dtype), solar.velocity().astype(dtype)
    place = (c + s for c, s in zip(_apply(m, *coords[:3]), sun, strict=True))
    return PhaseSpace(*place, *(c + s for c, s in zip(_apply(m, *coords[3:]), v_sun, strict=True)))


def _observe(x, y, z, vx, vy, vz):
    """Heliocentric Cartesian to (lon, lat, d, pm_lon cos lat, pm_lat, v_r), guarded at the axis."""
    off_axis = x * x + y * y > FLOOR**2
    off_centre = x * x + y * y + z * z > FLOOR**2
    x_safe, y_safe = jnp.where(off_axis, x, 1.0), jnp.where(off_axis, y, 0.0)
    rho_safe = jnp.sqrt(x_safe * x_safe + y_safe * y_safe)
    cos1, sin1 = x_safe / rho_safe, y_safe / rho_safe
    # On the axis rho is 0, at the centre a 1 that puts the direction at (0, 0).
    rho = jnp.where(off_axis, rho_safe, jnp.where(off_centre, 0.0, 1.0))
    height = jnp.where(off_centre, z, 0.0)
    radius = jnp.sqrt(rho * rho + height * height)
    cos2, sin2 = rho / radius, height / radius
    distance = jnp.where(off_centre, radius, FLOOR)
    v_out = cos1 * vx + sin1 * vy
    per_masyr = 1.0 / (MAS_PER_YR * distance)
    return (
        wrap_degrees(jnp.arctan2(y_safe, x_safe) / DEG),
        jnp.arctan2(height, rho) / DEG,
        distance,
        (cos1 * vy - sin1 * vx) * per_masyr,
        (cos2 * vz - sin2 * v_out) * per_masyr,
        (cos2 * v_out + sin2 * vz) / KMS,
    )


def _cartesian(lon, lat, distance, pm_lon, pm_lat, v_r):
    """Sky observables to heliocentric Cartesian positions [kpc] and velocities [kpc/Myr]."""
    c1, s1 = jnp.cos(lon * DEG), jnp.sin(lon * DEG)
    c2, s2 = jnp.cos(lat * DEG), jnp.sin(lat * DEG)
    v_lon, v_lat = pm_lon * distance * MAS_PER_YR, pm_lat * distance * MAS_PER_YR
    v_r = v_r * KMS
    v_out = c2 * v_r - s2 * v_lat
    return (
        distance * c2 * c1,
        distance * c2 * s1,
        distance * s2,
        c1 * v_out - s1 * v_lon,
        s1 * v_out + c1 * v_lon,
        s2 * v_r + c2 * v_lat,
    )


def _turn(matrix, lon, lat, _distance, pm_lon, pm_lat, _v_r):
    """Rotate directions and proper motions between two sky frames, on the unit sphere."""
    one, zero = jnp.ones_like(lon), jnp.zeros_like(lon)
    sphere = _cartesian(lon, lat, one, pm_lon, pm_lat, zero)
    m = _of(matrix, lon)
    seen = _observe(*_apply(m, *sphere[:3]), *_apply(m, *sphere[3:]))
    return seen[0], seen[1], seen[3], seen[4]
