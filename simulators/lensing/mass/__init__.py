"""Lenses: masses in one plane; they add up."""

from simulators.lensing.mass.base import AbstractMass, Composite
from simulators.lensing.mass.dual_pie import DualPIE
from simulators.lensing.mass.multipole import Multipole
from simulators.lensing.mass.nfw import NFW, TNFW, NFWEllipsePotential
from simulators.lensing.mass.pixelated import PixelConvergence, PixelPotential
from simulators.lensing.mass.point import SIS, Point
from simulators.lensing.mass.population import Population
from simulators.lensing.mass.power_law import EPL, NIE, SIE
from simulators.lensing.mass.sersic import SersicMass
from simulators.lensing.mass.sheet import Shear, Sheet
from simulators.lensing.mass.stellar import Chameleon

__all__ = [
    "EPL",
    "NFW",
    "NIE",
    "SIE",
    "SIS",
    "TNFW",
    "AbstractMass",
    "Chameleon",
    "Composite",
    "DualPIE",
    "Multipole",
    "NFWEllipsePotential",
    "PixelConvergence",
    "PixelPotential",
    "Point",
    "Population",
    "SersicMass",
    "Shear",
    "Sheet",
]
