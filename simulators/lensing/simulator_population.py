"""A population of lenses as a simulator: from its dark haloes to an image of one of them."""

from collections.abc import Callable

import equinox as eqx
import jax

from jaxastro.core import AbstractSimulator, Model
from simulators.lensing.cosmology import Cosmology
from simulators.lensing.image import render
from simulators.lensing.mass_function import sample_subhalos
from simulators.lensing.simulator import LensedImage
from simulators.shared.fields import as_float, check, known


class SubstructureImage(AbstractSimulator):
    r"""The image of one lens of a population whose subhaloes follow one mass function.

    .. math:: \phi \sim p(\phi), \quad \{m_k, \theta_k, \ldots\} \sim \mathrm{Poisson}\left(
        \frac{d^2 N}{dm\, dA}(\vartheta)\right), \quad d_p \sim N(m_p(\phi, \{m_k\}), \sigma_p^2)

    with the parameters :math:`\vartheta` of the population, and :math:`\phi` those of the lens and
    its source, which each draw has anew: a posterior learnt from draws is marginal over them and
    over the subhaloes (Brehmer et al. 2019, ApJ 886, 49). There is no likelihood.

    The subhaloes add their mass to that of the smooth lens: no sheet of negative convergence
    balances it. They are those of `mass_function.sample_subhalos`, so that draws of one key move
    smoothly with the mass function, sigma_sub excepted. In batches of 16 by vmap an image of 48 x
    48 pixels without supersampling and of 64 subhaloes takes 3.4 ms of one core in float32.

    Args:
        smooth: the lens without subhaloes, a `Model` of a `LensedImage` and the prior of its
            parameters phi; its scene has a lens.
        mass_function: parameters of the population -> `SubhaloMassFunction`.
        z_lens, z_source: redshifts of all lenses and of all sources, 0 < z_lens < z_source.
        radius: of the disc about the origin with subhaloes [arcsec], above 0.
        size: most subhaloes that a draw may have; static. See `SubhaloMassFunction.sample_count`.
        cosmology: a `Cosmology`.

    Raises:
        ValueError: for another `smooth`, a `size` that is no positive int, or concrete numbers
            outside these bounds.

    >>> import equinox as eqx, jax, jax.numpy as jnp, numpyro.distributions as dist
    >>> from jaxastro.core import Parameter, Prior
    >>> from simulators.lensing.grid import Grid
    >>> from simulators.lensing.light import Gaussian
    >>> from simulators.lensing.mass import SIS
    >>> from simulators.lensing.mass_function import SubhaloMassFunction
    >>> from simulators.lensing.noise import GaussianNoise
    >>> def scene(p):
    ...     return SIS(p["theta_E"]), Gaussian(5.0, 0.1, center_x=0.1), None
    >>> image = LensedImage(scene, Grid((31, 31), 0.1), GaussianNoise(0.01))
    >>> smooth = Model(Prior(theta_E=Parameter(dist.Uniform(0.8, 1.2), "arcsec")), image)
    >>> def mass_function(p):
    ...     return SubhaloMassFunction(p["sigma_sub"], m_low=1e8, m_hm=10.0 ** p["log10_m_hm"])
    >>> simulator = SubstructureImage(smooth, mass_function, 0.5, 2.0, radius=1.5, size=32)
    >>> params = {"sigma_sub": jnp.asarray(0.02), "log10_m_hm": jnp.asarray(8.0)}
    >>> eqx.filter_jit(simulator.simulate)(jax.random.key(0), params).shape
    (31, 31)
    """

    smooth: Model
    mass_function: Callable = eqx.field(static=True)
    z_lens: jax.Array = eqx.field(converter=as_float)
    z_source: jax.Array = eqx.field(converter=as_float)
    radius: jax.Array = eqx.field(converter=as_float)
    size: int = eqx.field(static=True)
    cosmology: Cosmology = eqx.field(default_factory=Cosmology)

    def __check_init__(self):
        image = getattr(self.smooth, "simulator", None)
        if not isinstance(image, LensedImage):
            got = type(self.smooth if image is None else image).__name__
            raise ValueError(
                f"SubstructureImage: argument `smooth` is or holds a {got}; give "
                "Model(prior, LensedImage(...))."
            )
        if not isinstance(self.size, int) or self.size < 1:
            raise ValueError(
                f"SubstructureImage: argument `size` = {self.size!r}; give an int >= 1, some mean "
                "+ 6 sqrt(mean) of the number of subhaloes."
            )
        check(self, "z_lens", "radius")
        if known(self.z_lens):
            check(self, "z_source", least=float(self.z_lens))

    def haloes(self, key, params):
        """A draw of the subhaloes of one lens: a `Population`."""
        return sample_subhalos(
            key,
            self.mass_function(params),
            self.z_lens,
            self.z_source,
            radius=self.radius,
            size=self.size,
            cosmology=self.cosmology,
        )

    def simulate(self, key, params):
        """An image of a new lens with its noise, shape (H, W)."""
        own, haloes, noise = jax.random.split(key, 3)
        image = self.smooth.simulator
        lens, source, lens_light = image.scene(self.smooth.prior.sample(own))
        lens = lens + self.haloes(haloes, params)
        return image.noise.sample(noise, render(lens, source, lens_light, image.grid, image.psf))

    def validate_observation(self, observation):
        """Raise ValueError for an image of another shape."""
        self.smooth.simulator.validate_observation(observation)
