"""The likelihood of an image against scipy and lenstronomy, masks and draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.noise import BackgroundPoissonNoise, GaussianNoise

RNG = np.random.default_rng(0)
MODEL = jnp.asarray(RNG.uniform(-0.2, 3.0, (6, 7)))
DATA = MODEL + jnp.asarray(RNG.normal(size=(6, 7)))
WIDTH = jnp.asarray(RNG.uniform(0.5, 2.0, (6, 7)))
MASK = jnp.asarray(RNG.uniform(size=(6, 7)) < 0.7)


@pytest.mark.parametrize("mask", [None, MASK])
def test_likelihood(mask):
    stats = pytest.importorskip("scipy.stats", reason="scipy is a test extra")
    use = np.ones(MASK.shape, bool) if mask is None else np.asarray(mask)
    variance = 0.3**2 + np.maximum(MODEL, 0.0) / 50.0
    for noise, sigma in (
        (GaussianNoise(WIDTH, mask), WIDTH),
        (GaussianNoise(0.7, mask), np.full(MODEL.shape, 0.7)),
        (BackgroundPoissonNoise(0.3, 50.0, mask), np.sqrt(variance)),
    ):
        expected = stats.norm.logpdf(DATA, MODEL, sigma)[use].sum()
        np.testing.assert_allclose(noise.log_likelihood(MODEL, DATA), expected, rtol=1e-13)


def test_variance_of_lenstronomy():
    module = pytest.importorskip("lenstronomy.Data.image_noise", reason="lenstronomy is missing")
    theirs = module.covariance_matrix(np.array(MODEL), 0.3, 50.0)
    ours = BackgroundPoissonNoise(0.3, 50.0).variance(MODEL)
    np.testing.assert_allclose(ours, theirs, rtol=1e-14)


def _noises(bad):
    """Both kinds of noise; `bad` stands where the mask is false."""
    spoil = lambda v: jnp.where(MASK, v, jnp.asarray(bad, v.dtype))  # noqa: E731
    return GaussianNoise(spoil(WIDTH), MASK), BackgroundPoissonNoise(
        spoil(WIDTH), spoil(50.0 * WIDTH), MASK
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 0.0])
def test_masked_pixels_reach_nothing(bad):
    def value_and_slopes(noise, model, data):
        # all floating leaves: the noise's maps as well
        return jax.value_and_grad(
            lambda n, m, d: n.log_likelihood(m, d), argnums=(0, 1, 2), allow_int=True
        )(noise, model, data)

    for clean, spoilt in zip(_noises(1.0), _noises(bad), strict=True):
        data, model = (jnp.where(MASK, v, jnp.asarray(bad)) for v in (DATA, MODEL))
        value, slopes = value_and_slopes(spoilt, model, data)
        np.testing.assert_allclose(value, clean.log_likelihood(MODEL, DATA), rtol=1e-14)
        for leaf in jax.tree.leaves(slopes):
            if leaf.shape == MASK.shape and leaf.dtype == jnp.float64:
                assert np.all(np.isfinite(leaf)) and not np.any(np.asarray(leaf)[~MASK])
        # forwards as well
        _, tangent = jax.jvp(
            lambda m, n=spoilt, d=data: n.log_likelihood(m, d), (model,), (jnp.ones_like(model),)
        )
        np.testing.assert_allclose(tangent, jnp.sum(slopes[1]), rtol=1e-12)


def test_gradients():
    noise = BackgroundPoissonNoise(0.3, 50.0)

    def loss(noise, model):
        return noise.log_likelihood(model, DATA)

    slopes = jax.grad(loss, argnums=(0, 1))(noise, MODEL)
    steps = jax.tree.map(lambda p: 0.1 * jnp.ones_like(p), (noise, MODEL))
    expected = sum(
        jnp.sum(g * d) for g, d in zip(*map(jax.tree.leaves, (slopes, steps)), strict=True)
    )
    h = 1e-6
    up, down = (
        loss(*jax.tree.map(lambda p, d, s=s: p + s * d, (noise, MODEL), steps)) for s in (h, -h)
    )
    np.testing.assert_allclose((up - down) / (2 * h), expected, rtol=1e-6)


def test_draws_have_the_stated_moments():
    noise = BackgroundPoissonNoise(0.3, 50.0, MASK)
    keys = jax.random.split(jax.random.key(0), 4000)
    draws = jax.jit(jax.vmap(lambda key: noise.sample(key, MODEL)))(keys)
    variance = jnp.where(MASK, noise.variance(MODEL), 0.0)
    # five standard errors of 4000 draws
    assert np.all(np.abs(draws.mean(0) - MODEL) <= 5 * np.sqrt(variance / 4000) + 1e-12)
    assert np.all(np.abs(draws.var(0) - variance) <= 5 * variance * np.sqrt(2 / 4000) + 1e-12)


def test_draws_are_differentiable():
    key = jax.random.key(1)
    noise = BackgroundPoissonNoise(0.3, 50.0)
    draw = lambda scale: noise.sample(key, scale * MODEL)  # noqa: E731
    _, slope = jax.jvp(draw, (1.0,), (1.0,))
    h = 1e-6
    np.testing.assert_allclose(slope, (draw(1.0 + h) - draw(1.0 - h)) / (2 * h), rtol=0, atol=1e-7)
    assert GaussianNoise(0.1).sample(key, MODEL.astype("float32")).dtype == jnp.float32


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GaussianNoise(0.0), "GaussianNoise.*`noise_map` = 0.0.*above 0"),
        (
            lambda: GaussianNoise(WIDTH.at[0, 0].set(np.nan), jnp.ones((6, 7))),
            "GaussianNoise.*`noise_map` = nan.*mask the pixel",
        ),
        (lambda: GaussianNoise(WIDTH, MASK[:3]), r"`noise_map` has shape \(6, 7\).*\(3, 7\)"),
        (lambda: GaussianNoise(1.0, MASK[:3]).log_likelihood(MODEL, DATA), r"mask.*\(3, 7\)"),
        (lambda: BackgroundPoissonNoise(0.1, -1.0), "`exposure_time` = -1.0.*above 0"),
        (lambda: BackgroundPoissonNoise(0.0, 1.0), "`background_rms` = 0.0.*above 0"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
