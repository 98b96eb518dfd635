"""Convergence and calibration."""

from .c2st import c2st
from .calibration import SbcResult, sbc_ranks, sbc_test
from .convergence import Convergence, Summary, converged, summary

__all__ = [
    "Convergence",
    "SbcResult",
    "Summary",
    "c2st",
    "converged",
    "sbc_ranks",
    "sbc_test",
    "summary",
]
