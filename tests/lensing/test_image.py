"""Images against lenstronomy's ImageModel, and what an image keeps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.grid import Grid
from simulators.lensing.image import design, render
from simulators.lensing.light import Gaussian, Sersic, Shapelets, Uniform
from simulators.lensing.mass import SIS
from simulators.lensing.psf import PSF

LENS = {"theta_E": 0.8, "center_x": 0.013, "center_y": -0.021}
SOURCE = {"amp": 30.0, "R_sersic": 0.2, "n_sersic": 1.5, "e1": 0.1, "e2": -0.2}
LIGHT = {"amp": 10.0, "R_sersic": 0.6, "n_sersic": 4.0, "e1": -0.05, "e2": 0.1}
SOURCE_AT = {"center_x": 0.08, "center_y": 0.05}
LIGHT_AT = {"center_x": 0.013, "center_y": -0.021}
SHAPE, SCALE = (30, 30), 0.08


def kernel(size, seed=0):
    """Positive and without symmetry, so that no flip goes unseen."""
    steps = np.arange(size) - size // 2
    u, v = np.meshgrid(steps, steps)
    values = np.exp(-0.5 * ((u - 0.4) ** 2 + 0.3 * u * v + 1.5 * v**2) / (size / 6) ** 2)
    values = values * np.random.default_rng(seed).uniform(0.5, 1.5, values.shape)
    return values / values.sum()


def scene(scale=1.0):
    return (
        SIS(**LENS),
        Sersic(**SOURCE | {"amp": 30.0 * scale}, **SOURCE_AT),
        Sersic(**LIGHT, **LIGHT_AT),
    )


def lenstronomy_image(psf_kernel, s, supersampled, rotation=0.0, centre=(0.0, 0.0)):
    model = pytest.importorskip(
        "lenstronomy.ImSim.image_model", reason="lenstronomy is not installed"
    )
    from lenstronomy.Data.pixel_grid import PixelGrid
    from lenstronomy.Data.psf import PSF as TheirPSF
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    transform = SCALE * np.array(
        [[np.cos(rotation), -np.sin(rotation)], [np.sin(rotation), np.cos(rotation)]]
    )
    corner = np.array(centre) - transform @ ((np.array(SHAPE[::-1]) - 1) / 2)
    if psf_kernel is None:
        psf = TheirPSF("NONE")
    else:
        psf = TheirPSF(
            "PIXEL",
            kernel_point_source=psf_kernel,
            point_source_supersampling_factor=s if supersampled else 1,
        )
    numerics = {
        "supersampling_factor": s,
        "supersampling_convolution": supersampled,
        "supersampling_kernel_size": None,
    }
    image = model.ImageModel(
        PixelGrid(SHAPE[1], SHAPE[0], transform, *corner),
        psf,
        LensModel(["SIS"]),
        LightModel(["SERSIC_ELLIPSE"]),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics=numerics,
    )
    return image.image([LENS], [SOURCE | SOURCE_AT], [LIGHT | LIGHT_AT])


@pytest.mark.parametrize(
    ("size", "s", "supersampled"),
    [
        (None, 3, False),
        (7, 1, False),
        (9, 2, False),
        (9, 2, True),
        (11, 2, True),
        (13, 3, True),
        (13, 4, True),
    ],
)
def test_lenstronomy(size, s, supersampled):
    values = None if size is None else kernel(size)
    theirs = lenstronomy_image(values, s, supersampled)
    psf = None if size is None else PSF(values, supersampling=s if supersampled else 1)
    ours = jax.jit(render)(*scene(), Grid(SHAPE, SCALE, supersampling=s), psf)
    assert ours.dtype == jnp.float64 and ours.shape == SHAPE
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * theirs.max())


def test_lenstronomy_turned_and_shifted():
    theirs = lenstronomy_image(kernel(7), 2, False, rotation=0.7, centre=(0.3, -0.2))
    grid = Grid(SHAPE, SCALE, 0.7, 0.3, -0.2, supersampling=2)
    ours = jax.jit(render)(*scene(), grid, PSF(kernel(7)))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12 * theirs.max())


def test_an_oblong_image_is_a_part_of_a_square_one():
    oblong, square = (render(*scene(), Grid(shape, SCALE)) for shape in ((20, 32), (32, 32)))
    np.testing.assert_allclose(oblong, square[6:26], rtol=1e-12)


def test_grid():
    grid = Grid((3, 5), 0.1, jnp.pi / 2, 1.0, 2.0, supersampling=2)
    x, y = grid.centres()
    # a quarter turn takes the columns' axis to y and the rows' to -x
    np.testing.assert_allclose(y, np.broadcast_to(2.0 + 0.1 * np.arange(-2, 3), (3, 5)), atol=1e-14)
    np.testing.assert_allclose(
        x, np.broadcast_to(1.0 - 0.1 * np.arange(-1, 2)[:, None], (3, 5)), atol=1e-14
    )
    sub = np.stack(grid.subpixels())
    np.testing.assert_allclose(sub.mean(axis=1), np.stack([x, y]), atol=1e-14)
    # subpixel (row 0, column 1): before the centre along the rows, beyond it along the columns
    np.testing.assert_allclose(sub[0, 1] - x, 0.025, atol=1e-14)
    np.testing.assert_allclose(sub[1, 1] - y, 0.025, atol=1e-14)
    assert float(grid.pixel_area) == pytest.approx(0.01)


def test_flux_is_kept():
    """Unlensed light far from the edge keeps its flux through pixels and PSF."""
    grid = Grid((51, 51), 0.05, 0.3, supersampling=2)
    source = Gaussian(7.0, 0.15, 0.1, 0.05)
    for psf in (None, PSF(kernel(9)), PSF(kernel(9), supersampling=2)):
        assert abs(float(render(None, source, None, grid, psf).sum()) - 7.0) < 1e-8


def test_design_adds_up_to_the_image():
    grid = Grid(SHAPE, SCALE, supersampling=2)
    psf = PSF(kernel(9), supersampling=2)
    lens, source, light = scene()
    amp = jnp.asarray(np.random.default_rng(0).normal(size=6))
    basis = Shapelets(amp, 2, 0.2, 0.08, 0.05)
    rows = jax.jit(design)(lens, [source, basis], [light, Uniform(1.0)], grid, psf)
    assert rows.shape == (9, *SHAPE)
    image = render(lens, source + basis, light + Uniform(1.0), grid, psf)
    total = rows[0] + jnp.tensordot(amp, rows[1:7], axes=1) + rows[7] + rows[8]
    np.testing.assert_allclose(total, image, rtol=1e-11)


@functools.cache
def _program():
    def loss(parts, grid, psf):
        image = render(*parts, grid, psf)
        return jnp.sum(image * image)

    return jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))


def _everything(dtype):
    lens, source, light = scene()
    grid = Grid((16, 14), 0.15, 0.2, supersampling=2)
    psf = PSF(kernel(5), supersampling=2)
    return jax.tree.map(lambda p: p.astype(dtype), ((lens, source, light), grid, psf))


def test_gradients_of_all_parameters():
    args = _everything("float64")
    value, gradient = _program()(*args)
    rng = np.random.default_rng(5)
    steps = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape)) * 0.01, args)
    slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: jnp.sum(g * d), gradient, steps)))
    h = 1e-4
    up, down = (
        _program()(*jax.tree.map(lambda p, d, s=s: p + s * d, args, steps))[0] for s in (h, -h)
    )
    assert abs((up - down) / (2 * h) - slope) < 1e-6 * abs(slope)
    assert np.isfinite(value)


def test_float32():
    single, double = (
        jax.device_get(_program()(*_everything(dtype))) for dtype in ("float32", "float64")
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {np.dtype("float32")}
    assert abs(single[0] / double[0] - 1.0) < 1e-5
    pairs = zip(jax.tree.leaves(single[1]), jax.tree.leaves(double[1]), strict=True)
    for one, two in pairs:
        assert np.all(np.isfinite(one))
        assert np.max(np.abs(one - two)) < 1e-3 * (np.max(np.abs(two)) + 1.0)


def test_new_values_do_not_retrace(trace_counter):
    counted = trace_counter(lambda *args: render(*args))
    jitted = jax.jit(counted)
    grid, psf = Grid(SHAPE, SCALE), PSF(kernel(5))
    jitted(*scene(), grid, psf)
    jitted(*scene(1.1), Grid(SHAPE, 0.07, 0.1), PSF(kernel(5, seed=1)))
    assert counted.count == 1


def test_a_batch_of_scenes():
    grid, psf = Grid((12, 10), 0.2, supersampling=2), PSF(kernel(5))
    parts = [scene(1.0), scene(2.0)]
    stacked = jax.tree.map(lambda *p: jnp.stack(p), *parts)
    images = jax.jit(jax.vmap(lambda p: render(*p, grid, psf)))(stacked)
    np.testing.assert_allclose(images[1], render(*parts[1], grid, psf), rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Grid((3, 0), 0.1), ValueError, r"Grid.*`shape` = \(3, 0\).*positive ints"),
        (lambda: Grid((3,), 0.1), ValueError, "Grid.*`shape`"),
        (lambda: Grid((3, 3), -0.1), ValueError, "Grid.*`pixel_scale` = -0.1.*above 0"),
        (lambda: Grid((3, 3), 0.1, np.nan), ValueError, "Grid.*`rotation` = nan.*finite"),
        (lambda: Grid((3, 3), 0.1, supersampling=0), ValueError, "`supersampling` = 0.*>= 1"),
        (lambda: render(None, None, None, Grid((3, 3), 0.1)), ValueError, "neither a source"),
        (lambda: render(Uniform(1.0), None, None, Grid((3, 3), 0.1)), TypeError, "`lens`"),
        (lambda: render(None, 1.0, None, Grid((3, 3), 0.1)), TypeError, "`source` = 1.0"),
        (
            lambda: render(
                None, Uniform(1.0), None, Grid((3, 3), 0.1), PSF(kernel(3), supersampling=2)
            ),
            ValueError,
            "supersampling 2.*1 subpixels.*Grid of supersampling 2",
        ),
    ],
)
def test_bad_input(make, error, words):
    with pytest.raises(error, match=words):
        make()
