"""Streams as simulators: from parameters to the measured track of a stream."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxastro.core import AbstractForwardSimulator
from simulators.shared.fields import as_float
from simulators.streams.frames import (
    GD1,
    GreatCircleFrame,
    SolarFrame,
    StreamCoordinates,
    galactocentric_to_stream,
    stream_to_galactocentric,
)
from simulators.streams.observe import OBSERVABLES, TrackMeasurements
from simulators.streams.potentials import AbstractPotential
from simulators.streams.release import AbstractRelease, Fardal2015
from simulators.streams.spray import STEP, Latents, Stream, spray
from simulators.streams.summaries import StreamSummary, summarize


class TrackPrediction(eqx.Module):
    """A simulated track at the positions of the measurements.

    Attributes:
        track: shape (M, K), in the units of the observables.
        variance: its Monte-Carlo variance from the finite number of particles, shape (M, K).
    """

    track: Float[Array, "M K"]
    variance: Float[Array, "M K"]


class StreamTrack(AbstractForwardSimulator):
    r"""The track of a stream at given positions along it, by particle spray.

    The parameters give the galaxy, through `host`, and the progenitor's place now on the sky of
    the stream: `phi2` [deg], `distance` [kpc], `pm_phi1_cosphi2`, `pm_phi2` [mas/yr],
    `radial_velocity` [km/s]; its phi1 is fixed, since moving it along its orbit changes a
    track by very little. A parameter `distance_scale`, if there is one, is the factor by which
    measured distances exceed true ones: a zero point of the distance modulus. The prediction is
    the local mean of the particles' observables at the measured phi1, and the noise is normal:

    .. math:: x_{mk} \sim N(y_{mk}, \sigma_{mk}^2 + s_{mk}^2)

    with s the Monte-Carlo error of the prediction, limited smoothly to sigma, so that a stream
    which does not reach a measured position is held against the measurement and not excused.

    Attributes:
        host: dict of parameters -> the galaxy's potential.
        data: where and what was measured, with which errors; its values are not used.
        phi1: the progenitor's phi1 [deg].
        mass: the progenitor's mass at -age [Msun].
        mass_final: its mass at the present [Msun], 0 for one that has dissolved; linear between.
        age: how long it has been losing stars [Myr].
        bandwidth: of the kernel that makes the track [deg].
        degree: of the local polynomials that make the track; see `summarize`.
        convention: how stars leave the progenitor.
        solar: where the Sun is; parameters named like its fields replace them.
        frame: the stream's frame on the sky.
        n_particles, step: number of particles and longest time step [Myr].

    >>> from simulators.streams.potentials import MilkyWayPotential
    >>> data = TrackMeasurements([-20.0, 0.0], [[0.0, 0.0]], [[0.1, 0.1]], [[True] * 2], ("phi2",))
    >>> simulator = StreamTrack(
    ...     lambda params: MilkyWayPotential(),
    ...     data,
    ...     phi1=-10.0,
    ...     n_particles=32,
    ...     age=500.0,
    ...     step=4.0,
    ... )
    >>> progenitor = dict(
    ...     phi2=0.0, distance=9.0, pm_phi1_cosphi2=-10.5, pm_phi2=-2.5, radial_velocity=-190.0
    ... )
    >>> eqx.filter_jit(simulator.simulate)(jax.random.key(0), progenitor).value.shape
    (1, 2)
    """

    host: Callable[[dict], AbstractPotential]
    data: TrackMeasurements
    phi1: Float[Array, ""] = eqx.field(converter=as_float)
    mass: Float[Array, ""] = eqx.field(converter=as_float, default=2e4)
    mass_final: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    age: float = eqx.field(static=True, default=3000.0)
    bandwidth: Float[Array, ""] = eqx.field(converter=as_float, default=2.5)
    degree: int = eqx.field(static=True, default=1)
    convention: AbstractRelease = eqx.field(default_factory=Fardal2015)
    solar: SolarFrame = eqx.field(default_factory=SolarFrame)
    frame: GreatCircleFrame = GD1
    n_particles: int = eqx.field(static=True, default=512)
    step: float = eqx.field(static=True, default=STEP)

    def sample_latents(self, key) -> Latents:
        """Independent random numbers for the particles."""
        return Latents.draw(key, self.n_particles)

    def fixed_latents(self, seed: int = 0) -> Latents:
        """Sobol points: to condition on, so that the likelihood is a smooth function."""
        return Latents.quasi(self.n_particles, seed)

    def stream(self, params: dict, latents: Latents) -> Stream:
        """The particles in the Galactocentric frame."""
        progenitor = stream_to_galactocentric(
            self.phi1, *(params[name] for name in OBSERVABLES), frame=self.frame, solar=self.solar
        )
        return spray(
            latents,
            self.host(params),
            jnp.stack(progenitor[:3]),
            jnp.stack(progenitor[3:]),
            mass=self.mass,
            mass_final=self.mass_final,
            age=self.age,
            convention=self.convention,
            step=self.step,
        )

    def on_sky(self, params: dict, latents: Latents) -> StreamCoordinates:
        """The particles as an observer sees them."""
        stream = self.stream(params, latents)
        return galactocentric_to_stream(*stream.x, *stream.v, frame=self.frame, solar=self.solar)

    def summary(self, params: dict, latents: Latents, at=None) -> StreamSummary:
        """Track, width and density, at the measured positions or at `at` [deg]."""
        sky = self.on_sky(params, latents)
        at = self.data.phi1 if at is None else as_float(at)
        zero_point = {"distance": params.get("distance_scale", 1.0)}
        observables = [getattr(sky, name) * zero_point.get(name, 1.0) for name in self.data.names]
        at = at.astype(sky.phi1.dtype)
        return summarize(sky.phi1, observables, at, self.bandwidth, degree=self.degree)

    def forward(self, params, latents) -> TrackPrediction:
        """The noiseless track."""
        summary = self.summary(params, latents)
        return TrackPrediction(summary.track, summary.mc_variance)

    def noise_log_prob(self, prediction, observation):
        """Sum over what was measured of the normal log densities."""
        variance = _variance(prediction, observation.sigma)
        residual = observation.value - prediction.track
        terms = -0.5 * (residual**2 / variance + jnp.log(2.0 * np.pi * variance))
        return jnp.sum(jnp.where(observation.mask, terms, 0.0))

    def sample_noise(self, key, prediction):
        """Measurements around the track, with the errors of `data` and the Monte-Carlo error.

        The very density of `noise_log_prob`: with errors of `data` alone, mock data would be less
        scattered than the likelihood says, and posteriors from them too wide.
        """
        data = self.data
        noise = jax.random.normal(key, data.sigma.shape, data.sigma.dtype)
        value = prediction.track + jnp.sqrt(_variance(prediction, data.sigma)) * noise
        return TrackMeasurements(data.phi1, value, data.sigma, data.mask, data.names)

    def validate_observation(self, observation):
        """Raises ValueError unless the observation is of the same positions and observables."""
        mine, theirs = self.data, observation
        if not isinstance(theirs, TrackMeasurements):
            raise ValueError(
                f"observation: expected TrackMeasurements, got {type(theirs).__name__}"
            )
        if theirs.names != mine.names or theirs.phi1.shape != mine.phi1.shape:
            raise ValueError(
                f"observation: {theirs.names} at {theirs.phi1.shape[0]} positions, but this "
                f"simulator makes {mine.names} at {mine.phi1.shape[0]}; build it with `data` of "
                "the observation's form"
            )
        if not np.all(np.asarray(theirs.sigma) > 0):
            raise ValueError("observation: sigma has values <= 0; give positive standard errors")


def _variance(prediction, sigma):
    """Variance of a measurement about the track: sigma^2 and the limited Monte-Carlo variance."""
    sigma2 = sigma**2
    # x c / (x + c) as c / (1 + c / x) overflows for neither large nor small x.
    return sigma2 + sigma2 * prediction.variance / (prediction.variance + sigma2)
