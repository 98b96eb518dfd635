"""Galactic potentials as pytrees: summable, batchable, differentiable in every parameter."""

from simulators.streams.potentials.bars import DehnenBar, LongMuraliBar
from simulators.streams.potentials.base import AbstractPotential, Composite
from simulators.streams.potentials.curves import ExponentialGrowth, HermiteCurve, LinearGrowth
from simulators.streams.potentials.cutoff import PowerLawCutoff
from simulators.streams.potentials.discs import MiyamotoNagai, MN3Disc
from simulators.streams.potentials.frames import (
    Moving,
    Reflex,
    Rotating,
    TimeScaled,
    UniformAcceleration,
)
from simulators.streams.potentials.halos import NFW, Logarithmic
from simulators.streams.potentials.lmc import lmc_potential, two_body_track, with_lmc
from simulators.streams.potentials.milky_way import (
    MilkyWayPotential,
    MilkyWayPotential2022,
    MWPotential2014,
)
from simulators.streams.potentials.spherical import (
    AbstractSpherical,
    Hernquist,
    Isochrone,
    Jaffe,
    Kepler,
    Plummer,
)

__all__ = [
    "NFW",
    "AbstractPotential",
    "AbstractSpherical",
    "Composite",
    "DehnenBar",
    "ExponentialGrowth",
    "HermiteCurve",
    "Hernquist",
    "Isochrone",
    "Jaffe",
    "Kepler",
    "LinearGrowth",
    "Logarithmic",
    "LongMuraliBar",
    "MN3Disc",
    "MWPotential2014",
    "MilkyWayPotential",
    "MilkyWayPotential2022",
    "MiyamotoNagai",
    "Moving",
    "Plummer",
    "PowerLawCutoff",
    "Reflex",
    "Rotating",
    "TimeScaled",
    "UniformAcceleration",
    "lmc_potential",
    "two_body_track",
    "with_lmc",
]
