"""A row of the table of lenses."""

import dataclasses

from simulators.lensing.mass.base import AbstractMass


@dataclasses.dataclass(frozen=True)
class Case:
    """A lens and what is special about it.

    `massless`: the fields to set to zero for the lens without mass.
    `single`: the relative error that float32 may leave; by default some 50 ulp: digits are lost to
    the centre and, for a flat lens, along its minor axis.
    """

    mass: AbstractMass
    massless: tuple = ("theta_E",)
    single: float = 1e-5
