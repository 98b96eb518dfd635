"""Ready Milky Way models with their published parameters."""

from simulators.streams.potentials.base import Composite
from simulators.streams.potentials.cutoff import PowerLawCutoff
from simulators.streams.potentials.discs import MiyamotoNagai, MN3Disc
from simulators.streams.potentials.halos import NFW
from simulators.streams.potentials.spherical import Hernquist


def MWPotential2014() -> Composite:
    """The Milky Way of Bovy (2015, ApJS 216, 29, Table 1): bulge, disk, halo.

    The three parts give 0.05, 0.6 and 0.35 of the squared circular velocity of 220 km/s at 8 kpc;
    the masses below follow from that with the constants of `simulators.streams.units`.

    >>> from simulators.streams.units import KMS
    >>> round(float(MWPotential2014().circular_velocity(8.0) / KMS), 3)
    220.0
    """
    return Composite(
        bulge=PowerLawCutoff(m=4501365375.100714, alpha=1.8, r_c=1.9),
        disk=MiyamotoNagai(m=68193902782.881, a=3.0, b=0.28),
        halo=NFW(m=436833248495.8941, r_s=16.0),
    )


def MilkyWayPotential() -> Composite:
    """The Milky Way of gala, version 1: disk, bulge, nucleus, halo.

    Disc scale lengths from Bovy (2015, ApJS 216, 29), the rest fitted to mass measurements from
    10 pc to 150 kpc (gala, Price-Whelan 2017, JOSS 2, 388: `MilkyWayPotential(version="v1")`).

    >>> MilkyWayPotential().names
    ('disk', 'bulge', 'nucleus', 'halo')
    """
    return Composite(
        disk=MiyamotoNagai(m=6.8e10, a=3.0, b=0.28),
        bulge=Hernquist(m=5e9, a=1.0),
        nucleus=Hernquist(m=1.71e9, a=0.07),
        halo=NFW(m=5.4e11, r_s=15.62),
    )


def MilkyWayPotential2022() -> Composite:
    """The Milky Way of gala, version 2 (2022): disk, bulge, nucleus, halo.

    As gala's `MilkyWayPotential2022`: the disc is a three-fold Miyamoto-Nagai sum for an
    exponential disc (Smith et al. 2015), fitted to the rotation curve of Eilers et al. (2019) and
    the phase-space spiral (Darragh-Ford et al. 2023); the rest as in version 1.

    >>> MilkyWayPotential2022().names
    ('disk', 'bulge', 'nucleus', 'halo')
    """
    return Composite(
        disk=MN3Disc(m=4.7717e10, h_r=2.6, h_z=0.3),
        bulge=Hernquist(m=5e9, a=1.0),
        nucleus=Hernquist(m=1.8142e9, a=0.0688867),
        halo=NFW(m=5.5427e11, r_s=15.626),
    )
