"""Fixed-step integrators for test particles, elementwise on separate coordinates."""

from simulators.streams.integrate.nystrom import Triple, nystrom
from simulators.streams.integrate.stormer import CYCLE, MARGIN, Sums, begin, finish, march
from simulators.streams.integrate.trajectory import Trajectory, trajectory

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
    "trajectory",
]
