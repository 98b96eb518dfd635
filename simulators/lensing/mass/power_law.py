"""Elliptical power laws and isothermal ellipsoids, all in closed form."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import from_centre
from simulators.lensing.ellipse import check_ellipticity, ellipticity, flattened
from simulators.lensing.mass.angular import (
    default_terms,
    isothermal_angle,
    power_law_angle,
    times,
)
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import as_float, cast, check, check_finite


def _direction(e1, e2, c, s):
    """u = -e* (c + i s)."""
    return -(e1 * c + e2 * s), e2 * c - e1 * s


class EPL(AbstractMass):
    r"""Elliptical power law (Tessore & Metcalf 2015, A&A 580, A79), lenstronomy's EPL.

    $$\kappa = \frac{3 - \gamma}{2} \left(\frac{\theta_E}{\sqrt{q x'^2 + y'^2 / q}}
      \right)^{\gamma - 1}$$

    with x', y' [arcsec] along the major and the minor axis; the ellipse of semi-axes
    $\theta_E / \sqrt q$ and $\theta_E \sqrt q$ has a mean convergence of one. With w of
    `simulators.lensing.ellipse` the deflection as a complex number is

    $$\alpha = \left(\theta_E \sqrt{1 - |e|^2} / |w|\right)^{\gamma - 1} w\,
      F\left(1, \tfrac{\gamma - 1}{2}; 2 - \tfrac{\gamma - 1}{2}; -e^* w / w^*\right)$$

    and, of degree $2 - \gamma$ in the radius, gives the rest: $\psi = (x \alpha_x + y \alpha_y) /
    (3 - \gamma)$ and $\gamma_1 + i \gamma_2 = [(2 - \gamma) \alpha - \kappa z] / z^*$, z = x + i y.

    The deflection and its derivatives are right to rounding for q >= 0.1. At q = 0.05 / 0.01 they
    hold 1e-15 / 3e-11 for gamma = 2, 1e-14 / 4e-9 for gamma = 2.5, 1e-12 / 3e-7 for gamma = 3.
    Flatter lenses need more `terms`: 60 for q = 0.01.

    Args:
        theta_E: Einstein radius [arcsec], at least 0.
        gamma: minus the logarithmic slope of the density in space, between 1 and 3.
        e1, e2: (1 - q) / (1 + q) times cos 2 phi, sin 2 phi, for the axis ratio q and the position
            angle phi of the major axis, from +x counter-clockwise.
        center_x, center_y: the centre [arcsec].
        terms: of the series, a static integer; by default 28 in float64 and 16 in float32.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> lens = EPL(1.2, gamma=2.1, e1=0.1)
    >>> [round(float(a), 4) for a in lens.deflection([0.8, -0.6])]
    [0.9236, -0.7852]
    """

    theta_E: jax.Array = eqx.field(converter=as_float)
    gamma: jax.Array = eqx.field(converter=as_float, default=2.0)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)
    terms: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        check(self, "theta_E", open_end=False)
        check(self, "gamma", least=1.0, below=3.0)
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")
        if self.terms is not None and not (isinstance(self.terms, int) and self.terms >= 4):
            raise ValueError(
                f"EPL: argument `terms` = {self.terms!r} is no number of terms; give an integer of "
                "at least 4, or None."
            )

    def _local(self, x, y):
        """Ellipticity, w, 1 / |w|^2 and P = (theta_E sqrt(1 - |e|^2) / |w|)^(gamma - 1)."""
        theta_E, gamma = cast(x, self.theta_E, self.gamma)
        e1, e2, minor = ellipticity(x, self)
        wx, wy = flattened(x, y, e1, e2)
        inverse = 1.0 / at_least(wx * wx + wy * wy, tiny(x))
        a = 0.5 * (gamma - 1.0)
        square = theta_E * theta_E * minor * inverse
        # P is square^a; the guard leaves P = 0 for theta_E = 0, and a derivative of zero.
        floor = float(jnp.finfo(x.dtype).tiny) ** 0.4
        power = square * jnp.exp((a - 1.0) * jnp.log(at_least(square, floor)))
        return e1, e2, wx, wy, inverse, a, power

    def _deflect(self, x, y):
        e1, e2, wx, wy, inverse, a, power = self._local(x, y)
        ur, ui = _direction(e1, e2, (wx * wx - wy * wy) * inverse, 2.0 * wx * wy * inverse)
        terms = default_terms(x.dtype) if self.terms is None else self.terms
        ax, ay = times(power * wx, power * wy, *power_law_angle(ur, ui, a, terms))
        return ax, ay, a, power

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero at the centre."""
        x, y = from_centre(self, x, y)
        ax, ay, a, _ = self._deflect(x, y)
        return (x * ax + y * ay) / (2.0 - 2.0 * a)

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        ax, ay, *_ = self._deflect(*from_centre(self, x, y))
        return ax, ay

    def hessian(self, x, y):
        """Second derivatives of psi, from alpha and kappa (Tessore & Metcalf 2015, eq. 17)."""
        x, y = from_centre(self, x, y)
        ax, ay, a, power = self._deflect(x, y)
        kappa = (1.0 - a) * power
        fall = 1.0 - 2.0 * a
        inverse = 1.0 / at_least(x * x + y * y, tiny(x))
        g1, g2 = times(fall * ax - kappa * x, fall * ay - kappa * y, x * inverse, y * inverse)
        return kappa + g1, g2, kappa - g1

    def kappa(self, x, y):
        """The convergence."""
        *_, a, power = self._local(*from_centre(self, x, y))
        return (1.0 - a) * power


def _softened(lens, s_scale, x, y):
    r"""The isothermal ellipsoid in the variables of `ellipse`.

    With B^2 = 1 - \|e\|^2, S = B s_scale and Psi^2 = S^2 + \|w\|^2: (e1, e2, B^2, S, Psi, eta, u,
    theta_E B) for eta = w / (Psi + S) and u = -e* eta^2, complex numbers as pairs.
    """
    theta_E, s_scale = cast(x, lens.theta_E, s_scale)
    e1, e2, minor = ellipticity(x, lens)
    wx, wy = flattened(x, y, e1, e2)
    root = jnp.sqrt(minor)
    core = root * s_scale
    depth = jnp.sqrt(at_least(core * core + (wx * wx + wy * wy), tiny(x)))
    inverse = 1.0 / (depth + core)
    eta = wx * inverse, wy * inverse
    c, s = times(*eta, *eta)
    return e1, e2, minor, core, depth, eta, (c, s), _direction(e1, e2, c, s), theta_E * root


def _isothermal_alpha(lens, s_scale, x, y):
    *_, eta, _, u, strength = _softened(lens, s_scale, x, y)
    return times(strength * eta[0], strength * eta[1], *isothermal_angle(*u))


def _isothermal_hessian(lens, s_scale, x, y):
    r"""By gamma_1 + i gamma_2 = -kappa (e + eta^2) / (1 - u): no series, no division by r."""
    e1, e2, _, _, depth, _, (c, s), (ur, ui), strength = _softened(lens, s_scale, x, y)
    kappa = 0.5 * strength / depth
    cr = 1.0 - ur
    scale = -kappa / (cr * cr + ui * ui)
    g1, g2 = times(e1 + c, e2 + s, scale * cr, scale * ui)
    return kappa + g1, g2, kappa - g1


def _isothermal_kappa(lens, s_scale, x, y):
    *_, depth, _, _, _, strength = _softened(lens, s_scale, x, y)
    return 0.5 * strength / depth


class SIE(AbstractMass):
    r"""Singular isothermal ellipsoid, `EPL` with gamma = 2 at less cost.

    $$\kappa = \frac{\theta_E}{2 \sqrt{q x'^2 + y'^2 / q}}$$

    (Kormann, Schneider & Bartelmann 1994, A&A 284, 285.) Their deflection, an arctangent along the
    major and an artanh along the minor axis, is written as one complex artanh, which needs neither
    axis ratio nor angle: see `NIE`. It is right to rounding for q >= 0.05, and to 2e-11 at 0.01.

    Args:
        theta_E: Einstein radius [arcsec], at least 0, as in `EPL`.
        e1, e2: ellipticity as in `EPL`.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> lens = SIE(1.2, e1=0.1)
    >>> [round(float(a), 4) for a in lens.deflection([0.8, -0.6])]
    [0.9023, -0.7741]
    """

    theta_E: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "theta_E", open_end=False)
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero at the centre."""
        x, y = from_centre(self, x, y)
        ax, ay = _isothermal_alpha(self, 0.0, x, y)
        return x * ax + y * ay

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        return _isothermal_alpha(self, 0.0, *from_centre(self, x, y))

    def hessian(self, x, y):
        """Second derivatives of psi."""
        return _isothermal_hessian(self, 0.0, *from_centre(self, x, y))

    def kappa(self, x, y):
        """The convergence."""
        return _isothermal_kappa(self, 0.0, *from_centre(self, x, y))


class NIE(AbstractMass):
    r"""Non-singular isothermal ellipsoid, lenstronomy's NIE.

    $$\kappa = \frac{\theta_E}{2 \sqrt{s^2 + q x'^2 + y'^2 / q}}$$

    (Kassiola & Kovner 1993, ApJ 417, 450; Keeton & Kochanek 1998, ApJ 495, 157, whose b and s are
    $\theta_E \sqrt q$ and $s / \sqrt q$ here.) With e and w of `simulators.lensing.ellipse`,
    $B^2 = 1 - |e|^2$, $S = B s$ and $\Psi^2 = S^2 + |w|^2$,

    $$\eta = \frac{w}{\Psi + S}, \quad \alpha = \theta_E B\, \eta\,
      \frac{\mathrm{artanh} \sqrt u}{\sqrt u}, \quad u = -e^* \eta^2, \quad
      \gamma_1 + i \gamma_2 = -\kappa\, \frac{e + \eta^2}{1 - u}$$

    Args:
        theta_E: Einstein radius [arcsec] of the `SIE` that it becomes far out, at least 0.
        s_scale: core radius s [arcsec], at least 0; at 0 this is `SIE`.
        e1, e2: ellipticity as in `EPL`.
        center_x, center_y: the centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> lens = NIE(1.2, 0.1, e1=0.1)
    >>> [round(float(a), 4) for a in lens.deflection([0.8, -0.6])]
    [0.8117, -0.7048]
    """

    theta_E: jax.Array = eqx.field(converter=as_float)
    s_scale: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "theta_E", "s_scale", open_end=False)
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")

    def psi(self, x, y):
        """The lens potential [arcsec^2], with lenstronomy's constant."""
        x, y = from_centre(self, x, y)
        e1, e2, minor, core, depth, eta, _, u, strength = _softened(self, self.s_scale, x, y)
        ax, ay = times(strength * eta[0], strength * eta[1], *isothermal_angle(*u))
        theta_E, s = cast(x, self.theta_E, self.s_scale)
        inner = s * s * (2.0 * (1.0 + e1 * e1 + e2 * e2) / minor) + depth * (2.0 * core / minor)
        logarithm = jnp.log(at_least(x * x + y * y + inner, tiny(x)))
        return x * ax + y * ay - (0.5 * theta_E * s) * logarithm

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        return _isothermal_alpha(self, self.s_scale, *from_centre(self, x, y))

    def hessian(self, x, y):
        """Second derivatives of psi."""
        return _isothermal_hessian(self, self.s_scale, *from_centre(self, x, y))

    def kappa(self, x, y):
        """The convergence."""
        return _isothermal_kappa(self, self.s_scale, *from_centre(self, x, y))
