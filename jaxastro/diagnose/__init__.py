"""Convergence and calibration."""

from .calibration import SbcResult, sbc_ranks, sbc_test
from .convergence import Convergence, Summary, converged, summary

__all__ = [
    "Convergence",
    "SbcResult",
    "Summary",
    "converged",
    "sbc_ranks",
    "sbc_test",
    "summary",
]
