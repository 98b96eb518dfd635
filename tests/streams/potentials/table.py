"""One table of potentials: a new one needs a row here and every property test holds it."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from simulators.streams.potentials import (
    NFW,
    AbstractPotential,
    DehnenBar,
    ExponentialGrowth,
    HermiteCurve,
    Hernquist,
    Isochrone,
    Jaffe,
    Kepler,
    LinearGrowth,
    Logarithmic,
    LongMuraliBar,
    MilkyWayPotential,
    MiyamotoNagai,
    MN3Disc,
    Moving,
    Plummer,
    PowerLawCutoff,
    Reflex,
    Rotating,
    TimeScaled,
    UniformAcceleration,
)

TIME = 35.0


def _track(quintic):
    times = np.linspace(-50.0, 100.0, 7)
    wave = np.stack([50.0 + 0.1 * times, 20.0 * np.sin(times / 60.0), -0.2 * times], axis=-1)
    slope = np.stack([0.1 + 0 * times, np.cos(times / 60.0) / 3.0, -0.2 + 0 * times], axis=-1)
    bend = np.stack([0 * times, -np.sin(times / 60.0) / 180.0, 0 * times], axis=-1)
    return HermiteCurve(times, wave, slope, bend if quintic else None)


def _cloud():
    return Moving(Hernquist(1.38e11, 16.0), _track(quintic=True))


@dataclasses.dataclass(frozen=True)
class Case:
    """A potential and what is special about it.

    `massless`: fields to set to zero for the zero-mass test, as a function of the potential.
    """

    potential: AbstractPotential
    massless: tuple = ("m",)


CASES = {
    "Kepler": Case(Kepler(1e10)),
    "Plummer": Case(Plummer(1e10, 0.7)),
    "Hernquist": Case(Hernquist(1e10, 0.7)),
    "Jaffe": Case(Jaffe(1e10, 0.7)),
    "Isochrone": Case(Isochrone(1e11, 3.0)),
    "PowerLawCutoff": Case(PowerLawCutoff(1e10, 1.8, 1.9)),
    "MiyamotoNagai": Case(MiyamotoNagai(6.8e10, 3.0, 0.28)),
    "MN3Disc": Case(MN3Disc(4.8e10, 2.6, 0.3)),
    "NFW": Case(NFW(1e12, 15.0)),
    "NFW-triaxial": Case(NFW(1e12, 15.0, 1.1, 0.95, 0.8)),
    "Logarithmic": Case(Logarithmic(0.2, 2.0, 1.3, 1.0, 0.8, 0.6), ("v_c",)),
    "LongMuraliBar": Case(LongMuraliBar(1e10, 4.0, 0.5, 1.0, 0.4)),
    "DehnenBar": Case(
        DehnenBar(1e-3, 3.5, 0.04, angle=0.4, t_form=-100.0, t_grow=300.0), ("strength",)
    ),
    "UniformAcceleration": Case(UniformAcceleration([1e-4, 2e-4, -3e-4]), ("a",)),
    "UniformAcceleration-curve": Case(UniformAcceleration(_track(quintic=False)), ()),
    "Rotating": Case(Rotating(LongMuraliBar(1e10, 4.0, 0.5, 1.0), 0.04, 0.3), ()),
    "Moving-cubic": Case(Moving(Plummer(1e8, 1.0), _track(quintic=False)), ()),
    "Moving-quintic": Case(_cloud(), ()),
    "Reflex": Case(Reflex(_cloud()), ()),
    "TimeScaled-linear": Case(TimeScaled(Plummer(1e11, 2.0), LinearGrowth(1e-3)), ()),
    "TimeScaled-exponential": Case(TimeScaled(Kepler(1e10), ExponentialGrowth(5e3)), ()),
    "TimeScaled-knots": Case(
        TimeScaled(
            Hernquist(1e10, 1.0),
            HermiteCurve.through(np.arange(-2.0, 4.0) * 50.0, 1.0 + 0.1 * np.arange(6.0) ** 2),
        ),
        (),
    ),
    "MilkyWayPotential": Case(MilkyWayPotential(), ()),
    "Composite": Case(
        Isochrone(1e11, 1.0) + Plummer(1e9, 0.5) + Plummer(1e7, 2),
        (),
    ),
}


def random_points(n, seed, low=1e-3, high=300.0):
    """`n` points, log-uniform in radius, the first quarter in the plane or on an axis."""
    rng = np.random.default_rng(seed)
    radius = np.exp(rng.uniform(np.log(low), np.log(high), n))
    direction = rng.normal(size=(n, 3))
    special = n // 12
    direction[:special, 2] = 0.0
    direction[special : 2 * special, :2] = 0.0
    direction[2 * special : 3 * special, 1:] = 0.0
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return jnp.asarray(radius[:, None] * direction)


def special_points():
    """The origin, its neighbourhood, the axes, the plane, and far away."""
    axes = np.eye(3)
    near = [scale * axis for scale in (1e-30, 1e-12, 1e-6, 8.0, 1e5) for axis in (*axes, *-axes)]
    return jnp.asarray(np.array([[0.0, 0.0, 0.0], *near, [3.5, 0.0, 0.0], [4.0, 4.0, 0.0]]))
