"""Orbits of 3 Gyr in the Milky Way: microseconds an orbit at equal measured error, one CPU thread.

Each code integrates the same GD-1-like orbits in the same potential. Its step or tolerance is the
loosest of a ladder at which the median final position error of 40 orbits, against SciPy's DOP853 at
rtol = atol = 1e-13, is at most `TARGET`; the error of the timed run itself is printed too.

    python benchmarks/orbits.py [--sizes 1 1000 10000]
"""

import timing

# isort: split
import argparse

import numpy as np

from simulators.streams.orbit import Stormer, advance
from simulators.streams.potentials import MilkyWayPotential
from simulators.streams.units import G

AGE = 3000.0
TARGET = 4e-7
CHECKED = 40
#: Peers take at most this many orbits; their time grows in proportion.
PEER_LIMIT = 2000
Q = np.array([-11.5, 2.7, 7.7])
V = np.array([-0.1, -0.22, -0.09])
#: Gala's MilkyWayPotential, version 1 [Msun, kpc].
DISC = (6.8e10, 3.0, 0.28)
HERNQUISTS = ((5e9, 1.0), (1.71e9, 0.07))
HALO = (5.4e11, 15.62)
STEPS = (0.75, 0.7, 0.65, 0.6, 0.55, 0.5, 0.375)
TOLERANCES = tuple(10 ** (-k / 4) for k in range(28, 57))


def starts(n):
    """Positions [kpc] and velocities [kpc/Myr] now, (n, 3); smaller samples are parts of larger."""
    rng = np.random.default_rng(1)
    draws = rng.normal(size=(n, 6))
    return Q + 0.3 * draws[:, :3], V + 0.005 * draws[:, 3:]


def acceleration(x, y, z):
    """The force in NumPy, written apart from the library's."""
    m, a, b = DISC
    root = np.sqrt(z * z + b * b)
    cube = (x * x + y * y + (a + root) ** 2) ** 1.5
    in_plane, r = -G * m / cube, np.sqrt(x * x + y * y + z * z)
    radial = sum(-G * m / ((r + c) ** 2 * r) for m, c in HERNQUISTS)
    m, c = HALO
    radial = radial - G * m * (np.log1p(r / c) - r / (r + c)) / r**3
    k = in_plane + radial
    return k * x, k * y, (in_plane * (a + root) / root + radial) * z


def reference(q, v):
    """Final positions by SciPy at 1e-13, each orbit in its own time but all in one system."""
    from scipy.integrate import solve_ivp

    def rates(t, y):
        x, v = y.reshape(2, 3, -1)
        return np.concatenate([v.ravel(), *acceleration(*x)])

    y = np.concatenate([q.T.ravel(), v.T.ravel()])
    found = solve_ivp(rates, (0.0, AGE), y, method="DOP853", rtol=1e-13, atol=1e-13)
    return found.y[: q.size, -1].reshape(3, -1).T


def ours(step):
    """Stormer's method at `step` [Myr]."""
    galaxy = MilkyWayPotential()

    def run(q, v):
        return np.asarray(advance(galaxy, q, v, 0.0, AGE, Stormer(step=step))[0])

    return run


def gala(tolerance):
    """Gala's compiled DOP853."""
    import astropy.units as u
    import gala.dynamics as gd
    import gala.potential as gp
    from gala.integrate import DOPRI853Integrator

    host = gp.Hamiltonian(gp.MilkyWayPotential(version="v1"))
    options = {"atol": tolerance, "rtol": tolerance}

    def run(q, v):
        start = gd.PhaseSpacePosition(pos=q.T * u.kpc, vel=v.T * u.kpc / u.Myr)
        end = host.integrate_orbit(
            start, t=[0.0, AGE] * u.Myr, save_all=False,
            Integrator=DOPRI853Integrator, Integrator_kwargs=options,
        )  # fmt: skip
        return end.xyz.to_value(u.kpc).reshape(3, -1).T

    return run


def agama(method):
    """Agama with the integrator `method`, in units of kpc and Myr with G = 1."""

    def at(tolerance):
        import agama

        agama.setNumThreads(1)
        m, a, b = DISC
        parts = [{"type": "MiyamotoNagai", "mass": G * m, "scaleRadius": a, "scaleHeight": b}]
        parts += [
            {"type": "Dehnen", "gamma": 1.0, "mass": G * m, "scaleRadius": c} for m, c in HERNQUISTS
        ]
        parts += [{"type": "NFW", "mass": G * HALO[0], "scaleRadius": HALO[1]}]
        host = agama.Potential(*parts)

        def run(q, v):
            _, ends = agama.orbit(
                potential=host, ic=np.concatenate([q, v], 1), time=AGE, trajsize=1, dtype=float,
                accuracy=tolerance, method=method, verbose=False, separateTime=True,
            )  # fmt: skip
            return np.asarray(ends).reshape(-1, 6)[:, :3]

        return run

    return at


#: Name, modules, maker, ladder and the unit of the ladder.
CODES = (
    ("jaxastro", (), ours, STEPS, "Myr"),
    ("gala dop853", ("gala", "astropy"), gala, TOLERANCES, "tol"),
    ("agama dop853", ("agama",), agama("dop853"), TOLERANCES, "tol"),
    ("agama dprkn8", ("agama",), agama("dprkn8"), TOLERANCES, "tol"),
)


def error(found, wanted):
    """Median distance [kpc] of the first orbits from their reference."""
    n = min(len(found), len(wanted))
    return float(np.median(np.linalg.norm(found[:n] - wanted[:n], axis=1)))


def tune(make, ladder, q, v, wanted):
    """The first rung that is accurate enough, the runner there and its error."""
    for rung in ladder:
        run = make(rung)
        miss = error(run(q, v), wanted)
        if miss <= TARGET:
            return rung, run, miss
    raise RuntimeError(f"no rung of the ladder reaches {TARGET:g} kpc; the last has {miss:.1e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 1000, 10_000])
    sizes = parser.parse_args().sizes
    print(timing.banner("jax", "gala", "agama"))
    q, v = starts(CHECKED)
    wanted = reference(q, v)

    runners = []
    for name, modules, make, ladder, unit in CODES:
        reason = timing.missing(*modules)
        if reason:
            print(f"{name:13} {reason}")
            continue
        rung, run, miss = tune(make, ladder, q, v, wanted)
        print(f"{name:13} {rung:8.2g} {unit}: median error of {CHECKED} orbits {miss:.1e} kpc")
        runners.append((name, run))

    print(
        f"\n{'orbits':>7} {'code':13} {'error/kpc':>9} {'compile/s':>9} {'run/s':>8} {'best/s':>8} "
        f"{'us/orbit':>9} {'ratio':>6} {'threads':>7}"
    )
    for n in sizes:
        base = None
        for name, run in runners:
            count = n if name == "jaxastro" else min(n, PEER_LIMIT)
            q, v = starts(count)
            t = timing.timed(lambda run=run, q=q, v=v: run(q, v))
            each = t.run / count * 1e6
            base = each if base is None else base
            note = f"  {count} orbits, scaled" if count < n else ""
            note += f"  median of {t.repeats}" if t.repeats < 5 else ""
            print(
                f"{n:7} {name:13} {error(t.value, wanted):9.1e} {t.compile:9.2f} "
                f"{t.run * n / count:8.4f} {t.best * n / count:8.4f} {each:9.1f} "
                f"{each / base:6.2f} {t.threads:7.2f}{note}",
                flush=True,
            )
        print(f"{'':7} ({timing.load()})")
    print(
        "ratio: time of the code over that of jaxastro; above 1 jaxastro is faster, below 1 the "
        "peer is.\nerror: the orbits among the first 40 of the timed run. One orbit cannot fill "
        "the vector units of jaxastro's arrays."
    )


if __name__ == "__main__":
    main()
