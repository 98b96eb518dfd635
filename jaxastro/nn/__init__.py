"""Networks: conditional densities, embeddings, classifiers, denoisers."""

from .autoregressive import (
    ElementwiseAffine,
    ElementwiseSpline,
    MaskedAutoregressive,
    masked_autoregressive_flow,
)
from .bijection import AbstractBijection, Chain, Repeated
from .classifier import RatioClassifier
from .coupling import AffineCoupling, SplineCoupling
from .denoiser import AbstractDenoiser, MLPDenoiser
from .embedding import (
    AbstractEmbedding,
    ConvEmbedding,
    Flatten,
    MLPEmbedding,
    ResidualEmbedding,
    as_vector,
)
from .embedding_set import DeepSet, SeriesTransformer, SetTransformer
from .flow import (
    AbstractConditionalDensity,
    Flow,
    affine_coupling_flow,
    spline_coupling_flow,
)
from .linear import LU, LinearGaussian, Permutation
from .mixture import MixtureDensity
from .standardise import Standardiser
from .transport import (
    StraightPath,
    TransportDensity,
    TrigonometricPath,
    flow_matching_density,
    score_density,
)
from .triangular import BlockNeuralAutoregressive, block_neural_flow

__all__ = [
    "LU",
    "AbstractBijection",
    "AbstractConditionalDensity",
    "AbstractDenoiser",
    "AbstractEmbedding",
    "AffineCoupling",
    "BlockNeuralAutoregressive",
    "Chain",
    "ConvEmbedding",
    "DeepSet",
    "ElementwiseAffine",
    "ElementwiseSpline",
    "Flatten",
    "Flow",
    "LinearGaussian",
    "MLPDenoiser",
    "MLPEmbedding",
    "MaskedAutoregressive",
    "MixtureDensity",
    "Permutation",
    "RatioClassifier",
    "Repeated",
    "ResidualEmbedding",
    "SeriesTransformer",
    "SetTransformer",
    "SplineCoupling",
    "Standardiser",
    "StraightPath",
    "TransportDensity",
    "TrigonometricPath",
    "affine_coupling_flow",
    "as_vector",
    "block_neural_flow",
    "flow_matching_density",
    "masked_autoregressive_flow",
    "score_density",
    "spline_coupling_flow",
]
