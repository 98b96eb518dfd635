"""Chemistry of the interstellar medium: reaction networks, their rates, and how they evolve."""

from simulators.chemistry import networks
from simulators.chemistry.analysis import budget, log_sensitivities
from simulators.chemistry.conditions import Conditions
from simulators.chemistry.evolve import History, evolve
from simulators.chemistry.laws import (
    Arrhenius,
    CosmicRay,
    CosmicRayDesorption,
    CosmicRayPhoton,
    CosmicRayYield,
    Expression,
    FreezeOut,
    GrainCollision,
    GrainH2,
    IonPolar1,
    IonPolar2,
    Photo,
    ThermalDesorption,
    ThirdBody,
    Troe,
)
from simulators.chemistry.network import Network, Reaction
from simulators.chemistry.rates import RateTable
from simulators.chemistry.species import species
from simulators.chemistry.tabulated import Tabulated
from simulators.chemistry.thermal_system import evolve_temperature
from simulators.chemistry.tracks import FreeFall, JShock, WarmUp

__all__ = [
    "Arrhenius", "Conditions", "CosmicRay", "CosmicRayDesorption", "CosmicRayPhoton",
    "CosmicRayYield", "Expression", "FreeFall", "FreezeOut", "GrainCollision", "GrainH2", "History",
    "IonPolar1", "IonPolar2", "JShock", "Network", "Photo", "RateTable", "Reaction", "Tabulated",
    "ThermalDesorption", "ThirdBody", "Troe", "WarmUp", "budget", "evolve", "evolve_temperature",
    "log_sensitivities", "networks", "species",
]  # fmt: skip
