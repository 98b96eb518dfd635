"""A NUTS gradient of the main job's target and effective samples a second, beside emcee and gala.

The posterior of GD-1 in an unknown halo, nine parameters, as `simulators.streams.milky_way_model`
has it, with time steps of 1 Myr. The peer is what one does without gradients: emcee's ensemble of
walkers around a stream of gala's. Prior, data, noise, frames and local parabolas are the same, and
ours, compiled; gala makes the stream. Both start from the Laplace approximation at the maximum.
One CPU core; effective samples are counted by CPU seconds, which other work on the machine leaves
nearly alone.

    python benchmarks/inference.py [--chains 2 --warmup 80 --draws 200 --seconds 100]
"""

import timing

# isort: split
import argparse
import os
import time
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxastro.core import SamplePosterior
from jaxastro.infer import find_map, laplace, nuts
from jaxastro.infer.gradient import evaluate, evaluate_gradient
from simulators.streams.frames import galactocentric_to_stream, stream_to_galactocentric
from simulators.streams.gd1 import gd1_measurements
from simulators.streams.latents import Latents
from simulators.streams.milky_way_model import galaxy, gd1_model, starting_points
from simulators.streams.observe import OBSERVABLES
from simulators.streams.simulator import TrackPrediction
from simulators.streams.summaries import summarize

#: The loosest tolerance of the decades at which gala's log density is within 0.01 of that at 1e-12.
GALA_TOLERANCE = 1e-8
#: Largest difference of the two log densities at equal release times for the run to go on.
SAME = 0.01
#: Share of emcee's steps that is dropped as burn-in.
BURN_IN = 0.2
#: Below so many autocorrelation times emcee calls its estimate of them unreliable: too short.
ENOUGH = 50
WALKERS = 32
#: NUTS steps between two looks at the clock.
EVERY = 10
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


def row(name, call, base=None):
    """Time a call and print a line of the table."""
    t = timing.timed(call)
    ratio = t.run / (base or t.run)
    print(
        f"{name:30} {t.compile:9.2f} {1e3 * t.run:8.2f} {1e3 * t.best:8.2f} {ratio:7.2f}",
        flush=True,
    )
    return t.run


def gradients(target, point):
    """Times of the value and of its gradient in both modes; returns that of the value [s].

    By the very programs that the searches call afterwards, so that each is compiled once.
    """
    print(f"{'':30} {'compile/s':>9} {'run/ms':>8} {'best/ms':>8} {'ratio':>7}")
    base = row("value", lambda: evaluate(target, point[None]))
    for mode in ("reverse", "forward"):
        call = partial(evaluate_gradient, target, point, mode)
        row(f"value and gradient, {mode}", call, base)
    return base


def agreement(model, target, gala, found):
    """How far the two log densities differ across the posterior; ends the run if they do.

    Their release times differ. Given gala's, in the middle of the strata, ours has to be gala's.
    """
    points = np.asarray(found.sample(jax.random.key(5), 20))
    middle = Latents(target.latents.normals, jnp.full_like(target.latents.uniforms, 0.5))
    same = model.condition(target.observation, latents=middle)
    theirs = np.array([gala(p) for p in points])
    strict = gala_density(target, 1e-12)
    solver = max(abs(strict(p) - value) for p, value in zip(points[:5], theirs, strict=False))
    print("log density with gala's stream minus ours, at 20 points of the posterior:")
    for name, ours in (("the same release times", same), ("as sampled", target)):
        apart = theirs - evaluate(ours, points)
        worst = np.max(np.abs(apart))
        print(f"  {name}: mean {apart.mean():.4f}, scatter {apart.std():.4f}, worst {worst:.4f}")
        if ours is same and not worst < SAME:
            raise SystemExit(f"the log densities differ by more than {SAME}: not the same target")
    print(f"  gala's at a tolerance of 1e-12 differs from it by up to {solver:.4f}", flush=True)


class Sampled(NamedTuple):
    """A finished run: CPU seconds of everything but compilation, and without warm-up."""

    posterior: SamplePosterior
    everything: float
    sampling: float
    note: str


def run_nuts(target, found, options):
    """Draws by NUTS."""
    settings = {"n_chains": options.chains, "initial": found, "target_accept": 0.9, "every": EVERY}
    nuts(jax.random.key(2), target, n_warmup=1, n_draws=1, **settings)  # compiles
    marks = {}

    def look(progress):
        if not progress.warming_up:
            marks.setdefault("warm", time.process_time())
        marks["end"] = time.process_time()

    began = time.process_time()
    posterior = nuts(
        jax.random.key(3),
        target,
        n_warmup=options.warmup,
        n_draws=options.draws,
        progress=look,
        **settings,
    )
    table = posterior.summary()
    rhat = max(row["r_hat"] for row in table.rows.values())
    steps = int(posterior.sample_stats["n_steps"].sum())
    note = f"R-hat {rhat:.3f}, {steps} gradients after warm-up, {table.divergences} divergences"
    return Sampled(posterior, marks["end"] - began, marks["end"] - marks["warm"], note)


def run_emcee(target, density, found, seconds, walkers=WALKERS):
    """Draws by an ensemble of the peer's `density`; and the ESS after emcee's own estimate."""
    import emcee

    start = np.asarray(found.sample(jax.random.key(4), walkers))
    sampler = emcee.EnsembleSampler(walkers, target.dim, density)
    sampler.random_state = np.random.RandomState(1).get_state()
    began, cpu = time.perf_counter(), time.process_time()
    state = start
    while time.perf_counter() - began < seconds:
        state = sampler.run_mcmc(state, 1)  # emcee reserves memory for all steps it is asked for
    cpu = time.process_time() - cpu
    chain = sampler.get_chain(discard=int(BURN_IN * sampler.iteration))
    tau = float(np.max(emcee.autocorr.integrated_time(chain, tol=0)))
    own = chain.size / target.dim / tau
    note = (
        f"{walkers} walkers, {sampler.iteration} steps, autocorrelation time {tau:.0f} steps after "
        f"emcee, ESS {own:.0f}"
    )
    if not len(chain) >= ENOUGH * tau:  # so that NaN, of very few steps, counts as too short
        note += (
            f"\n  a chain of {len(chain) / tau:.0f} such times, below {ENOUGH}, makes emcee "
            "underestimate them: that ESS is an upper bound"
        )
    # Walkers are to ArviZ what chains are: (walkers, steps) of every parameter.
    draws = jax.vmap(jax.vmap(target.constrain))(jnp.asarray(chain.swapaxes(0, 1)))
    prior = target.prior
    draws = {name: np.asarray(draws[name]) for name in prior.names}
    posterior = SamplePosterior(draws, {}, units=prior.units, labels=prior.labels)
    share = len(chain) / sampler.iteration
    return Sampled(posterior, cpu, share * cpu, note), own


def show(name, sampled, names=SHOWN):
    """Print a sampler's lines, with the parameters `names`; returns its smallest bulk ESS."""
    ess = min(row["ess_bulk"] for row in sampled.posterior.summary().rows.values())
    rates = f"{ess / sampled.everything:11.3f} {ess / sampled.sampling:11.3f}"
    print(f"{name:22} {ess:6.0f} {sampled.everything:7.1f} {sampled.sampling:8.1f} {rates}")
    draws = sampled.posterior.flat()
    shown = ", ".join(f"{n} {np.mean(draws[n]):.3f} +- {np.std(draws[n]):.3f}" for n in names)
    print(f"  {sampled.note}\n  {shown}", flush=True)
    return ess


def compete(target, density, found, options, peer, names=SHOWN, walkers=WALKERS):
    """Sample by NUTS, and by emcee from the peer's `density`; print the effective samples."""
    head = f"{'CPU seconds':22} {'ESS':>6} {'all/s':>7} {'draws/s':>8}"
    print(f"\n{head} {'ESS/s, all':>11} {'draws only':>11}", flush=True)
    ours = run_nuts(target, found, options)
    ess = show("NUTS", ours, names)
    theirs, own = run_emcee(target, density, found, options.seconds, walkers)
    by_arviz = show(peer, theirs, names)
    print("effective samples a CPU second, NUTS over emcee:")
    for name, other in (("ArviZ for both", by_arviz), ("emcee's own estimate for it", own)):
        every = ess / ours.everything * theirs.everything / other
        draws = ess / ours.sampling * theirs.sampling / other
        print(f"  {name}: {every:.1f} with warm-up and burn-in, {draws:.1f} without")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=80, help="steps a chain")
    parser.add_argument("--draws", type=int, default=200, help="draws a chain")
    parser.add_argument("--seconds", type=float, default=100.0, help="of emcee")
    options = parser.parse_args()
    if reason := timing.missing("galstreams", "gala", "emcee", "arviz"):
        raise SystemExit(f"{reason}; this benchmark needs it")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # chains would use more cores
    print(timing.banner("jax", "blackjax", "gala", "emcee"))
    model = gd1_model(gd1_measurements(), step=1.0)
    target = model.condition(model.simulator.data, latents=model.simulator.fixed_latents())
    starts = np.asarray(starting_points(jax.random.key(0), model, 6))
    # Our number of steps is fixed, so that the time is the same at any point; gala's is not.
    base = gradients(target, starts[0])
    found = laplace(target, find_map(jax.random.key(1), target, initial=starts, n_starts=6))
    gala = gala_density(target)
    row("value, gala's stream", lambda: gala(found.u), base)
    agreement(model, target, gala, found)

    compete(target, gala, found, options, "emcee, gala's stream")
    print(timing.load())


if __name__ == "__main__":
    main()
