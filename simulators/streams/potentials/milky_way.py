"""Ready Milky Way models with their published parameters."""

from simulators.streams.potentials.base import Composite
from simulators.streams.potentials.discs import MiyamotoNagai
from simulators.streams.potentials.halos import NFW
from simulators.streams.potentials.spherical import Hernquist


def MilkyWayPotential() -> Composite:
    """The Milky Way of gala, version 1: disc, bulge, nucleus, halo.

    Disc scale lengths from Bovy (2015, ApJS 216, 29), the rest fitted by Price-Whelan (2017, JOSS
    2, 388; gala's `MilkyWayPotential(version="v1")`) to mass measurements from 10 pc to 150 kpc.

    >>> MilkyWayPotential().names
    ('disk', 'bulge', 'nucleus', 'halo')
    """
    return Composite(
        disk=MiyamotoNagai(m=6.8e10, a=3.0, b=0.28),
        bulge=Hernquist(m=5e9, a=1.0),
        nucleus=Hernquist(m=1.71e9, a=0.07),
        halo=NFW(m=5.4e11, r_s=15.62),
    )
