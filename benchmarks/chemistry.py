"""Reaction networks beside LSODA, CVODE and diffrax, at equal error.

Sub-networks of RATE12 of some 35, 205 and 468 species in cells of dark gas that all differ, from
ions to 10^7 yr, seven outputs. One CPU thread. The error is the largest relative one of abundances
above 1e-15 in four cells, against LSODA at 1e-11. Each code runs a ladder of tolerances; the
time of a peer at the error of a row of ours is interpolated between its own (logarithmically).

    python benchmarks/chemistry.py --network umist_rate12.csv [--sizes 35 205 468] [--kvaerno]

The peers have the same analytic Jacobian; their right-hand side and Jacobian are sparse products of
SciPy's, 20 to 100 us a call, and CVODE takes the denser of its own solver and LAPACK's. diffrax has
no use for a Jacobian and makes it by `jacfwd`: it is run with `--kvaerno`, in one cell.
"""

import timing

# isort: split
import argparse
import resource
import time

import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse
from scipy.integrate import odeint

from simulators.chemistry import Conditions, GrainH2, Network, RateTable, Reaction
from simulators.chemistry.evolve import kinetics_of
from simulators.chemistry.solver import solve
from simulators.chemistry.species import species

YEAR = 3.15576e7
TIMES = YEAR * np.logspace(1, 7, 7)
INITIAL = {
    "H2": 0.5, "H": 5e-5, "He": 0.09, "C+": 1.4e-4, "O": 3.2e-4, "N": 7.5e-5, "S+": 8e-8,
    "Si+": 8e-9, "Mg+": 7e-9, "Na+": 2e-9, "Cl+": 1e-9, "Fe+": 3e-9, "P+": 2e-10, "F": 6.7e-9,
}  # fmt: skip
#: Tolerances of the ladders, relative and absolute.
OURS = ((1e-3, 1e-19), (1e-4, 1e-20), (1e-6, 1e-22))
PEERS = ((1e-3, 1e-19), (1e-5, 1e-20), (1e-7, 1e-22), (1e-9, 1e-24))
#: Cells whose errors are measured.
MEASURED = 4
#: Cells together for each size: single ones, and batches.
BATCHES = {35: (1, 128, 1000), 205: (1, 16, 128), 468: (1, 16)}
FLOOR = 1e-15


def chosen(name, size):
    """Whether a species belongs to the sub-network of a size."""
    count = dict(species(name).elements)
    total = sum(count.values())
    if size == 35:
        few = count.get("C", 0) <= 1 and count.get("O", 0) <= 1
        return set(count) <= {"H", "He", "C", "O"} and few and total <= 4
    if size == 205:
        heavy, rare = total - count.get("H", 0), count.get("S", 0) + count.get("Si", 0)
        light = set(count) <= {"H", "He", "C", "N", "O", "S", "Si"}
        return light and heavy <= 3 and total <= 6 and rare <= 1
    return True


class Cells:
    """A network, rate coefficients k (R, n) of n cells of dark gas, and initial abundances."""

    def __init__(self, path, size, n):
        network = Network.read(path)
        network = network.sub(species=[s for s in network.species if chosen(s, size)])
        table = RateTable.of(network + [Reaction(("H", "H"), ("H2",), GrainH2())])  # noqa: RUF005
        rng = np.random.default_rng(0)
        gas = Conditions(
            n_H=jnp.asarray(10.0 ** rng.uniform(4.0, 5.0, n)),
            temperature=jnp.asarray(rng.uniform(10.0, 20.0, n)),
            zeta=jnp.asarray(10.0 ** rng.uniform(-17.3, -16.3, n)),
            G0=jnp.ones(n),
            A_V=jnp.asarray(rng.uniform(5.0, 15.0, n)),
        )
        self.kinetics, self.names = kinetics_of(table), table.species
        self.k = np.asarray(table(gas))
        self.y0 = np.array([INITIAL.get(name, 0.0) for name in self.names])
        self.y0[self.names.index("e-")] = self.kinetics.conserved[-1] @ self.y0
        self.plan(table)

    def plan(self, table):
        """Sparse matrices for NumPy: of the change by rates, and from slopes to the Jacobian."""
        n, lists = len(self.names), (table.reactants, table.products)
        net = np.zeros((n, len(self.k)))
        for sign, side in zip((-1.0, 1.0), lists, strict=True):
            for r, members in enumerate(side):
                np.add.at(net[:, r], list(members), sign)
        self.net = scipy.sparse.csr_matrix(net)
        self.first, self.second = np.array([[*o, n, n][:2] for o in table.orders]).T
        rows, cols, source, values = [], [], [], []
        columns = scipy.sparse.csc_matrix(net)
        for half, factor in enumerate((self.first, self.second)):
            for r in np.flatnonzero(factor < n):
                where = slice(*columns.indptr[r : r + 2])
                s = columns.indices[where]
                rows += list(s)
                cols += [factor[r]] * len(s)
                source += [half * len(self.k) + r] * len(s)
                values += list(columns.data[where])
        self.at, entry = np.unique(np.array(rows) * n + np.array(cols), return_inverse=True)
        shape = len(self.at), 2 * len(self.k)
        self.slopes = scipy.sparse.csr_matrix((values, (entry, source)), shape=shape)

    def functions(self, cell):
        """Right-hand side and dense Jacobian of a cell, in NumPy."""
        k, n = np.ascontiguousarray(self.k[:, cell]), len(self.names)
        one = np.ones(n + 1)

        def rhs(t, y):
            one[:n] = y
            return self.net @ (k * one[self.first] * one[self.second])

        def jacobian(t, y):
            one[:n] = y
            full = np.zeros(n * n)
            full[self.at] = self.slopes @ np.concatenate(
                [k * one[self.second], k * one[self.first]]
            )
            return full.reshape(n, n)

        return rhs, jacobian


def lsoda(cells, cell, rtol, atol):
    """States (7, S) by LSODA's own driver, which is faster than `solve_ivp`."""
    rhs, jacobian = cells.functions(cell)
    found, report = odeint(
        rhs, cells.y0, np.append(0.0, TIMES), Dfun=jacobian, tfirst=True,
        rtol=rtol, atol=atol, mxstep=10**6, full_output=True,
    )  # fmt: skip
    assert report["message"] == "Integration successful.", report["message"]
    return found[1:]


def cvode(linear):
    """CVODE's BDF by scikit-sundae with one of its linear solvers."""
    from sksundae.cvode import CVODE

    def run(cells, cell, rtol, atol):
        rhs, jacobian = cells.functions(cell)

        def fill(t, y, out):
            out[:] = rhs(t, y)

        def fill_jacobian(t, y, _, out):
            out[:, :] = jacobian(t, y)

        solver = CVODE(
            fill, rtol=rtol, atol=atol, jacfn=fill_jacobian, linsolver=linear, max_num_steps=10**6
        )
        found = solver.solve(np.append(0.0, TIMES), cells.y0)
        assert found.success, found.message
        return found.y[1:]

    return run


def kvaerno(cells):
    """diffrax's Kvaerno5, compiled; its Jacobian is its own."""
    import diffrax

    net = jnp.asarray(cells.net.toarray())

    def rhs(t, y, k):
        y = jnp.append(y, 1.0)
        return net @ (k * y[cells.first] * y[cells.second])

    @jax.jit
    def run(k, rtol, atol):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(rhs), diffrax.Kvaerno5(), 0.0, TIMES[-1], 1.0, jnp.asarray(cells.y0), k,
            saveat=diffrax.SaveAt(ts=jnp.asarray(TIMES)),
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
            max_steps=100_000, throw=False,
        ).ys  # fmt: skip

    return lambda cells, cell, rtol, atol: np.asarray(
        run(jnp.asarray(cells.k[:, cell]), rtol, atol)
    )


def error(found, reference):
    """Largest relative error of abundances above the floor."""
    seen = reference > FLOOR
    return np.max(np.abs(found - reference)[seen] / reference[seen])


def ladder(name, run, cells, reference, tolerances=PEERS, measured=MEASURED):
    """[(error, seconds a cell)] of a peer."""
    rungs = []
    for rtol, atol in tolerances:
        t = timing.timed(lambda: [run(cells, c, rtol, atol) for c in range(measured)])  # noqa: B023
        worst = max(error(y, r) for y, r in zip(t.value, reference, strict=False))
        rungs.append((worst, t.run / measured))
        print(
            f"  {name:34} rtol {rtol:.0e}  error {worst:.1e}  "
            f"{1e3 * t.run / measured:9.1f} ms a cell"
            f"  (best {1e3 * t.best / measured:.1f}, threads {t.threads:.2f})",
            flush=True,
        )
    return rungs


def at_error(rungs, wanted):
    """Seconds a cell of a ladder at an error; at its loosest for still larger ones."""
    errors, seconds = np.log(np.array(sorted(rungs))).T
    if np.log(wanted) < errors[0]:
        return None
    return float(np.exp(np.interp(np.log(wanted), errors, seconds)))


def batch(cells, n, rtol, atol):
    """The compiled integration of n cells of rate coefficients k (R, n)."""
    y0, times = jnp.asarray(np.repeat(cells.y0[:, None], n, axis=1)), jnp.asarray(TIMES)

    def run(k):
        return solve(cells.kinetics, y0, times, k, rtol=rtol, atol=atol)

    def loss(k):
        return jnp.sum(jnp.log(jnp.maximum(run(k).ys, 1e-25)))

    return run, loss


def compiled(function, k):
    """The compiled function, the seconds that took, and its temporary memory [MiB]."""
    start = time.perf_counter()
    program = jax.jit(function).lower(k).compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    return program, seconds, memory.temp_size_in_bytes / 2**20 if memory else float("nan")


def table(path, size, with_kvaerno):
    """All rows of a size."""
    cells = Cells(path, size, max(BATCHES[size]))
    print(f"{len(cells.names)} species, {len(cells.k)} reactions ({timing.load()})", flush=True)
    reference = [lsoda(cells, c, 1e-11, 1e-26) for c in range(MEASURED)]
    peers = {"LSODA (odeint)": ladder("LSODA (odeint)", lsoda, cells, reference)}
    reason = timing.missing("sksundae")
    if reason:
        print(f"  CVODE: {reason}")
    else:
        linear = "lapackdense" if size > 100 else "dense"
        peers["CVODE"] = ladder(f"CVODE ({linear})", cvode(linear), cells, reference)
    if with_kvaerno:
        rungs = ladder("diffrax Kvaerno5", kvaerno(cells), cells, reference, PEERS[:2], 1)
        peers["Kvaerno5"] = rungs
    for n in BATCHES[size]:
        k = jnp.asarray(cells.k[:, :n])
        for rtol, atol in OURS:
            run, loss = batch(cells, n, rtol, atol)
            program, seconds, memory = compiled(run, k)
            t = timing.timed(lambda: jax.block_until_ready(program(k)))  # noqa: B023
            assert not np.any(t.value.result), t.value.result
            seen = range(min(n, MEASURED))
            worst = max(error(np.asarray(t.value.ys[..., c]), reference[c]) for c in seen)
            against = {name: at_error(rungs, worst) for name, rungs in peers.items()}
            ratios = ", ".join(
                f"{name} {s * n / t.run:.1f}" for name, s in against.items() if s is not None
            )
            print(
                f"  jaxastro, {n:4d} cells                 rtol {rtol:.0e}  error {worst:.1e}  "
                f"{1e3 * t.run / n:9.1f} ms a cell  (best {1e3 * t.best / n:.1f}, compiled in "
                f"{seconds:.1f} s, {memory:.0f} MiB)  ratios: {ratios}",
                flush=True,
            )
            if rtol == OURS[1][0] and n != 1000:
                program, seconds, memory = compiled(jax.value_and_grad(loss), k)
                g = timing.timed(lambda: jax.block_until_ready(program(k)))  # noqa: B023
                print(
                    f"    value and gradient by {len(k)} rates: {1e3 * g.run / n:.1f} ms a cell, "
                    f"{g.run / t.run:.2f} x  (compiled in {seconds:.1f} s, {memory:.0f} MiB)",
                    flush=True,
                )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", default="../shared/data/chemistry/umist_rate12.csv")
    parser.add_argument("--sizes", type=int, nargs="+", default=[35, 205, 468])
    parser.add_argument("--kvaerno", action="store_true", help="minutes for the large networks")
    given = parser.parse_args()
    print(timing.banner("jax", "scipy", "scikit-sundae", "diffrax"))
    for size in given.sizes:
        table(given.network, size, given.kvaerno)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory of the process {peak:.0f} MiB")
    print(
        "ratio: of the peer's time a cell at the same error over ours; above 1 the peer is slower"
    )


if __name__ == "__main__":
    main()
