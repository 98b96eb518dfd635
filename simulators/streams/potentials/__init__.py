"""Galactic potentials as pytrees: summable, batchable, differentiable in every parameter."""

from simulators.streams.potentials.base import AbstractPotential, Composite
from simulators.streams.potentials.discs import MiyamotoNagai
from simulators.streams.potentials.halos import NFW, Logarithmic
from simulators.streams.potentials.milky_way import MilkyWayPotential
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
    "Hernquist",
    "Isochrone",
    "Jaffe",
    "Kepler",
    "Logarithmic",
    "MilkyWayPotential",
    "MiyamotoNagai",
    "Plummer",
]
