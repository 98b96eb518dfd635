"""The Sersic mass against twenty digits, lenstronomy, and the light that traces it."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.light import Sersic
from simulators.lensing.mass import SersicMass
from tests.properties import QUICK

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="compares with double precision"
)

# n, q, position angle of the major axis, R / R_sersic, polar angle from the major axis
SETTINGS = [
    (0.5, 0.2, 0.4, 0.8, 0.0),
    (0.5, 0.3, 0.4, 50.0, 1.2),
    (1.0, 0.2, 1.1, 2.0, math.pi / 2),
    (1.0, 1.0, 0.0, 1.0, 0.7),
    (4.0, 0.2, 1.1, 3.0, 0.02),
    (4.0, 0.2, 0.0, 500.0, 0.3),
    (8.0, 0.2, -0.6, 1e-3, 0.05),
    (8.0, 0.2, -0.6, 0.8, 1.5),
    (8.0, 0.8, -0.6, 50.0, 0.6),
]


@functools.partial(jax.jit, compiler_options=QUICK)
def _evaluate(lenses, x, y):
    def one(lens, x, y):
        def kernels(lens):
            return jnp.stack([lens.psi(x, y), *lens.alpha(x, y), *lens.hessian(x, y)])

        return kernels(lens), jax.jacfwd(kernels)(lens)

    return jax.vmap(one)(lenses, x, y)


def _batch(step=0.0):
    """One lens and one ray for each of `SETTINGS`; `step` is added to every index."""
    n, q, turn, radius, angle = np.array(SETTINGS).T
    e = (1.0 - q) / (1.0 + q)
    scale = 0.7 * radius
    u, v = scale / np.sqrt(q) * np.cos(angle), scale * np.sqrt(q) * np.sin(angle)
    x, y = u * np.cos(turn) - v * np.sin(turn), u * np.sin(turn) + v * np.cos(turn)
    one = np.ones_like(n)
    lens = SersicMass(
        0.6 * one, 0.7 * one, n + step, e * np.cos(2 * turn), e * np.sin(2 * turn), 0 * one, 0 * one
    )
    return lens, jnp.asarray(x), jnp.asarray(y)


def _exact(mp, n, e1, e2, x, y):
    """Keeton (2001, astro-ph/0102341, section 2): psi, alpha, hessian by integrals over circles."""
    e, turn = mp.sqrt(e1**2 + e2**2), mp.atan2(e2, e1) / 2
    q, b = (1 - e) / (1 + e), mp.mpf(1.9992) * n - mp.mpf(0.3271)
    cos, sin = mp.cos(turn), mp.sin(turn)
    x, y = x * cos + y * sin, y * cos - x * sin
    # the profile of the squared major axis: R^2 = q a^2
    scale, centre = q / mp.mpf(0.7) ** 2, mp.mpf(0.6) * mp.exp(b)

    def t(square):
        return b * (scale * square) ** (1 / (2 * n))

    def form(v):
        return 1 - (1 - q * q) * v

    def square(v):
        return v * (x * x + y * y / form(v))

    def pull(s):
        return 2 * n * centre * t(s) ** (-2 * n) * mp.gammainc(2 * n, 0, t(s))

    # most of the light of n = 1/2 lies within a small part of [0, 1] far out
    inner = min(mp.mpf(1) / 2, (30 / b) ** (2 * n) / square(mp.mpf(1)) / scale)

    def integral(f):
        return mp.quad(f, [0, inner, 1])

    def j(k):
        return integral(lambda v: centre * mp.exp(-t(square(v))) * form(v) ** (-k - 0.5))

    def slope(k):
        def f(v):
            s = square(v)
            return -v * centre * mp.exp(-t(s)) * t(s) / (2 * n * s) * form(v) ** (-k - 0.5)

        return integral(f)

    psi = q / 2 * integral(lambda v: square(v) / v * pull(square(v)) / mp.sqrt(form(v)))
    ax, ay = q * x * j(0), q * y * j(1)
    xx, yy = 2 * q * x * x * slope(0) + q * j(0), 2 * q * y * y * slope(2) + q * j(1)
    xy = 2 * q * x * y * slope(1)
    turned = mp.matrix([[cos, -sin], [sin, cos]])
    second = turned * mp.matrix([[xx, xy], [xy, yy]]) * turned.T
    a = turned * mp.matrix([ax, ay])
    return [float(v) for v in (psi, a[0], a[1], second[0, 0], second[0, 1], second[1, 1])]


def _errors(found, exact):
    """Of psi, the deflection and the second derivatives, each over its size."""
    parts = (slice(0, 1), slice(1, 3), slice(3, 6))
    return np.array(
        [
            np.linalg.norm(found[:, p] - exact[:, p], axis=1) / np.linalg.norm(exact[:, p], axis=1)
            for p in parts
        ]
    )


def test_against_mpmath():
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    lens, x, y = _batch()
    found, _ = _evaluate(lens, x, y)
    rows = zip(*map(np.asarray, (lens.n_sersic, lens.e1, lens.e2, x, y)), strict=True)
    with mp.workdps(20):
        exact = np.array([_exact(mp, *(mp.mpf(float(v)) for v in row)) for row in rows])
    errors = _errors(np.asarray(found), exact)
    assert errors[:2].max() < 2e-12
    assert errors[2].max() < 1e-11


def test_derivative_with_respect_to_the_index():
    """Where incomplete gamma functions would be asked for their order."""
    step = 1e-5
    ours = np.asarray(_evaluate(*_batch())[1].n_sersic)
    up, down = (np.asarray(_evaluate(*_batch(s))[0]) for s in (step, -step))
    assert _errors(ours, (up - down) / (2.0 * step)).max() < 1e-7


def test_lenstronomy():
    """Its elliptical lens has q = 1 - |e| and R_sersic along the major axis."""
    model = pytest.importorskip(
        "lenstronomy.LensModel.lens_model", reason="lenstronomy is a test extra"
    )
    fields = {"k_eff": 0.6, "R_sersic": 0.7, "n_sersic": 3.0}
    n = len(SETTINGS)
    angle = np.arange(float(n))
    x, y = 0.1 * angle * np.cos(angle) + 0.02, 0.1 * angle * np.sin(angle)
    q, turn, flat = 0.7, 0.4, np.arange(n) % 2
    e1, e2 = (1.0 - q) * np.cos(2 * turn), (1.0 - q) * np.sin(2 * turn)
    lens = SersicMass(
        jnp.full(n, 0.6),
        0.7 * np.where(flat, np.sqrt(q), 1.0),
        jnp.full(n, 3.0),
        flat * e1 / (1.0 + q),
        flat * e2 / (1.0 + q),
        jnp.zeros(n),
        jnp.zeros(n),
    )
    psi, ax, ay, *_ = np.asarray(_evaluate(lens, jnp.asarray(x), jnp.asarray(y))[0]).T
    for name, extra, rays, tolerance in (
        ("SERSIC", {}, flat == 0, 1e-12),
        ("SERSIC_ELLIPSE_KAPPA", {"e1": e1, "e2": e2}, flat == 1, 1e-8),
    ):
        theirs, arguments = model.LensModel([name]), (x[rays], y[rays], [fields | extra])
        expected = theirs.alpha(*arguments)
        np.testing.assert_allclose([ax[rays], ay[rays]], expected, rtol=tolerance)
        if name == "SERSIC":
            expected = theirs.potential(*arguments)
            found = psi[rays] - psi[rays][0]
            np.testing.assert_allclose(found, expected - expected[0], rtol=1e-11)


@pytest.mark.parametrize("exact", [False, True])
def test_light_traces_the_mass(exact):
    shared = {"R_sersic": 0.7, "n_sersic": 3.0, "e1": 0.1, "e2": -0.2, "exact": exact}
    x, y = jnp.asarray([0.3, -1.0, 0.02]), jnp.asarray([0.1, 0.7, -0.03])
    light = Sersic(0.6, **shared).brightness(x, y)
    np.testing.assert_allclose(SersicMass(0.6, **shared).kappa(x, y), light, rtol=1e-13)


@pytest.mark.parametrize("field", ["k_eff", "R_sersic", "n_sersic", "e1", "center_x"])
def test_refusals(field):
    good = {"k_eff": 0.5, "R_sersic": 1.0, "n_sersic": 4.0, "e1": 0.1, "center_x": 0.0}
    with pytest.raises(ValueError, match=f"SersicMass: .*`{field}`"):
        SersicMass(**good | {field: {"k_eff": -1.0, "e1": 1.5}.get(field, math.nan)})
