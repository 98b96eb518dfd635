"""Galaxy-scale lenses against lenstronomy and, where its own steps show, mpmath; to 1e-10."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass.angular import isothermal_angle, power_law_angle
from simulators.lensing.mass.multipole import Multipole
from simulators.lensing.mass.point import SIS, Point
from simulators.lensing.mass.power_law import EPL, NIE, SIE
from simulators.lensing.mass.sheet import Shear, Sheet
from tests.lensing.mass.table import random_points

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="the peers are compared in float64"
)

PLACE = {"center_x": 0.05, "center_y": -0.1}
POINTS = random_points(120, seed=5, low=1e-3, high=300.0)
EPL_SETTINGS = {
    "EPL": (2.1, 0.15, -0.2),
    "EPL-round": (1.8, 0.0, 0.0),
    "EPL-isothermal": (2.0, 0.3, 0.1),
    "EPL-shallow": (1.2, -0.1, 0.25),
    "EPL-steep": (2.8, 0.2, 0.3),
    "EPL-flat": (2.2, 0.3, 0.6),
}

# name -> (lenstronomy's name, its parameters, ours, tolerance of the second derivatives).
# lenstronomy differences its NIE with a step of 1e-10: those are left to mpmath below.
LENSES = {
    "POINT_MASS": ("POINT_MASS", {"theta_E": 1.3}, Point(1.3, **PLACE), 1e-12),
    "SIS": ("SIS", {"theta_E": 1.3}, SIS(1.3, **PLACE), 1e-12),
    "MULTIPOLE-3": (
        "MULTIPOLE",
        {"m": 3, "a_m": 0.2, "phi_m": 0.4},
        Multipole(3, 0.2, 0.4, **PLACE),
        1e-12,
    ),
    "MULTIPOLE-4": (
        "MULTIPOLE",
        {"m": 4, "a_m": -0.1, "phi_m": 1.4},
        Multipole(4, -0.1, 1.4, **PLACE),
        1e-12,
    ),
    "NIE": (
        "NIE",
        {"theta_E": 1.3, "s_scale": 0.2, "e1": 0.1, "e2": -0.3},
        NIE(1.3, 0.2, 0.1, -0.3, **PLACE),
        None,
    ),
    "SIE": (
        "NIE",
        {"theta_E": 1.3, "s_scale": 1e-14, "e1": 0.1, "e2": -0.3},
        SIE(1.3, 0.1, -0.3, **PLACE),
        None,
    ),
} | {
    name: (
        "EPL",
        {"theta_E": 1.3, "gamma": gamma, "e1": e1, "e2": e2},
        EPL(1.3, gamma, e1, e2, **PLACE),
        1e-10,
    )
    for name, (gamma, e1, e2) in EPL_SETTINGS.items()
}


def _vector(lens, x, y):
    """All kernels, stacked: psi, alpha, hessian, kappa."""
    return jnp.stack([lens.psi(x, y), *lens.alpha(x, y), *lens.hessian(x, y), lens.kappa(x, y)])


@eqx.filter_jit
def _kernels(lenses, x, y):
    return {name: _vector(lens, x, y) for name, lens in lenses.items()}


@pytest.fixture(scope="module")
def ours():
    """Every lens of `LENSES` at `POINTS`, the EPLs batched: one program."""
    x, y = POINTS[:, 0], POINTS[:, 1]
    named = [name for name in LENSES if name.startswith("EPL")]
    stacked = jax.tree.map(lambda *p: jnp.stack(p), *(LENSES[name][2] for name in named))
    batch = jax.jit(jax.vmap(_vector, in_axes=(0, None, None)))(stacked, x, y)
    rest = {name: row[2] for name, row in LENSES.items() if name not in named}
    out = _kernels(rest, x, y)
    return jax.device_get(out | dict(zip(named, batch, strict=True)))


def _close(ours, theirs, tolerance):
    """Errors over the norm of each point's value, scalar or vector."""
    size = np.sqrt(np.sum(theirs**2, axis=0))
    assert np.max(np.sqrt(np.sum((ours - theirs) ** 2, axis=0)) / size) < tolerance


@pytest.mark.parametrize("name", LENSES)
def test_lenstronomy(name, ours):
    model = pytest.importorskip(
        "lenstronomy.LensModel.lens_model", reason="lenstronomy is a test extra"
    )
    profile, parameters, _, second = LENSES[name]
    theirs = model.LensModel([profile])
    x, y = np.asarray(POINTS).T
    arguments = (x, y, [parameters | PLACE])
    value = ours[name]
    np.testing.assert_allclose(value[0], theirs.potential(*arguments), rtol=1e-11, atol=1e-12)
    _close(value[1:3], np.stack(theirs.alpha(*arguments)), 1e-11)
    if second is not None:
        xx, xy, _, yy = theirs.hessian(*arguments)
        _close(value[3:6], np.stack([xx, xy, yy]), second)


def test_lenstronomy_sheets():
    model = pytest.importorskip(
        "lenstronomy.LensModel.lens_model", reason="lenstronomy is a test extra"
    )
    place = {"ra_0": 0.05, "dec_0": -0.1}
    x, y = np.asarray(POINTS).T
    for profile, parameters, lens in (
        ("SHEAR", {"gamma1": 0.03, "gamma2": -0.08}, Shear(0.03, -0.08, **PLACE)),
        ("CONVERGENCE", {"kappa": 0.1}, Sheet(0.1, **PLACE)),
    ):
        theirs, arguments = model.LensModel([profile]), (x, y, [parameters | place])
        value = np.asarray(_vector(lens, POINTS[:, 0], POINTS[:, 1]))
        np.testing.assert_allclose(value[0], theirs.potential(*arguments), rtol=1e-11, atol=1e-12)
        _close(value[1:3], np.stack(theirs.alpha(*arguments)), 1e-12)
        xx, xy, _, yy = theirs.hessian(*arguments)
        _close(value[3:6], np.stack([xx, xy, yy]), 1e-12)


AXIS_RATIOS = (1.0, 1.0 - 1e-9, 0.9, 0.6, 0.3, 0.1, 0.05)


def _directions():
    """u at every axis ratio and at phases with the real axis and its neighbourhood among them."""
    phase = np.concatenate([np.linspace(0.0, np.pi, 9), [1e-6, np.pi - 1e-6, -1.0]])
    f = np.array([(1.0 - q) / (1.0 + q) for q in AXIS_RATIOS])
    return f[:, None] * np.exp(1j * phase)


def _complex(pair):
    return np.asarray(pair[0]) + 1j * np.asarray(pair[1])


@pytest.mark.parametrize("tangent", ["value", "u", "a"])
def test_power_law_angle_against_mpmath(tangent):
    """The hypergeometric function and both its derivatives, for slopes from 1.01 to 2.99."""
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    u, slopes = _directions(), np.array([0.005, 0.1, 0.3, 0.5, 0.55, 0.8, 0.995])

    @jax.jit
    @jax.vmap
    def evaluate(a):
        def angle(ur, ui, a):
            return power_law_angle(ur, ui, a, 28)

        if tangent == "value":
            return angle(ur, ui, a)
        if tangent == "u":
            return jax.jvp(lambda v: angle(v, ui, a), (ur,), (jnp.ones_like(ur),))[1]
        return jax.jvp(lambda a: angle(ur, ui, a), (a,), (jnp.ones_like(a),))[1]

    ur, ui = jnp.asarray(u.real), jnp.asarray(u.imag)
    ours = _complex(evaluate(jnp.asarray(slopes)))

    def exact(a, z):
        a, z, h = mp.mpf(a), mp.mpc(z.real, z.imag), mp.mpf(10) ** -14
        if tangent == "value":
            return mp.hyp2f1(1, a, 2 - a, z)
        if tangent == "u":
            return mp.hyp2f1(2, a + 1, 3 - a, z) * a / (2 - a)
        up, down = (mp.hyp2f1(1, a + s, 2 - a - s, z) for s in (h, -h))
        return (up - down) / (2 * h)

    with mp.workdps(40):
        theirs = np.array([[complex(exact(a, z)) for z in u.ravel()] for a in slopes])
    theirs = theirs.reshape(ours.shape)
    error = np.abs(ours - theirs) / (np.abs(theirs) + (np.abs(theirs) == 0.0))
    # rounding; the last row, q = 0.05, is where the series ends at 28 terms
    assert error[:, :-1].max() < 3e-14
    assert error.max() < 1e-11


def test_isothermal_angle_against_mpmath():
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    u = _directions()
    ur, ui = jnp.asarray(u.real), jnp.asarray(u.imag)
    value, slope = jax.jit(
        lambda ur, ui: jax.jvp(isothermal_angle, (ur, ui), (jnp.ones_like(ur), jnp.zeros_like(ui)))
    )(ur, ui)
    with mp.workdps(40):
        z = [mp.mpc(v.real, v.imag) for v in u.ravel()]
        exact = np.array([complex(mp.hyp2f1(1, 0.5, 1.5, v)) for v in z]).reshape(u.shape)
        steep = np.array([complex(mp.hyp2f1(2, 1.5, 2.5, v) / 3) for v in z]).reshape(u.shape)
    assert np.max(np.abs(_complex(value) - exact) / np.abs(exact)) < 1e-14
    assert np.max(np.abs(_complex(slope) - steep) / np.abs(steep)) < 1e-14


@pytest.mark.parametrize("q", [0.999, 0.6, 0.05])
@pytest.mark.parametrize("s_scale", [0.0, 0.3])
def test_isothermal_ellipsoid_against_kormann(q, s_scale):
    """The real arctangent and artanh of Keeton & Kochanek (1998, eq. 7), in fifty digits."""
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    theta_E, angle, e = 1.3, 0.4, (1.0 - q) / (1.0 + q)
    e1, e2 = e * math.cos(2.0 * angle), e * math.sin(2.0 * angle)
    points = np.asarray(random_points(16, seed=2, low=1e-2, high=30.0))
    lenses = {"NIE": NIE(theta_E, s_scale, e1, e2)}
    if s_scale == 0.0:
        lenses |= {"SIE": SIE(theta_E, e1, e2)}
    found = _kernels(lenses, jnp.asarray(points[:, 0]), jnp.asarray(points[:, 1]))
    with mp.workdps(50):
        # from the rounded e1 and e2 of the lens
        e1, e2 = mp.mpf(e1), mp.mpf(e2)
        e, turn = mp.sqrt(e1**2 + e2**2), mp.atan2(e2, e1) / 2
        q = (1 - e) / (1 + e)
        k, b, s = mp.sqrt(1 - q**2), theta_E * mp.sqrt(q), mp.mpf(s_scale) / mp.sqrt(q)
        cos, sin = mp.cos(turn), mp.sin(turn)

        def deflection(x, y):
            x, y = x * cos + y * sin, y * cos - x * sin
            depth = mp.sqrt(q**2 * (s**2 + x**2) + y**2)
            along = b / k * mp.atan(k * x / (depth + s))
            across = b / k * mp.atanh(k * y / (depth + q**2 * s))
            return mp.matrix([along * cos - across * sin, along * sin + across * cos])

        rows = []
        for x, y in points:
            x, y = mp.mpf(float(x)), mp.mpf(float(y))
            h = mp.mpf(10) ** -15
            dx = (deflection(x + h, y) - deflection(x - h, y)) / (2 * h)
            dy = (deflection(x, y + h) - deflection(x, y - h)) / (2 * h)
            rows.append([*map(float, (*deflection(x, y), dx[0], dx[1], dy[1]))])
    exact = np.array(rows).T
    for value in map(np.asarray, found.values()):
        _close(value[1:3], exact[:2], 1e-13)
        _close(value[3:6], exact[2:], 1e-12)
        kappa = 0.5 * (exact[2] + exact[4])
        np.testing.assert_allclose(value[6], kappa, rtol=1e-11)


def test_more_terms_serve_flatter_lenses():
    """q = 0.01: 28 terms leave 1e-9, 60 leave rounding."""
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    e1, gamma = (1.0 - 0.01) / 1.01, 2.4
    points = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1e-3], [0.5, -0.7]])
    with mp.workdps(30):
        e, a = mp.mpf(e1), (mp.mpf(gamma) - 1) / 2
        rows = []
        for x, y in points:
            z = mp.mpc(float(x), float(y))
            w = z - e * mp.conj(z)
            f = mp.hyp2f1(1, a, 2 - a, -e * w / mp.conj(w))
            rows.append(complex(w * f * (mp.sqrt(1 - e**2) / abs(w)) ** (2 * a)))
    exact = np.array(rows)
    for terms, low, high in ((None, 1e-11, 1e-8), (60, 0.0, 1e-13)):
        lens = EPL(1.0, gamma, e1, terms=terms)
        alpha = _complex(eqx.filter_jit(lens.alpha)(*map(jnp.asarray, points.T)))
        error = np.max(np.abs(alpha - exact) / np.abs(exact))
        assert low <= error < high
