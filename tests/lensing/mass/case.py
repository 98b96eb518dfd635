"""A row of the table of lenses."""

import dataclasses

from simulators.lensing.mass.base import AbstractMass


@dataclasses.dataclass(frozen=True)
class Case:
    """A lens and what is special about it.

    `massless`: the fields to set to zero for the lens without mass.
    """

    mass: AbstractMass
    massless: tuple = ("theta_E",)
