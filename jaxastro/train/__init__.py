"""Training: one `fit` for every loss."""

from .fit import Fitted, fit
from .partition import trainable_leaves

__all__ = ["Fitted", "fit", "trainable_leaves"]
