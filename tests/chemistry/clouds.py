"""Sub-networks of RATE12 in cells of given gas, and a solver that knows nothing of ours."""

from functools import lru_cache
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from simulators.chemistry import Conditions, GrainH2, Network, RateTable, Reaction
from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.species import species

YEAR = 3.15576e7
TIMES = YEAR * np.logspace(1, 7, 7)
DARK = {"n_H": 2e4, "temperature": 10.0, "zeta": 1.3e-17, "G0": 1.0, "A_V": 10.0}
WARM = {"n_H": 1e6, "temperature": 1000.0, "zeta": 1e-16, "G0": 1.0, "A_V": 1.0}
LIT = {"n_H": 1e3, "temperature": 100.0, "zeta": 1e-15, "G0": 1e3, "A_V": 0.5}
#: Per hydrogen nucleus; others are zero, electrons balance the charge.
INITIAL = {
    "H2": 0.5, "H": 5e-5, "He": 0.09, "C+": 1.4e-4, "O": 3.2e-4, "N": 7.5e-5, "S+": 8e-8,
    "Si+": 8e-9, "Mg+": 7e-9, "Na+": 2e-9, "Cl+": 1e-9, "Fe+": 3e-9, "P+": 2e-10, "F": 6.7e-9,
}  # fmt: skip


class Cloud(NamedTuple):
    """A network with its kinetics, initial abundances (S,) and the matrix of what is conserved."""

    table: RateTable
    kinetics: Kinetics
    y0: np.ndarray
    conserved: np.ndarray

    def rates(self, **conditions):
        """k (R,)."""
        return np.asarray(self.table(Conditions(**conditions)))


def _small(name):
    """Hydrogen, helium, at most one carbon and one oxygen, up to four atoms."""
    count = dict(species(name).elements)
    total = sum(count.values())
    few = count.get("C", 0) <= 1 and count.get("O", 0) <= 1
    return set(count) <= {"H", "He", "C", "O"} and few and total <= 4


def _middle(name):
    """Up to three heavy atoms, at most one of them sulphur or silicon, up to six atoms."""
    count = dict(species(name).elements)
    heavy = sum(n for element, n in count.items() if element != "H")
    total = sum(count.values())
    rare = count.get("S", 0) + count.get("Si", 0)
    return (
        set(count) <= {"H", "He", "C", "N", "O", "S", "Si"}
        and heavy <= 3
        and total <= 6
        and rare <= 1
    )


_CHOICES = {"small": _small, "middle": _middle, "all": lambda name: True}


@lru_cache(maxsize=4)
def cloud(path, choice):
    """RATE12 cut to the species of `choice`, with H2 formation on grains."""
    network = Network.read(path / "chemistry" / "umist_rate12.csv")
    network = network.sub(species=[s for s in network.species if _CHOICES[choice](s)])
    network += [Reaction(("H", "H"), ("H2",), GrainH2())]
    table = RateTable.of(network)
    names = table.species
    composition = [species(name) for name in names]
    elements = sorted({e for s in composition for e, _ in s.elements})
    rows = [[dict(s.elements).get(e, 0) for s in composition] for e in elements]
    conserved = np.array([*rows, [s.charge for s in composition]], float)
    y0 = np.array([INITIAL.get(name, 0.0) for name in names])
    y0[names.index("e-")] = conserved[-1] @ y0
    kinetics = Kinetics.of(len(names), table.reactants, table.products, table.orders, conserved)
    return Cloud(table, kinetics, y0, conserved)


class Plain:
    """The right-hand side and its Jacobian in NumPy, written from the lists of the reactions."""

    def __init__(self, cloud, k):
        n, lists = len(cloud.y0), cloud.table
        self.net = np.zeros((n, len(k)))
        for r, (lost, made) in enumerate(zip(lists.reactants, lists.products, strict=True)):
            np.add.at(self.net[:, r], list(lost), -1.0)
            np.add.at(self.net[:, r], list(made), 1.0)
        # The last entry of a state is a one, for reactions of one body.
        self.k = k
        self.first, self.second = np.array([[*o, n, n][:2] for o in lists.orders]).T

    def rhs(self, _, y):
        y = np.append(y, 1.0)
        return self.net @ (self.k * y[self.first] * y[self.second])

    def jacobian(self, _, y):
        n, y, r = len(y), np.append(y, 1.0), np.arange(len(self.k))
        slopes = np.zeros((len(r), n + 1))
        np.add.at(slopes, (r, self.first), self.k * y[self.second])
        np.add.at(slopes, (r, self.second), self.k * y[self.first])
        return self.net @ slopes[:, :n]


def reference(function, jacobian, y0, times=TIMES, rtol=1e-10, atol=1e-25):
    """States (T, S) by SciPy's LSODA."""
    found = solve_ivp(
        function, (0.0, times[-1]), y0, "LSODA", times, jac=jacobian, rtol=rtol, atol=atol
    )
    assert found.success, found.message
    return found.y.T


def ours(cloud, k):
    """Our right-hand side and Jacobian for SciPy, of one cell."""
    import jax

    kinetics, k = cloud.kinetics, jnp.asarray(k)[:, None]
    zero, pattern = jnp.zeros(1), kinetics.pattern
    rhs = jax.jit(lambda y: kinetics.rhs(zero, y[:, None], k)[:, 0])
    values = jax.jit(lambda y: kinetics.jacobian(zero, y[:, None], k)[pattern.place, 0])

    def jacobian(_, y):
        full = np.zeros((pattern.n, pattern.n))
        full[pattern.rows, pattern.cols] = values(y)
        return full

    return lambda _, y: np.asarray(rhs(y)), jacobian


def worst(ys, expected, floor=1e-15):
    """The largest relative error of abundances above `floor`."""
    seen = expected > floor
    return np.max(np.abs(np.asarray(ys) - expected)[seen] / expected[seen])
