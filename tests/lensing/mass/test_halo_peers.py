"""Haloes against lenstronomy, and against fifty digits where that loses its own."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass import halo_functions as functions
from simulators.lensing.mass.dual_pie import DualPIE
from simulators.lensing.mass.nfw import NFW, TNFW, NFWEllipsePotential
from simulators.lensing.mass.stellar import Chameleon

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="compares with double precision"
)

ANGLE = np.linspace(0.1, 6.0, 40)
RADIUS = np.geomspace(0.05, 40.0, 40)
X, Y = RADIUS * np.cos(ANGLE), RADIUS * np.sin(ANGLE)
PLACE = {"center_x": 0.03, "center_y": -0.02}


@pytest.mark.parametrize(
    ("ours", "name", "hessian"),
    [
        (NFW(2.0, 1.1, **PLACE), "NFW", 1e-10),
        (NFWEllipsePotential(2.0, 1.1, 0.1, -0.2, **PLACE), "NFW_ELLIPSE_POTENTIAL", None),
        # lenstronomy's closed forms cancel by four digits at small radii
        (TNFW(0.5, 0.3, 2.0, **PLACE), "TNFW", 1e-10),
        (TNFW(2.0, 0.3, 0.5), "TNFW", 1e-9),
        (DualPIE(3.0, 0.1, 2.0, 0.0, 0.0, **PLACE), "PJAFFE", 1e-10),
        (DualPIE(3.0, 0.1, 2.0, 0.1, -0.2, **PLACE), "PJAFFE_ELLIPSE_POTENTIAL", None),
        (Chameleon(0.8, 0.05, 1.0, 0.1, -0.2, **PLACE), "CHAMELEON", None),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_lenstronomy(ours, name, hessian):
    """`hessian` is the tolerance, None where lenstronomy takes finite differences."""
    lens_model = pytest.importorskip(
        "lenstronomy.LensModel.lens_model", reason="lenstronomy is a test extra"
    )
    theirs = lens_model.LensModel([name])
    # its normalisation takes a lens of q = 1 - 1e-8 for the round one
    tolerance = 1e-8 if name == "CHAMELEON" else 1e-10
    fields = {k: float(getattr(ours, k)) for k in ours.__dataclass_fields__}
    if name == "PJAFFE":
        del fields["e1"], fields["e2"]
    x, y = jnp.asarray(X), jnp.asarray(Y)
    psi, alpha, second = jax.device_get(
        jax.jit(lambda m: (m.psi(x, y), m.alpha(x, y), m.hessian(x, y)))(ours)
    )
    expected = theirs.potential(X, Y, [fields])
    change = np.abs((psi - psi[0]) - (expected - expected[0]))
    assert np.max(change / np.abs(expected - expected[0]).max()) < tolerance
    expected = np.array(theirs.alpha(X, Y, [fields]))
    size = np.linalg.norm(expected, axis=0)
    assert np.max(np.abs(alpha - expected) / size) < tolerance
    if hessian is not None:
        xx, xy, _, yy = theirs.hessian(X, Y, [fields])
        expected = np.array([xx, xy, yy])
        assert np.max(np.abs(second - expected) / np.linalg.norm(expected, axis=0)) < hessian


# Inside, at the seam of the two closed forms, and around R = Rs.
SPECIAL = (0.7, 0.5**0.5 - 1e-9, 0.5**0.5 + 1e-9, 1 - 1e-3, 1 - 1e-8, 1.0, 1 + 1e-12, 1 + 1e-4)
POINTS = np.sort(np.concatenate([np.geomspace(1e-6, 1e6, 25), SPECIAL])) ** 2
RATIOS = (1e-3, 0.3, 1.0, 20.0, 1e4)


def _carlson(mp, u):
    x = mp.sqrt(u)
    if u == 1:
        return mp.mpf(1)
    return mp.acosh(1 / x) / mp.sqrt(1 - u) if u < 1 else mp.acos(1 / x) / mp.sqrt(u - 1)


def _kappa(mp, u):
    return (_carlson(mp, u) - 1) / (1 - u) if u != 1 else mp.mpf(1) / 3


def _pull(mp, u):
    return (mp.log(mp.sqrt(u) / 2) + _carlson(mp, u)) / u


def _psi(mp, u):
    return mp.log(mp.sqrt(u) / 2) ** 2 + (u - 1) * _carlson(mp, u) ** 2


def _baltz_kappa(mp, u, tau):
    """Baltz, Marshall & Oguri (2009), equation A8 over 2 rho_0 Rs."""
    root = mp.sqrt(tau**2 + u)
    log = mp.log(mp.sqrt(u) / (tau + root))
    terms = (tau**2 + 1) * _kappa(mp, u) + 2 * _carlson(mp, u) - mp.pi / root
    return tau**2 / (tau**2 + 1) ** 2 * (terms + (tau**2 - 1) / (tau * root) * log)


def _baltz_pull(mp, u, tau):
    """Their equation A11, the mass within R, over u."""
    root = mp.sqrt(tau**2 + u)
    log = mp.log(mp.sqrt(u) / (tau + root))
    terms = (tau**2 + 1 + 2 * (u - 1)) * _carlson(mp, u) + tau * mp.pi
    terms += (tau**2 - 1) * mp.log(tau) + root * (-mp.pi + log * (tau**2 - 1) / tau)
    return tau**2 / (tau**2 + 1) ** 2 * terms / u


@functools.cache
def _with_slopes(name):
    """Values and derivatives of a function, one program for all points and ratios."""
    function = getattr(functions, name)
    u, tau = jnp.asarray(POINTS), jnp.asarray(RATIOS)
    if name.startswith("nfw"):
        return jax.device_get(jax.jit(jax.vmap(jax.value_and_grad(function)))(u))
    both = jax.value_and_grad(function, (0, 1))
    return jax.device_get(jax.jit(jax.vmap(jax.vmap(both, (0, None)), (None, 0)))(u, tau))


@pytest.mark.parametrize(
    ("name", "exact"), [("nfw_kappa", _kappa), ("nfw_pull", _pull), ("nfw_psi", _psi)]
)
def test_nfw_keeps_its_digits(name, exact):
    """Values to 1e-13 and derivatives to 1e-11, through u = 1 and for every radius."""
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    value, slope = _with_slopes(name)
    with mp.workdps(60):
        at = [mp.mpf(float(u)) for u in POINTS]
        expected = [float(exact(mp, u)) for u in at]
        slopes = [float(mp.diff(lambda v: exact(mp, v), u, h=u * mp.mpf(10) ** -15)) for u in at]
    np.testing.assert_allclose(value, expected, rtol=1e-13)
    np.testing.assert_allclose(slope, slopes, rtol=1e-11)


@pytest.mark.parametrize(("name", "exact"), [("kappa", _baltz_kappa), ("pull", _baltz_pull)])
def test_tnfw_keeps_its_digits(name, exact):
    """Pull to 1e-13 of itself and kappa to 1e-13 of the pull, for any radius and truncation.

    Their derivatives along u and tau likewise, over u and tau.
    """
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    value, (along, across) = _with_slopes(f"tnfw_{name}")
    with mp.workdps(60):
        h = mp.mpf(10) ** -15
        for i, ratio in enumerate(RATIOS):
            for k, point in enumerate(POINTS):
                u, tau = mp.mpf(float(point)), mp.mpf(ratio)
                size = float(_baltz_pull(mp, u, tau))
                assert abs(value[i, k] - float(exact(mp, u, tau))) < 1e-13 * size
                slope = float(mp.diff(lambda v, t=tau: exact(mp, v, t), u, h=u * h))
                assert abs(along[i, k] - slope) < 1e-12 * size / point
                slope = float(mp.diff(lambda t, v=u: exact(mp, v, t), tau, h=tau * h))
                assert abs(across[i, k] - slope) < 1e-12 * size / ratio


def test_tnfw_potential_is_the_integral_of_the_deflection():
    value, (along, _) = _with_slopes("tnfw_psi")
    pull, _ = _with_slopes("tnfw_pull")
    np.testing.assert_allclose(along, pull, rtol=1e-13)
    for name in ("nfw", "tnfw"):
        value, _ = _with_slopes(f"{name}_psi")
        pull, _ = _with_slopes(f"{name}_pull")
        kappa, _ = _with_slopes(f"{name}_kappa")
        u = POINTS[:4]
        # at the centre pull = a - b ln u with b = pull - kappa / 2 there, so psi = u (pull + b)
        np.testing.assert_allclose(
            value[..., :4] / u, (2.0 * pull - 0.5 * kappa)[..., :4], rtol=2e-3
        )


def test_tnfw_becomes_nfw():
    x, y = jnp.asarray(X), jnp.asarray(Y)
    cut, whole = TNFW(2.0, 1.1, 1e9, **PLACE), NFW(2.0, 1.1, **PLACE)
    for a, b in zip(cut.alpha(x, y), whole.alpha(x, y), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
