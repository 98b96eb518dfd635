"""Dark haloes: Navarro, Frenk & White, also elliptical in the potential, and truncated."""

import math

import equinox as eqx
import jax

from simulators.lensing.ellipse import check_ellipticity
from simulators.lensing.mass.halo_functions import (
    nfw_kappa,
    nfw_psi,
    nfw_pull,
    tnfw_kappa,
    tnfw_psi,
    tnfw_pull,
)
from simulators.lensing.mass.radial import AbstractCircular, AbstractEllipsePotential
from simulators.shared.fields import as_float, cast, check, check_finite

# The round halo's deflection at Rs is 4 rho_0 Rs^2 (1 - ln 2).
_NORM = 1.0 / (1.0 - math.log(2.0))


class NFW(AbstractCircular):
    r"""Round Navarro, Frenk & White (1997) halo (lenstronomy's "NFW").

    With x = R / Rs and C(x) = arccosh(1/x) / sqrt(1 - x^2), arccos(1/x) / sqrt(x^2 - 1) outside
    (Bartelmann 1996, A&A 313, 697; Wright & Brainerd 2000, ApJ 534, 34):

    .. math:: \alpha(R) = \frac{\alpha_{Rs}}{1 - \ln 2} \frac{\ln(x/2) + C}{x}, \quad
        \kappa = \frac{\alpha_{Rs}}{2 (1 - \ln 2) R_s} \frac{C - 1}{1 - x^2}

    exact and smooth through R = Rs. psi is zero at the centre. kappa diverges there as -ln R; the
    guard makes it finite.

    Args:
        Rs: scale radius [arcsec], above 0.
        alpha_Rs: deflection at Rs [arcsec], at least 0.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass.nfw import NFW
    >>> halo = NFW(Rs=5.0, alpha_Rs=1.2)
    >>> [round(float(a), 4) for a in halo.deflection([3.0, 4.0])]
    [0.72, 0.96]
    """

    tabulated = True

    Rs: jax.Array = eqx.field(converter=as_float)
    alpha_Rs: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "Rs")
        check(self, "alpha_Rs", open_end=False)
        check_finite(self, "center_x", "center_y")

    def profile(self, r2):
        """psi(R) [arcsec^2]."""
        return _profile(self, r2)

    def pull(self, r2):
        """The mean convergence within R."""
        return _pull(self, r2)

    def shell(self, r2):
        """The convergence at R."""
        return _shell(self, r2)


class NFWEllipsePotential(AbstractEllipsePotential):
    r"""NFW halo with the ellipticity in the potential (lenstronomy's "NFW_ELLIPSE_POTENTIAL").

    The potential of the round `NFW` at the radius

    .. math:: R^2 = (1 - \epsilon) x'^2 + (1 + \epsilon) y'^2, \quad
        \epsilon = \frac{1 - q^2}{1 + q^2}

    with x' along the major axis (Golse & Kneib 2002, A&A 390, 821). q is the axis ratio that e1 and
    e2 name; that of the equipotentials is [(1 - epsilon) / (1 + epsilon)]^(1/2) = q as well, and
    the density is flatter. The deflection is closed form; kappa is not elliptical and is negative
    near the minor axis for strong ellipticity.

    Args:
        Rs: scale radius of the round halo [arcsec], above 0.
        alpha_Rs: deflection of the round halo at Rs [arcsec], at least 0.
        e1, e2: ellipticity (1 - q) / (1 + q) (cos 2 phi, sin 2 phi), of modulus below 1.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass.nfw import NFWEllipsePotential
    >>> halo = NFWEllipsePotential(5.0, 1.2, e1=0.1, e2=0.0)
    >>> [round(float(a), 3) for a in halo.deflection([3.0, 4.0])]
    [0.563, 1.122]
    """

    tabulated = True

    Rs: jax.Array = eqx.field(converter=as_float)
    alpha_Rs: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "Rs")
        check(self, "alpha_Rs", open_end=False)
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")

    def profile(self, r2):
        """psi(R) of the round halo [arcsec^2]."""
        return _profile(self, r2)

    def pull(self, r2):
        """The mean convergence within R of the round halo."""
        return _pull(self, r2)

    def shell(self, r2):
        """The convergence at R of the round halo."""
        return _shell(self, r2)


class TNFW(AbstractCircular):
    r"""Smoothly truncated NFW halo of Baltz, Marshall & Oguri (2009), lenstronomy's "TNFW".

    .. math:: \rho = \frac{\rho_0}{(r/R_s) (1 + r/R_s)^2} \frac{r_t^2}{r^2 + r_t^2}

    (JCAP 01, 015, n = 1, appendix A), with the deflection, the convergence and the potential in
    closed form for every ratio of r_trunc and Rs, rearranged so that deflection and potential keep
    all their digits for tau = r_trunc / Rs from 1e-3 to 1e4 and R / Rs from 1e-6 to 1e6 (measured).
    The convergence, which falls as R^-4, is right to rounding of the mean convergence within R.

    `alpha_Rs` normalises the halo without truncation: alpha_Rs = 4 rho_0 Rs^2 (1 - ln 2). psi is
    zero at the centre.

    Args:
        Rs: scale radius [arcsec], above 0.
        alpha_Rs: deflection at Rs of the halo without truncation [arcsec], at least 0.
        r_trunc: truncation radius r_t [arcsec], above 0.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass.nfw import TNFW
    >>> halo = TNFW(Rs=0.1, alpha_Rs=0.02, r_trunc=0.4)
    >>> [round(float(a), 4) for a in halo.deflection([0.06, 0.08])]
    [0.0109, 0.0145]
    """

    tabulated = True

    Rs: jax.Array = eqx.field(converter=as_float)
    alpha_Rs: jax.Array = eqx.field(converter=as_float)
    r_trunc: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "Rs", "r_trunc")
        check(self, "alpha_Rs", open_end=False)
        check_finite(self, "center_x", "center_y")

    def profile(self, r2):
        """psi(R) [arcsec^2]."""
        Rs, alpha_Rs, r_trunc = cast(r2, self.Rs, self.alpha_Rs, self.r_trunc)
        return (0.5 * _NORM) * alpha_Rs * Rs * tnfw_psi(r2 / Rs**2, r_trunc / Rs)

    def pull(self, r2):
        """The mean convergence within R."""
        Rs, alpha_Rs, r_trunc = cast(r2, self.Rs, self.alpha_Rs, self.r_trunc)
        return _NORM * alpha_Rs / Rs * tnfw_pull(r2 / Rs**2, r_trunc / Rs)

    def shell(self, r2):
        """The convergence at R."""
        Rs, alpha_Rs, r_trunc = cast(r2, self.Rs, self.alpha_Rs, self.r_trunc)
        return (0.5 * _NORM) * alpha_Rs / Rs * tnfw_kappa(r2 / Rs**2, r_trunc / Rs)


def _profile(halo, r2):
    Rs, alpha_Rs = cast(r2, halo.Rs, halo.alpha_Rs)
    return (0.5 * _NORM) * alpha_Rs * Rs * nfw_psi(r2 / Rs**2)


def _pull(halo, r2):
    Rs, alpha_Rs = cast(r2, halo.Rs, halo.alpha_Rs)
    return _NORM * alpha_Rs / Rs * nfw_pull(r2 / Rs**2)


def _shell(halo, r2):
    Rs, alpha_Rs = cast(r2, halo.Rs, halo.alpha_Rs)
    return (0.5 * _NORM) * alpha_Rs / Rs * nfw_kappa(r2 / Rs**2)
