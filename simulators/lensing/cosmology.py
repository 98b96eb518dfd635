r"""Distances in a wCDM universe, differentiable in its parameters.

.. math:: E(z)^2 = \Omega_m (1+z)^3 + \Omega_k (1+z)^2
        + (1 - \Omega_m - \Omega_k) (1+z)^{3(1+w)}, \quad
    \chi(z) = \int_0^z \frac{dz'}{E(z')}

(Hogg 1999, astro-ph/9905116). Radiation is left out, as in astropy's classes without a temperature.
The integral is by 64 Gauss-Legendre nodes in ln(1 + z): right to 1e-13 for z to 20.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.elementwise import horner
from simulators.shared.fields import as_float, cast, check, check_finite, known

#: Speed of light [km/s].
C = 299792.458
#: One arcsec in rad.
ARCSEC = math.pi / 648000.0
#: Newton's constant [Mpc Msun^-1 (km/s)^2]: CODATA 2018 G with the IAU 2015 nominal GM_sun.
G = 4.300917270038e-9
#: One Mpc over the speed of light [days].
MPC_IN_DAYS = 648000.0 / math.pi * 149597870.7 * 1e6 / C / 86400.0

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
_ROW = (0.5 * (_NODES + 1.0), 0.5 * _WEIGHTS)
#: 1 / (2 n + 1)!, of sinh(sqrt s) / sqrt s = sin(sqrt -s) / sqrt -s, for |s| to 10.
_SINC = tuple(1.0 / math.factorial(2 * n + 1) for n in range(14))


class Cosmology(eqx.Module):
    """Distances of a wCDM universe, flat or curved; redshifts may be arrays.

    Args:
        H0: Hubble constant [km/s/Mpc].
        Om0: density of matter over the critical one, now.
        w: equation of state of the dark energy, which holds 1 - Om0 - Ok0.
        Ok0: curvature.

    Raises:
        ValueError: for a concrete H0 or Om0 that is not positive, or w or Ok0 that is not finite.

    >>> round(float(Cosmology(70.0, 0.3).angular_diameter_distance(0.5)), 1)
    1259.1
    """

    H0: jax.Array = eqx.field(converter=as_float, default=70.0)
    Om0: jax.Array = eqx.field(converter=as_float, default=0.3)
    w: jax.Array = eqx.field(converter=as_float, default=-1.0)
    Ok0: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "H0", "Om0")
        check_finite(self, "w", "Ok0")

    def comoving_distance(self, z):
        """chi(z) in units of c / H0, along the line of sight."""
        z = as_float(z)
        top = jnp.log1p(z)
        nodes, weights = (jnp.asarray(v, z.dtype).reshape(-1, *(1,) * z.ndim) for v in _ROW)
        u = nodes * top[None]
        # the integrand is (1 + z) / E
        return top * jnp.sum(weights / jnp.sqrt(self.expansion(u)), axis=0)

    def expansion(self, u):
        """(E / (1 + z))^2 at u = ln(1 + z), for E = H / H0."""
        om, ok, w = cast(u, self.Om0, self.Ok0, self.w)
        return om * jnp.exp(u) + ok + (1.0 - om - ok) * jnp.exp((1.0 + 3.0 * w) * u)

    def angular_diameter_distance(self, z, z_from=0.0):
        r"""Of an object at `z` as seen from `z_from` [Mpc]; negative for z < z_from.

        .. math:: D = \frac{c}{H_0 (1 + z)} \frac{\sinh(\sqrt{\Omega_k}\,\Delta\chi)}
            {\sqrt{\Omega_k}}
        """
        z = as_float(z)
        z_from = jnp.broadcast_to(jnp.asarray(z_from).astype(z.dtype), z.shape)
        return self._distance(z, self.comoving_distance(z) - self.comoving_distance(z_from))

    def between(self, z):
        """`distance(i, j)`: of an object at z[j] from z[i] [Mpc], z of shape (n,); i None: from us.

        All integrals are done at once.
        """
        z = as_float(z)
        chi = self.comoving_distance(z)
        return lambda i, j: self._distance(z[j], chi[j] if i is None else chi[j] - chi[i])

    def _distance(self, z, chi):
        h0, ok = cast(z, self.H0, self.Ok0)
        return C / h0 * chi * horner(_SINC, ok * chi * chi) / (1.0 + z)

    def time_delay_distance(self, z_lens, z_source):
        r"""(1 + z_l) D_l D_s / D_ls [Mpc]."""
        near, far, between = self._triangle(z_lens, z_source)
        return (1.0 + as_float(z_lens)) * near * far / between

    def critical_surface_density(self, z_lens, z_source):
        r"""c^2 / (4 pi G) D_s / (D_l D_ls) [Msun / Mpc^2]."""
        near, far, between = self._triangle(z_lens, z_source)
        return C * C / (4.0 * math.pi * G) * far / (near * between)

    def _triangle(self, z_lens, z_source):
        z_lens = as_float(z_lens)
        z_source = jnp.asarray(z_source).astype(z_lens.dtype)
        _check_order(z_lens, z_source)
        distance = self.between(jnp.stack(jnp.broadcast_arrays(z_lens, z_source)))
        return distance(None, 0), distance(None, 1), distance(0, 1)


def _check_order(z_lens, z_source):
    if not known(z_lens, z_source):
        return
    # In NumPy: under jit a comparison of known arrays would be traced.
    near, far = np.asarray(z_lens), np.asarray(z_source)
    if not np.all((near > 0) & (far > near)):
        raise ValueError(
            f"z_lens = {z_lens} and z_source = {z_source}: the source must lie behind the lens, "
            "give 0 < z_lens < z_source."
        )


def arrival_time(lens, theta, beta, distance):
    r"""Excess time of arrival of rays from `beta` seen at `theta` [days].

    .. math:: t = \frac{D_{\Delta t}}{c}
        \left[\tfrac12 |\theta - \beta|^2 - \psi(\theta)\right]

    Only differences between images of one source can be observed.

    Args:
        lens: an `AbstractMass`.
        theta: directions [arcsec], shape (..., 2).
        beta: the source's true direction [arcsec], shape (2,) or that of `theta`.
        distance: time-delay distance [Mpc].
    """
    theta = as_float(theta)
    beta = jnp.broadcast_to(jnp.asarray(beta).astype(theta.dtype), theta.shape)
    fermat = 0.5 * jnp.sum((theta - beta) ** 2, axis=-1) - lens.potential(theta)
    return jnp.asarray(distance).astype(theta.dtype) * (MPC_IN_DAYS * ARCSEC * ARCSEC) * fermat
