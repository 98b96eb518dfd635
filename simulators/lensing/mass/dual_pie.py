"""The dual pseudo-isothermal profile."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.ellipse import check_ellipticity
from simulators.lensing.mass.halo_functions import log_ratio
from simulators.lensing.mass.radial import AbstractEllipsePotential
from simulators.shared.fields import as_float, cast, check, check_finite


class DualPIE(AbstractEllipsePotential):
    r"""Dual pseudo-isothermal lens, elliptical in the potential (dPIE, pseudo-Jaffe).

    lenstronomy's "PJAFFE" where e1 = e2 = 0 and "PJAFFE_ELLIPSE_POTENTIAL" elsewhere; Eliasdottir
    et al. (2007, arXiv:0710.5636, appendix A), whose sigma_0 [km/s] is another parameter:

    .. math:: \rho = \frac{\rho_0}{(1 + r^2/R_a^2)(1 + r^2/R_s^2)}, \quad
        \kappa(R) = \sigma_0 \frac{R_a R_s}{R_s - R_a}
        \left(\frac{1}{\sqrt{R_a^2 + R^2}} - \frac{1}{\sqrt{R_s^2 + R^2}}\right)

    flat within the core Ra, isothermal up to Rs, falling as R^-3 beyond. The mass is 2 pi sigma0 Ra
    Rs. Written without the difference, so that Ra = Rs is no special point and the two may stand in
    either order. The ellipse is that of `AbstractEllipsePotential`; without ellipticity the
    convergence is that above.

    Args:
        sigma0: the convergence at the centre, at least 0.
        Ra: core radius [arcsec], above 0.
        Rs: truncation radius [arcsec], above 0.
        e1, e2: ellipticity (1 - q) / (1 + q) (cos 2 phi, sin 2 phi), of modulus below 1.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass.dual_pie import DualPIE
    >>> lens = DualPIE(sigma0=3.0, Ra=0.1, Rs=2.0)
    >>> [round(float(a), 4) for a in lens.deflection([0.6, 0.8])]
    [0.2535, 0.338]
    """

    sigma0: jax.Array = eqx.field(converter=as_float)
    Ra: jax.Array = eqx.field(converter=as_float)
    Rs: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "sigma0", open_end=False)
        check(self, "Ra", "Rs")
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")

    def _pieces(self, r2):
        """sigma0 Ra Rs, Ra, Rs, and the roots A, S of Ra^2 + R^2 and Rs^2 + R^2."""
        sigma0, Ra, Rs = cast(r2, self.sigma0, self.Ra, self.Rs)
        return sigma0 * Ra * Rs, Ra, Rs, jnp.sqrt(Ra * Ra + r2), jnp.sqrt(Rs * Rs + r2)

    def profile(self, r2):
        """psi(R) of the round lens [arcsec^2], with lenstronomy's constant."""
        scale, Ra, Rs, A, S = self._pieces(r2)
        # [(S - A) / (Rs - Ra)], and ln of (Rs + S) / (Ra + A) over Rs - Ra
        chord = (Ra + Rs) / (A + S)
        slope = (1.0 + chord) / (Ra + A)
        log = slope * log_ratio((Rs - Ra) * slope)
        return 2.0 * scale * (jnp.log(Rs + S) + Ra * log - chord)

    def pull(self, r2):
        """The mean convergence within R of the round lens."""
        scale, Ra, Rs, A, S = self._pieces(r2)
        return 2.0 * scale * (1.0 + (Ra + Rs) / (A + S)) / ((Ra + A) * (Rs + S))

    def shell(self, r2):
        """The convergence at R of the round lens."""
        scale, Ra, Rs, A, S = self._pieces(r2)
        return scale * (Ra + Rs) / (A * S * (A + S))
