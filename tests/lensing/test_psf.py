"""Convolution against scipy, and which kernels are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.psf import PSF, good_size

_convolve = jax.jit(lambda psf, image: psf.convolve(image))
_observe = jax.jit(lambda psf, subpixels: psf.observe(subpixels))


def _kernel(shape, seed=0):
    values = np.random.default_rng(seed).uniform(0.0, 1.0, shape)
    return values / values.sum()


def _subpixels(image, s):
    """An image (H S, W S) in the layout of `Grid.subpixels`."""
    height, width = image.shape[0] // s, image.shape[1] // s
    return image.reshape(height, s, width, s).transpose(1, 3, 0, 2).reshape(s * s, height, width)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((20, 31), (7, 5)),
        ((16, 16), (1, 1)),
        ((9, 8), (9, 21)),
        ((3, 40), (11, 3)),
        ((1, 1), (3, 3)),
    ],
)
def test_convolution(shape, size):
    signal = pytest.importorskip("scipy.signal", reason="scipy is a test extra")
    image, kernel = np.random.default_rng(1).normal(size=shape), _kernel(size)
    # convolve2d sums directly; fftconvolve swaps the arguments where the kernel is the larger
    theirs = signal.convolve2d(image, kernel, mode="full")
    top, left = size[0] // 2, size[1] // 2
    theirs = theirs[top : top + shape[0], left : left + shape[1]]
    ours = _convolve(PSF(kernel), jnp.asarray(image))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)
    if all(n <= m for n, m in zip(size, shape, strict=True)):
        np.testing.assert_allclose(
            ours, signal.fftconvolve(image, kernel, mode="same"), rtol=0, atol=1e-14
        )


@pytest.mark.parametrize(
    ("s", "size"), [(2, (3, 3)), (2, (5, 9)), (3, (1, 5)), (3, (7, 9)), (4, (11, 3)), (5, (3, 3))]
)
def test_supersampled_convolution(s, size):
    signal = pytest.importorskip("scipy.signal", reason="scipy is a test extra")
    image, kernel = np.random.default_rng(1).normal(size=(6 * s, 9 * s)), _kernel(size)
    theirs = signal.convolve2d(image, kernel, mode="same")
    theirs = theirs.reshape(6, s, 9, s).mean(axis=(1, 3))
    ours = _observe(PSF(kernel, supersampling=s), _subpixels(jnp.asarray(image), s))
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-14)


def test_batches_and_precision():
    kernel, images = _kernel((5, 5)), np.random.default_rng(1).normal(size=(3, 12, 10))
    one = jax.vmap(PSF(kernel).convolve)(jnp.asarray(images))
    np.testing.assert_allclose(PSF(kernel).convolve(jnp.asarray(images)), one, rtol=0, atol=1e-14)
    single = PSF(kernel).convolve(jnp.asarray(images, "float32"))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, one, rtol=0, atol=1e-6)


def test_gradient_with_respect_to_the_kernel():
    image = jnp.asarray(np.random.default_rng(1).normal(size=(12, 12)))
    weight = jnp.asarray(np.random.default_rng(2).normal(size=(6, 6)))

    @jax.jit
    def total(kernel):
        return jnp.sum(weight * PSF(kernel, 2).observe(_subpixels(image, 2)))

    kernel = jnp.asarray(_kernel((5, 3)))
    gradient = jax.grad(total)(kernel)
    # linear in the kernel: the gradient holds the response to each entry
    unit = jnp.zeros_like(kernel).at[1, 2].set(1.0)
    np.testing.assert_allclose(gradient[1, 2], total(unit), rtol=1e-12)
    np.testing.assert_allclose(jnp.sum(gradient * kernel), total(kernel), rtol=1e-12)


def test_gaussian_of_lenstronomy():
    util = pytest.importorskip("lenstronomy.Util.kernel_util", reason="lenstronomy is missing")
    theirs = util.kernel_gaussian(21, 0.05 / 2, 0.11)
    ours = PSF.gaussian(0.11, 0.05, 21, supersampling=2).kernel
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-15)
    slope = jax.jacfwd(lambda fwhm: PSF.gaussian(fwhm, 0.05, 21).kernel)(0.11)
    assert np.all(np.isfinite(slope)) and abs(float(slope.sum())) < 1e-12


def test_sizes():
    for least in (1, 8, 9, 110, 210, 331, 1000, 1021):
        size = good_size(least)
        assert size >= least and size % 8 == 0
        for prime in (2, 3, 5, 7):
            while size % prime == 0:
                size //= prime
        assert size == 1


@pytest.mark.parametrize(
    ("kernel", "words"),
    [
        (np.full((4, 5), 0.05), r"PSF.*`kernel` has shape \(4, 5\).*odd number of rows"),
        (np.full(5, 0.2), r"PSF.*`kernel` has shape \(5,\).*odd"),
        (np.full((3, 3), 0.112), "PSF.*`kernel` sums to 1.008.*normalise it: divide"),
        (np.full((3, 3), -1 / 9), "PSF.*`kernel` sums to -1.*positive sum"),
        (np.zeros((3, 3)), "PSF.*`kernel` sums to 0.*positive sum"),
        (np.diag([0.5, np.nan, 0.5]), r"PSF.*`kernel` has nan at \(1, 1\).*finite"),
        (np.diag([np.inf, 0.5, 0.5]), r"PSF.*`kernel` has inf at \(0, 0\).*finite"),
    ],
)
def test_bad_kernels(kernel, words):
    with pytest.raises(ValueError, match=words):
        PSF(kernel)


def test_bad_supersampling():
    with pytest.raises(ValueError, match=r"`supersampling` = 0\.5"):
        PSF(_kernel((3, 3)), supersampling=0.5)


def test_a_kernel_within_a_thousandth_is_used_as_it_is():
    psf = PSF(_kernel((3, 3)) * 1.0005)
    image = psf.convolve(jnp.zeros((7, 7)).at[3, 3].set(1.0))
    assert float(image.sum()) == pytest.approx(1.0005, rel=1e-12)
