"""Surface brightness of galaxies: lens light and sources."""

from simulators.lensing.light.base import AbstractLight, Composite
from simulators.lensing.light.pixelated import PixelSource
from simulators.lensing.light.profiles import Gaussian, Uniform
from simulators.lensing.light.sersic import CoreSersic, Sersic, b_n_exact, b_n_linear
from simulators.lensing.light.shapelets import Shapelets, orders

__all__ = [
    "AbstractLight",
    "Composite",
    "CoreSersic",
    "Gaussian",
    "PixelSource",
    "Sersic",
    "Shapelets",
    "Uniform",
    "b_n_exact",
    "b_n_linear",
    "orders",
]
