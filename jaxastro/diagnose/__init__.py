"""Convergence and calibration."""

from .c2st import C2stResult, c2st, c2st_test
from .calibration import (
    SbcResult,
    calibration,
    density_ranks,
    linear_predictions,
    sbc_ranks,
    sbc_test,
    tarp_ranks,
)
from .convergence import Convergence, Summary, converged, summary
from .held_out import HeldOut, held_out_log_prob
from .local_c2st import LocalC2st, local_c2st_test
from .misspecification import misspecification_test
from .mmd import mmd_test
from .predictive import Predictive, predictive_check
from .verdict import Verdict

__all__ = [
    "C2stResult",
    "Convergence",
    "HeldOut",
    "LocalC2st",
    "Predictive",
    "SbcResult",
    "Summary",
    "Verdict",
    "c2st",
    "c2st_test",
    "calibration",
    "converged",
    "density_ranks",
    "held_out_log_prob",
    "linear_predictions",
    "local_c2st_test",
    "misspecification_test",
    "mmd_test",
    "predictive_check",
    "sbc_ranks",
    "sbc_test",
    "summary",
    "tarp_ranks",
]
