"""A stream over 3 Gyr, value and gradients, beside the stream generators of the peers.

A GD-1-like progenitor with a Plummer satellite of 2e4 Msun and 10 pc, Fardal's release. One CPU
thread. Gala and Agama run at the tolerances that `orbits.py` finds for 4e-7 kpc, and jaxastro at
its default step of 0.5 Myr. The draws differ between the codes, but for Agama, which has no
generator in C++ and is handed the stars that we release.

    python benchmarks/streams.py [--n 10000]
"""

import timing

# isort: split
import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np

from simulators.streams.latents import Latents
from simulators.streams.potentials import NFW, Composite, MilkyWayPotential, Plummer
from simulators.streams.release import Fardal2015, release
from simulators.streams.spray import SEGMENT, STEP, progenitor_path, release_times, spray
from simulators.streams.units import G

AGE = 3000.0
Q = np.array([-11.5, 2.7, 7.7])
V = np.array([-0.1, -0.22, -0.09])
MASS, RADIUS = 2e4, 0.01
GALA_TOLERANCE = 3e-11
AGAMA_TOLERANCE = 1.8e-9
GALAX_TOLERANCES = (1e-7, 1e-10)
#: Halo mass, scale radius, flattening, the progenitor's x and v_y, in units of their values.
PARAMETERS = jnp.ones(5)


def stream(p, latents, step=STEP, satellite=True):
    """Our stream as a function of five parameters."""
    galaxy = MilkyWayPotential()
    halo = NFW(5.4e11 * p[0], 15.62 * p[1], c=p[2])
    host = Composite(galaxy["disk"], galaxy["bulge"], galaxy["nucleus"], halo)
    q = jnp.stack([Q[0] * p[3], jnp.asarray(Q[1]), jnp.asarray(Q[2])])
    v = jnp.stack([jnp.asarray(V[0]), V[1] * p[4], jnp.asarray(V[2])])
    ball = Plummer(MASS, RADIUS) if satellite else None
    return spray(
        latents, host, q, v, mass=MASS, age=AGE, step=step, satellite=ball, convention=Fardal2015()
    )


def number(p, latents, step=STEP):
    """One number to differentiate, to which all particles and coordinates contribute."""
    found = stream(p, latents, step)
    weights = jnp.asarray(np.cos(np.arange(latents.uniforms.size)))
    return sum(jnp.mean(weights * c) for c in found.x) + 10.0 * sum(jnp.mean(c) for c in found.v)


def forward(p, latents):
    """Value and all five derivatives in one sweep."""

    def along(direction):
        return jax.jvp(lambda p: number(p, latents), (p,), (direction,))

    return jax.vmap(along, out_axes=(None, 0))(jnp.eye(5))


def reverse(step):
    """Value and gradient by reverse mode."""
    return jax.value_and_grad(lambda p, latents: number(p, latents, step))


def compiled(function, latents):
    """The compiled function, the time that took [s] and its temporary memory [MiB]."""
    start = time.perf_counter()
    program = jax.jit(function).lower(PARAMETERS, latents).compile()
    seconds = time.perf_counter() - start
    memory = program.memory_analysis()
    return program, seconds, memory.temp_size_in_bytes / 2**20 if memory else float("nan")


def gala(n):
    """Gala's generator: one pair of stars at every one of n / 2 steps."""
    import astropy.units as u
    import gala.dynamics as gd
    import gala.potential as gp
    from gala.dynamics import mockstream
    from gala.units import galactic

    host = gp.Hamiltonian(gp.MilkyWayPotential(version="v1"))
    own = gp.PlummerPotential(MASS * u.Msun, RADIUS * u.kpc, units=galactic)
    start = gd.PhaseSpacePosition(pos=Q * u.kpc, vel=V * u.kpc / u.Myr)
    options = {"atol": GALA_TOLERANCE, "rtol": GALA_TOLERANCE}

    def run():
        df = mockstream.FardalStreamDF(gala_modified=False, random_state=np.random.default_rng(1))
        generator = mockstream.MockStreamGenerator(df, host, progenitor_potential=own)
        found, _ = generator.run(
            start, MASS * u.Msun, dt=-2.0 * AGE / n * u.Myr, n_steps=n // 2, n_particles=1,
            Integrator_kwargs=options,
        )  # fmt: skip
        return found.xyz.to_value(u.kpc).T

    return run


def galax(n, tolerance):
    """Galax's generator, compiled, without the satellite: it offers no self-gravity."""
    import diffrax
    import galax.coordinates as gc
    import galax.dynamics as gd
    import galax.potential as gp
    import unxt

    solver = gd.OrbitSolver(
        solver=diffrax.Dopri8(scan_kind="bounded"),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
        max_steps=2**16,
    )
    integrator = gd.integrate.Integrator(solver, diffeq_kw={"max_steps": None})
    generator = gd.MockStreamGenerator(
        gd.FardalStreamDF(), gp.MilkyWayPotential(),
        progenitor_integrator=integrator, stream_integrator=integrator,
    )  # fmt: skip
    ts = unxt.Q(jnp.linspace(-AGE, 0.0, n // 2), "Myr")
    start = gc.PhaseSpaceCoordinate(
        q=unxt.Q(jnp.asarray(Q), "kpc"),
        p=unxt.Q(jnp.asarray(V), "kpc/Myr"),
        t=unxt.Q(0.0, "Myr"),
    )

    def run():
        found, _ = generator.run(jax.random.key(1), ts, start, unxt.Q(MASS, "Msun"))
        return jax.block_until_ready(jax.tree.leaves(found))

    return run


def agama(latents):
    """Agama's orbits of the stars that we release, around a satellite on its own orbit."""
    import agama

    agama.setNumThreads(1)
    parts = [
        {"type": "MiyamotoNagai", "mass": G * 6.8e10, "scaleRadius": 3.0, "scaleHeight": 0.28},
        {"type": "Dehnen", "gamma": 1.0, "mass": G * 5e9, "scaleRadius": 1.0},
        {"type": "Dehnen", "gamma": 1.0, "mass": G * 1.71e9, "scaleRadius": 0.07},
        {"type": "NFW", "mass": G * 5.4e11, "scaleRadius": 15.62},
    ]
    host = agama.Potential(*parts)
    options = {"accuracy": AGAMA_TOLERANCE, "method": "dprkn8", "verbose": False,
               "separateTime": True, "dtype": float}  # fmt: skip
    times, start = released(latents)

    def run():
        knots = int(AGE) + 1
        t, path = agama.orbit(
            potential=host, ic=np.concatenate([Q, V]), time=-AGE, trajsize=knots, **options
        )
        track = np.column_stack([t, path])[::-1]
        ball = {"type": "Plummer", "mass": G * MASS, "scaleRadius": RADIUS, "center": track}
        _, ends = agama.orbit(
            potential=agama.Potential(*parts, ball), ic=start, timestart=times, time=-times,
            trajsize=1, **options,
        )  # fmt: skip
        return np.asarray(ends).reshape(-1, 6)[:, :3]

    return run


def released(latents):
    """Times, and places and velocities at them, of the stars of our stream, for Agama."""
    host, n = MilkyWayPotential(), latents.uniforms.size
    n_steps = SEGMENT * int(np.ceil(AGE / (STEP * SEGMENT)))

    @jax.jit
    def start(latents):
        times = release_times(latents, AGE)
        path = progenitor_path(host, tuple(Q), tuple(V), AGE / n_steps, n_steps)
        arm = jnp.asarray(1.0 - 2.0 * (np.arange(n) % 2))
        mass = jnp.full(n, MASS)
        x, v = release(Fardal2015(), host, *path.at(times), times, mass, latents.normals, arm)
        return times, jnp.stack([*x, *v], -1)

    times, y = start(latents)
    return np.asarray(times), np.ascontiguousarray(y)


def row(name, t, compile_seconds, base, note=""):
    """One line of the table."""
    note += f"; median of {t.repeats}" if t.repeats < 5 else ""
    print(
        f"{name:38} {compile_seconds:9.2f} {t.run:8.3f} {t.best:8.3f} {t.run / base:7.2f} "
        f"{t.threads:7.2f}  {note.strip('; ')}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=2000, help="particles, an even number")
    n = parser.parse_args().n
    print(timing.banner("jax", "gala", "galax", "agama"))
    print(f"{n} particles, {AGE:g} Myr\n")
    head = f"{'':38} {'compile/s':>9} {'run/s':>8} {'best/s':>8} {'ratio':>7} {'threads':>7}"
    latents = Latents.draw(jax.random.key(0), n)

    def mine(name, function, base=None):
        program, seconds, memory = compiled(function, latents)
        t = timing.timed(lambda: jax.block_until_ready(program(PARAMETERS, latents)))
        row(name, t, seconds, base or t.run, f"temporary memory {memory:.1f} MiB")
        return t, memory

    print(head)
    value, _ = mine("jaxastro", stream)
    mine("jaxastro, value + 5 derivatives forward", forward, value.run)
    _, fine = mine(f"jaxastro, reverse, step {STEP:g} Myr", reverse(STEP), value.run)
    _, coarse = mine(f"jaxastro, reverse, step {2 * STEP:g} Myr", reverse(2 * STEP), value.run)
    print(f"reverse memory at twice the steps: {fine / coarse:.2f} x  ({timing.load()})\n{head}")

    for name, modules, make in (
        ("gala MockStreamGenerator", ("gala", "astropy"), lambda: gala(n)),
        ("agama, orbits of the released stars", ("agama",), lambda: agama(latents)),
    ):
        reason = timing.missing(*modules)
        if reason:
            print(f"{name:38} {reason}")
            continue
        t = timing.timed(make())
        row(name, t, t.compile, value.run)
        if name.startswith("agama"):
            apart = np.linalg.norm(t.value - np.stack(value.value.x, -1), axis=1)
            print(f"  median distance between its stars and ours: {np.median(apart):.1e} kpc")
    bare, _ = mine("jaxastro without satellite", lambda p, k: stream(p, k, satellite=False), None)
    reason = timing.missing("galax.dynamics", "galax.potential", "unxt")
    for tolerance in () if reason else GALAX_TOLERANCES:
        t = timing.timed(galax(n, tolerance))
        row(f"galax, without satellite, tol {tolerance:g}", t, t.compile, bare.run)
    if reason:
        print(f"{'galax':38} {reason}")
    print(
        "ratio: over jaxastro's value, for galax over the one without satellite; above 1 it is "
        f"slower, below 1 faster  ({timing.load()})"
    )


if __name__ == "__main__":
    main()
