"""Simulation-based inference: one file a method."""

from .annealing import Annealed, anneal
from .estimator import MisspecifiedWarning, NeuralPosterior, PosteriorEstimator, PosteriorNetwork
from .fmpe import fmpe, transport_loss
from .importance import Reweighted, reweight
from .nle import LearnedLikelihood, nle, nle_loss
from .npe import npe, npe_loss
from .npse import npse
from .nre import LearnedRatio, balanced_nre_loss, nre, nre_c_loss, nre_loss
from .simulations import Simulations, simulate

__all__ = [
    "Annealed",
    "LearnedLikelihood",
    "LearnedRatio",
    "MisspecifiedWarning",
    "NeuralPosterior",
    "PosteriorEstimator",
    "PosteriorNetwork",
    "Reweighted",
    "Simulations",
    "anneal",
    "balanced_nre_loss",
    "fmpe",
    "nle",
    "nle_loss",
    "npe",
    "npe_loss",
    "npse",
    "nre",
    "nre_c_loss",
    "nre_loss",
    "reweight",
    "simulate",
    "transport_loss",
]
