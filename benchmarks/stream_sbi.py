"""NPE and NRE on the GD-1 model beside NUTS: are they calibrated, and how far do they agree?

    python -m benchmarks.stream_sbi --out stream_sbi

Simulates the model, trains both with the library's defaults, and prints
(a) ranks (SBC, expected coverage, TARP) and the held-out log density of NPE over the prior;
(b) for mock tracks near GD-1, NPE and NRE against NUTS: for each parameter the difference of
    means in units of NUTS' standard deviation and the ratio of the deviations, and C2ST over all
    parameters (0.5: cannot be told apart); for tracks drawn from the prior, NPE against its own
    draws reweighted by the likelihood, with the number of them that is effective;
(c) as with NUTS, for the measured track of GD-1; whether the simulations are like it; one figure.

Everything is kept in `--out`, and the same command goes on where it was stopped.

`--prior box` cuts the progenitor's five coordinates to within ten standard errors of the measured
track at the progenitor's phi1 (the distance, whose zero point is free, to within six), which holds
all of the posterior; `--prior full` leaves the model's prior as it is, most of whose streams never
come near the measured positions.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("EQX_ON_ERROR", "nan")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.trials import compared, kept, simulations, trained
from jaxastro import plot
from jaxastro.core import Model
from jaxastro.diagnose import (
    calibration,
    converged,
    held_out_log_prob,
    misspecification_test,
    predictive_check,
)
from jaxastro.infer import Laplace, nuts
from jaxastro.sbi import npe, nre, reweight
from simulators.streams.gd1 import gd1_measurements
from simulators.streams.milky_way_model import gd1_model

STAGES = ("calibration", "gd1", "prior", "near")
WIDTHS = {
    "phi2": 10.0,
    "distance": 6.0,
    "pm_phi1_cosphi2": 10.0,
    "pm_phi2": 10.0,
    "radial_velocity": 10.0,
}


def boxed(model):
    """The model with the progenitor near the measured track, see the module's docstring."""
    data, bounds = model.simulator.data, {}
    for name, value, sigma in zip(data.names, data.value, data.sigma, strict=True):
        here, error = (
            float(jnp.interp(model.simulator.phi1, data.phi1, row)) for row in (value, sigma)
        )
        bounds[name] = (here - WIDTHS[name] * error, here + WIDTHS[name] * error)
    return Model(model.prior.truncate(bounds), model.simulator)


def calibrated(key, estimator, new, out):
    """Print the ranks' p-values and the held-out log density, draw the figures of the ranks."""
    result = calibration(key, estimator, new)
    print(f"(a) NPE over the prior, {len(new)} new simulations: {result}")
    print(held_out_log_prob(key, estimator, new))
    for name, draw in (("ranks", plot.ranks), ("coverage", plot.coverage)):
        draw(result).savefig(out / f"{name}.pdf")


def replicated(key, model, posterior, data):
    """Print whether data simulated from the posterior are like the data."""
    check = predictive_check(key, model, posterior, data)
    spread = check.replicated.std(0)
    varies = spread > 1e-9
    deviations = (check.observed - check.replicated.mean(0))[varies] / spread[varies]
    print(f"replicas of GD-1 from NPE: {check}")
    print(f"chi square {np.sum(deviations**2):.1f} of {np.sum(varies)} numbers", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("stream_sbi"))
    parser.add_argument("--prior", choices=("box", "full"), default="box")
    parser.add_argument("--simulations", type=int, default=10_000)
    parser.add_argument("--members", type=int, default=None, help="of NPE's ensemble")
    parser.add_argument("--tests", type=int, default=1000, help="new simulations for the ranks")
    parser.add_argument("--mocks", type=int, default=5, help="tracks drawn from the prior")
    parser.add_argument("--near", type=int, default=2, help="tracks near GD-1, for NUTS")
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=40)
    parser.add_argument("--draws", type=int, default=200, help="of each chain; for mocks half")
    parser.add_argument("--stages", default=",".join(STAGES), help="some of these")
    options = parser.parse_args()
    model = gd1_model(gd1_measurements(), step=1.0)
    if options.prior == "box":
        model = boxed(model)
    data, out, stages = model.simulator.data, options.out / options.prior, options.stages.split(",")
    train_key, test_key, npe_key, nre_key, key = jax.random.split(jax.random.key(0), 5)

    size, members = options.simulations, options.members
    pairs = simulations(out / "train", train_key, model, size)
    new = simulations(out / "test", test_key, model, options.tests)
    suffix = f"{size}-{members}" if members else f"{size}"
    estimator = trained(npe, out / f"npe-{suffix}", npe_key, pairs, members=members)
    ratio = trained(nre, out / f"nre-{size}", nre_key, pairs)
    posterior = estimator.posterior(data)

    if "calibration" in stages:
        calibrated(key, estimator, new, out)
        print(misspecification_test(estimator, new, data))
        replicated(key, model, posterior, data)

    def reweighted(seed):
        """With the release times of a seed: simulations have new ones each, NUTS fixed ones."""
        latents = model.simulator.fixed_latents(seed)
        return kept(
            out / f"gd1-reweighted-{suffix}-{seed}.nc",
            lambda: reweight(key, posterior, model, data, 4000, latents).posterior,
        )

    def sampled(target, start, name, **settings):
        """By NUTS, from what NPE has learnt and with its covariance: no maximum is searched for."""
        exact = kept(
            out / f"{name}.nc",
            lambda: nuts(key, target, initial=start, checkpoint=out / f"state-{name}", **settings),
        )
        print(f"{name}: {converged(exact)}")
        return exact

    latents = model.simulator.fixed_latents()
    slow = {"n_chains": options.chains, "n_warmup": options.warmup, "target_accept": 0.9}
    slow |= {"progress": True}
    quick = {"n_warmup": 300, "n_draws": 500}

    if "gd1" in stages:
        corrected, other = reweighted(0), reweighted(1)
        print(f"NPE reweighted by the likelihood: {corrected.attrs['ess']:.0f} of 4000 effective")
        both = {"NPE reweighted": other}
        compared(key, "(c) GD-1, other release times against these", corrected, both)
        start = Laplace.of_draws(model.prior, posterior.draws(key))
        target = model.condition(data, latents=latents)
        exact = sampled(target, start, "gd1", n_draws=options.draws, **slow)
        learned = Model(model.prior, ratio).condition(data)
        by_ratio = sampled(learned, start, f"gd1-nre-{size}", **quick)
        methods = {"NPE": posterior, "NPE reweighted": corrected, "NRE": by_ratio}
        compared(key, "(c) GD-1 against NUTS", exact, methods)
        drawn = {"NPE": posterior.draws(key), "NPE reweighted": corrected, "NRE": by_ratio}
        figure = plot.corner(exact, label="NUTS", others=drawn)
        figure.savefig(out / "gd1.pdf")
        figure.savefig(out / "gd1.png", dpi=110)

    if "prior" in stages:
        for i in range(options.mocks):
            mock = jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), new.observations)
            learnt = estimator.posterior(mock)
            near = reweight(key, learnt, model, mock, 2000, latents)
            print(f"(b) mock {i} of the prior: {near.ess:.0f} of 2000 draws are effective")
            label = f"(b) mock {i} of the prior against NPE reweighted"
            compared(key, label, near.posterior, {"NPE": learnt})

    if "near" in stages:
        # Truths are draws of GD-1's posterior: `benchmarks/README.md` says why not of the prior.
        truths = jax.tree.map(jnp.asarray, reweighted(0).sample(key, options.near))
        keys = jax.random.split(jax.random.fold_in(key, 7), options.near)
        mocks = jax.jit(jax.vmap(model.simulator.simulate))(keys, truths)
        for i in range(options.near):
            mock = jax.tree.map(lambda a, i=i: a[i], mocks)
            learnt = estimator.posterior(mock)
            start = Laplace.of_draws(model.prior, learnt.draws(key))
            target = model.condition(mock, latents=latents)
            exact = sampled(target, start, f"near-{i}", n_draws=options.draws // 2, **slow)
            learned = Model(model.prior, ratio).condition(mock)
            by_ratio = sampled(learned, start, f"near-{i}-nre-{size}", **quick)
            methods = {"NPE": learnt, "NRE": by_ratio}
            compared(key, f"(b) mock {i} near GD-1 against NUTS", exact, methods)


if __name__ == "__main__":
    main()
