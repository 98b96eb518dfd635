"""Linear amplitudes against the normal distribution written out, and singular designs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.linear import fit_amplitudes

RNG = np.random.default_rng(0)
DESIGN = RNG.normal(size=(3, 6, 7)) + 0.5
DATA = np.tensordot([1.0, -2.0, 3.0], DESIGN, axes=1) + RNG.normal(size=(6, 7))
NOISE = RNG.uniform(0.5, 2.0, (6, 7))
MASK = RNG.uniform(size=(6, 7)) < 0.7
MEAN, SIGMA = np.array([0.5, -1.0, 2.0]), np.array([0.3, 1.0, 0.6])

FIT = jax.jit(fit_amplitudes)


def _used(mask):
    use = np.ones(DATA.shape, bool) if mask is None else mask
    return DESIGN[:, use], DATA[use], NOISE[use]


@pytest.mark.parametrize("mask", [None, MASK])
def test_flat_prior(mask):
    rows, data, noise = _used(mask)
    fit = FIT(DESIGN, DATA, NOISE, mask)
    expected, *_ = np.linalg.lstsq((rows / noise).T, data / noise, rcond=None)
    np.testing.assert_allclose(fit.amplitudes, expected, rtol=1e-10)
    covariance = np.linalg.inv((rows / noise**2) @ rows.T)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-9, atol=1e-11)
    chi2 = np.sum(((data - expected @ rows) / noise) ** 2)
    np.testing.assert_allclose(fit.chi2, chi2, rtol=1e-10)
    best = -0.5 * (chi2 + np.sum(np.log(2 * np.pi * noise**2)))
    evidence = best + 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    np.testing.assert_allclose(fit.log_marginal, evidence, rtol=1e-11)
    use = np.ones(DATA.shape, bool) if mask is None else mask
    np.testing.assert_allclose(fit.image[use], expected @ rows, rtol=1e-9, atol=1e-10)
    assert not np.any(np.asarray(fit.image)[~use])


@pytest.mark.parametrize("mask", [None, MASK])
def test_normal_prior(mask):
    """The marginal likelihood is the normal density of covariance C + A^T S A."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is a test extra")
    rows, data, noise = _used(mask)
    fit = FIT(DESIGN, DATA, NOISE, mask, MEAN, SIGMA)
    wide = np.diag(noise**2) + rows.T @ np.diag(SIGMA**2) @ rows
    expected = stats.multivariate_normal.logpdf(data, MEAN @ rows, wide)
    np.testing.assert_allclose(fit.log_marginal, expected, rtol=1e-11)
    covariance = np.linalg.inv((rows / noise**2) @ rows.T + np.diag(SIGMA**-2))
    mean = covariance @ ((rows / noise**2) @ data + MEAN / SIGMA**2)
    np.testing.assert_allclose(fit.amplitudes, mean, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-9, atol=1e-11)


def test_lenstronomy():
    module = pytest.importorskip("lenstronomy.ImSim.de_lens", reason="lenstronomy is missing")
    best, covariance, _ = module.get_param_WLS(
        DESIGN.reshape(3, -1).T, 1 / NOISE.reshape(-1) ** 2, DATA.reshape(-1)
    )
    fit = FIT(DESIGN, DATA, NOISE)
    np.testing.assert_allclose(fit.amplitudes, best, rtol=1e-10)
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-9, atol=1e-11)


def test_images_of_very_different_size():
    """The scaling takes amplitudes in any unit: the jitter is relative."""
    units = np.array([1e-9, 1.0, 1e7])[:, None, None]
    fit, scaled = (FIT(d, DATA, NOISE) for d in (DESIGN, DESIGN * units))
    np.testing.assert_allclose(scaled.amplitudes * units[:, 0, 0], fit.amplitudes, rtol=1e-9)
    np.testing.assert_allclose(
        scaled.log_marginal + np.sum(np.log(units)), fit.log_marginal, rtol=1e-11
    )


@jax.jit
def _slopes(design, data, noise, mask, sigma):
    def value(design, data, noise, sigma):
        fit = FIT(design, data, noise, mask, 0.0, sigma)
        return fit.log_marginal + jnp.sum(fit.amplitudes) + jnp.sum(fit.image), fit

    return jax.value_and_grad(value, argnums=(0, 1, 2, 3), has_aux=True)(design, data, noise, sigma)


def test_gradients():
    args = [jnp.asarray(v) for v in (DESIGN, DATA, NOISE, SIGMA)]
    mask = jnp.asarray(MASK)
    _, slopes = _slopes(*args[:3], mask, args[3])
    rng = np.random.default_rng(3)
    steps = [jnp.asarray(rng.normal(size=v.shape)) * 0.1 for v in args]
    expected = sum(jnp.sum(g * d) for g, d in zip(slopes, steps, strict=True))
    h = 1e-5
    values = []
    for sign in (h, -h):
        moved = [p + sign * d for p, d in zip(args, steps, strict=True)]
        values.append(_slopes(*moved[:3], mask, moved[3])[0][0])
    np.testing.assert_allclose((values[0] - values[1]) / (2 * h), expected, rtol=1e-7)
    for leaf in slopes[:3]:
        assert not np.any(np.asarray(leaf)[..., ~MASK])


def test_masked_pixels_may_hold_nan():
    mask = jnp.asarray(MASK)
    clean = [jnp.asarray(v) for v in (DESIGN, DATA, NOISE)]
    spoilt = [jnp.where(mask if v.ndim == 2 else mask[None], v, jnp.nan) for v in clean]
    sigma = jnp.asarray(SIGMA)
    for one, two in zip(
        jax.tree.leaves(_slopes(*clean, mask, sigma)),
        jax.tree.leaves(_slopes(*spoilt, mask, sigma)),
        strict=True,
    ):
        np.testing.assert_allclose(two, one, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["twins", "empty", "sum", "nothing"])
def test_singular_designs(dtype, kind):
    design = DESIGN.copy()
    if kind == "twins":
        design[1] = design[0]
    elif kind == "empty":
        design[1] = 0.0
    elif kind == "sum":
        design[2] = design[0] - 2.0 * design[1]
    else:
        design[:] = 0.0
    args = [jnp.asarray(v, dtype) for v in (design, DATA, NOISE)]

    @jax.jit
    def slopes(design, data, noise):
        def value(*args):
            fit = FIT(*args)
            return fit.log_marginal + jnp.sum(fit.amplitudes) + jnp.sum(fit.covariance), fit

        return jax.value_and_grad(value, argnums=(0, 1, 2), has_aux=True)(design, data, noise)

    (_, fit), gradient = slopes(*args)
    for leaf in jax.tree.leaves((fit, gradient)):
        assert leaf.dtype == dtype and np.all(np.isfinite(leaf))
    rows = (design / NOISE).reshape(3, -1)
    best, *_ = np.linalg.lstsq(rows.T, (DATA / NOISE).reshape(-1), rcond=1e-10)
    chi2 = np.sum(((DATA / NOISE).reshape(-1) - best @ rows) ** 2)
    np.testing.assert_allclose(fit.chi2, chi2, rtol=1e-6 if dtype == "float64" else 1e-2)
    if kind == "twins":
        np.testing.assert_allclose(
            fit.amplitudes[0], fit.amplitudes[1], rtol=1e-3 if dtype == "float64" else 0.5
        )
    if kind in ("empty", "nothing"):
        assert fit.amplitudes[1] == 0.0


def test_bad_input():
    with pytest.raises(ValueError, match=r"`design` has shape \(6, 7\).*\(K, H, W\)"):
        fit_amplitudes(DESIGN[0], DATA, NOISE)
    with pytest.raises(ValueError, match=r"`design` has shape \(3, 5, 7\), `data` \(6, 7\)"):
        fit_amplitudes(DESIGN[:, :5], DATA, NOISE)
    with pytest.raises(ValueError, match=r"mask: its shape is \(5, 7\)"):
        fit_amplitudes(DESIGN, DATA, NOISE, MASK[:5])
