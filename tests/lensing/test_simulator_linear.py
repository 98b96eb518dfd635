"""Images with amplitudes integrated out: the density that draws of them have."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import Model, Parameter, Prior
from simulators.lensing.galaxy_lens import GalaxyLens, galaxy_prior, maps
from simulators.lensing.grid import Grid
from simulators.lensing.light import Gaussian
from simulators.lensing.mass import SIS
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.psf import PSF
from simulators.lensing.simulator_linear import Bands, LinearImage

GRID = Grid((12, 11), 0.25)
MASK = np.arange(132).reshape(12, 11) % 7 > 0


def scene(p):
    source = Gaussian(1.0, 0.2, center_x=p["x"])
    return SIS(p["theta_E"]), [source], [Gaussian(1.0, 0.5)]


BAND = LinearImage(
    scene, GRID, GaussianNoise(0.1, MASK), PSF.gaussian(0.5, 0.25, 5), [3.0, 2.0], [0.5, 1.0]
)
PARAMS = {"theta_E": jnp.asarray(0.9), "x": jnp.asarray(0.1)}


def test_likelihood_is_the_normal_density_of_the_image():
    """Against the dense covariance, noise plus A^T S A, over the pixels that count: 1e-8."""
    image = np.asarray(eqx.filter_jit(BAND.simulate)(jax.random.key(0), PARAMS))
    found = eqx.filter_jit(BAND.log_likelihood)(PARAMS, image)
    rows = np.asarray(BAND.design(PARAMS))[:, MASK]
    covariance = 0.01 * np.eye(MASK.sum()) + rows.T @ np.diag([0.25, 1.0]) @ rows
    exact = dist.MultivariateNormal(np.array([3.0, 2.0]) @ rows, covariance)
    np.testing.assert_allclose(found, exact.log_prob(image[MASK]), rtol=1e-8)


def test_draws_have_the_prior_of_the_amplitudes():
    """400 fitted amplitudes: the mean within 4.5 of its standard errors, their width 4.5 of its."""
    keys = jax.random.split(jax.random.key(1), 400)
    images = eqx.filter_jit(jax.vmap(lambda k: BAND.simulate(k, PARAMS)))(keys)
    fits = eqx.filter_jit(jax.vmap(lambda image: BAND.fit(PARAMS, image).amplitudes))(images)
    # a posterior mean is spread less than the prior by the posterior's variance
    posterior = np.diag(eqx.filter_jit(BAND.fit)(PARAMS, images[0]).covariance)
    width = np.sqrt(np.array([0.25, 1.0]) - posterior)
    assert np.all(abs(fits.mean(0) - np.array([3.0, 2.0])) < 4.5 * width / 20.0)
    assert np.all(abs(fits.std(0) / width - 1.0) < 4.5 / np.sqrt(800.0))


def test_bands_are_independent_given_the_parameters():
    both = Bands((BAND, eqx.tree_at(lambda b: b.noise.noise_map, BAND, jnp.asarray(0.3))))
    images = eqx.filter_jit(both.simulate)(jax.random.key(2), PARAMS)
    each = [b.log_likelihood(PARAMS, i) for b, i in zip(both.bands, images, strict=True)]
    np.testing.assert_allclose(both.log_likelihood(PARAMS, images), sum(each), rtol=1e-12)
    prior = Prior(theta_E=Parameter(dist.Uniform(0.5, 1.5)), x=Parameter(dist.Normal(0.0, 0.2)))
    model = Model(prior, both)
    assert np.isfinite(model.condition(images)(jnp.zeros(2)))
    with pytest.raises(ValueError, match="1 images for 2 bands"):
        model.condition(images[:1])
    with pytest.raises(ValueError, match=r"its shape is \(3, 3\)"):
        model.condition((images[0], jnp.ones((3, 3))))


def test_galaxy_lens_is_finite_over_its_prior_and_maps_add_up():
    """100 draws of the prior, and their gradients."""
    prior = galaxy_prior(1, (0.1, -0.1))
    band = LinearImage(GalaxyLens(1), GRID, GaussianNoise(0.1), None, 0.0, 100.0)
    model = Model(prior, band)
    params, image = eqx.filter_jit(model.sample)(jax.random.key(3))
    target = model.condition(image)
    draws = jax.vmap(prior.sample)(jax.random.split(jax.random.key(4), 100))
    u = jax.vmap(prior.to_unconstrained)(draws)
    score = jax.jit(lambda u: jax.lax.map(jax.value_and_grad(lambda u: target(u)), u))
    value, slope = score(u)
    assert np.all(np.isfinite(value)) and np.all(np.isfinite(slope))
    assert np.all(np.any(slope != 0.0, axis=0))

    found = eqx.filter_jit(maps)(band, params, image)
    np.testing.assert_allclose(found["lens_light"] + found["arcs"], found["model"], atol=1e-9)
    np.testing.assert_allclose(found["residual"], (image - found["model"]) / 0.1, atol=1e-7)
