"""Convergence and calibration."""

from .c2st import C2stResult, c2st, c2st_test
from .calibration import SbcResult, sbc_ranks, sbc_test
from .convergence import Convergence, Summary, converged, summary

__all__ = [
    "C2stResult",
    "Convergence",
    "SbcResult",
    "Summary",
    "c2st",
    "c2st_test",
    "converged",
    "sbc_ranks",
    "sbc_test",
    "summary",
]
