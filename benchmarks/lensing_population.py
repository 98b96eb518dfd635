"""The subhaloes of a population of lenses: from single images to many, and is that calibrated?

    python -m benchmarks.lensing_population --out lensing_population

Trains NPE (and NRE) of the normalisation of the subhaloes' mass function and of the half-mode mass
from one image, marginal over its lens, source and subhaloes. Then for `--trials` sets of lenses
with a common truth, drawn from the prior, it multiplies

    p(theta | x_1 .. x_n) ~ p(theta) prod_i q(theta | x_i) / p(theta)

on a grid, and prints widths, bias, z-scores and the coverage of regions of highest density. Small
errors that all q share grow with the number of lenses. What a right q averages to over simulations
is the prior: "over the mean" has that average of q instead of p(theta) in the denominator.

A value in brackets is what a right posterior gives, with the scatter of that many trials.
Simulations and trainings are kept in `--out`.
"""

import argparse
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("EQX_ON_ERROR", "nan")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from benchmarks.lensing_sbi import LEVELS, TOGETHER, image_model, lens_prior, share
from benchmarks.stream_sbi import simulations, trained
from jaxastro.core import Model, Parameter, Prior
from jaxastro.diagnose import sbc_test
from jaxastro.nn import MLPEmbedding
from jaxastro.sbi import LearnedRatio, Simulations, npe, nre
from simulators.lensing.mass_function import SubhaloMassFunction
from simulators.lensing.simulator_population import SubstructureImage

SETS = (1, 5, 20)
CELLS, AVERAGED = 32, 10_000
#: Sigma_sub [kpc^-2] and the half-mode mass [Msun], over which the posteriors are computed.
BOX = {"log10_sigma_sub": (-2.5, -1.0), "log10_m_hm": (7.0, 10.0)}
POPULATION = Prior({name: Parameter(dist.Uniform(*ends)) for name, ends in BOX.items()})


def mass_function(p):
    m_hm = 10.0 ** p["log10_m_hm"]
    return SubhaloMassFunction(10.0 ** p["log10_sigma_sub"], m_low=1e8, m_hm=m_hm)


def population_model(options):
    """Images in float32: mean numbers of subhaloes above 1e8 Msun go up to 33 of the 64."""
    prior = lens_prior(options.width)
    smooth = image_model(prior, 48, 0.08, options.noise, 1, jnp.float32)
    settings = {"radius": 1.6, "size": 64}
    return Model(POPULATION, SubstructureImage(smooth, mass_function, 0.5, 2.0, **settings))


def principal_components(images, n=60):
    """images (N, H, W) -> the n principal components (N, n) of these: of lenses much alike.

    With 15,000 images of a width of 0.1 a perceptron of them learnt 0.18 nats, convolutions of
    the images 0.06.
    """
    mean = images.mean(axis=0).ravel()
    flat = images.reshape(len(images), -1) - mean
    _, vectors = np.linalg.eigh((flat.T @ flat).astype(float))
    return lambda x: (np.asarray(x).reshape(len(x), -1) - mean) @ vectors[:, -n:]


def box_grid():
    """Centres of the cells of the prior's box: name -> (CELLS^2,)."""
    steps = (np.arange(CELLS) + 0.5) / CELLS
    axes = [low + (high - low) * steps for low, high in BOX.values()]
    axes = np.meshgrid(*axes, indexing="ij")
    return {name: jnp.asarray(axis.ravel()) for name, axis in zip(BOX, axes, strict=True)}


@eqx.filter_jit
def log_ratios(estimator, points, observations):
    """log p(theta | x) / p(theta) of all observations (N) at all points (M): (N, M)."""

    def value(params, x):
        if isinstance(estimator, LearnedRatio):
            return estimator.log_likelihood(params, x)
        return estimator.log_prob(params, x) - POPULATION.log_prob(params)

    return jax.lax.map(lambda x: jax.vmap(value, (0, None))(points, x), observations)


def sets(model, key, trials):
    """`trials` truths from the prior, and images of the most lenses of a set for each."""
    truth_key, key = jax.random.split(key)
    truths = POPULATION.sample(truth_key, (trials,))
    n = max(SETS)
    every = jax.tree.map(lambda a: jnp.repeat(a, n), truths)
    return truths, _draw(model, jax.random.split(key, trials * n), every)


@eqx.filter_jit
def _draw(model, keys, params):
    def one(pair):
        return model.simulator.simulate(*pair)

    return jax.lax.map(one, (keys, params), batch_size=TOGETHER)


def combined(label, ratios, truths):
    """Print widths, bias and coverage of the products over the lenses of sets."""
    points = box_grid()
    trials = len(truths["log10_m_hm"])
    ratios = ratios.reshape(trials, -1, CELLS**2 + trials)
    on_grid = ratios[..., : CELLS**2]
    own = np.stack([ratios[i, :, CELLS**2 + i] for i in range(trials)])
    for n in SETS:
        log_p, log_own = on_grid[:, :n].sum(1), own[:, :n].sum(1)
        p = np.exp(log_p - log_p.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        level = np.sum(np.where(log_p > log_own[:, None], p, 0.0), axis=1)
        ranks = {"highest density": level}
        print(f"{label}, sets of {n}, {trials} trials")
        for axis, (name, (low, high)) in enumerate(BOX.items()):
            x, truth = np.asarray(points[name]), np.asarray(truths[name])
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
    out, n = options.out, options.simulations
    name, model = f"{n}-{options.noise:g}-{options.width:g}", population_model(options)
    train_key, npe_key, nre_key, key = jax.random.split(jax.random.key(2), 4)
    pairs = simulations(out / f"train-{name}", train_key, model, n, TOGETHER)
    compress = principal_components(pairs.observations)
    pairs = Simulations(pairs.prior, pairs.params, compress(pairs.observations))
    embedding = partial(MLPEmbedding, pairs.observations.shape[1], 16, hidden=128)
    settings = {"embedding": embedding, "max_epochs": 100, "learning_rate": 3e-3}
    truths, observed = sets(model, key, options.trials)
    for label in options.methods.split(","):
        method, method_key = {"npe": (npe, npe_key), "nre": (nre, nre_key)}[label]
        more = {"members": options.members} if label == "npe" else {}
        place = out / f"{label}-{options.members}-{name}"
        estimator = trained(method, place, method_key, pairs, **settings, **more)
        points = {key: jnp.concatenate([v, truths[key]]) for key, v in box_grid().items()}
        ratios = np.asarray(log_ratios(estimator, points, compress(observed)))
        combined(f"{label.upper()}, plain product", ratios, truths)
        own = np.asarray(log_ratios(estimator, points, jnp.asarray(pairs.observations[:AVERAGED])))
        mean = np.log(np.mean(np.exp(own), axis=0))
        combined(f"{label.upper()}, over the mean", ratios - mean, truths)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("lensing_population"))
    parser.add_argument("--simulations", type=int, default=30_000)
    parser.add_argument("--noise", type=float, default=0.005, help="of a pixel")
    parser.add_argument("--width", type=float, default=0.1, help="of the lenses' priors")
    parser.add_argument("--methods", default="npe", help="npe, nre or both")
    parser.add_argument("--members", type=int, default=4, help="of NPE's ensemble")
    parser.add_argument("--trials", type=int, default=200, help="sets of lenses")
    population(parser.parse_args())


if __name__ == "__main__":
    main()
