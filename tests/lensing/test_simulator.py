"""A lensed image as a simulator: likelihood, masks, gradients, inference on a mock."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import Model, Parameter, Prior
from jaxastro.infer import find_map, laplace, nuts
from simulators.lensing.grid import Grid
from simulators.lensing.light import Sersic
from simulators.lensing.mass import EPL, Shear
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.psf import PSF
from simulators.lensing.simulator import LensedImage

PRIOR = Prior(
    theta_E=Parameter(dist.Uniform(0.5, 1.5), "arcsec"),
    gamma=Parameter(dist.TruncatedNormal(2.0, 0.2, low=1.2, high=2.8)),
    e1=Parameter(dist.Normal(0.0, 0.1)),
    e2=Parameter(dist.Normal(0.0, 0.1)),
    gamma1=Parameter(dist.Normal(0.0, 0.05)),
    gamma2=Parameter(dist.Normal(0.0, 0.05)),
    source_amp=Parameter(dist.LogNormal(np.log(10.0), 1.0)),
    source_R=Parameter(dist.LogNormal(np.log(0.2), 0.5), "arcsec"),
    source_n=Parameter(dist.Uniform(0.5, 4.0)),
    source_x=Parameter(dist.Normal(0.0, 0.2), "arcsec"),
    source_y=Parameter(dist.Normal(0.0, 0.2), "arcsec"),
    light_amp=Parameter(dist.LogNormal(np.log(5.0), 1.0)),
    light_R=Parameter(dist.LogNormal(np.log(0.5), 0.5), "arcsec"),
)
TRUTH = {
    "theta_E": 1.05,
    "gamma": 1.95,
    "e1": 0.08,
    "e2": -0.05,
    "gamma1": 0.03,
    "gamma2": -0.02,
    "source_amp": 12.0,
    "source_R": 0.18,
    "source_n": 1.5,
    "source_x": 0.1,
    "source_y": -0.05,
    "light_amp": 6.0,
    "light_R": 0.4,
}


def scene(p):
    lens = EPL(p["theta_E"], p["gamma"], p["e1"], p["e2"]) + Shear(p["gamma1"], p["gamma2"])
    at = {"center_x": p["source_x"], "center_y": p["source_y"]}
    return (
        lens,
        Sersic(p["source_amp"], p["source_R"], p["source_n"], **at),
        Sersic(p["light_amp"], p["light_R"], 3.0, p["e1"], p["e2"]),
    )


def _model(size=32, mask=None):
    grid = Grid((size, size), 0.1, supersampling=2)
    psf = PSF.gaussian(0.15, 0.1, 7)
    return Model(PRIOR, LensedImage(scene, grid, GaussianNoise(0.01, mask), psf))


@functools.cache
def _mock():
    model = _model()
    params = {name: jnp.asarray(value) for name, value in TRUTH.items()}
    image = eqx.filter_jit(model.simulator.simulate)(jax.random.key(0), params)
    return model, params, image


def test_residuals_of_the_truth_are_noise():
    """Chi square of 1024 pixels at the truth: within 4.5 of its standard deviations."""
    model, params, image = _mock()
    residual = (image - eqx.filter_jit(model.simulator.forward)(params)) / 0.01
    assert abs(float(jnp.sum(residual**2)) - 1024.0) < 4.5 * np.sqrt(2.0 * 1024.0)


def test_gradients_of_the_posterior():
    """Forward, reverse and central differences in all 13 parameters."""
    model, params, image = _mock()
    target = model.condition(image)
    u = model.prior.to_unconstrained(params) + 0.01
    value = jax.jit(lambda u: target(u))
    reverse = jax.jit(jax.grad(value))(u)
    np.testing.assert_allclose(jax.jit(jax.jacfwd(value))(u), reverse, rtol=1e-8, atol=1e-6)
    step = 1e-5 * np.eye(len(u))
    numeric = [(value(u + s) - value(u - s)) / 2e-5 for s in step]
    np.testing.assert_allclose(reverse, numeric, rtol=1e-5, atol=1e-3)


def test_masked_pixels_never_count():
    mask = np.ones((32, 32), bool)
    mask[3:9, 5:20] = False
    model, (_, params, image) = _model(mask=mask), _mock()
    spoilt = jnp.where(jnp.asarray(mask), image, jnp.nan)
    score = jax.jit(jax.value_and_grad(lambda *a: model.simulator.log_likelihood(*a)))
    for a, b in zip(*(jax.tree.leaves(score(params, x)) for x in (image, spoilt)), strict=True):
        assert np.isfinite(a) and a == b
    with pytest.raises(ValueError, match="holds 90 non-finite values"):
        model.condition(spoilt)


def test_bad_shapes():
    with pytest.raises(ValueError, match=r"its shape is \(3, 3\)"):
        _mock()[0].condition(jnp.ones((3, 3)))
    with pytest.raises(ValueError, match="mask of `noise` has shape"):
        _model(mask=np.ones((3, 3), bool))
    with pytest.raises(ValueError, match="leaves no pixel"):
        _model(mask=np.zeros((32, 32), bool))


@pytest.mark.slow
def test_nuts_recovers_a_mock_from_prior_starts():
    """The MAP from draws of the prior, then NUTS: converged, the truth within 4 sigma."""
    model, params, image = _mock()
    target = model.condition(image)
    best = find_map(jax.random.key(1), target, n_starts=16)
    posterior = nuts(
        jax.random.key(2), target, n_warmup=200, n_draws=500, initial=laplace(target, best)
    )
    rows = posterior.summary().rows
    assert max(row["r_hat"] for row in rows.values()) < 1.02
    for name, row in rows.items():
        assert abs(row["mean"] - float(params[name])) < 4.0 * row["sd"], (name, row)
