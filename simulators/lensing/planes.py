r"""Lenses at several redshifts.

A ray seen at theta crosses plane j at

.. math:: \theta_j = \theta - \sum_{i<j} \beta_{ij}\, \alpha_i(\theta_i), \quad
    \beta_{ij} = \frac{D_{ij} D_s}{D_j D_{is}}

(Schneider, Ehlers & Falco 1992, section 9.1), with the source behind the last lens.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.lensing.cosmology import ARCSEC, MPC_IN_DAYS, Cosmology
from simulators.lensing.directions import split
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.fields import as_float, known


class MultiPlane(eqx.Module):
    """Lens planes in front of one source; rays are traced through them in turn.

    Args:
        lenses: one lens a plane, each scaled to the source at `z_source`, as if it were alone.
        redshifts: of the planes, increasing, shape (n,).
        z_source: redshift of the source, behind all planes.
        cosmology: gives the distances.

    Raises:
        ValueError: for a number of redshifts that is not that of the lenses, or concrete redshifts
            that do not increase from above zero to the source.

    >>> from simulators.lensing.mass.point import SIS
    >>> planes = MultiPlane((SIS(1.0), SIS(0.1, 0.5, 0.0)), [0.3, 0.6], 1.5)
    >>> [round(float(b), 3) for b in planes.source_position([2.0, 0.0])]
    [0.9, 0.0]
    """

    lenses: tuple[AbstractMass, ...]
    redshifts: jax.Array = eqx.field(converter=as_float)
    z_source: jax.Array = eqx.field(converter=as_float)
    cosmology: Cosmology = eqx.field(default_factory=Cosmology)

    def __check_init__(self):
        if self.redshifts.shape != (len(self.lenses),) or not self.lenses:
            raise ValueError(
                f"MultiPlane: {len(self.lenses)} lenses and redshifts of shape "
                f"{self.redshifts.shape}; give one redshift a lens."
            )
        if not known(self.redshifts, self.z_source):
            return
        steps = np.diff(np.concatenate([[0.0], self.redshifts, [self.z_source]]))
        if not np.all(steps > 0):
            raise ValueError(
                f"MultiPlane: redshifts = {self.redshifts} and z_source = {self.z_source}; give "
                "redshifts that increase from above 0 to below the source's."
            )

    def rays(self, x, y):
        """Where each plane, and at last the source, is crossed: (x, y) each [arcsec]."""
        ratios, _ = self._scales(x.dtype)
        places, pulls = [(x, y)], []
        for j, lens in enumerate(self.lenses, 1):
            pulls.append(lens.alpha(*places[-1]))
            places.append(
                tuple(
                    c - sum(ratios[i][j] * pull[k] for i, pull in enumerate(pulls))
                    for k, c in enumerate((x, y))
                )
            )
        return places

    def trace(self, x, y):
        """Where the rays seen at x, y left the source plane [arcsec], as (x, y)."""
        return self.rays(x, y)[-1]

    def source_position(self, theta):
        """Where the rays seen at `theta` [arcsec] left the source plane [arcsec]: (..., 2)."""
        return jnp.stack(self.trace(*split(self, theta)), axis=-1)

    def magnification(self, theta):
        """Signed magnification at `theta` [arcsec], from the derivatives of the rays: (...)."""
        x, y = split(self, theta)
        zero, one = jnp.zeros_like(x), jnp.ones_like(x)
        _, push = jax.linearize(self.trace, x, y)
        (xx, yx), (xy, yy) = push(one, zero), push(zero, one)
        return 1.0 / (xx * yy - xy * yx)

    def arrival_time(self, theta):
        r"""Excess time of arrival of rays seen at `theta` [days], up to a constant of the source.

        .. math:: t = \sum_j \frac{1 + z_j}{c} \frac{D_j D_{j+1}}{D_{j,j+1}}
            \left[\tfrac12 |\theta_j - \theta_{j+1}|^2 - \beta_{j,j+1} \psi_j(\theta_j)\right]
        """
        x, y = split(self, theta)
        ratios, delays = self._scales(x.dtype)
        places = self.rays(x, y)
        total = jnp.zeros_like(x)
        for j, lens in enumerate(self.lenses):
            (x, y), (to_x, to_y) = places[j], places[j + 1]
            path = 0.5 * ((x - to_x) ** 2 + (y - to_y) ** 2)
            total = total + delays[j] * (path - ratios[j][j + 1] * lens.psi(x, y))
        return total * (MPC_IN_DAYS * ARCSEC * ARCSEC)

    def _scales(self, dtype):
        """The ratios beta_ij [i][j], and (1 + z_j) D_j D_j+1 / D_j,j+1 [Mpc] of each plane."""
        z = jnp.append(self.redshifts, self.z_source.astype(self.redshifts.dtype))
        distance, n = self.cosmology.between(z), len(self.lenses)
        ratios = [
            {
                j: distance(i, j) * distance(None, n) / (distance(None, j) * distance(i, n))
                for j in range(i + 1, n + 1)
            }
            for i in range(n)
        ]
        delays = [
            (1.0 + z[j]) * distance(None, j) * distance(None, j + 1) / distance(j, j + 1)
            for j in range(n)
        ]
        return jax.tree.map(lambda value: value.astype(dtype), (ratios, delays))
