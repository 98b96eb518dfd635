"""A lens as a simulator: from parameters to an image with its noise."""

from collections.abc import Callable

import equinox as eqx
import numpy as np

from jaxastro.core import AbstractForwardSimulator
from simulators.lensing.grid import Grid
from simulators.lensing.image import render
from simulators.lensing.noise import BackgroundPoissonNoise, GaussianNoise
from simulators.lensing.psf import PSF
from simulators.shared.fields import known


class LensedImage(AbstractForwardSimulator):
    r"""The image of a lensed source, of the lens' own light, and their noise.

    .. math:: d_p \sim N(m_p(\theta), \sigma_p^2)

    with the image m of `image.render` in flux per pixel. Masked pixels of an observation never
    count (`Model.condition` wants them finite all the same); those of a simulated one hold the
    model without noise.

    Attributes:
        scene: dict of parameters -> (lens, source, lens light): an `AbstractMass` and two
            `AbstractLight`, each or None.
        grid: the pixels.
        noise: a `GaussianNoise` or a `BackgroundPoissonNoise`; it holds the mask.
        psf: the point-spread function, or None.

    >>> import jax, jax.numpy as jnp
    >>> from simulators.lensing.light import Gaussian
    >>> from simulators.lensing.mass import SIS
    >>> def scene(p):
    ...     return SIS(p["theta_E"]), Gaussian(5.0, 0.1, center_x=p["x"]), None
    >>> simulator = LensedImage(scene, Grid((31, 31), 0.1), GaussianNoise(0.01))
    >>> params = {"theta_E": jnp.asarray(1.0), "x": jnp.asarray(0.1)}
    >>> image = simulator.simulate(jax.random.key(0), params)
    >>> image.shape, bool(simulator.log_likelihood(params, image) > 2000)
    ((31, 31), True)
    """

    scene: Callable = eqx.field(static=True)
    grid: Grid
    noise: GaussianNoise | BackgroundPoissonNoise
    psf: PSF | None = None

    def __check_init__(self):
        mask = self.noise.mask
        if mask is None:
            return
        if mask.shape != self.grid.shape:
            raise ValueError(
                f"LensedImage: the mask of `noise` has shape {mask.shape}, `grid` "
                f"{self.grid.shape}; give one entry a pixel."
            )
        if known(mask) and not np.any(mask):
            raise ValueError("LensedImage: the mask of `noise` leaves no pixel; unmask some.")

    def sample_latents(self, key):
        """None: the image without noise is a function of the parameters."""

    def forward(self, params, latents=None):
        """The image without noise [flux per pixel], shape (H, W)."""
        return render(*self.scene(params), self.grid, self.psf)

    def noise_log_prob(self, prediction, observation):
        """log p(observation | prediction) over the pixels that the mask counts."""
        return self.noise.log_likelihood(prediction, observation)

    def sample_noise(self, key, prediction):
        """The prediction with noise."""
        return self.noise.sample(key, prediction)

    def validate_observation(self, observation):
        """Raise ValueError for an image of another shape."""
        shape = np.shape(observation)
        if shape != self.grid.shape:
            raise ValueError(
                f"observation: its shape is {shape}, that of the grid {self.grid.shape}; give an "
                "image of that shape."
            )
