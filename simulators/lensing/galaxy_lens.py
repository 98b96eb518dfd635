"""The model of the ready job: a galaxy that lenses one behind it."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxastro.core import Model, Parameter, Prior
from simulators.lensing.grid import Grid
from simulators.lensing.image import design
from simulators.lensing.light import Sersic, Uniform
from simulators.lensing.light.sersic import b_n_exact
from simulators.lensing.mass import EPL, Shear
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.observe import LensImage
from simulators.lensing.psf import PSF
from simulators.lensing.simulator_linear import Bands, LinearImage

#: Sersic components of the lens galaxy, with a constant sky beneath.
LIGHTS = ("bulge", "disc")
#: Where the slopes of their light are parameters [arcsec]: where each is what is seen.
R_SLOPE = {"bulge": 0.1, "disc": 1.0}
#: Components of the source: a Sersic profile, and round Gaussian clumps in the order in which they
#: are added.
SOURCES = ("source", "clump1", "clump2", "clump3", "clump4", "clump5")


@dataclasses.dataclass(frozen=True)
class GalaxyLens:
    r"""A galaxy of a Sersic bulge and an exponential disc with one centre, an elliptical power law
    of mass with shear, and a source of a Sersic profile with up to five clumps; no source, no lens.

    A clump has a place and a size: what lies within a few hundredths of an arcsec has no shape
    that could be measured. It is a Gaussian, and to the square of its half-light radius that of 0.6
    `subpixel` [arcsec] is added, a standard deviation of half a subpixel: of what is sharper, or
    has a cusp, sampling makes the likelihood rough, and chains do not mix. The object is the scene
    of a `LinearImage`; all amplitudes are one.

    The parameters are those that the data separate:

    - *Ellipticity of the mass.* The quadrupole of the deflection goes as (3 - gamma) times the
      ellipticity: `e1`, `e2` are that product, and lenstronomy's for an isothermal lens; otherwise
      `mass_ellipticity` gives these. Of lenstronomy's the posterior is curved.
    - *Source.* Near the Einstein radius a power law of slope gamma maps a radial step on the sky to
      gamma - 1 times that on the source plane, so that slope and scale of the source are one long
      curved ridge. Its places, from the centre of the mass, and sizes are (gamma - 1) times the
      parameters; for an isothermal lens they are the parameters. `source_e1`, `source_e2` are
      lenstronomy's ellipticities but for a factor that keeps these below 0.9 (0.998 at 0.27): a
      disc seen edge-on would otherwise sit at a bound.
    - *Light.* Not the half-light radius, most of which lies outside of what is fitted, but
      `bulge_slope`, -dlnI/dlnR at R_0 = 0.1 arcsec (`disc_slope`: at 1 arcsec), beside the index n:
      :math:`I \propto \exp(-n s [(R / R_0)^{1/n} - 1])`, of amplitude one at R_0. `half_light`
      gives the radius. With both slopes at 0.5 arcsec a faint disc and the sky made of the light of
      a lens of Euclid one curved ridge, with divergences. A disc with a free index took the shape
      of a plate with an edge on the ring of a SLACS lens, beside haloes of the source.
    """

    n_sources: int = 1
    subpixel: float = 0.0

    def __call__(self, params):
        lens = self.lens(params) if self.n_sources else None
        return lens, self.sources(params), self.lights(params)

    def lens(self, p):
        """The mass: an `EPL` with external `Shear`, by lenstronomy's names."""
        shape = mass_ellipticity(p["gamma"], p["e1"], p["e2"])
        mass = EPL(p["theta_E"], p["gamma"], *shape, p["center_x"], p["center_y"])
        return mass + Shear(p["gamma1"], p["gamma2"])

    def sources(self, p):
        """The profiles on the source plane."""
        if not self.n_sources:
            return []
        scale = p["gamma"] - 1.0
        profiles = []
        for name in SOURCES[: self.n_sources]:
            place = {f"center_{a}": p[f"center_{a}"] + scale * p[f"{name}_{a}"] for a in "xy"}
            size = scale * p[f"{name}_R"]
            if name == "source":
                e1, e2 = _within_disc(p["source_e1"], p["source_e2"])
                shape = {"n_sersic": p["source_n"], "e1": e1, "e2": e2}
            else:
                size = jnp.sqrt(size * size + (0.6 * self.subpixel) ** 2)
                shape = {"n_sersic": 0.5}
            profiles.append(Sersic(1.0, size, **shape, **place))
        return profiles

    def lights(self, p):
        """The profiles on the sky: bulge, disc, sky."""
        shapes = []
        for name in LIGHTS:
            n, slope = sersic_index(p, name), p[f"{name}_slope"]
            radius, b = half_light(n, slope, R_SLOPE[name]), b_n_exact(n)
            shape = (n, p[f"{name}_e1"], p[f"{name}_e2"], p["light_x"], p["light_y"])
            shapes.append(Sersic(jnp.exp(n * slope - b), radius, *shape, exact=True))
        return [*shapes, Uniform(1.0)]


def mass_ellipticity(gamma, e1, e2):
    r"""lenstronomy's ellipticities of the mass, of the parameters `e1`, `e2` of a `GalaxyLens`.

    With :math:`v = (e_1, e_2) / (3 - \gamma)` they are :math:`v / (1 + |v|^4 / 0.9^4)^{1/4}`: v
    but for what no galaxy has.

    >>> [round(float(e), 3) for e in mass_ellipticity(*jnp.asarray([2.2, 0.08, -0.04]))]
    [0.1, -0.05]
    """
    return _within_disc(e1 / (3.0 - gamma), e2 / (3.0 - gamma))


def _within_disc(v1, v2):
    """An ellipticity below 0.9: v, but for a factor that is 0.998 at 0.27 and 0.94 at 0.65."""
    square = (v1 * v1 + v2 * v2) / 0.81
    limit = (1.0 + square * square) ** -0.25
    return limit * v1, limit * v2


def sersic_index(params, name):
    """Of the "bulge" or of the "disc", one."""
    slope = jnp.asarray(params[f"{name}_slope"])
    return params["bulge_n"] if name == "bulge" else jnp.ones_like(slope)


def half_light(n, slope, radius):
    r"""Half-light radius [arcsec] of a Sersic profile of a `slope` at `radius` [arcsec].

    .. math:: R_e = R_0 (b_n / (n s))^n

    >>> round(float(half_light(jnp.asarray(4.0), jnp.asarray(1.5), 0.5)), 3)
    1.335
    """
    return radius * (b_n_exact(n) / (n * slope)) ** n


def galaxy_prior(n_sources: int, center=(0.0, 0.0)) -> Prior:
    """Priors that hold for any galaxy-scale lens, about the brightest point of the lens galaxy.

    The Einstein radius is log-normal about 1 arcsec with a scatter of 0.5 (SLACS: 0.7 to 1.8); the
    slope is normal about 2.08 with twice the scatter of Auger et al. (2010, ApJ 724, 511), 0.16;
    the centre of the mass lies within some 0.05 arcsec of that of the light. Sizes and slopes are
    log-normal over 0.2 dex and more, of clumps about 0.05 arcsec: what is unresolved has none. The
    source's place is normal about the centre, with 0.3 arcsec: what is strongly lensed lies near
    the caustic.
    """

    def normal(mean, sigma, unit, label):
        return Parameter(dist.Normal(mean, sigma), unit, label)

    def between(mean, sigma, low, high, label):
        return Parameter(dist.TruncatedNormal(mean, sigma, low=low, high=high), "", label)

    def log_normal(median, sigma, unit, label):
        return Parameter(dist.LogNormal(jnp.log(median), sigma), unit, label)

    def ellipticity(name, label, times=""):
        return {
            f"{name}e{i}": between(0.0, 0.2, -0.6, 0.6, rf"${times}e_{{{i},\rm {label}}}$")
            for i in (1, 2)
        }

    x, y = map(float, center)
    found = {}
    if n_sources:
        found |= {
            "theta_E": log_normal(1.0, 0.5, "arcsec", r"$\theta_{\rm E}$"),
            "gamma": between(2.08, 0.32, 1.1, 2.9, r"$\gamma$"),
            **ellipticity("", "lens", times=r"(3-\gamma)"),
            "center_x": normal(x, 0.05, "arcsec", r"$x_{\rm lens}$"),
            "center_y": normal(y, 0.05, "arcsec", r"$y_{\rm lens}$"),
            "gamma1": between(0.0, 0.07, -0.4, 0.4, r"$\gamma_1$"),
            "gamma2": between(0.0, 0.07, -0.4, 0.4, r"$\gamma_2$"),
        }
    for name in SOURCES[:n_sources]:
        size = (0.15, 0.7) if name == "source" else (0.05, 0.5)
        found |= {
            f"{name}_R": log_normal(*size, "arcsec", rf"$R_{{\rm {name}}}$"),
            f"{name}_x": normal(0.0, 0.3, "arcsec", rf"$x_{{\rm {name}}}$"),
            f"{name}_y": normal(0.0, 0.3, "arcsec", rf"$y_{{\rm {name}}}$"),
        }
    if n_sources:
        found |= {"source_n": log_normal(1.5, 0.5, "", r"$n_{\rm source}$")}
        found |= {f"source_e{i}": normal(0.0, 0.25, "", rf"$e_{{{i},\rm source}}$") for i in (1, 2)}
    found |= {"bulge_n": log_normal(4.0, 0.4, "", r"$n_{\rm bulge}$")}
    for name, slope in (("bulge", 1.0), ("disc", 1.6)):
        slope = log_normal(slope, 0.6, "", rf"$s_{{\rm {name}}}$")
        found |= {f"{name}_slope": slope, **ellipticity(f"{name}_", name)}
    found |= {
        "light_x": normal(x, 0.05, "arcsec", r"$x_{\rm light}$"),
        "light_y": normal(y, 0.05, "arcsec", r"$y_{\rm light}$"),
    }
    return Prior(**found)


def galaxy_model(data, n_sources=1, center=(0.0, 0.0)) -> Model:
    """The model of an image, or of images in several bands.

    The amplitudes have normal priors so wide that they only keep the algebra regular: a brightness
    at the effective radius of 20 times the brightest pixel.

    Args:
        data: a `LensImage`, or a sequence of them, one a band, on one sky.
        n_sources: components of the source, 0 to 6; 0 is the lens galaxy's light alone.
        center: the lens galaxy [arcsec], `arcs.brightest`.
    """
    if isinstance(data, LensImage):
        simulator = _linear(data, n_sources)
    else:
        simulator = Bands(tuple(_linear(band, n_sources) for band in data))
    return Model(galaxy_prior(n_sources, center), simulator)


def _linear(data, n_sources):
    brightest = np.max(np.asarray(data.image)) / float(data.grid.pixel_area)
    if not brightest > 0.0:
        raise ValueError("image: no pixel that counts is above zero; subtract less of the sky.")
    scene = GalaxyLens(n_sources, float(data.grid.pixel_scale) / data.grid.supersampling)
    return LinearImage(scene, data.grid, data.noise, data.psf, 0.0, 20.0 * brightest)


#: A lens like those of SLACS, in pixels of 0.1 arcsec: what `mock_lens` shows.
MOCK = {
    "theta_E": 1.1,
    "gamma": 2.0,
    "e1": 0.08,
    "e2": -0.05,
    "center_x": 0.05,
    "center_y": -0.03,
    "gamma1": 0.03,
    "gamma2": -0.02,
    "source_R": 0.15,
    "source_n": 1.0,
    "source_e1": 0.1,
    "source_e2": 0.1,
    "source_x": 0.15,
    "source_y": 0.03,
    "bulge_slope": 1.05,
    "bulge_n": 3.0,
    "bulge_e1": 0.06,
    "bulge_e2": -0.04,
    "disc_slope": 1.3,
    "disc_e1": 0.08,
    "disc_e2": -0.03,
    "light_x": 0.05,
    "light_y": -0.03,
}


def mock_lens(key, params=MOCK, shape=(47, 47), peaks=(15.0, 100.0, 40.0)) -> LensImage:
    """An image of a `GalaxyLens` of one source, with a noise of one beside that of the photons.

    Args:
        key: typed PRNG key of the noise.
        params: of the lens; `MOCK` by default.
        shape: pixels, of 0.1 arcsec; the PSF is a Gaussian of 0.2 arcsec.
        peaks: brightest pixel of the arcs, of the bulge and of the disc.

    >>> import jax
    >>> data = mock_lens(jax.random.key(0))
    >>> data.image.shape, bool(data.image.max() > 100.0)
    ((47, 47), True)
    """
    params = {name: jnp.asarray(value, float) for name, value in params.items()}
    psf, grid = PSF.gaussian(0.2, 0.1, 9), Grid(shape, 0.1)
    images = design(*GalaxyLens(1)(params), grid, psf)[:3]
    heights = jnp.asarray(peaks, images.dtype) / jnp.max(images, axis=(1, 2))
    image = jnp.tensordot(heights, images, axes=1)
    noise = GaussianNoise(jnp.sqrt(1.0 + 0.02 * image), jnp.ones(shape, bool))
    return LensImage(noise.sample(key, image), noise, grid, psf)


def maps(simulator: LinearImage, params: dict, image) -> dict:
    """What figures show of a lens at one point of the posterior.

    Args:
        simulator: a `LinearImage` of a `GalaxyLens` with a source.
        params: the parameters.
        image: the data (H, W).

    Returns:
        Images (H, W): `model`, `lens_light` (sky included), `arcs`, `residual` (over the noise,
        zero where masked), `magnification`, `convergence`; and on grids of their own, `theta`
        (2, M, M) over the image, `beta` (2, M, M), where these lie on the source plane, `det_A`
        (M, M), the inverse of the magnification; `source` (N, N), its brightness
        [flux / arcsec^2] at `source_x`, `source_y` (N,).
    """
    scene, grid = simulator.scene, simulator.grid
    params = {name: jnp.asarray(value, grid.pixel_scale.dtype) for name, value in params.items()}
    lens, sources, _ = scene(params)
    amplitudes, parts = simulator.components(params, image)
    model = jnp.sum(parts, axis=0)
    pull = (image - model) / simulator.noise.noise_map
    mask = simulator.noise.mask
    fine = dataclasses.replace(grid, supersampling=1)
    theta = jnp.stack(fine.centres(), axis=-1)
    # curves need a finer grid than pixels
    size = 300
    scale = grid.pixel_scale * (max(grid.shape) / size)
    wide = dataclasses.replace(fine, shape=(size, size), pixel_scale=scale)
    x, y = wide.centres()
    steps = jnp.linspace(-0.4, 0.4, 161, dtype=grid.pixel_scale.dtype) * params["theta_E"]
    source_x, source_y = sources[0].center_x + steps, sources[0].center_y + steps
    on_source = jnp.meshgrid(source_x, source_y)
    brightness = [s.brightness(*on_source) for s in sources]
    return {
        "model": model,
        "lens_light": jnp.sum(parts[len(sources) :], axis=0),
        "arcs": jnp.sum(parts[: len(sources)], axis=0),
        "residual": pull if mask is None else jnp.where(mask, pull, 0.0),
        "magnification": lens.magnification(theta),
        "convergence": lens.convergence(theta),
        "theta": jnp.stack([x, y]),
        "beta": jnp.stack(lens.trace(x, y)),
        "det_A": 1.0 / lens.magnification(jnp.stack([x, y], axis=-1)),
        "source": sum(a * b for a, b in zip(amplitudes, brightness, strict=False)),
        "source_x": source_x,
        "source_y": source_y,
    }
