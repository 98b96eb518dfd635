r"""What the noise of an image is, its likelihood, and draws of it.

Every likelihood is that of independent normal pixels,

.. math:: \ln L = -\tfrac12 \sum_p [(d_p - m_p)^2 / \sigma_p^2 + \ln(2\pi\sigma_p^2)]

over the pixels of the mask. Data, model and noise of the other pixels are replaced before anything
is computed from them: they may hold NaN, and reach neither the value nor the gradient.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulators.shared.elementwise import at_least
from simulators.shared.fields import as_float, cast, check, known

Image = Float[Array, "height width"]


def as_mask(value):
    """A boolean array, or None; a converter for fields.

    >>> as_mask([[1, 0]]).tolist()
    [[True, False]]
    """
    return None if value is None else jnp.asarray(value).astype(bool)


def keep(mask, value, instead):
    """`value` where the mask is true, or there is none, and the number `instead` elsewhere."""
    if mask is None:
        return value
    if mask.shape != value.shape:
        raise ValueError(
            f"mask: its shape is {mask.shape}, that of the image {value.shape}; give one entry per "
            "pixel, true where the pixel counts."
        )
    return jnp.where(mask, value, jnp.asarray(instead, value.dtype))


class GaussianNoise(eqx.Module):
    """Independent normal noise of known width.

    Args:
        noise_map: standard deviation, a number or (H, W), above 0 where the mask is true.
        mask: true where a pixel counts, shape (H, W); None counts all.

    Raises:
        ValueError: for a concrete width outside its support.

    >>> noise = GaussianNoise(2.0)
    >>> model = jnp.zeros((1, 2))
    >>> round(float(noise.log_likelihood(model, model)), 4)
    -3.2242
    """

    noise_map: jax.Array = eqx.field(converter=as_float)
    mask: jax.Array | None = eqx.field(converter=as_mask, default=None)

    def __check_init__(self):
        _check_map(self, "noise_map")

    def variance(self, model: Image) -> Image:
        """The variance of each pixel; one where masked."""
        (noise_map,) = cast(model, self.noise_map)
        # before the square, for the sake of the gradient
        sigma = keep(self.mask, jnp.broadcast_to(noise_map, model.shape), 1.0)
        return sigma * sigma

    def log_likelihood(self, model: Image, data: Image):
        """Log-likelihood of the image `data` given the noiseless image `model`."""
        return _log_likelihood(self, model, data)

    def sample(self, key, model: Image) -> Image:
        """`model` and a draw of the noise; masked pixels get none."""
        return _sample(self, key, model)


class BackgroundPoissonNoise(eqx.Module):
    r"""Normal background and the photons of the model, $\sigma^2 = \mathrm{rms}^2 + m_+ / t$.

    The image is in counts per unit time and t the exposure time, so that the expected counts are
    m t; negative model pixels have no photon noise (lenstronomy's `covariance_matrix`). Poisson's
    law is replaced by a normal one of the same mean and variance, in `sample` too, which makes
    draws differentiable with respect to the model: good from some 10 counts a pixel on.

    Args:
        background_rms: standard deviation of the background, a number or (H, W), above 0.
        exposure_time: t, a number or (H, W), above 0.
        mask: true where a pixel counts, shape (H, W); None counts all.

    Raises:
        ValueError: for concrete parameters outside their support.

    >>> noise = BackgroundPoissonNoise(0.1, 100.0)
    >>> [round(float(v), 3) for v in noise.variance(as_float([[-1.0, 4.0]]))[0]]
    [0.01, 0.05]
    """

    background_rms: jax.Array = eqx.field(converter=as_float)
    exposure_time: jax.Array = eqx.field(converter=as_float)
    mask: jax.Array | None = eqx.field(converter=as_mask, default=None)

    def __check_init__(self):
        _check_map(self, "background_rms")
        _check_map(self, "exposure_time")

    def variance(self, model: Image) -> Image:
        """The variance of each pixel given the noiseless image `model`; one where masked."""
        rms, time = (
            keep(self.mask, jnp.broadcast_to(v, model.shape), 1.0)
            for v in cast(model, self.background_rms, self.exposure_time)
        )
        model = keep(self.mask, model, 0.0)
        return rms * rms + at_least(model, 0.0) / time

    def log_likelihood(self, model: Image, data: Image):
        """Log-likelihood of the image `data` given the noiseless image `model`."""
        return _log_likelihood(self, model, data)

    def sample(self, key, model: Image) -> Image:
        """`model` and a draw of the noise, normal and differentiable; masked pixels get none."""
        return _sample(self, key, model)


def _check_map(owner, name):
    """Values above 0, those of masked pixels aside."""
    value, mask = getattr(owner, name), owner.mask
    if not known(value) or not (mask is None or known(mask)):
        return
    if mask is None or value.ndim == 0:
        check(owner, name)
    elif value.shape != mask.shape:
        raise ValueError(
            f"{type(owner).__name__}: argument `{name}` has shape {value.shape}, `mask` "
            f"{mask.shape}; give both the shape of the image."
        )
    else:
        bad = mask & ~((value > 0.0) & jnp.isfinite(value))
        if bad.any():
            raise ValueError(
                f"{type(owner).__name__}: argument `{name}` = {value[bad][0]} at a pixel that the "
                "mask counts; give finite values above 0, or mask the pixel."
            )


def _log_likelihood(noise, model, data):
    variance = noise.variance(model)
    (data,) = cast(model, data)
    residual = keep(noise.mask, data, 0.0) - keep(noise.mask, model, 0.0)
    terms = residual * residual / variance + jnp.log(variance) + math.log(2.0 * math.pi)
    return -0.5 * jnp.sum(keep(noise.mask, terms, 0.0))


def _sample(noise, key, model):
    sigma = keep(noise.mask, jnp.sqrt(noise.variance(model)), 0.0)
    return model + sigma * jax.random.normal(key, model.shape, model.dtype)
