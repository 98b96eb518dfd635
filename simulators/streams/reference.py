"""Frames of reference: where the Sun is and moves, and the great circles of streams.

`simulators.streams.frames` turns coordinates between them.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.fields import as_float
from simulators.streams.units import DEG, KMS

# Roll about the x axis that brings z to the Galactic pole, as in astropy [deg].
_ROLL0 = 58.5986320306


def _as_vector(value) -> Float[Array, "3"]:
    vector = as_float(value)
    if vector.shape != (3,):
        raise ValueError(
            f"galcen_v_sun: expected three velocities [km/s], got shape {vector.shape}"
        )
    return vector


class SolarFrame(eqx.Module):
    """Where the Sun is and how it moves; every field can be differentiated or sampled.

    Attributes:
        galcen_distance: distance from the Sun to the Galactic centre [kpc] (GRAVITY
            Collaboration 2018).
        galcen_v_sun: the Sun's velocity in the Galactocentric frame, shape (3,) [km/s] (Drimmel &
            Poggio 2018).
        z_sun: height of the Sun above the midplane [kpc] (Bennett & Bovy 2019).
        roll: extra roll of the frame about the line from the Sun to the centre [deg].
        ra, dec: ICRS direction of the Galactic centre [deg] (Reid & Brunthaler 2004).

    Raises:
        ValueError: if `galcen_v_sun` does not have shape (3,).

    >>> float(SolarFrame(galcen_distance=8.2).z_sun)
    0.0208
    """

    galcen_distance: Float[Array, ""] = eqx.field(converter=as_float, default=8.122)
    galcen_v_sun: Float[Array, "3"] = eqx.field(converter=_as_vector, default=(12.9, 245.6, 7.78))
    z_sun: Float[Array, ""] = eqx.field(converter=as_float, default=0.0208)
    roll: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    ra: Float[Array, ""] = eqx.field(converter=as_float, default=266.4051)
    dec: Float[Array, ""] = eqx.field(converter=as_float, default=-28.936175)

    def matrix(self) -> Float[Array, "3 3"]:
        """Rotation A of x_gal = A x_icrs - d H e_x, H the tilt by arcsin(z_sun / d) about y."""
        to_centre = compose(
            _rotation(-self.dec * DEG, "y"),
            _rotation(self.ra * DEG, "z"),
        )
        rolled = compose(_rotation((_ROLL0 - self.roll) * DEG, "x"), to_centre)
        return compose(self._tilt(), rolled)

    def position(self) -> Float[Array, "3"]:
        """The Sun's Galactocentric position [kpc]."""
        return -self.galcen_distance * self._tilt()[:, 0]

    def velocity(self) -> Float[Array, "3"]:
        """The Sun's Galactocentric velocity [kpc/Myr]."""
        return self.galcen_v_sun * KMS

    def _tilt(self):
        return _rotation(-jnp.arcsin(self.z_sun / self.galcen_distance), "y")


class GreatCircleFrame(eqx.Module):
    """A sky frame (phi1, phi2) whose equator is a great circle near a stream.

    Attributes:
        matrix: x_stream = matrix @ x_icrs, shape (3, 3). A NumPy array stays one, so that the
            constants of this module keep all digits and touch no device when it is imported.

    Raises:
        ValueError: if `matrix` is not a rotation to 1e-6.

    >>> equator = GreatCircleFrame.from_pole_and_origin(0.0, 90.0, 0.0)
    >>> bool(np.allclose(equator.matrix, np.eye(3)))
    True
    """

    matrix: Float[Array, "3 3"] | np.ndarray

    def __init__(self, matrix):
        if not eqx.is_array(matrix):
            matrix = np.asarray(matrix, dtype=float)
        if matrix.shape != (3, 3):
            raise ValueError(f"matrix: expected shape (3, 3), got {matrix.shape}")
        if isinstance(matrix, np.ndarray):
            error = np.max(np.abs(matrix @ matrix.T - np.eye(3)))
            if not error < 1e-6 or np.linalg.det(matrix) < 0:
                raise ValueError(
                    f"matrix: expected a proper rotation, but M M^T differs from 1 by {error:.1e}"
                    f" and det M = {np.linalg.det(matrix):.3g}; give rows e_phi1, e_phi2, pole"
                )
        self.matrix = matrix

    @staticmethod
    def from_pole_and_origin(
        pole_ra: float, pole_dec: float, origin_ra: float, origin_dec: float | None = None
    ) -> "GreatCircleFrame":
        """Frame from its ICRS pole and the direction of phi1 = 0.

        Args:
            pole_ra, pole_dec: ICRS coordinates of the north pole, phi2 = 90 deg [deg].
            origin_ra: right ascension of the point that gets phi1 = 0 [deg].
            origin_dec: its declination [deg]. Left out, it is the point of the great circle at
                `origin_ra`; otherwise the point is projected on the great circle along phi2.

        Raises:
            ValueError: if the origin is at the pole, or `origin_dec` is left out for a great
                circle with the pole on the celestial equator at `origin_ra` +- 90 deg.
        """
        pole = _unit(pole_ra, pole_dec)
        if origin_dec is None:
            # p . r = 0 for r = (cos dec cos ra, cos dec sin ra, sin dec): tan dec = -(p.u)/p_z
            along = pole[:2] @ _unit(origin_ra, 0.0)[:2]
            if abs(along) < 1e-12 and abs(pole[2]) < 1e-12:
                raise ValueError(
                    f"origin_ra={origin_ra}: all that meridian is on the great circle; give "
                    "origin_dec"
                )
            origin_dec = np.degrees(np.arctan2(-along * np.sign(pole[2] or 1.0), abs(pole[2])))
        origin = _unit(origin_ra, origin_dec)
        first = origin - (origin @ pole) * pole
        if np.linalg.norm(first) < 1e-9:
            raise ValueError(
                f"origin ({origin_ra}, {origin_dec}) is at the pole ({pole_ra}, {pole_dec}); "
                "choose a point away from it"
            )
        first = first / np.linalg.norm(first)
        return GreatCircleFrame(np.stack([first, np.cross(pole, first), pole]))


def _unit(ra, dec):
    ra, dec = np.radians(ra), np.radians(dec)
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


#: GD-1's frame: the matrix printed in the appendix of Koposov, Rix & Hogg (2010), the one that
#: gala's `GD1Koposov10`, galpy and galstreams' Price-Whelan & Bonaca track use. Its ten digits make
#: it orthogonal to 6e-11; transformations back use its exact inverse, so that round trips close.
GD1 = GreatCircleFrame(
    (
        (-0.4776303088, -0.1738432154, 0.8611897727),
        (0.510844589, -0.8524449229, 0.111245042),
        (0.7147776536, 0.4930681392, 0.4959603976),
    )
)


def compose(a, b):
    """Product of two (3, 3) matrices."""
    # Written out: a matmul would run in bfloat16 or TF32 on accelerators by default.
    return jnp.sum(a[:, :, None] * b[None, :, :], axis=1)


def inverse(matrix):
    """Inverse of a (3, 3) matrix by cofactors."""
    xp = np if isinstance(matrix, np.ndarray) else jnp
    rows = xp.stack([xp.cross(matrix[i - 2], matrix[i - 1]) for i in range(3)])
    return rows.T / xp.sum(rows[0] * matrix[0])


def _rotation(angle, axis):
    """Passive rotation by `angle` [rad] about a coordinate axis."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    one, zero = jnp.ones_like(c), jnp.zeros_like(c)
    rows = {
        "x": ((one, zero, zero), (zero, c, s), (zero, -s, c)),
        "y": ((c, zero, -s), (zero, one, zero), (s, zero, c)),
        "z": ((c, s, zero), (-s, c, zero), (zero, zero, one)),
    }[axis]
    return jnp.stack([jnp.stack(row) for row in rows])
