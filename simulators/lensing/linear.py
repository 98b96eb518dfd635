r"""Amplitudes that enter an image linearly, solved for or integrated out in closed form.

With the unit images A (K of them), the data d = A^T a + noise of covariance C (diagonal) and a
prior of the amplitudes a, normal of mean mu and precision P (zero: flat),

.. math:: M = A C^{-1} A^T + P, \quad \hat a = M^{-1} (A C^{-1} d + P\mu)

and the integral of likelihood times prior over the amplitudes is

.. math:: \ln Z = -\tfrac12 [\chi^2(\hat a) + (\hat a - \mu)^T P (\hat a - \mu)
    + \ln\det(2\pi C) + \ln\det(M P^{-1})]

where for a flat prior of density one the last term is ln det(M / 2 pi) (Hogg, Price-Whelan &
Leistedt 2020, arXiv:2005.14199).
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from simulators.lensing.noise import as_mask, keep
from simulators.shared.elementwise import at_least, inverse_root, tiny
from simulators.shared.fields import as_float, cast


class LinearFit(eqx.Module):
    """Amplitudes of an image's linear components, see `fit_amplitudes`."""

    amplitudes: Float[Array, " K"]
    covariance: Float[Array, "K K"]
    image: Float[Array, "height width"]
    chi2: Float[Array, ""]
    log_marginal: Float[Array, ""]


def fit_amplitudes(design, data, noise_map, mask=None, prior_mean=0.0, prior_sigma=None):
    """Best amplitudes, and the likelihood of the data with the amplitudes integrated out.

    M is scaled to a unit diagonal, and eps^(3/4) of the dtype (2e-12 in float64, 6e-6 in float32)
    is added to it. Where images of the design are collinear or empty, all values and gradients
    stay finite: collinear images share their amplitude and an empty one gets the prior's mean. For
    a flat prior the log-marginal then depends on that number. Elsewhere the amplitudes are off by
    it, relative to the error that the condition of the scaled M magnifies.

    Args:
        design: images (K, H, W) of amplitude one, `image.design`.
        data: image (H, W); it decides the dtype.
        noise_map: standard deviation, a number or (H, W).
        mask: true where a pixel counts, (H, W); the others may hold NaN in data, noise and design.
        prior_mean: mean of the normal prior, a number or (K,).
        prior_sigma: its standard deviation, a number or (K,); None for a flat prior.

    Returns:
        A `LinearFit`; its `image` is the model (H, W), 0 where masked, and its `covariance` that
        of the amplitudes' posterior.

    Raises:
        ValueError: for a design or a mask of another shape than the data.

    >>> ones, ramp = jnp.ones((1, 4)), jnp.arange(4.0)[None]
    >>> fit = fit_amplitudes(jnp.stack([ones, ramp]), 2.0 * ones + 0.5 * ramp, 0.1)
    >>> [round(float(a), 3) for a in fit.amplitudes]
    [2.0, 0.5]
    """
    data = as_float(data)
    if jnp.ndim(design) != 3 or jnp.shape(design)[1:] != data.shape:
        raise ValueError(
            f"fit_amplitudes: argument `design` has shape {jnp.shape(design)}, `data` "
            f"{data.shape}; give images (K, H, W) and (H, W)."
        )
    mask = as_mask(mask)
    count = jnp.shape(design)[0]
    design, noise_map, mean = cast(data, design, noise_map, prior_mean)
    mean = jnp.broadcast_to(mean, (count,))
    noise = keep(mask, jnp.broadcast_to(noise_map, data.shape), 1.0)
    if mask is not None:
        design = jnp.where(mask[None], design, jnp.zeros_like(design))
    data = keep(mask, data, 0.0)
    rows = (design / noise[None]).reshape(count, -1)
    flat = (data / noise).reshape(-1)
    flat = flat - mean @ rows

    gram = rows @ rows.T
    log_prior = jnp.asarray(0.5 * count * math.log(2.0 * math.pi), data.dtype)
    precision = jnp.zeros_like(mean)
    if prior_sigma is not None:
        (sigma,) = cast(data, prior_sigma)
        sigma = jnp.broadcast_to(sigma, (count,))
        precision = 1.0 / (sigma * sigma)
        log_prior = -jnp.sum(jnp.log(sigma))

    diagonal = jnp.diagonal(gram) + precision
    scale = inverse_root(at_least(diagonal, tiny(diagonal)))
    jitter = float(jnp.finfo(data.dtype).eps) ** 0.75
    scaled = (gram + jnp.diag(precision)) * scale[:, None] * scale[None, :]
    root = jnp.linalg.cholesky(scaled + jitter * jnp.eye(count, dtype=data.dtype))
    # from here on the amplitudes are those above the prior's mean
    above = scale * jax.scipy.linalg.cho_solve((root, True), scale * (rows @ flat))
    inverse = jax.scipy.linalg.cho_solve((root, True), jnp.diag(scale))
    residual = flat - above @ rows

    chi2 = residual @ residual
    log_det = 2.0 * jnp.sum(jnp.log(jnp.diagonal(root))) - 2.0 * jnp.sum(jnp.log(scale))
    log_noise = jnp.sum(keep(mask, jnp.log(2.0 * math.pi * noise * noise), 0.0))
    penalty = jnp.sum(precision * above * above)
    amplitudes = mean + above
    return LinearFit(
        amplitudes=amplitudes,
        covariance=scale[:, None] * inverse,
        image=jnp.tensordot(amplitudes, design, axes=1),
        chi2=chi2,
        log_marginal=log_prior - 0.5 * (chi2 + penalty + log_det + log_noise),
    )
