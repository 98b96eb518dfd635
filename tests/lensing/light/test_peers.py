"""Light profiles against lenstronomy, scipy and closed forms."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.light import (
    Gaussian,
    PixelSource,
    Sersic,
    Shapelets,
    b_n_exact,
    b_n_linear,
)
from tests.lensing.light.table import CASES, random_points, special_points

X, Y = (np.concatenate(pair) for pair in zip(random_points(200, 5), special_points(), strict=True))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.peer])
def test_lenstronomy(name):
    module = pytest.importorskip(
        "lenstronomy.LightModel.light_model", reason="lenstronomy is not installed"
    )
    case = CASES[name]
    fields = {
        f.name: np.asarray(getattr(case.light, f.name)) for f in dataclasses.fields(case.light)
    }
    skip = ("exact", *case.without)
    kwargs = {k: v for k, v in fields.items() if k not in skip} | case.also
    # lenstronomy cuts Sersic profiles at 1000 R_sersic, where they are below 1e-10 of the peak
    theirs = module.LightModel([case.peer]).surface_brightness(X, Y, [kwargs])
    ours = case.light.brightness(jnp.asarray(X), jnp.asarray(Y))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-11)


def test_b_n():
    special = pytest.importorskip("scipy.special", reason="scipy is a test extra")
    n = np.concatenate([np.geomspace(0.1, 100.0, 1000), np.linspace(0.3, 10.0, 1000)])
    np.testing.assert_allclose(
        jax.jit(b_n_exact)(jnp.asarray(n)), special.gammaincinv(2.0 * n, 0.5), rtol=1e-10
    )
    np.testing.assert_allclose(
        b_n_linear(jnp.asarray(n[1000:])), 1.9992 * n[1000:] - 0.3271, rtol=1e-15
    )
    single = b_n_exact(jnp.asarray(n, "float32"))
    np.testing.assert_allclose(single, special.gammaincinv(2.0 * n, 0.5), rtol=3e-6)


def test_b_n_to_all_digits():
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    n = np.geomspace(0.101, 60.0, 25)
    ours, slope = jax.vmap(jax.value_and_grad(b_n_exact))(jnp.asarray(n))
    with mp.workdps(30):
        for m, b, db in zip(n, np.asarray(ours), np.asarray(slope), strict=True):
            a, x = 2 * mp.mpf(m), mp.mpf(b)
            half = lambda a, x: mp.gammainc(a, 0, x, regularized=True) - mp.mpf("0.5")  # noqa: E731
            density = mp.exp(-x) * x ** (a - 1) / mp.gamma(a)
            # one step of Newton's method is the error
            assert abs(half(a, x) / density) < 1e-13 * x
            rate = (half(a + mp.mpf("1e-10"), x) - half(a - mp.mpf("1e-10"), x)) / mp.mpf("2e-10")
            assert abs(-2 * rate / density - db) < 1e-11 * db


def _polar_flux(light, q, phi, scale):
    """Flux by quadrature in elliptical coordinates, log-spaced in radius."""
    log_r = np.linspace(np.log(1e-4 * scale), np.log(2e4 * scale), 3000)
    angle = np.arange(64) * (2.0 * np.pi / 64)
    r = np.exp(log_r)[:, None]
    u, v = r * np.cos(angle) / np.sqrt(q), r * np.sin(angle) * np.sqrt(q)
    x, y = u * np.cos(phi) - v * np.sin(phi), u * np.sin(phi) + v * np.cos(phi)
    rings = np.mean(light.brightness(jnp.asarray(x), jnp.asarray(y)), axis=1) * 2.0 * np.pi
    terms = rings * r[:, 0] ** 2 * (log_r[1] - log_r[0])
    return np.cumsum(terms) - 0.5 * terms, np.exp(log_r)


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
def test_half_of_the_light_is_within_the_half_light_radius(n):
    q, phi = 0.6, 0.4
    e1, e2 = ((1 - q) / (1 + q) * f(2 * phi) for f in (np.cos, np.sin))
    light = Sersic(2.0, 0.7, n, e1, e2, exact=True)
    enclosed, radius = _polar_flux(light, q, phi, 0.7)
    # the quadrature starts at 1e-4 R_sersic, and the core is flat within 1e-4 arcsec
    assert abs(enclosed[-1] / float(light.flux()) - 1.0) < 2e-5
    half = np.interp(np.log(0.7), np.log(radius), enclosed)
    assert abs(half / float(light.flux()) - 0.5) < 2e-5
    linear = Sersic(2.0, 0.7, n, e1, e2)
    assert abs(_polar_flux(linear, q, phi, 0.7)[0][-1] / float(linear.flux()) - 1.0) < 2e-5


def test_flux_of_lenstronomy():
    module = pytest.importorskip(
        "lenstronomy.LightModel.light_model", reason="lenstronomy is not installed"
    )
    kwargs = {"amp": 2.0, "R_sersic": 0.7, "n_sersic": 3.5, "e1": 0.1, "e2": 0.2}
    theirs = module.LightModel(["SERSIC_ELLIPSE"]).total_flux(
        [kwargs | {"center_x": 0.0, "center_y": 0.0}]
    )
    np.testing.assert_allclose(Sersic(**kwargs).flux(), theirs[0], rtol=1e-12)


def test_gaussian_flux_and_shapelets_are_orthogonal():
    grid = np.arange(-60, 61) * 0.05
    x, y = (jnp.asarray(v) for v in np.meshgrid(grid, grid))
    light = Gaussian(3.0, 0.3, 0.2, 0.1)
    assert abs(float(jnp.sum(light.brightness(x, y))) * 0.05**2 - 3.0) < 1e-10
    basis = Shapelets(np.ones(15), 4, 0.3).basis(x, y).reshape(15, -1)
    np.testing.assert_allclose(basis @ basis.T * 0.05**2 / 0.3**2, np.eye(15), rtol=0, atol=1e-10)
    amp = np.random.default_rng(0).normal(size=15)
    total = Shapelets(amp, 4, 0.3).brightness(x, y).reshape(-1)
    np.testing.assert_allclose(total, amp @ np.asarray(basis), rtol=0, atol=1e-13)


def test_pixels_of_lenstronomy():
    module = pytest.importorskip(
        "lenstronomy.LightModel.light_model", reason="lenstronomy is not installed"
    )
    values = np.random.default_rng(8).uniform(0.0, 2.0, (9, 9))
    kwargs = {"image": values, "amp": 1.0, "center_x": 0.1, "center_y": -0.2, "phi_G": 0.0}
    theirs = module.LightModel(["INTERPOL"]).surface_brightness(X, Y, [kwargs | {"scale": 0.3}])
    ours = PixelSource(values, 0.3, 0.1, -0.2).brightness(jnp.asarray(X), jnp.asarray(Y))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 3])
def test_pixels(order):
    height, width, scale = 6, 11, 0.3
    i, j = np.mgrid[:height, :width]
    values = np.random.default_rng(1).uniform(0.0, 2.0, (height, width))
    x = 0.2 + (j - (width - 1) / 2) * scale
    y = -0.1 + (i - (height - 1) / 2) * scale

    @jax.jit
    def at(values, x, y):
        return PixelSource(values, scale, 0.2, -0.1, order=order).brightness(x, y)

    np.testing.assert_allclose(at(values, x, y), values, rtol=0, atol=1e-13)
    # what is linear (order 1) or quadratic (order 3) is reproduced between the inner pixels
    curve = 0.0 if order == 1 else 1.0
    form = lambda x, y: 1.0 + 0.3 * x - 0.7 * y + curve * (x * x - 0.4 * x * y)  # noqa: E731
    rng = np.random.default_rng(2)
    px, py = rng.uniform(-0.9, 1.1, (height, width)), rng.uniform(-0.5, 0.3, (height, width))
    np.testing.assert_allclose(at(form(x, y), px, py), form(px, py), rtol=0, atol=1e-13)
    # zero beyond, and continuous on the way
    reach = (order + 1) / 2
    edge = 0.2 + ((width - 1) / 2 + reach) * scale
    for outside in (edge + 1e-9, edge + 1.0, 1e6):
        assert not np.any(at(values, 0.0 * x + outside, y))
    assert np.max(np.abs(at(values, 0.0 * x + edge - 1e-7, y))) < 1e-5


def test_the_cubic_has_a_continuous_gradient():
    values = jnp.asarray(np.random.default_rng(1).uniform(0.0, 2.0, (6, 8)))
    slope = jax.jit(
        jax.vmap(jax.grad(lambda x: PixelSource(values, 1.0, order=3).brightness(x, 0.3 * x)))
    )
    knots = jnp.arange(-7.0, 8.0) * 0.5
    jump = slope(knots + 1e-8) - slope(knots - 1e-8)
    assert np.max(np.abs(jump)) < 1e-6


def test_gradient_with_respect_to_the_pixels():
    """The brightness is linear in the values, and the weights of inner points sum to one."""
    values = jnp.asarray(np.random.default_rng(1).uniform(0.0, 2.0, (6, 8)))
    for order in (1, 3):
        total = lambda v, o=order: PixelSource(v, 1.0, order=o).brightness(  # noqa: E731
            jnp.asarray([0.3, -1.2]), jnp.asarray([0.1, 0.4])
        )
        value, pull = jax.vjp(lambda v, t=total: jnp.sum(t(v)), values)
        (weights,) = pull(jnp.ones_like(value))
        np.testing.assert_allclose(jnp.sum(weights), 2.0, rtol=1e-13)
        np.testing.assert_allclose(jnp.sum(weights * values), value, rtol=1e-13)
