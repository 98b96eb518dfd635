"""Gradient-based inference: MAP, the Laplace approximation, NUTS."""

from ..core.interrupt import Interrupted
from .gradient import FORWARD_MAX_DIM, value_and_grad, with_gradient
from .laplace import Laplace, laplace
from .map import MapResult, find_map
from .nuts import Progress, nuts

__all__ = [
    "FORWARD_MAX_DIM",
    "Interrupted",
    "Laplace",
    "MapResult",
    "Progress",
    "find_map",
    "laplace",
    "nuts",
    "value_and_grad",
    "with_gradient",
]
