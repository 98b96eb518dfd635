r"""Mass that follows a Sersic profile, elliptical in the convergence.

With w of `simulators.lensing.ellipse`, R^2 = q x'^2 + y'^2 / q = |w|^2 / (1 - |e|^2) and
u = -e* w / w*, homoeoids (Bourassa & Kantowski 1975, ApJ 195, 13; Schramm 1990, A&A 231, 19) of any
convergence kappa(R) add up to

.. math:: \alpha = w \int_0^1 \frac{\kappa(R \sqrt s)}{D} ds, \quad
    \psi = \frac{R^2}{2} \int_0^1 \kappa(R \sqrt s)
        \left[2 \ln\left|\frac{D + 1 - u}{2}\right| - \ln s\right] ds, \quad
    D^2 = (1 - u)^2 + 4 u s

.. math:: \gamma_1 + i \gamma_2 = -e\, \kappa(R) - \frac{w}{w^*} (1 - u) (1 - |e|^2)
    \int_0^1 \frac{\kappa(R \sqrt s) - \kappa(R)}{D^3} ds

with alpha as a complex number. Where kappa is one, the first integral is one and the last
vanishes; |u| = |e| = (1 - q) / (1 + q), and the round lens, u = 0, is no special point.

The integrals are by Gauss-Legendre nodes in p for s = p^7 (8 - 7 p): in p the powers s^(1 / 2n) of
a Sersic profile and ln s are smooth enough, and the zero of D nearest to [0, 1] is far enough.
Incomplete gamma functions, which give the round lens, are not needed, nor their derivatives with
respect to the order.
"""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.lensing.directions import from_centre
from simulators.lensing.ellipse import check_ellipticity, ellipticity, flattened
from simulators.lensing.light.sersic import b_n
from simulators.lensing.mass.angular import times
from simulators.lensing.mass.base import AbstractMass
from simulators.shared.elementwise import at_least, at_most, tiny
from simulators.shared.fields import as_float, cast, check, check_finite


class SersicMass(AbstractMass):
    r"""Elliptical Sersic (1968) convergence; round, it is lenstronomy's "SERSIC".

    .. math:: \kappa = k_\mathrm{eff}\, e^{-b_n [(R / R_s)^{1/n} - 1]}, \quad
        R^2 = q x'^2 + y'^2 / q

    with x', y' [arcsec] along the major and the minor axis, so that R_sersic is the geometric mean
    of the semi-axes of the half-mass ellipse (lenstronomy's "SERSIC_ELLIPSE_KAPPA" has it along the
    major axis, and q = 1 - |e|). b_n is that of `light.Sersic`: a light profile of the
    same parameters traces this mass. lenstronomy's b_n, by default, is within 2e-3 of the one for
    which R_sersic holds half of the mass, `exact`.

    Against mpmath, for n from 0.5 to 8, q from 0.2 and R from 1e-3 to 500 R_sersic, the deflection
    and the potential are right to 2e-12 and the second derivatives to 1e-11 of their size in
    float64, where 88 exponentials are taken a ray.

    Args:
        k_eff: the convergence at R_sersic, at least 0.
        R_sersic: half-mass radius [arcsec], above 0.
        n_sersic: index, above 0.
        e1, e2: ellipticity, $(1 - q) / (1 + q)$ times $\cos 2\phi$, $\sin 2\phi$.
        center_x, center_y: the centre [arcsec].
        exact: whether b_n is exact (static).

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass.sersic import SersicMass
    >>> lens = SersicMass(0.5, 1.0, 4.0, e1=0.1)
    >>> [round(float(a), 4) for a in lens.deflection([0.6, 0.8])]
    [1.0158, 1.4915]
    """

    k_eff: jax.Array = eqx.field(converter=as_float)
    R_sersic: jax.Array = eqx.field(converter=as_float)
    n_sersic: jax.Array = eqx.field(converter=as_float)
    e1: jax.Array = eqx.field(converter=as_float, default=0.0)
    e2: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)
    exact: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check(self, "k_eff", open_end=False)
        check(self, "R_sersic", "n_sersic")
        check_ellipticity(self)
        check_finite(self, "center_x", "center_y")

    def _local(self, x, y):
        """(e1, e2, 1 - |e|^2), w, 1 / |w|^2, R^2, the convergence at the centre, (ln t, u, n).

        The convergence at R is that at the centre times exp(-t).
        """
        k_eff, radius, n = cast(x, self.k_eff, self.R_sersic, self.n_sersic)
        e1, e2, minor = ellipticity(x, self)
        wx, wy = flattened(*from_centre(self, x, y), e1, e2)
        square = at_least(wx * wx + wy * wy, tiny(x))
        inverse, r2 = 1.0 / square, square / minor
        b = b_n(n, self.exact)
        log_t = jnp.log(b) + (0.5 / n) * jnp.log(r2 / at_least(radius * radius, tiny(x)))
        c, s = (wx * wx - wy * wy) * inverse, 2.0 * wx * wy * inverse
        arguments = log_t, -(e1 * c + e2 * s), e2 * c - e1 * s, n
        return (e1, e2, minor), (wx, wy), (c, s), r2, k_eff * jnp.exp(b), arguments

    def psi(self, x, y):
        """The lens potential [arcsec^2], zero at the centre."""
        *_, r2, centre, arguments = self._local(x, y)
        return 0.5 * centre * r2 * _integral(_POTENTIAL, *arguments)[0]

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        _, (wx, wy), _, _, centre, arguments = self._local(x, y)
        real, imaginary = _integral(_DEFLECTION, *arguments)
        real = real + _profile(arguments[0])
        return times(centre * wx, centre * wy, real, imaginary)

    def hessian(self, x, y):
        """Second derivatives of psi."""
        (e1, e2, minor), _, (c, s), _, centre, arguments = self._local(x, y)
        _, ur, ui, _ = arguments
        g1, g2 = times(*_integral(_SHEAR, *arguments), *times(c, s, 1.0 - ur, -ui))
        kappa = centre * _profile(arguments[0])
        g1 = -e1 * kappa - centre * minor * g1
        g2 = -e2 * kappa - centre * minor * g2
        return kappa + g1, g2, kappa - g1

    def kappa(self, x, y):
        """The convergence."""
        *_, centre, arguments = self._local(x, y)
        return centre * _profile(arguments[0])


#: The integrals over s of exp(-t s^(1 / 2n)), of which the last two subtract exp(-t), times the
#: logarithm in psi, 1 / D and 1 / D^3.
_POTENTIAL, _DEFLECTION, _SHEAR = range(3)


def _profile(log_t):
    """exp(-t); t is held at 1e26, beyond which it has vanished, for the gradient's sake."""
    return jnp.exp(-jnp.exp(at_most(log_t, 60.0)))


@functools.cache
def _nodes(double):
    """Weights, s, 1 - s and ln s at the nodes."""
    nodes, weights = np.polynomial.legendre.leggauss(88 if double else 40)
    p, q = 0.5 * (1.0 + nodes), 0.5 * (1.0 - nodes)
    log_s = 7.0 * np.log(p) + np.log1p(7.0 * q)
    return 28.0 * weights * p**6 * q, np.exp(log_s), -np.expm1(log_s), log_s


def _summed(term, dtype):
    """Sum of `term(node)` over the nodes, one after the other: the memory is that of the rays."""
    nodes = tuple(jnp.asarray(v, dtype) for v in _nodes(dtype == jnp.float64))
    first, rest = (jax.tree.map(lambda v, k=k: v[k], nodes) for k in (0, slice(1, None)))

    def step(total, node):
        return jax.tree.map(jnp.add, total, term(node)), None

    return jax.lax.scan(step, term(first), rest)[0]


def _kernel(kind, ur, ui, s, rest):
    """What multiplies the profile, as (real, imaginary); `rest` is 1 - s."""
    # D^2 = (1 - u)^2 (1 - s) + (1 + u)^2 s
    low, high = times(1.0 - ur, -ui, 1.0 - ur, -ui), times(1.0 + ur, ui, 1.0 + ur, ui)
    a, b = (lo * rest + hi * s for lo, hi in zip(low, high, strict=True))
    m2 = a * a + b * b
    m = jnp.sqrt(m2)
    real = jnp.sqrt(0.5 * (m + a))
    imaginary = 0.5 * b / real
    if kind == _POTENTIAL:
        size = (real + (1.0 - ur)) ** 2 + (imaginary - ui) ** 2
        return (jnp.log(0.25 * size),)
    inverse = 1.0 / m
    real, imaginary = inverse * real, -inverse * imaginary
    if kind == _SHEAR:
        inverse = inverse * inverse
        return times(real, imaginary, inverse * a, -inverse * b)
    return real, imaginary


def _terms(kind, log_t, ur, ui, n):
    """Functions of a node: what it adds to an integral and to its derivatives."""
    # The mass beyond t = reach is below rounding: the nodes go to s < shrink, which is within.
    reach = 4.0 * n - 1.1 * math.log(float(jnp.finfo(log_t.dtype).eps))
    log_shrink = jax.lax.stop_gradient(2.0 * n * at_most(jnp.log(reach) - log_t, 0.0))
    shrink, missing = jnp.exp(log_shrink), -jnp.expm1(log_shrink)
    inner = jnp.exp(log_t + (0.5 / n) * log_shrink)
    outer = 0.0 if kind == _POTENTIAL else _profile(log_t)
    fall = 0.0 if kind == _POTENTIAL else jnp.exp(at_most(log_t, 60.0)) * outer

    def parts(node):
        weight, s, rest, log_s = node
        t = inner * jnp.exp((0.5 / n) * log_s)
        kernel = functools.partial(_kernel, kind, s=shrink * s, rest=missing + shrink * rest)
        return shrink * weight, t, jnp.exp(-t), kernel, log_s + log_shrink

    def value(node):
        weight, _, profile, kernel, log_s = parts(node)
        weight, rows = weight * (profile - outer), kernel(ur, ui)
        if kind == _POTENTIAL:
            rows = (rows[0] - log_s,)
        return [weight * row for row in rows]

    def slopes(node):
        """With respect to log_t, ur, ui and n, where the node stays."""
        weight, t, profile, kernel, log_s = parts(node)
        one = jnp.ones_like(ur)
        rows, along = jax.jvp(lambda v: kernel(v, ui), (ur,), (one,))
        if kind == _POTENTIAL:
            rows = (rows[0] - log_s,)
            _, across = jax.jvp(lambda v: kernel(ur, v), (ui,), (one,))
        else:
            across = -along[1], along[0]
        steep = t * profile
        factors = (
            (weight * (fall - steep), rows),
            (weight * (profile - outer), along),
            (weight * (profile - outer), across),
            (weight * steep * (0.5 / (n * n)) * log_s, rows),
        )
        return [[factor * row for row in rows] for factor, rows in factors]

    return value, slopes


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _integral(kind, log_t, ur, ui, n):
    """One of the integrals, as (real, imaginary)."""
    value, _ = _terms(kind, log_t, ur, ui, n)
    return _summed(value, log_t.dtype)


@_integral.defjvp
def _integral_jvp(kind, primals, tangents):
    """The derivatives are sums as well, so that a reverse pass keeps no node."""
    _, slopes = _terms(kind, *primals)
    total = None
    for rows, tangent in zip(_summed(slopes, primals[0].dtype), tangents, strict=True):
        rows = [row * tangent for row in rows]
        total = rows if total is None else [a + b for a, b in zip(total, rows, strict=True)]
    return _integral(kind, *primals), total
