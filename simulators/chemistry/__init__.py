"""Chemistry of the interstellar medium: reaction networks, their rates, and how they evolve."""

from simulators.chemistry.conditions import Conditions
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

__all__ = [
    "Arrhenius", "Conditions", "CosmicRay", "CosmicRayDesorption", "CosmicRayPhoton",
    "CosmicRayYield", "Expression", "FreezeOut", "GrainCollision", "GrainH2", "IonPolar1",
    "IonPolar2", "Network", "Photo", "RateTable", "Reaction", "ThermalDesorption", "ThirdBody",
    "Troe", "species",
]  # fmt: skip
