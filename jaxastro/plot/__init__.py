"""Figures; matplotlib is imported when one is drawn."""

from .corner import corner
from .diagnostics import accuracy, coverage, null, predictive, ranks

__all__ = ["accuracy", "corner", "coverage", "null", "predictive", "ranks"]
