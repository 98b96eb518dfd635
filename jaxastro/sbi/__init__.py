"""Simulation-based inference: one file a method."""

from .npe import NPE, MisspecifiedWarning, NeuralPosterior, PosteriorNetwork, npe, npe_loss
from .simulations import Simulations, simulate

__all__ = [
    "NPE",
    "MisspecifiedWarning",
    "NeuralPosterior",
    "PosteriorNetwork",
    "Simulations",
    "npe",
    "npe_loss",
    "simulate",
]
