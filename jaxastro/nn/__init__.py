"""Networks: conditional densities, embeddings, classifiers, denoisers."""

from .bijection import AbstractBijection, Chain
from .classifier import RatioClassifier
from .coupling import AffineCoupling, SplineCoupling
from .denoiser import AbstractDenoiser, MLPDenoiser
from .flow import (
    AbstractConditionalDensity,
    Flow,
    affine_coupling_flow,
    spline_coupling_flow,
)
from .linear import LU, LinearGaussian, Permutation
from .standardise import Standardiser
from .transport import (
    StraightPath,
    TransportDensity,
    TrigonometricPath,
    flow_matching_density,
    score_density,
)

__all__ = [
    "LU",
    "AbstractBijection",
    "AbstractConditionalDensity",
    "AbstractDenoiser",
    "AffineCoupling",
    "Chain",
    "Flow",
    "LinearGaussian",
    "MLPDenoiser",
    "Permutation",
    "RatioClassifier",
    "SplineCoupling",
    "Standardiser",
    "StraightPath",
    "TransportDensity",
    "TrigonometricPath",
    "affine_coupling_flow",
    "flow_matching_density",
    "score_density",
    "spline_coupling_flow",
]
