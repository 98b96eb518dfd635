"""Lenses of pixels: exact sums over pixels, smooth lenses that they sample, and splines."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass import NIE, PixelConvergence, PixelPotential
from simulators.lensing.mass.pixel_kernels import pixel
from tests.properties import QUICK

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="compares with double precision"
)

SIGMA = 0.6


def _centres(size, scale, center=(0.0, 0.0)):
    """Pixel centres (x, y), each of shape `size`."""
    v, u = ((np.arange(n) - 0.5 * (n - 1)) * scale for n in size)
    return np.meshgrid(u + center[0], v + center[1])


@functools.partial(jax.jit, compiler_options=QUICK)
def _kernels(lens, x, y):
    return jnp.stack([lens.psi(x, y), *lens.alpha(x, y), *lens.hessian(x, y)])


def test_pixels_are_integrated_exactly():
    """The closed forms, near and far, against Gauss-Legendre nodes in the pixel."""
    x, y = np.array([(1.0, 0.0), (-2.0, 3.0), (7.0, 3.0), (8.0, 0.0), (30.0, -70.0)]).T
    nodes, weights = np.polynomial.legendre.leggauss(40)
    u, v = (x[:, None, None] - 0.5 * nodes), (y[:, None, None] - 0.5 * nodes[:, None])
    r2, each = u * u + v * v, np.outer(weights, weights) / (4.0 * np.pi)
    rows = (0.5 * np.log(r2), u / r2, v / r2, -2.0 * u * v / r2**2)
    expected = np.stack([np.sum(each * row, axis=(1, 2)) for row in rows])
    np.testing.assert_allclose(pixel(x, y), expected, rtol=0, atol=1e-14)


def test_convergence_is_the_sum_over_pixels():
    """Exact at every centre of the array and the margin; multipoles beyond."""
    rng = np.random.default_rng(1)
    values, scale, center, margin = rng.uniform(0.0, 1.0, (5, 8)), 0.3, (0.2, -0.1), 3
    lens = PixelConvergence(values, scale, *center, margin=margin)
    x, y = _centres((11, 14), scale, center)
    px, py = _centres((5, 8), scale, center)
    offset = (x[..., None, None] - px) / scale, (y[..., None, None] - py) / scale
    psi, ax, ay, xy = np.sum(values * pixel(*map(np.rint, offset)), axis=(-2, -1))
    found = np.asarray(_kernels(lens, jnp.asarray(x), jnp.asarray(y)))
    np.testing.assert_allclose(found[0], scale**2 * psi, rtol=0, atol=1e-13)
    np.testing.assert_allclose(found[1:3], scale * np.stack([ax, ay]), rtol=0, atol=1e-13)
    np.testing.assert_allclose(found[4], xy, rtol=0, atol=1e-13)
    # the array is 2.8 arcsec across
    angle = np.linspace(0.0, 6.0, 11 * 14).reshape(11, 14)
    x, y = center[0] + 9.0 * np.cos(angle), center[1] + 9.0 * np.sin(angle)
    found = np.asarray(_kernels(lens, jnp.asarray(x), jnp.asarray(y)))
    z = (x + 1j * y)[..., None, None] - (px + 1j * py)
    alpha = np.sum(values * scale**2 / np.pi / z, axis=(-2, -1))
    np.testing.assert_allclose(found[1] - 1j * found[2], alpha, rtol=1e-5)
    second = -np.sum(values * scale**2 / np.pi / z**2, axis=(-2, -1))
    np.testing.assert_allclose(found[3] - 1j * found[4], second, rtol=5e-5)


def _gaussian(x, y):
    """Convergence and deflection of a round Gaussian."""
    r2 = x * x + y * y
    kappa = 0.8 * np.exp(-0.5 * r2 / SIGMA**2)
    pull = 1.6 * SIGMA**2 * -np.expm1(-0.5 * r2 / SIGMA**2) / r2
    return kappa, pull * x, pull * y


def test_smooth_lens_converges():
    """Deflections with the square of the pixel scale, and the convergence in proportion to it."""
    rng = np.random.default_rng(2)
    x, y = rng.uniform(-2.0, 2.0, (2, 200))
    kappa, *alpha = _gaussian(x, y)
    errors = []
    for size in (24, 48):
        scale = 6.0 / size
        lens = PixelConvergence(_gaussian(*_centres((size, size), scale))[0], scale, margin=2)
        found = np.asarray(_kernels(lens, jnp.asarray(x), jnp.asarray(y)))
        ours = 0.5 * (found[3] + found[5])
        errors.append([np.abs(found[1:3] - alpha).max(), np.abs(ours - kappa).max()])
    coarse, fine = errors
    step = 0.25 / SIGMA
    assert coarse[0] < 0.12 * step**2 * 0.8 * SIGMA and coarse[1] < 0.2 * step * 0.8
    ratio = np.divide(coarse, fine)
    assert 3.5 < ratio[0] < 5.0 and 1.8 < ratio[1] < 2.4


def test_potential_of_a_smooth_lens():
    """The spline goes through the values; its errors fall as h^4, h^3 and h^2 for psi, alpha, H."""
    lens = NIE(1.0, 0.5, 0.1, -0.05)
    rng = np.random.default_rng(3)
    x, y = map(jnp.asarray, rng.uniform(-0.8, 0.8, (2, 200)))
    exact = np.asarray(_kernels(lens, x, y))
    errors = []
    for size in (31, 61):
        scale = 6.0 / (size - 1)
        nodes = map(jnp.asarray, _centres((size, size), scale))
        pixels = PixelPotential(lens.psi(*nodes), scale)
        np.testing.assert_allclose(
            pixels.psi(*map(jnp.asarray, _centres((3, 3), scale))),
            pixels.values[size // 2 - 1 : size // 2 + 2, size // 2 - 1 : size // 2 + 2],
            rtol=1e-13,
        )
        found = np.abs(np.asarray(_kernels(pixels, x, y)) - exact)
        errors.append([found[0].max(), found[1:3].max(), found[3:].max()])
    order = np.log2(np.divide(*errors))
    assert errors[1][0] < 3e-6 and errors[1][1] < 7e-5 and errors[1][2] < 5e-3
    np.testing.assert_array_less([3.5, 2.6, 1.7], order)


def test_deflection_of_the_potential_is_its_gradient():
    """To 1e-12, across cells and beyond the edge of the array, where both become zero."""
    rng = np.random.default_rng(4)
    lens = PixelPotential(rng.normal(size=(6, 9)), 0.4, 0.1, -0.2)
    x, y = map(jnp.asarray, rng.uniform(-3.5, 3.5, (2, 300)))

    @functools.partial(jax.jit, compiler_options=QUICK)
    def slopes(lens, x, y):
        value, pull = jax.vjp(lambda x, y: jnp.stack([lens.psi(x, y), *lens.alpha(x, y)]), x, y)
        return [pull(jnp.zeros_like(value).at[i].set(1.0)) for i in range(3)]

    (ax, ay), (xx, xy), (_, yy) = slopes(lens, x, y)
    found = _kernels(lens, x, y)[1:]
    np.testing.assert_allclose(found, jnp.stack([ax, ay, xx, xy, yy]), rtol=0, atol=1e-12)
    outside = (np.abs(np.asarray(x) - 0.1) > 2.4) | (np.abs(np.asarray(y) + 0.2) > 1.8)
    assert 10 < outside.sum() < 290
    assert not np.any(np.asarray(found)[:, outside])


@pytest.mark.parametrize("lens", [PixelConvergence, PixelPotential])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], 0.1), "`values`"),
        (([[1.0, np.nan]], 0.1), "`values`"),
        (([[1.0]], 0.0), "`pixel_scale`"),
        (([[1.0]], 0.1, np.inf), "`center_x`"),
    ],
)
def test_refusals(lens, arguments, message):
    with pytest.raises(ValueError, match=f"{lens.__name__}: .*{message}"):
        lens(*arguments)


@pytest.mark.parametrize("margin", [0, 1.5])
def test_margin_is_refused(margin):
    with pytest.raises(ValueError, match=r"PixelConvergence: .*`margin`"):
        PixelConvergence([[1.0]], 0.1, margin=margin)
