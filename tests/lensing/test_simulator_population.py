"""Images of lenses with drawn subhaloes: the parts they are made of, their numbers, bad input."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import Model, Parameter, Prior
from simulators.lensing.cosmology import ARCSEC, Cosmology
from simulators.lensing.grid import Grid
from simulators.lensing.image import render
from simulators.lensing.light import Gaussian
from simulators.lensing.mass import SIS, Population
from simulators.lensing.mass_function import SubhaloMassFunction
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.simulator import LensedImage
from simulators.lensing.simulator_population import SubstructureImage
from tests.properties import QUICK

NUISANCE = Prior(
    theta_E=Parameter(dist.Uniform(0.8, 1.2), "arcsec"),
    x=Parameter(dist.Uniform(-0.2, 0.2), "arcsec"),
)
PARAMS = {"sigma_sub": jnp.asarray(0.05), "log10_m_hm": jnp.asarray(8.5)}
RADIUS, SIZE = 1.5, 48


def _scene(p):
    return SIS(p["theta_E"]), Gaussian(5.0, 0.2, center_x=p["x"]), None


def _mass_function(p):
    return SubhaloMassFunction(p["sigma_sub"], m_low=1e8, m_hm=10.0 ** p["log10_m_hm"])


def _smooth(scale=0.2):
    grid = Grid((11, 13), scale)
    return Model(NUISANCE, LensedImage(_scene, grid, GaussianNoise(0.01)))


def _simulator(smooth=None, z_lens=0.5, z_source=2.0, radius=RADIUS, size=SIZE):
    smooth = _smooth() if smooth is None else smooth
    return SubstructureImage(smooth, _mass_function, z_lens, z_source, radius=radius, size=size)


TRACES = []


def _simulate(simulator, key, params):
    TRACES.append(1)
    haloes = simulator.haloes(jax.random.split(key, 3)[1], params)
    return simulator.simulate(key, params), haloes


@pytest.fixture(scope="module")
def simulate():
    """(simulator, key, params) -> an image and its subhaloes: the one program of these tests."""
    return jax.jit(_simulate, compiler_options=QUICK)


@pytest.mark.parametrize("sigma_sub", [0.0, 0.05])
def test_an_image_is_its_smooth_lens_its_subhaloes_and_noise(simulate, sigma_sub):
    simulator, params = _simulator(), {**PARAMS, "sigma_sub": jnp.asarray(sigma_sub)}
    key = jax.random.key(3)
    got, drawn = simulate(simulator, key, params)
    there = np.asarray(drawn.mask)
    assert there.any() == (sigma_sub > 0.0) and not there.all()
    own, _, noise = jax.random.split(key, 3)
    lens, source, _ = _scene(NUISANCE.sample(own))
    if there.any():
        lens = lens + Population(jax.tree.map(lambda leaf: leaf[there], drawn.mass))
    image = simulator.smooth.simulator
    render_quick = jax.jit(lambda *scene: render(*scene, None, image.grid), compiler_options=QUICK)
    expected = image.noise.sample(noise, render_quick(lens, source))
    np.testing.assert_allclose(got, expected, rtol=1e-5 if got.dtype == jnp.float32 else 1e-10)


def test_images_move_with_the_half_mode_mass(simulate):
    """The draws of one key, by a step that rounding leaves to be seen; float32 has none."""
    if jnp.result_type(float) == jnp.float32:
        pytest.skip("differences need float64")
    simulator, key = _simulator(), jax.random.key(4)
    first, second, third = (
        simulate(simulator, key, {**PARAMS, "log10_m_hm": 8.5 + jnp.asarray(step)})[0]
        for step in (0.0, 1e-5, 2e-5)
    )
    assert float(jnp.abs(second - first).max()) > 1e-10
    np.testing.assert_allclose(third - second, second - first, rtol=1e-2, atol=1e-9)


def test_new_numbers_do_not_compile_anew(simulate):
    simulate(_simulator(), jax.random.key(0), PARAMS)
    TRACES.clear()
    simulator = _simulator(z_lens=0.4, z_source=1.5, radius=1.2)
    image, _ = simulate(simulator, jax.random.key(1), {**PARAMS, "sigma_sub": jnp.asarray(0.0)})
    assert not TRACES and np.all(np.isfinite(image))


def test_each_draw_has_subhaloes_of_its_own(simulate):
    """Mean and variance of the number of subhaloes of 80 draws, within 4.5 standard errors."""
    simulator = _simulator()
    kpc = 1e3 * ARCSEC * float(Cosmology().angular_diameter_distance(0.5))
    mean = float(_mass_function(PARAMS).mean_count(math.pi * (RADIUS * kpc) ** 2))
    keys = jax.random.split(jax.random.key(5), 80)
    counts = np.array([simulate(simulator, key, PARAMS)[1].mask.sum() for key in keys])
    assert 4.0 < mean < 20.0
    assert abs(counts.mean() - mean) < 4.5 * math.sqrt(mean / 80)
    # the fourth moment of a Poisson distribution
    assert abs(counts.var() - mean) < 4.5 * math.sqrt((mean + 2.0 * mean**2) / 80)


def test_the_grid_decides_the_precision():
    """The abstract image: nothing is compiled."""
    simulator = _simulator(_smooth(jnp.asarray(0.2, jnp.float32)))
    image = jax.eval_shape(SubstructureImage.simulate, simulator, jax.random.key(0), PARAMS)
    assert (image.shape, image.dtype) == ((11, 13), jnp.float32)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"smooth": Model(NUISANCE, _simulator())}, "`smooth` is or holds a SubstructureImage"),
        ({"smooth": NUISANCE}, "`smooth` is or holds a Prior"),
        ({"size": 0}, "`size` = 0; give an int >= 1"),
        ({"size": 12.0}, "`size` = 12.0; give an int >= 1"),
        ({"radius": 0.0}, "`radius` = 0.0 is outside its support; give finite values and above 0"),
        ({"z_lens": -0.5}, "`z_lens` = -0.5 is outside"),
        ({"z_source": 0.5}, "`z_source` = 0.5 is outside its support"),
    ],
)
def test_bad_input(bad, message):
    with pytest.raises(ValueError, match=message):
        _simulator(**bad)


def test_an_observation_of_another_shape():
    with pytest.raises(ValueError, match=r"its shape is \(3, 3\), that of the grid \(11, 13\)"):
        _simulator().validate_observation(np.ones((3, 3)))
