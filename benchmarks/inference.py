"""A NUTS gradient of the main job's target and effective samples a second, beside emcee and gala.

The posterior of GD-1 in an unknown halo, nine parameters, as `simulators.streams.milky_way_model`
has it, with time steps of 1 Myr. The peer is what one does without gradients: emcee's ensemble of
walkers around a stream of gala's. Prior, data, noise, frames and local parabolas are the same, and
ours, compiled; gala makes the stream. Both start from the Laplace approximation at the maximum.
One CPU core.

    python benchmarks/inference.py [--chains 2 --warmup 80 --draws 200 --seconds 180]
"""

import timing

# isort: split
import argparse
import os
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxastro.infer import find_map, laplace, nuts
from jaxastro.infer.gradient import value_and_grad
from simulators.streams.frames import galactocentric_to_stream, stream_to_galactocentric
from simulators.streams.gd1 import gd1_measurements
from simulators.streams.milky_way_model import galaxy, gd1_model, starting_points
from simulators.streams.observe import OBSERVABLES
from simulators.streams.simulator import TrackPrediction
from simulators.streams.summaries import summarize

#: The loosest tolerance of the decades at which gala's log density is within 0.01 of that at 1e-12.
GALA_TOLERANCE = 1e-8
#: Share of emcee's steps that is dropped as burn-in.
BURN_IN = 0.2
#: Below so many autocorrelation times emcee calls its estimate of them unreliable: too short.
ENOUGH = 50
WALKERS = 32
SHOWN = ("v_c", "r_s", "q_z")


class NoScatter:
    """For gala in place of a generator: every draw is the mean, as in our model."""

    def normal(self, mean, _scatter):
        return mean


def gala_density(target, tolerance=GALA_TOLERANCE):
    """The log density as a NumPy function of u, with gala's stream inside.

    Gala releases a pair of stars at the middle of each of our strata of release times. Ours leave
    at Sobol points in the strata: nothing else differs.
    """
    import astropy.units as u
    import gala.dynamics as gd
    import gala.potential as gp
    from gala.dynamics import mockstream
    from gala.units import galactic

    simulator = target.simulator
    data, n = simulator.data, simulator.n_particles
    times = -simulator.age * (np.arange(n // 2) + 0.5) / (n // 2)
    times = np.concatenate([[0.0], times])
    mass = -float(simulator.mass) * times[::-1] / simulator.age
    count = np.append(np.ones(n // 2, int), 0)
    visible = {
        "disk": gp.MiyamotoNagaiPotential(6.8e10, a=3.0, b=0.28, units=galactic),
        "bulge": gp.HernquistPotential(5e9, c=1.0, units=galactic),
        "nucleus": gp.HernquistPotential(1.71e9, c=0.07, units=galactic),
    }
    options = {"atol": tolerance, "rtol": tolerance}

    @jax.jit
    def before(point):
        params = target.constrain(point)
        sky = (params[name] for name in OBSERVABLES)
        start = stream_to_galactocentric(
            simulator.phi1, *sky, frame=simulator.frame, solar=simulator.solar
        )
        halo = galaxy(params)["nfw"]
        return params, jnp.stack([*start, halo.m, halo.r_s, halo.c]), target.log_prior(point)

    @jax.jit
    def after(coordinates, params):
        sky = galactocentric_to_stream(*coordinates, frame=simulator.frame, solar=simulator.solar)
        zero_point = {"distance": params["distance_scale"]}
        seen = [getattr(sky, name) * zero_point.get(name, 1.0) for name in data.names]
        s = summarize(sky.phi1, seen, data.phi1, simulator.bandwidth, degree=simulator.degree)
        prediction = TrackPrediction(s.track, s.mc_variance)
        return simulator.noise_log_prob(prediction, target.observation)

    def density(point):
        params, numbers, prior = before(point)
        w, (m, r_s, c) = np.asarray(numbers[:6]), np.asarray(numbers[6:])
        if not (np.isfinite(prior) and np.all(np.isfinite(numbers)) and m > 0):
            return -np.inf
        halo = gp.NFWPotential(m, r_s=r_s, c=c, units=galactic)
        host = gp.Hamiltonian(gp.CCompositePotential(**visible, halo=halo))
        df = mockstream.FardalStreamDF(gala_modified=False, random_state=NoScatter())
        stars, _ = mockstream.MockStreamGenerator(df, host).run(
            gd.PhaseSpacePosition(pos=w[:3] * u.kpc, vel=w[3:] * u.kpc / u.Myr),
            mass * u.Msun, t=times * u.Myr, n_particles=count, Integrator_kwargs=options,
        )  # fmt: skip
        coordinates = np.concatenate([stars.xyz.value, stars.v_xyz.value])
        found = float(prior) + float(after(coordinates, params))
        return found if np.isfinite(found) else -np.inf

    return density


def gradients(target, point):
    """Times of the value, of its gradient in both modes, and of gala's value."""
    print(f"{'':30} {'compile/s':>9} {'run/ms':>8} {'ratio':>7}")
    programs = {
        "value": target.unguarded,
        "value and gradient, reverse": value_and_grad(target.unguarded, target.dim, "reverse"),
        "value and gradient, forward": value_and_grad(target.unguarded, target.dim, "forward"),
    }
    base = None
    for name, function in programs.items():
        compiled = eqx.filter_jit(function)
        t = timing.timed(lambda f=compiled: jax.block_until_ready(f(point)))
        base = base or t.run
        print(f"{name:30} {t.compile:9.2f} {1e3 * t.run:8.2f} {t.run / base:7.2f}", flush=True)
    gala = gala_density(target)
    t = timing.timed(lambda: gala(point))
    name = "value, gala's stream"
    print(f"{name:30} {t.compile:9.2f} {1e3 * t.run:8.2f} {t.run / base:7.2f}", flush=True)
    return gala


def agreement(target, gala, found):
    """How far the two log densities differ across the posterior."""
    points = np.asarray(found.sample(jax.random.key(5), 20))
    ours = eqx.filter_jit(target.unguarded)
    apart = np.array([gala(p) - float(ours(p)) for p in points])
    strict = gala_density(target, 1e-12)
    solver = max(abs(gala(p) - strict(p)) for p in points[:5])
    print(
        f"log density with gala's stream minus ours at 20 points of the posterior: mean "
        f"{apart.mean():.3f}, scatter {apart.std():.3f} (release times differ); gala's at 1e-12 "
        f"differs from it by up to {solver:.1e}"
    )


def run_nuts(target, found, options):
    """Draws, and the seconds without compilation of warm-up and draws."""
    settings = {"n_chains": options.chains, "initial": found, "target_accept": 0.9}
    nuts(jax.random.key(2), target, n_warmup=1, n_draws=1, **settings)  # compiles
    marks = {}

    def note(progress):
        if not progress.warming_up:
            marks.setdefault("warm", progress.seconds)
        marks["all"] = progress.seconds

    posterior = nuts(
        jax.random.key(3),
        target,
        n_warmup=options.warmup,
        n_draws=options.draws,
        progress=note,
        every=10,
        **settings,
    )
    table = posterior.summary()
    ess = min(row["ess_bulk"] for row in table.rows.values())
    rhat = max(row["r_hat"] for row in table.rows.values())
    steps = int(posterior.sample_stats["n_steps"].sum())
    sampling = marks["all"] - marks["warm"]
    note = f"R-hat {rhat:.3f}, {steps} gradients after warm-up, {table.divergences} divergences"
    return posterior.flat(), ess, marks["all"], sampling, note


def run_emcee(target, gala, found, seconds):
    """As `run_nuts`, for an ensemble around gala's stream."""
    import emcee

    start = np.asarray(found.sample(jax.random.key(4), WALKERS))
    sampler = emcee.EnsembleSampler(WALKERS, target.dim, gala)
    sampler.random_state = np.random.RandomState(1).get_state()
    began = time.perf_counter()
    for _ in sampler.sample(start, iterations=10**6):
        if time.perf_counter() - began > seconds:
            break
    took = time.perf_counter() - began
    dropped = int(BURN_IN * sampler.iteration)
    chain = sampler.get_chain(discard=dropped)
    tau = float(np.max(emcee.autocorr.integrated_time(chain, tol=0)))
    ess = chain.shape[0] * WALKERS / tau
    note = f"{WALKERS} walkers, {sampler.iteration} steps, autocorrelation time {tau:.0f} steps"
    if chain.shape[0] < ENOUGH * tau:
        note += f": shorter than {ENOUGH} of them, so that emcee underestimates it; an upper bound"
    draws = jax.vmap(target.constrain)(jnp.asarray(chain.reshape(-1, target.dim)))
    return draws, ess, took, took * (1.0 - BURN_IN), note


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=80, help="steps a chain")
    parser.add_argument("--draws", type=int, default=200, help="draws a chain")
    parser.add_argument("--seconds", type=float, default=180.0, help="of emcee")
    options = parser.parse_args()
    if reason := timing.missing("galstreams", "gala", "emcee", "arviz"):
        raise SystemExit(f"{reason}; this benchmark needs it")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # chains would use more cores
    print(timing.banner("jax", "blackjax", "gala", "emcee"))
    model = gd1_model(gd1_measurements(), step=1.0)
    target = model.condition(model.simulator.data, latents=model.simulator.fixed_latents())
    starts = starting_points(jax.random.key(0), model, 6)
    found = laplace(target, find_map(jax.random.key(1), target, initial=starts, n_starts=6))
    gala = gradients(target, jnp.asarray(found.u))
    agreement(target, gala, found)

    head = f"{'':22} {'ESS':>6} {'all/s':>7} {'draws/s':>8} {'ESS/s, all':>11} {'draws only':>11}"
    print(f"\n{head}")
    rates = []
    for name, run in (
        ("NUTS", lambda: run_nuts(target, found, options)),
        ("emcee, gala's stream", lambda: run_emcee(target, gala, found, options.seconds)),
    ):
        draws, ess, everything, sampling, note = run()
        rates.append((ess / everything, ess / sampling))
        numbers = f"{everything:7.1f} {sampling:8.1f} {rates[-1][0]:11.3f} {rates[-1][1]:11.3f}"
        print(f"{name:22} {ess:6.0f} {numbers}")
        shown = ", ".join(f"{n} {np.mean(draws[n]):.3f} +- {np.std(draws[n]):.3f}" for n in SHOWN)
        print(f"  {note}\n  {shown}", flush=True)
    ratios = [a / b for a, b in zip(*rates, strict=True)]
    print(
        f"effective samples a second, NUTS over emcee: {ratios[0]:.1f} with warm-up and burn-in, "
        f"{ratios[1]:.1f} without  ({timing.load()})"
    )


if __name__ == "__main__":
    main()
