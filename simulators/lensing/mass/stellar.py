"""Stellar mass."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.ellipse import check_ellipticity
from simulators.lensing.mass.base import AbstractMass
from simulators.lensing.mass.power_law import NIE
from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import as_float, cast, check, check_finite, known


class Chameleon(AbstractMass):
    r"""Difference of two `NIE` lenses that is much like a Sersic profile, lenstronomy's CHAMELEON.

    .. math:: \kappa = \frac{\theta_E}{2} \left(
        \frac{1}{\sqrt{s_c^2 + q x'^2 + y'^2/q}} - \frac{1}{\sqrt{s_t^2 + q x'^2 + y'^2/q}}\right),
        \quad s = \frac{2 w}{1 + q}

    (Dutton et al. 2011, MNRAS 417, 1621; Suyu et al. 2014, ApJ 788, L35.) theta_E is such that the
    round lens deflects by `alpha_1` at 1 arcsec. 2 / (1 + q) is 1 + |e|, which has a kink at the
    round lens: derivatives with respect to e1 and e2 leave it out there.

    Args:
        alpha_1: deflection at 1 arcsec of the round lens [arcsec], at least 0.
        w_c: core radius [arcsec], at least 0.
        w_t: truncation radius [arcsec], above w_c.
        e1, e2: ellipticity (1 - q) / (1 + q) (cos 2 phi, sin 2 phi), of modulus below 1.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass.stellar import Chameleon
    >>> lens = Chameleon(alpha_1=0.8, w_c=0.05, w_t=1.0)
    >>> [round(float(a), 4) for a in lens.deflection([0.6, 0.8])]
    [0.48, 0.64]
    """

    alpha_1: jax.Array = eqx.field(converter=as_float)
    w_c: jax.Array = eqx.field(converter=as_float)
    w_t: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "alpha_1", "w_c", open_end=False)
        check(self, "w_t")
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")
        if known(self.w_c, self.w_t) and not bool(jnp.all(self.w_t > self.w_c)):
            raise ValueError(
                f"Chameleon: argument `w_t` = {self.w_t} is not above `w_c` = {self.w_c}; give a "
                "truncation radius beyond the core."
            )

    def _pair(self, x):
        alpha_1, w_c, w_t, e1, e2 = cast(x, self.alpha_1, self.w_c, self.w_t, self.e1, self.e2)
        # sqrt(1 + w^2) - w of the core, minus that of the truncation
        chord = (w_c + w_t) / (jnp.sqrt(1.0 + w_c * w_c) + jnp.sqrt(1.0 + w_t * w_t))
        unit = (w_t - w_c) * (1.0 - chord)
        # A pair of equal radii, which a sampler may pass, is a lens without mass.
        theta_E = alpha_1 * unit / at_least(unit * unit, tiny(x))
        round_up = 1.0 + jnp.sqrt(at_least(e1 * e1 + e2 * e2, tiny(x)))
        place = {"center_x": self.center_x, "center_y": self.center_y}
        core = NIE(theta_E, w_c * round_up, e1, e2, **place)
        return core, NIE(theta_E, w_t * round_up, e1, e2, **place)

    def psi(self, x, y):
        """The lens potential [arcsec^2]."""
        core, truncation = self._pair(x)
        return core.psi(x, y) - truncation.psi(x, y)

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        core, truncation = self._pair(x)
        return tuple(map(jnp.subtract, core.alpha(x, y), truncation.alpha(x, y)))

    def hessian(self, x, y):
        """Second derivatives of psi."""
        core, truncation = self._pair(x)
        return tuple(map(jnp.subtract, core.hessian(x, y), truncation.hessian(x, y)))

    def kappa(self, x, y):
        """The convergence."""
        core, truncation = self._pair(x)
        return core.kappa(x, y) - truncation.kappa(x, y)
