"""Fixed-step integrators for test particles, elementwise on separate coordinates."""

from simulators.streams.integrate.nystrom import Triple, nystrom, nystrom_path
from simulators.streams.integrate.stormer import CYCLE, MARGIN, Sums, begin, finish, march, sums
from simulators.streams.integrate.trajectory import Trajectory, trajectory, trajectory_from

__all__ = [
    "CYCLE",
    "MARGIN",
    "Sums",
    "Trajectory",
    "Triple",
    "begin",
    "finish",
    "march",
    "nystrom",
    "nystrom_path",
    "sums",
    "trajectory",
    "trajectory_from",
]
