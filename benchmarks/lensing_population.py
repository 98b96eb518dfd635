"""The subhaloes of a population of lenses, from sets of images: is the posterior calibrated?

    python -m benchmarks.lensing_population --out lensing_population

NPE of the normalisation of the subhaloes' mass function and of the half-mode mass, marginal over
each lens, its source and its subhaloes. What one image says is learnt first, by NPE of all single
images of one half of the simulated sets; its embedding then makes eight numbers of an image, and
NPE for sets of 1, 5 and 20 lenses learns from their means over the other half. (Products of
posteriors of single images are right in principle; small errors that all share multiply, and of 20
lenses they covered 15, 29 and 67 per cent of truths by their regions of 50, 68 and 90. A `DeepSet`
of all images at once, trained on 6000 sets, learnt the sets by heart.)

For `--trials` truths from the prior and sets of 1, 5 and 20 new lenses of each it prints widths,
bias, z-scores and the coverage of regions of highest density. A value in brackets is what a right
posterior gives, with the scatter of that many trials. Simulations and trainings are kept in
`--out`.
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

from benchmarks.lensing_sbi import TOGETHER, image_model, lens_prior
from benchmarks.trials import LEVELS, share, simulations, trained
from jaxastro.core import AbstractSimulator, Model, Parameter, Prior
from jaxastro.diagnose import sbc_test
from jaxastro.nn import MLPEmbedding
from jaxastro.sbi import Simulations, npe
from simulators.lensing.mass_function import SubhaloMassFunction
from simulators.lensing.simulator_population import SubstructureImage

SETS = (1, 5, 20)
CELLS = 32
#: Numbers that a single image becomes.
FEATURES = 8
#: Images that the principal components are those of.
FIRST = 5000
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


class LensSet(AbstractSimulator):
    """Images of `size` lenses of one population, as principal components: (size, n)."""

    one: SubstructureImage
    mean: jax.Array
    vectors: jax.Array
    size: int = eqx.field(static=True)

    def simulate(self, key, params):
        def compressed(key):
            image = self.one.simulate(key, params)
            return (jnp.ravel(image) - self.mean) @ self.vectors

        return jax.lax.map(compressed, jax.random.split(key, self.size))

    def validate_observation(self, observation):
        if observation.shape[0] != self.size:
            raise ValueError(f"{observation.shape[0]} lenses; give {self.size}.")


def principal_components(images, n=60):
    """Mean (P,) and the first n principal vectors (P, n) of images (N, H, W) much alike.

    With 15,000 images of a width of 0.1 a perceptron of them learnt 0.18 nats of one image,
    convolutions of the image 0.06.
    """
    mean = images.mean(axis=0).ravel()
    flat = images.reshape(len(images), -1) - mean
    _, vectors = np.linalg.eigh((flat.T @ flat).astype(float))
    return jnp.asarray(mean), jnp.asarray(vectors[:, -n:].astype(mean.dtype))


def box_grid():
    """Centres of the cells of the prior's box: name -> (CELLS^2,)."""
    steps = (np.arange(CELLS) + 0.5) / CELLS
    axes = [low + (high - low) * steps for low, high in BOX.values()]
    axes = np.meshgrid(*axes, indexing="ij")
    return {name: jnp.asarray(axis.ravel()) for name, axis in zip(BOX, axes, strict=True)}


@eqx.filter_jit
def log_posteriors(estimator, points, sets, truths):
    """log q of each set (N) at all points (M) and at its truth: (N, M), (N,)."""

    def value(pair):
        x, truth = pair
        own = estimator.log_prob(truth, x)
        return jax.vmap(estimator.log_prob, (0, None))(points, x), own

    return jax.lax.map(value, (sets, truths))


def report(n, log_p, log_own, truths):
    """Print widths, bias and coverage of the posteriors of sets of n."""
    points, trials = box_grid(), len(log_own)
    p = np.exp(log_p - log_p.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    level = np.sum(np.where(log_p > log_own[:, None], p, 0.0), axis=1)
    ranks = {"highest density": level}
    print(f"sets of {n}, {trials} trials")
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
    """NPE of the population from sets of lenses, and its calibration."""
    out = options.out
    one = population_model(options)
    one_key, train_key, npe_key, truth_key, test_key = jax.random.split(jax.random.key(2), 5)
    name = f"{options.noise:g}-{options.width:g}"
    first = simulations(out / f"single-{name}", one_key, one, FIRST, TOGETHER)
    mean, vectors = principal_components(first.observations)
    lenses = LensSet(one.simulator, mean, vectors, max(SETS))
    model = Model(POPULATION, lenses)
    n = options.simulations
    pairs = simulations(out / f"sets-{n}-{name}", train_key, model, n, TOGETHER)
    # What the embedding knows by heart of its images must not pass for what images say.
    first_half, second_half = half(pairs, 0), half(pairs, 1)
    embedding = partial(MLPEmbedding, vectors.shape[1], FEATURES, hidden=128)
    settings = {"embedding": embedding, "learning_rate": 2e-3, "batch_size": 1000}
    images = divided(first_half, 1)
    single = trained(npe, out / f"single-npe-{n}-{name}", npe_key, images, **settings)

    truths = POPULATION.sample(truth_key, (options.trials,))
    keys = jax.random.split(test_key, options.trials)
    draw = eqx.filter_jit(partial(jax.lax.map, batch_size=TOGETHER))
    sets = draw(lambda pair: lenses.simulate(*pair), (keys, truths))
    for size in SETS:
        features = means(single, divided(second_half, size))
        place = out / f"npe-{options.members}-{n}-{name}-{size}"
        estimator = trained(npe, place, npe_key, features, members=options.members)
        seen = features_of(single, sets[:, :size])
        log_p, log_own = log_posteriors(estimator, box_grid(), seen, truths)
        report(size, np.asarray(log_p), np.asarray(log_own), truths)


@eqx.filter_jit
def features_of(single, sets):
    """Means over lenses of what the estimator of single images sees in them: (N, FEATURES)."""

    def one(lens):
        return single.network.embedding(single.x_scale(lens[None]))

    return jax.lax.map(lambda lenses: jnp.mean(jax.vmap(one)(lenses), axis=0), sets)


def means(single, pairs):
    """Simulations of sets with their features for observations."""
    features = np.asarray(features_of(single, jnp.asarray(pairs.observations)))
    return Simulations(pairs.prior, pairs.params, features)


def half(pairs, which):
    """Half of the sets."""
    middle = len(pairs) // 2
    part = slice(middle) if which == 0 else slice(middle, None)
    params = {name: np.asarray(value)[part] for name, value in pairs.params.items()}
    return Simulations(pairs.prior, params, np.asarray(pairs.observations)[part])


def divided(pairs, size):
    """Sets of `size` lenses out of larger ones."""
    sets = np.asarray(pairs.observations)
    times = sets.shape[1] // size
    params = {name: np.repeat(np.asarray(v), times) for name, v in pairs.params.items()}
    return Simulations(pairs.prior, params, sets.reshape(-1, size, sets.shape[-1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("lensing_population"))
    parser.add_argument("--simulations", type=int, default=6000, help="sets for the training")
    parser.add_argument("--noise", type=float, default=0.005, help="of a pixel")
    parser.add_argument("--width", type=float, default=0.1, help="of the lenses' priors")
    parser.add_argument("--members", type=int, default=4, help="of NPE's ensemble")
    parser.add_argument("--trials", type=int, default=200, help="sets of lenses")
    population(parser.parse_args())


if __name__ == "__main__":
    main()
