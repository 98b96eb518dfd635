"""A lens as a simulator whose amplitudes are integrated out, in one band or in several."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxastro.core import AbstractTractableSimulator
from simulators.lensing.grid import Grid
from simulators.lensing.image import design
from simulators.lensing.linear import fit_amplitudes
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.psf import PSF
from simulators.shared.fields import as_float, cast


class LinearImage(AbstractTractableSimulator):
    r"""The image of a lens, with the brightness of every component integrated out.

    .. math:: d_p \sim N(\sum_k a_k A_{kp}(\theta), \sigma_p^2), \quad a_k \sim N(\mu_k, s_k^2)

    with A the images of `image.design`. The likelihood is that of `linear.fit_amplitudes`: the
    sampler moves in the shapes alone, and brightness, which is strongly tied to size, costs one
    Cholesky factor of K x K. Nothing keeps an amplitude positive but the data.

    Attributes:
        scene: dict of parameters -> (lens, sources, lens lights): an `AbstractMass` or None, and
            two lists of `AbstractLight` of amplitude one (static; hashable and comparable, so that
            equal models share what was compiled).
        grid: the pixels.
        noise: a `GaussianNoise`; it holds the mask.
        psf: the point-spread function, or None.
        prior_mean, prior_sigma: of the amplitudes, sources first: a number or (K,).

    >>> from simulators.lensing.light import Gaussian
    >>> from simulators.lensing.mass import SIS
    >>> def scene(p):
    ...     return SIS(p["theta_E"]), [Gaussian(1.0, 0.1)], []
    >>> simulator = LinearImage(scene, Grid((31, 31), 0.1), GaussianNoise(0.01), None, 5.0, 1.0)
    >>> params = {"theta_E": jnp.asarray(1.0)}
    >>> image = simulator.simulate(jax.random.key(0), params)
    >>> fit = simulator.fit(params, image)
    >>> image.shape, bool(simulator.log_likelihood(params, image) == fit.log_marginal)
    ((31, 31), True)
    """

    scene: Callable = eqx.field(static=True)
    grid: Grid
    noise: GaussianNoise
    psf: PSF | None = None
    prior_mean: jax.Array = eqx.field(converter=as_float, default=0.0)
    prior_sigma: jax.Array = eqx.field(converter=as_float, default=1.0)

    def design(self, params):
        """Images of the components at amplitude one, (K, H, W), the sources' first."""
        return design(*self.scene(params), self.grid, self.psf)

    def fit(self, params, observation):
        """The `LinearFit` of the amplitudes at these parameters."""
        return self._fit(self.design(params), observation)

    def components(self, params, observation):
        """Best amplitudes (K,), and the images (K, H, W) of the components at these, mask or not.

        Their sum is the model; the `fit`'s image is that where pixels count.
        """
        images = self.design(params)
        amplitudes = self._fit(images, observation).amplitudes
        return amplitudes, amplitudes[:, None, None] * images

    def _fit(self, images, observation):
        return fit_amplitudes(
            images,
            observation,
            self.noise.noise_map,
            self.noise.mask,
            self.prior_mean,
            self.prior_sigma,
        )

    def log_likelihood(self, params, observation):
        """log p(observation | params), amplitudes integrated out."""
        return self.fit(params, observation).log_marginal

    def simulate(self, key, params):
        """Amplitudes from their prior, the image, noise."""
        amplitude_key, noise_key = jax.random.split(key)
        images = self.design(params)
        mean, sigma = cast(images, self.prior_mean, self.prior_sigma)
        normal = jax.random.normal(amplitude_key, images.shape[:1], images.dtype)
        image = jnp.tensordot(mean + sigma * normal, images, axes=1)
        return self.noise.sample(noise_key, image)

    def validate_observation(self, observation):
        """Raise ValueError for an image of another shape."""
        if np.shape(observation) != self.grid.shape:
            raise ValueError(
                f"observation: its shape is {np.shape(observation)}, that of the grid "
                f"{self.grid.shape}; give an image of that shape."
            )


class Bands(AbstractTractableSimulator):
    """Images of one lens in several bands: the same parameters, and each band's own amplitudes.

    Args:
        bands: a `LinearImage` for each.

    An observation is a tuple of images, one a band.

    >>> from simulators.lensing.light import Gaussian
    >>> blue, red = (
    ...     LinearImage(lambda p: (None, [], [Gaussian(1.0, p["s"])]), Grid((9, 9), 0.1), noise)
    ...     for noise in (GaussianNoise(0.01), GaussianNoise(0.02))
    ... )
    >>> both, params = Bands((blue, red)), {"s": jnp.asarray(0.2)}
    >>> images = both.simulate(jax.random.key(0), params)
    >>> [image.shape for image in images]
    [(9, 9), (9, 9)]
    """

    bands: tuple[LinearImage, ...]

    def log_likelihood(self, params, observation):
        """The sum over the bands."""
        pairs = zip(self.bands, observation, strict=True)
        return sum(band.log_likelihood(params, image) for band, image in pairs)

    def simulate(self, key, params):
        """One image a band."""
        keys = jax.random.split(key, len(self.bands))
        return tuple(band.simulate(k, params) for k, band in zip(keys, self.bands, strict=True))

    def validate_observation(self, observation):
        """Raise ValueError for another number of images, or one of another shape."""
        if len(observation) != len(self.bands):
            raise ValueError(
                f"observation: {len(observation)} images for {len(self.bands)} bands; give one each"
            )
        for band, image in zip(self.bands, observation, strict=True):
            band.validate_observation(image)
