r"""Sersic profiles.

The radius is $R = \sqrt{q x'^2 + y'^2 / q}$ along the major and the minor axis: R_sersic is the
geometric mean of the semi-axes of the half-light ellipse, which is lenstronomy's convention. Galfit
and others give the semi-major axis, larger by $q^{-1/2}$.

lenstronomy evaluates every Sersic profile at no less than 1e-4 arcsec from the centre. So do we:
the floor is also what keeps the gradients finite at the cusp.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.ellipse import check_ellipticity
from simulators.lensing.light.base import AbstractLight, elliptical_square
from simulators.shared.elementwise import at_least, at_most, tiny
from simulators.shared.fields import as_float, cast, check, check_finite

#: The smallest radius [arcsec], lenstronomy's "smoothing".
CORE = 1e-4

# Chebyshev coefficients of b_n - 2n in 1 / (n + SHIFT) over n >= LEAST, fitted to mpmath.
LEAST, SHIFT = 0.1, 0.2
SERIES = (
    -0.27757581167942114, 0.073727225387429055, 0.021224579007851643, 0.0034364862790619579,
    0.00010722875309326769, -0.0001102151014177806, -4.69931406044347e-05,
    -1.3451829758594835e-05, -2.5687852034373122e-06, -2.5821079315704472e-07,
    5.137287290130723e-08, 4.4976021546974803e-08, 1.635544561134274e-08, 4.6320152371196874e-09,
    1.0487118720348888e-09, 1.439237247132937e-10, 3.0344172969401333e-12, -1.1597266907763844e-11,
    -5.4739144955735257e-12, -1.7141960391526257e-12, -5.4080144627876909e-13,
    -9.0916607027298302e-14, -2.1489436264046714e-14,
)  # fmt: skip


def b_n_exact(n):
    r"""b_n with $\gamma(2n, b_n) = \Gamma(2n) / 2$: R_sersic holds half of the light.

    A Chebyshev series of b_n - 2n of degree 22 in 1 / (n + 0.2): relative error 4e-14 for every
    n >= 0.1, at one cost; n is held at 0.1 below.

    >>> round(float(b_n_exact(as_float(4.0))), 4)
    7.6692
    """
    n = at_least(n, LEAST)
    t = 2.0 * (LEAST + SHIFT) / (n + SHIFT) - 1.0
    # Clenshaw's recurrence
    last, before = 0.0 * t, 0.0 * t
    for c in SERIES[:0:-1]:
        last, before = 2.0 * t * last - before + c, last
    return 2.0 * n + (t * last - before + SERIES[0])


def b_n_linear(n):
    """1.9992 n - 0.3271, lenstronomy's b_n: within 2e-3 of the exact one from n = 0.5 to 10.

    >>> round(float(b_n_linear(as_float(4.0))), 4)
    7.6697
    """
    return at_least(1.9992 * n - 0.3271, 1e-5)


class Sersic(AbstractLight):
    r"""Elliptical Sersic (1968) profile, $I = \mathrm{amp}\, e^{-b_n [(R / R_s)^{1/n} - 1]}$.

    See the top of this module for R, which is not less than 1e-4 arcsec. By default b_n is
    lenstronomy's linear fit, so that images agree with its "SERSIC_ELLIPSE" (whose cut at
    1000 R_sersic is not made here) to rounding; with `exact` it is the one for which R_sersic
    holds half of the light (Ciotti & Bertin 1999, A&A 352, 447), see `b_n_exact`.

    Args:
        amp: brightness at R_sersic [flux / arcsec^2].
        R_sersic: half-light radius [arcsec], above 0 (held at 1e-4 where it is traced).
        n_sersic: index, above 0; in float32 below 40, where the centre overflows.
        e1, e2: ellipticity, $(1 - q) / (1 + q)$ times $\cos 2\phi$, $\sin 2\phi$.
        center_x, center_y: centre [arcsec].
        exact: whether b_n is exact (static).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> galaxy = Sersic(1.0, 0.5, 4.0, e1=0.1)
    >>> round(float(galaxy.surface_brightness([0.5, 0.0])), 4)
    1.2092
    """

    amp: jax.Array = eqx.field(converter=as_float)
    R_sersic: jax.Array = eqx.field(converter=as_float)
    n_sersic: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)
    exact: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_finite(self, "amp", "center_x", "center_y")
        check(self, "R_sersic", "n_sersic")
        check_ellipticity(self)

    def brightness(self, x, y):
        """The surface brightness [flux / arcsec^2]."""
        amp, radius, n = cast(x, self.amp, self.R_sersic, self.n_sersic)
        square = elliptical_square(self, x, y)
        b = b_n(n, self.exact)
        inverse = 1.0 / at_least(radius, CORE)
        u = at_least(square, CORE * CORE) * (inverse * inverse)
        return amp * jnp.exp(b - b * _power(jnp.log(u), 0.5 / n))

    def flux(self):
        r"""The total flux $2\pi n R_s^2\, \mathrm{amp}\, e^{b_n} b_n^{-2n} \Gamma(2n)$."""
        amp, radius, n = cast(self.amp, self.amp, self.R_sersic, self.n_sersic)
        b = b_n(n, self.exact)
        shape = jnp.exp(b - 2.0 * n * jnp.log(b) + jax.scipy.special.gammaln(2.0 * n))
        return 2.0 * math.pi * amp * n * radius * radius * shape


class CoreSersic(AbstractLight):
    r"""Core-Sersic profile (Trujillo et al. 2004, AJ 127, 1917), a power law inside R_b.

    .. math:: I = \mathrm{amp}\, [1 + (R_b / R)^\alpha]^{\gamma / \alpha} \exp\{-b_n
        [((R^\alpha + R_b^\alpha) / R_s^\alpha)^{1 / (n \alpha)} - 1]\}

    as lenstronomy's "CORE_SERSIC", which fixes alpha = 3; R, its floor and b_n are those of
    `Sersic`, which this is for gamma = 0 and Rb = 0.

    Args:
        amp: amplitude [flux / arcsec^2].
        R_sersic: half-light radius of the outer profile [arcsec], above 0.
        Rb: break radius [arcsec], at least 0.
        n_sersic: index, above 0.
        gamma: slope inside the break.
        e1, e2: ellipticity, $(1 - q) / (1 + q)$ times $\cos 2\phi$, $\sin 2\phi$.
        center_x, center_y: centre [arcsec].
        alpha: sharpness of the break, above 0.
        exact: whether b_n is exact (static).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> galaxy = CoreSersic(1.0, 0.5, 0.1, 4.0, 0.2)
    >>> round(float(galaxy.surface_brightness([0.5, 0.0])), 4)
    0.9954
    """

    amp: jax.Array = eqx.field(converter=as_float)
    R_sersic: jax.Array = eqx.field(converter=as_float)
    Rb: jax.Array = eqx.field(converter=as_float)
    n_sersic: jax.Array = eqx.field(converter=as_float)
    gamma: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)
    alpha: jax.Array = eqx.field(converter=as_float, default=3.0)
    exact: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check_finite(self, "amp", "gamma", "center_x", "center_y")
        check(self, "R_sersic", "n_sersic", "alpha")
        check(self, "Rb", open_end=False)
        check_ellipticity(self)

    def brightness(self, x, y):
        """The surface brightness [flux / arcsec^2]."""
        amp, radius, core, n = cast(x, self.amp, self.R_sersic, self.Rb, self.n_sersic)
        gamma, alpha = cast(x, self.gamma, self.alpha)
        square = elliptical_square(self, x, y)
        b = b_n(n, self.exact)
        log_r = 0.5 * jnp.log(at_least(square, CORE * CORE))
        log_core = jnp.log(at_least(core, tiny(x)))
        # ln of (R^alpha + Rb^alpha)^(1 / alpha) / R
        excess = jax.nn.softplus(alpha * (log_core - log_r)) / alpha
        log_u = log_r + excess - jnp.log(at_least(radius, CORE))
        return amp * jnp.exp(gamma * excess + b - b * _power(log_u, 1.0 / n))


def b_n(n, exact):
    """b_n of a profile, `b_n_exact` or `b_n_linear`."""
    return b_n_exact(n) if exact else b_n_linear(n)


def _power(log_u, power):
    """u^power; held at 1e26, beyond which the profile has vanished, for the gradient's sake."""
    return jnp.exp(at_most(log_u * power, 60.0))
