"""What trials of inference share: kept simulations, trainings and posteriors, and their tests.

Each function keeps what it makes in a folder, so that a stopped benchmark goes on.
"""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxastro.core import SamplePosterior, checkpoint
from jaxastro.diagnose import c2st, sbc_ranks, sbc_test
from jaxastro.infer import find_map, laplace, nuts
from jaxastro.sbi import Simulations, reweight, simulate

BLOCK = 1000
LEVELS = (0.5, 0.68, 0.9)


def simulations(folder, key, model, n, batch_size=BLOCK):
    """n pairs, a block a checkpoint: blocks found in `folder` are not made again."""
    blocks, seconds, made = [], 0.0, 0
    names = model.prior.names
    like = jax.eval_shape(lambda k: jax.vmap(model.sample)(jax.random.split(k, BLOCK)), key)
    like = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), like)
    for i in range(-(-n // BLOCK)):
        place = folder / f"{i:04d}"
        if not checkpoint.exists(place):
            began = time.perf_counter()
            pairs = simulate(jax.random.fold_in(key, i), model, BLOCK, batch_size=batch_size)
            if i:  # the first one compiles
                seconds, made = seconds + time.perf_counter() - began, made + BLOCK
            if pairs.n_failed:
                print(f"{pairs.n_failed} of {BLOCK} simulations failed")
            checkpoint.save(place, (pairs.params, pairs.observations), {"failed": pairs.n_failed})
        blocks.append(checkpoint.load(place, like)[0])
    if made:
        print(f"{made / seconds:.0f} simulations a second in batches of {batch_size}", flush=True)
    params, observations = jax.tree.map(lambda *a: np.concatenate(a)[:n], *blocks)
    return Simulations(model.prior, {name: params[name] for name in names}, observations)


def trained(method, folder, key, pairs, **options):
    """An estimator; a finished training found in `folder` is not done again."""
    estimator, fitted = method(key, pairs, checkpoint=folder, progress=True, **options)
    print(
        f"{folder.name}: {len(fitted.loss)} epochs, held-out loss {fitted.best.mean():.3f}, "
        f"{fitted.seconds:.0f} s",
        flush=True,
    )
    return estimator


def kept(path, sample):
    """The posterior in `path`, made by `sample()` and written there if there is none."""
    if not path.exists():
        began = time.perf_counter()
        posterior = sample()
        print(f"{path.stem}: {time.perf_counter() - began:.0f} s", flush=True)
        posterior.save(path)
    return SamplePosterior.load(path)


def sampled(folder, key, model, new, estimator, n, search, weighed=1000, **settings):
    """NUTS from the maximum for the first n of `new`, of which three are compared with NPE.

    `search` are the settings of `find_map`, the others those of `nuts`; `weighed` draws of NPE are
    reweighted.
    """

    def sample(key, x):
        target = model.condition(x)
        start = laplace(target, find_map(key, target, n_keep=2, **search))
        return nuts(key, target, n_chains=2, n_draws=300, initial=start, **settings)

    posteriors = []
    for i in range(n):
        own, x = jax.random.fold_in(key, i), jnp.asarray(new.observations[i])
        posteriors.append(kept(folder / f"nuts-{i}.nc", partial(sample, own, x)))
        if i < 3:
            learnt = estimator.posterior(x)
            compared(key, f"mock {i} against NUTS", posteriors[i], {"NPE": learnt})
            ess = reweight(key, learnt, model, x, weighed).ess
            print(f"mock {i}: {ess:.0f} of {weighed} draws of NPE are effective", flush=True)
    return posteriors


def compared(key, label, reference, posteriors):
    """Print differences of means, ratios of deviations, and C2ST."""
    names = list(reference.draws)
    own = np.stack([reference.flat()[name] for name in names], 1)
    for i, (method, posterior) in enumerate(posteriors.items()):
        draws = posterior.sample(jax.random.fold_in(key, i), 4000)
        other = np.stack([np.asarray(draws[name]) for name in names], 1)
        shift = (other.mean(0) - own.mean(0)) / own.std(0)
        ratio = other.std(0) / own.std(0)
        accuracy = c2st(jax.random.fold_in(key, 100 + i), own[:4000], other[: len(own)])
        print(f"{label}, {method}: C2ST {accuracy:.3f}")
        for name, s, r in zip(names, shift, ratio, strict=True):
            print(f"  {name:18}{s:+7.2f} sigma {r:8.2f} of sigma")
        print(
            f"  all               mean |shift| {np.abs(shift).mean():.2f}, largest "
            f"{np.abs(shift).max():.2f}; ratio {ratio.min():.2f} to {ratio.max():.2f}",
            flush=True,
        )


def share(p, n):
    """A right share with the scatter of n trials, as text."""
    return f"[{p:.2f} +- {np.sqrt(p * (1 - p) / n):.2f}]"


def nuts_coverage(prior, exact, new, estimator):
    """Print ranks, z-scores and coverage of the truths among draws of NUTS, and the widths of the
    posteriors beside the prior's and NPE's."""
    n = len(exact)
    rows = [posterior.summary().rows for posterior in exact]
    least = min(row["ess_bulk"] for each in rows for row in each.values())
    largest = max(row["r_hat"] for each in rows for row in each.values())
    divergent = sum(int(np.sum(p.sample_stats["diverging"])) for p in exact)
    print(f"NUTS, {n} mocks: ESS >= {least:.0f}, R-hat <= {largest:.3f}, {divergent} divergences")
    draws = {name: np.stack([p.flat()[name][::6][:99] for p in exact]) for name in prior.names}
    truths = {name: np.asarray(new.params[name][:n]) for name in prior.names}
    result = sbc_test(sbc_ranks(truths, draws), 99)
    print(f"NUTS' ranks: {result}")
    print(f"{'':14}{'z':>8}{'sd of z':>9}" + "".join(f"{p:>8.0%}" for p in LEVELS), end="")
    print(f"{'sd NUTS/prior':>16}{'sd NPE/NUTS':>14}")
    key = jax.random.key(5)
    learnt = [estimator.posterior(x).sample(key, 1000) for x in new.observations[:n]]
    inside = []
    for name in prior.names:
        all_draws = [p.flat()[name] for p in exact]
        mean = np.array([d.mean() for d in all_draws])
        sd = np.array([d.std() for d in all_draws])
        z = (truths[name] - mean) / sd
        quantile = np.array([np.mean(d < t) for d, t in zip(all_draws, truths[name], strict=True)])
        inside.append([np.mean(np.abs(2 * quantile - 1) < p) for p in LEVELS])
        prior_sd = np.std(np.asarray(prior.sample(key, (4000,))[name]))
        ratio = np.median([np.std(np.asarray(d[name])) for d in learnt] / sd)
        cells = "".join(f"{c:8.2f}" for c in inside[-1])
        widths = f"{np.median(sd) / prior_sd:16.3f}{ratio:14.2f}"
        print(f"  {name:12}{z.mean():+8.2f}{z.std():9.2f}{cells}{widths}")
    band = f"[0 +- {1 / np.sqrt(n):.2f}, 1 +- {1 / np.sqrt(2 * n):.2f}] "
    print(f"  right: {band}" + " ".join(share(p, n) for p in LEVELS))
    together = " ".join(f"{c:.3f}" for c in np.mean(inside, axis=0))
    print(f"  all parameters together: {together}", flush=True)
