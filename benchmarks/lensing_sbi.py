"""Lensed images: NPE beside NUTS, and the subhaloes of a population from many lenses.

    python -m benchmarks.lensing_sbi --out lensing_sbi [--stages images,population]

Simulates, trains and prints
(images) for a lens of 13 parameters: NPE's ranks (SBC, expected coverage, TARP) over the prior;
    for `--mocks` images NUTS from their maximum, the ranks, z-scores and coverage of the truths
    among its draws; and for the first three NPE against NUTS, differences of means in units of
    NUTS' standard deviation and ratios of the deviations;
(population) NPE of the normalisation of the subhaloes' mass function and of the half-mode mass
    from one image, everything else marginal; then for `--trials` sets of lenses with a common
    truth, drawn from the prior, the product

    p(theta | x_1 .. x_n) ~ p(theta)^(1 - n) q(theta | x_1) .. q(theta | x_n)

    on a grid: widths, bias, z-scores and coverage of its regions of highest density.

A value in brackets is what a right posterior would give, with the scatter of that many trials.
Everything is kept in `--out`, and the same command goes on where it was stopped.
"""

import argparse
import os
import time
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("EQX_ON_ERROR", "nan")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from benchmarks.stream_sbi import compared, kept, trained
from jaxastro.core import Model, Parameter, Prior, checkpoint
from jaxastro.diagnose import calibration, sbc_ranks, sbc_test
from jaxastro.infer import find_map, laplace, nuts
from jaxastro.nn import ConvEmbedding
from jaxastro.sbi import Simulations, npe, nre, reweight, simulate
from simulators.lensing.grid import Grid
from simulators.lensing.light import Sersic
from simulators.lensing.mass import EPL, Shear
from simulators.lensing.mass_function import SubhaloMassFunction
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.psf import PSF
from simulators.lensing.simulator import LensedImage
from simulators.lensing.simulator_population import SubstructureImage

STAGES = ("images", "population")
LEVELS = (0.5, 0.68, 0.9)
SETS = (1, 5, 20)
CELLS = 48


def normal(mean, sigma, unit=""):
    return Parameter(dist.Normal(mean, sigma), unit)


#: What a look at the arcs tells of a lens.
LENS = Prior(
    theta_E=normal(1.1, 0.05, "arcsec"),
    gamma=normal(2.0, 0.1),
    e1=normal(0.0, 0.08),
    e2=normal(0.0, 0.08),
    center_x=normal(0.0, 0.03, "arcsec"),
    center_y=normal(0.0, 0.03, "arcsec"),
    gamma1=normal(0.0, 0.03),
    gamma2=normal(0.0, 0.03),
    source_x=normal(0.0, 0.08, "arcsec"),
    source_y=normal(0.0, 0.08, "arcsec"),
    source_R=Parameter(dist.LogNormal(np.log(0.15), 0.2), "arcsec"),
    source_n=Parameter(dist.LogNormal(np.log(1.0), 0.2)),
    source_amp=Parameter(dist.LogNormal(np.log(20.0), 0.2)),
)
#: Sigma_sub [kpc^-2] and the half-mode mass [Msun], over which the posteriors are computed.
BOX = {"log10_sigma_sub": (-2.5, -1.0), "log10_m_hm": (7.0, 10.0)}
POPULATION = Prior({name: Parameter(dist.Uniform(*ends)) for name, ends in BOX.items()})


def scene(p):
    lens = EPL(p["theta_E"], p["gamma"], p["e1"], p["e2"], p["center_x"], p["center_y"])
    place = {"center_x": p["source_x"], "center_y": p["source_y"]}
    source = Sersic(p["source_amp"], p["source_R"], p["source_n"], **place)
    return lens + Shear(p["gamma1"], p["gamma2"]), source, None


def image_model(side, scale, noise, supersampling, dtype):
    grid = Grid((side, side), jnp.asarray(scale, dtype), supersampling=supersampling)
    psf = PSF.gaussian(jnp.asarray(0.15, dtype), scale, 7)
    return Model(LENS, LensedImage(scene, grid, GaussianNoise(jnp.asarray(noise, dtype)), psf))


def mass_function(p):
    m_hm = 10.0 ** p["log10_m_hm"]
    return SubhaloMassFunction(10.0 ** p["log10_sigma_sub"], m_low=1e8, m_hm=m_hm)


def population_model(noise):
    """Images in float32: mean numbers of subhaloes above 1e8 Msun go up to 33 of the 64."""
    smooth = image_model(48, 0.08, noise, 1, jnp.float32)
    settings = {"radius": 1.6, "size": 64}
    return Model(POPULATION, SubstructureImage(smooth, mass_function, 0.5, 2.0, **settings))


def simulations(folder, key, model, n, batch_size=16):
    """n pairs; those found in `folder` are not made again."""
    like = eqx.filter_eval_shape(
        lambda m, k: jax.vmap(m.sample)(k), model, jax.random.split(key, n)
    )
    if not checkpoint.exists(folder):
        began = time.process_time()
        pairs = simulate(key, model, n, batch_size=batch_size)
        spent = (time.process_time() - began) / n
        print(f"{folder.name}: {n} images, {1e3 * spent:.2f} ms of CPU each", flush=True)
        checkpoint.save(folder, (pairs.params, pairs.observations))
    like = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like)
    return Simulations(model.prior, *checkpoint.load(folder, like)[0])


def share(p, n):
    return f"[{p:.2f} +- {np.sqrt(p * (1 - p) / n):.2f}]"


def sampled(out, key, model, image, i):
    """NUTS from the maximum."""

    def sample():
        target = model.condition(image)
        best = find_map(key, target, n_starts=16, n_keep=2)
        start = laplace(target, best)
        return nuts(key, target, n_chains=2, n_warmup=100, n_draws=300, initial=start)

    return kept(out / f"nuts-{i}.nc", sample)


def images(options):
    """NPE and NUTS on images of one lens."""
    out = options.out / "images"
    model = image_model(40, 0.1, 0.08, 2, jnp.float64)
    train_key, test_key, npe_key, key = jax.random.split(jax.random.key(1), 4)
    pairs = simulations(out / f"train-{options.simulations}", train_key, model, options.simulations)
    new = simulations(out / "test", test_key, model, options.tests)
    peak = np.median(new.observations.max(axis=(1, 2))) / 0.08
    print(f"brightest pixel over the noise: {peak:.0f} in the median")
    embedding = partial(ConvEmbedding, 1, (40, 40), 32, channels=(8, 16, 32, 64))
    settings = {"embedding": embedding, "max_epochs": options.epochs, "learning_rate": 3e-3}
    estimator = trained(npe, out / f"npe-{options.simulations}", npe_key, pairs, **settings)
    print(f"NPE, {len(new)} new images: {calibration(key, estimator, new)}", flush=True)

    exact = []
    for i in range(options.mocks):
        image = jnp.asarray(new.observations[i])
        exact.append(sampled(out, jax.random.fold_in(key, i), model, image, i))
        if i < 3:
            learnt = estimator.posterior(image)
            compared(key, f"mock {i} against NUTS", exact[i], {"NPE": learnt})
            near = reweight(key, learnt, model, image, 2000)
            print(f"mock {i}: {near.ess:.0f} of 2000 draws of NPE are effective", flush=True)
    if exact:
        nuts_coverage(exact, new, estimator)


def nuts_coverage(exact, new, estimator):
    """Print ranks, z-scores and coverage of the truths, and the widths beside NPE's."""
    n = len(exact)
    rows = [posterior.summary().rows for posterior in exact]
    least = min(row["ess_bulk"] for each in rows for row in each.values())
    largest = max(row["r_hat"] for each in rows for row in each.values())
    divergent = sum(int(np.sum(p.sample_stats["diverging"])) for p in exact)
    print(f"NUTS, {n} mocks: ESS >= {least:.0f}, R-hat <= {largest:.3f}, {divergent} divergences")
    draws = {name: np.stack([p.flat()[name][::6][:99] for p in exact]) for name in LENS.names}
    truths = {name: np.asarray(new.params[name][:n]) for name in LENS.names}
    result = sbc_test(sbc_ranks(truths, draws), 99)
    print(f"NUTS' ranks: {result}")
    print(f"{'':14}{'z':>8}{'sd of z':>9}" + "".join(f"{p:>8.0%}" for p in LEVELS), end="")
    print(f"{'sd NUTS/prior':>16}{'sd NPE/NUTS':>14}")
    key = jax.random.key(5)
    learnt = [estimator.posterior(x).sample(key, 1000) for x in new.observations[:n]]
    inside = []
    for name in LENS.names:
        all_draws = [p.flat()[name] for p in exact]
        mean = np.array([d.mean() for d in all_draws])
        sd = np.array([d.std() for d in all_draws])
        z = (truths[name] - mean) / sd
        quantile = np.array([np.mean(d < t) for d, t in zip(all_draws, truths[name], strict=True)])
        inside.append([np.mean(np.abs(2 * quantile - 1) < p) for p in LEVELS])
        prior_sd = np.std(np.asarray(LENS.sample(key, (4000,))[name]))
        ratio = np.median([np.std(np.asarray(d[name])) for d in learnt] / sd)
        cells = "".join(f"{c:8.2f}" for c in inside[-1])
        widths = f"{np.median(sd) / prior_sd:16.3f}{ratio:14.2f}"
        print(f"  {name:12}{z.mean():+8.2f}{z.std():9.2f}{cells}{widths}")
    band = f"[0 +- {1 / np.sqrt(n):.2f}, 1 +- {1 / np.sqrt(2 * n):.2f}] "
    print(f"  right: {band}" + " ".join(share(p, n) for p in LEVELS))
    together = " ".join(f"{c:.3f}" for c in np.mean(inside, axis=0))
    print(f"  all parameters together: {together}", flush=True)


def box_grid():
    """Centres of the cells of the prior's box: name -> (CELLS, CELLS)."""
    steps = (np.arange(CELLS) + 0.5) / CELLS
    axes = [low + (high - low) * steps for low, high in BOX.values()]
    return dict(zip(BOX, map(jnp.asarray, np.meshgrid(*axes, indexing="ij")), strict=True))


@eqx.filter_jit
def log_ratios(estimator, points, truths, observations):
    """log p(theta | x) / p(theta) on the grid (N, CELLS, CELLS) and at the truths (N,)."""
    if hasattr(estimator, "log_prob"):

        def value(params, x):
            return estimator.log_prob(params, x) - POPULATION.log_prob(params)
    else:
        value = estimator.log_likelihood

    def one(pair):
        truth, x = pair
        return jax.vmap(jax.vmap(lambda p: value(p, x)))(points), value(truth, x)

    return jax.lax.map(one, (truths, observations))


def sets(model, key, trials):
    """`trials` truths from the prior, and images of the most lenses of a set for each."""
    truth_key, key = jax.random.split(key)
    truths = POPULATION.sample(truth_key, (trials,))
    n = max(SETS)
    every = jax.tree.map(lambda a: jnp.repeat(a, n), truths)
    return truths, every, _draw(model, jax.random.split(key, trials * n), every)


@eqx.filter_jit
def _draw(model, keys, params):
    def one(pair):
        return model.simulator.simulate(*pair)

    return jax.lax.map(one, (keys, params), batch_size=16)


def combined(label, estimator, truths, every, observed):
    """Print widths, bias and coverage of the products over the lenses of sets."""
    points = box_grid()
    on_grid, own = log_ratios(estimator, points, every, observed)
    trials = len(truths["log10_m_hm"])
    on_grid = np.asarray(on_grid).reshape(trials, -1, CELLS * CELLS)
    own = np.asarray(own).reshape(trials, -1)
    for n in SETS:
        log_p, log_own = on_grid[:, :n].sum(1), own[:, :n].sum(1)
        p = np.exp(log_p - log_p.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        level = np.sum(np.where(log_p > log_own[:, None], p, 0.0), axis=1)
        ranks = {"highest density": level}
        print(f"{label}, sets of {n}, {trials} trials")
        for axis, (name, (low, high)) in enumerate(BOX.items()):
            x, truth = np.asarray(points[name]).ravel(), np.asarray(truths[name])
            mean = p @ x
            sd = np.sqrt(np.maximum(p @ x**2 - mean**2, 1e-12))
            marginal = p.reshape(trials, CELLS, CELLS).sum(2 - axis)
            cdf = np.concatenate([np.zeros((trials, 1)), np.cumsum(marginal, 1)], 1)
            edges = np.linspace(low, high, CELLS + 1)
            ranks[name] = [np.interp(t, edges, c) for t, c in zip(truth, cdf, strict=True)]
            gap, z = mean - truth, (mean - truth) / sd
            print(
                f"  {name:16} sd {sd.mean():.3f} = {sd.mean() * np.sqrt(12) / (high - low):.2f} of "
                f"the prior's; bias {gap.mean():+.3f} +- {gap.std() / np.sqrt(trials):.3f}; rms "
                f"{np.sqrt(np.mean(gap**2)):.3f} [{np.sqrt(np.mean(sd**2)):.3f}]; "
                f"mean z {z.mean():+.2f} +- {z.std() / np.sqrt(trials):.2f}"
            )
        shares = (f"{q:.2f}: {np.mean(level < q):.2f} {share(q, trials)}" for q in LEVELS)
        print("  coverage " + ", ".join(shares))
        ranks = {k: np.minimum((100 * np.asarray(r)).astype(int), 99) for k, r in ranks.items()}
        print(f"  {sbc_test(ranks, 99)}", flush=True)


def population(options):
    """NPE (and NRE) of the population from one image, and products over sets of lenses."""
    out, n = options.out / "population", options.population_simulations
    model = population_model(options.noise)
    train_key, npe_key, nre_key, key = jax.random.split(jax.random.key(2), 4)
    pairs = simulations(out / f"train-{n}-{options.noise:g}", train_key, model, n)
    embedding = partial(ConvEmbedding, 1, (48, 48), 16, channels=(8, 16, 32, 64))
    settings = {"embedding": embedding, "max_epochs": options.epochs, "learning_rate": 3e-3}
    truths, every, observed = sets(model, key, options.trials)
    name = f"{n}-{options.noise:g}"
    if options.members:
        name, settings["members"] = f"{name}-{options.members}", options.members
    for label in options.methods.split(","):
        method, method_key = {"npe": (npe, npe_key), "nre": (nre, nre_key)}[label]
        estimator = trained(method, out / f"{label}-{name}", method_key, pairs, **settings)
        combined(label.upper(), estimator, truths, every, observed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("lensing_sbi"))
    parser.add_argument("--simulations", type=int, default=15_000)
    parser.add_argument("--tests", type=int, default=500, help="new images for the ranks")
    parser.add_argument("--mocks", type=int, default=30, help="images for NUTS")
    parser.add_argument("--population-simulations", type=int, default=20_000)
    parser.add_argument("--noise", type=float, default=0.01, help="of a pixel, of the population")
    parser.add_argument("--methods", default="npe", help="of the population: npe, nre or both")
    parser.add_argument("--members", type=int, default=None, help="of NPE's ensemble")
    parser.add_argument("--trials", type=int, default=150, help="sets of lenses")
    parser.add_argument("--epochs", type=int, default=30, help="at most, of a training")
    parser.add_argument("--stages", default=",".join(STAGES), help="some of these")
    options = parser.parse_args()
    for name in options.stages.split(","):
        {"images": images, "population": population}[name](options)


if __name__ == "__main__":
    main()
