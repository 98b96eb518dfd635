r"""How stars leave a cluster: particle-spray release conventions.

At the time of release the progenitor is at x_p with velocity v_p. Codes agree on the frame: e_r
along x_p, e_z along the angular momentum x_p x v_p, e_phi = e_z x e_r, and

    Omega = |x_p x v_p| / |x_p|^2,
    r_t = (G m / (Omega^2 - d^2 Phi / dr^2))^(1/3),        the tidal (Jacobi) radius,
    v_t = Omega r_t,

with d^2 Phi / dr^2 the second derivative of the host's potential along e_r. They differ in what is
drawn in that frame; each class here names its convention exactly. The trailing arm leaves outwards
(+e_r) and the leading arm inwards.
"""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulators.shared.elementwise import at_least
from simulators.shared.fields import as_float
from simulators.streams.integrate import Triple
from simulators.streams.units import DEG, G


class AbstractRelease(eqx.Module):
    """Offsets of released stars as a function of standard normal latents."""

    @abc.abstractmethod
    def offsets(self, normals, sign, r_t, v_t, mass) -> tuple[Triple, Triple]:
        """Offsets in the progenitor's frame (e_r, e_phi, e_z).

        Args:
            normals: standard normal draws, shape (N, 6).
            sign: +1 for the trailing and -1 for the leading arm, shape (N,).
            r_t: tidal radii, shape (N,) [kpc].
            v_t: Omega r_t, shape (N,) [kpc/Myr].
            mass: the progenitor's mass, a scalar or shape (N,) [Msun].

        Returns:
            Three positions (N,) [kpc] and three velocities (N,) [kpc/Myr].
        """


class Fardal2015(AbstractRelease):
    r"""Release after Fardal, Huang & Weinberg (2015, MNRAS 452, 301), section 3.

    .. math:: \Delta r = k_r r_t, \quad \Delta z = k_z r_t, \quad
              \Delta v_\phi = k_{v\phi} v_t, \quad \Delta v_z = k_{vz} v_t

    with independent normal k, all offsets reversed in the leading arm. `Fardal2015()` has the
    published values, k_r = 2.0 +- 0.4, k_vphi = 0.3 +- 0.4, k_z = 0 +- 0.5, k_vz = 0 +- 0.5: the
    same as gala's `FardalStreamDF(gala_modified=False)`. `Fardal2015.gala()` is gala's older
    `gala_modified=True`: scatters of 0.5, and the draw of k_vphi multiplied by that of k_r, so
    that stars released further out also leave faster.

    Attributes:
        mean: means of (k_r, k_z, k_vphi, k_vz), shape (4,).
        scatter: their standard deviations, shape (4,).
        coupled: whether k_vphi is multiplied by k_r.

    >>> import jax.numpy as jnp
    >>> x, v = Fardal2015().offsets(jnp.zeros((1, 6)), jnp.ones(1), jnp.ones(1), jnp.ones(1), 1e4)
    >>> float(x[0][0]), round(float(v[1][0]), 6)
    (2.0, 0.3)
    """

    mean: Float[Array, "4"] = eqx.field(converter=as_float, default=(2.0, 0.0, 0.3, 0.0))
    scatter: Float[Array, "4"] = eqx.field(converter=as_float, default=(0.4, 0.5, 0.4, 0.5))
    coupled: bool = eqx.field(static=True, default=False)

    @classmethod
    def gala(cls) -> "Fardal2015":
        """Gala's modified values (`gala_modified=True`)."""
        return cls(scatter=(0.5, 0.5, 0.5, 0.5), coupled=True)

    def offsets(self, normals, sign, r_t, v_t, mass):
        """See `AbstractRelease.offsets`; of the latents the first four are used."""
        mean, scatter = self.mean.astype(r_t.dtype), self.scatter.astype(r_t.dtype)
        k_r, k_z, k_vphi, k_vz = (mean[i] + scatter[i] * normals[:, i] for i in range(4))
        if self.coupled:
            k_vphi = k_vphi * k_r
        zero, r_t, v_t = jnp.zeros_like(r_t), sign * r_t, sign * v_t
        return (k_r * r_t, zero, k_z * r_t), (zero, k_vphi * v_t, k_vz * v_t)


class Chen2024(AbstractRelease):
    r"""Release after Chen, Valluri, Gnedin & Ash (2025, ApJS 276, 32; arXiv 2408.01496).

    A star leaves at distance D from the progenitor in the direction (phi, theta), with speed V in
    the direction (alpha, beta), angles in the frame (e_r, e_phi, e_z):

        x = D (cos theta cos phi, cos theta sin phi, sin theta),
        v = V (cos beta cos alpha, cos beta sin alpha, sin beta),  V = k sqrt(2 G m / D),

    with (D / r_t, phi, theta, k, alpha, beta) normal of means (1.6, -30, 0, 1, 20, 0), standard
    deviations (0.35, 23, 12, 0, 20, 22) (angles in deg) and covariance -4.9 deg of D / r_t with
    alpha. The leading arm has phi and alpha turned by 180 deg, theta and beta drawn alike. It was
    fitted to N-body clusters in which the progenitor's gravity acts on the released stars: use
    it with a satellite potential.

    Attributes:
        mean: the six means, shape (6,).
        scatter: the six standard deviations, shape (6,).
        covariance: of D / r_t with alpha [deg].

    >>> import jax.numpy as jnp
    >>> x, _ = Chen2024().offsets(jnp.zeros((1, 6)), jnp.ones(1), jnp.ones(1), jnp.ones(1), 1e4)
    >>> round(float(x[0][0] ** 2 + x[1][0] ** 2), 6)
    2.56
    """

    mean: Float[Array, "6"] = eqx.field(
        converter=as_float, default=(1.6, -30.0, 0.0, 1.0, 20.0, 0.0)
    )
    scatter: Float[Array, "6"] = eqx.field(
        converter=as_float, default=(0.35, 23.0, 12.0, 0.0, 20.0, 22.0)
    )
    covariance: Float[Array, ""] = eqx.field(converter=as_float, default=-4.9)

    def offsets(self, normals, sign, r_t, v_t, mass):
        """See `AbstractRelease.offsets`; all six latents are used."""
        dtype = r_t.dtype
        mean, scatter = self.mean.astype(dtype), self.scatter.astype(dtype)
        # alpha given D: a regression on the draw of D, and the scatter that remains.
        slope = self.covariance.astype(dtype) / scatter[0]
        rest = jnp.sqrt(scatter[4] ** 2 - slope**2)
        distance = (mean[0] + scatter[0] * normals[:, 0]) * r_t
        phi = (mean[1] + scatter[1] * normals[:, 1]) * DEG
        theta = (mean[2] + scatter[2] * normals[:, 2]) * DEG
        alpha = (mean[4] + slope * normals[:, 0] + rest * normals[:, 4]) * DEG
        beta = (mean[5] + scatter[5] * normals[:, 5]) * DEG
        # 1.6 +- 0.35: a draw below zero is 4.6 sigma away, and would leave with no speed.
        floor = 1e-3 * r_t
        safe = at_least(distance, floor)
        # Nor has the square root a derivative at zero mass.
        escape = jnp.sqrt(at_least(2.0 * G * mass / safe, 1e-30))
        speed = (mean[3] + scatter[3] * normals[:, 3]) * escape
        return _spherical(safe, phi, theta, sign), _spherical(speed, alpha, beta, sign)


def _spherical(r, azimuth, altitude, sign) -> Triple:
    c = sign * r * jnp.cos(altitude)
    return c * jnp.cos(azimuth), c * jnp.sin(azimuth), r * jnp.sin(altitude)


def release(
    convention: AbstractRelease, host, x: Triple, v: Triple, t, mass, normals, sign
) -> tuple[Triple, Triple]:
    """Positions and velocities of stars at the moment they are released.

    Args:
        convention: what is drawn, in the progenitor's frame.
        host: the potential of the galaxy, without the progenitor.
        x, v: the progenitor at the times of release, three arrays (N,) each [kpc, kpc/Myr].
        t: the times of release, shape (N,) [Myr].
        mass: the progenitor's mass then, a scalar or shape (N,) [Msun].
        normals: standard normal latents, shape (N, 6).
        sign: +1 for the trailing and -1 for the leading arm, shape (N,).

    Returns:
        Galactocentric positions [kpc] and velocities [kpc/Myr], three arrays (N,) each.
    """
    tiny = float(jnp.finfo(x[0].dtype).tiny) ** 0.5
    r2 = at_least(x[0] ** 2 + x[1] ** 2 + x[2] ** 2, tiny)
    r = jnp.sqrt(r2)
    lx, ly, lz = (
        x[1] * v[2] - x[2] * v[1],
        x[2] * v[0] - x[0] * v[2],
        x[0] * v[1] - x[1] * v[0],
    )
    l_total = jnp.sqrt(at_least(lx * lx + ly * ly + lz * lz, tiny))
    e_r = tuple(xi / r for xi in x)
    e_z = (lx / l_total, ly / l_total, lz / l_total)
    e_phi = (
        e_z[1] * e_r[2] - e_z[2] * e_r[1],
        e_z[2] * e_r[0] - e_z[0] * e_r[2],
        e_z[0] * e_r[1] - e_z[1] * e_r[0],
    )
    omega2 = (l_total / r2) ** 2
    xx, xy, xz, yy, yz, zz = host.tidal(*x, t)
    ex, ey, ez = e_r
    curvature = (
        ex * (ex * xx + 2.0 * (ey * xy + ez * xz)) + ey * (ey * yy + 2.0 * ez * yz) + ez * ez * zz
    )
    # Where the tide does not strip (Omega^2 = Phi'', the centre of a core) the tidal radius
    # diverges; the floor caps it at 100 times the one of a point mass on a circular orbit.
    stretch = at_least(omega2 - curvature, 3e-6 * omega2)
    # The floor under the mass keeps the derivative of the cube root finite at zero mass.
    ratio = at_least(G * mass / stretch, 1e-30)
    r_t = jnp.cbrt(ratio)
    dx, dv = convention.offsets(normals, sign, r_t, jnp.sqrt(omega2) * r_t, mass)

    def placed(start, offset):
        return tuple(
            si + offset[0] * a + offset[1] * b + offset[2] * c
            for si, a, b, c in zip(start, e_r, e_phi, e_z, strict=True)
        )

    return placed(x, dx), placed(v, dv)
