"""Networks: conditional densities, embeddings, classifiers, denoisers."""

from .bijection import AbstractBijection, Chain
from .coupling import AffineCoupling, SplineCoupling
from .flow import (
    AbstractConditionalDensity,
    Flow,
    affine_coupling_flow,
    spline_coupling_flow,
)
from .linear import LU, LinearGaussian, Permutation
from .standardise import Standardiser

__all__ = [
    "LU",
    "AbstractBijection",
    "AbstractConditionalDensity",
    "AffineCoupling",
    "Chain",
    "Flow",
    "LinearGaussian",
    "Permutation",
    "SplineCoupling",
    "Standardiser",
    "affine_coupling_flow",
    "spline_coupling_flow",
]
