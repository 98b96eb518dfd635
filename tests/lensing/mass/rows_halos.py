"""Rows of the table of lenses: haloes and stellar mass."""

from simulators.lensing.mass.dual_pie import DualPIE
from simulators.lensing.mass.nfw import NFW, TNFW, NFWEllipsePotential
from simulators.lensing.mass.sersic import SersicMass
from simulators.lensing.mass.stellar import Chameleon
from tests.lensing.mass.case import Case

PLACE = {"center_x": 0.03, "center_y": -0.02}
HALO = ("alpha_Rs",)
DUAL = ("sigma0",)


CASES = {
    "NFW": Case(NFW(2.0, 1.1, **PLACE), HALO),
    "NFW-at-unity": Case(NFW(1.0, 0.7), HALO),
    "NFW-small": Case(NFW(1e-2, 1e-3), HALO),
    "NFWEllipsePotential": Case(NFWEllipsePotential(2.0, 1.1, 0.1, -0.2, **PLACE), HALO),
    "NFWEllipsePotential-round": Case(NFWEllipsePotential(2.0, 1.1), HALO),
    "TNFW": Case(TNFW(0.5, 0.3, 2.0, **PLACE), HALO),
    "TNFW-at-unity": Case(TNFW(1.0, 0.3, 1.0), HALO),
    "TNFW-short": Case(TNFW(2.0, 0.3, 0.1, **PLACE), HALO),
    "TNFW-long": Case(TNFW(0.3, 0.3, 300.0, **PLACE), HALO),
    "DualPIE": Case(DualPIE(3.0, 0.1, 2.0, 0.1, -0.2, **PLACE), DUAL),
    "DualPIE-round": Case(DualPIE(3.0, 0.1, 2.0), DUAL),
    "DualPIE-equal": Case(DualPIE(1.0, 0.5, 0.5), DUAL),
    "SersicMass": Case(SersicMass(0.5, 1.1, 3.5, 0.1, -0.2, **PLACE), ("k_eff",)),
    "SersicMass-round": Case(SersicMass(0.5, 1.1, 1.0), ("k_eff",)),
    "SersicMass-flat": Case(SersicMass(0.5, 1.1, 0.7, 0.4, 0.5333), ("k_eff",)),
    # round, its parameters have a kink by definition
    "Chameleon": Case(Chameleon(0.8, 0.05, 3.0, 0.1, -0.2, **PLACE), ("alpha_1",)),
}
