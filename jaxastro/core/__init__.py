"""The contract: prior, simulator, model, posterior, checkpoints."""

from . import checkpoint
from .masked import Masked
from .model import Model, Target
from .posterior import AbstractPosterior, SamplePosterior
from .prior import Parameter, Prior
from .simulator import AbstractForwardSimulator, AbstractSimulator, AbstractTractableSimulator

__all__ = [
    "AbstractForwardSimulator",
    "AbstractPosterior",
    "AbstractSimulator",
    "AbstractTractableSimulator",
    "Masked",
    "Model",
    "Parameter",
    "Prior",
    "SamplePosterior",
    "Target",
    "checkpoint",
]
