"""A dark cloud's ionisation rate, density and age: NPE beside NUTS; is either calibrated?

    python -m benchmarks.cloud_sbi --network umist_rate12.csv --out cloud_sbi

A sub-network of RATE12 of 25 species, ten abundances with errors of 0.2 dex, one of them an upper
limit. Simulates clouds over the prior, trains NPE, an ensemble with the
library's defaults, and prints
(a) NPE's ranks (SBC, expected coverage, TARP) over the prior;
(b) for the first three of `--mocks` clouds NPE against NUTS: differences of means in units of NUTS'
    standard deviation, ratios of the deviations, C2ST, and how many of NPE's draws are effective
    when the likelihood weighs them;
(c) for all of them, each sampled from its maximum: ranks, z-scores and coverage of the truths among
    NUTS' draws, its deviations over the prior's and NPE's over its own (medians).

A value in brackets is what a right posterior gives, with the scatter of that many trials.
Everything is kept in `--out`, and the same command goes on where it was stopped.
"""

import argparse
import os
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("EQX_ON_ERROR", "nan")

import jax
import numpy as np

from benchmarks.trials import nuts_coverage, sampled, simulations, trained
from jaxastro.diagnose import calibration
from jaxastro.sbi import npe
from simulators.chemistry import Conditions, Network
from simulators.chemistry.dark_cloud import cloud_model, low_metal, with_grains
from simulators.chemistry.observe import ObservedAbundances

SPECIES = "H H2 H+ H2+ H3+ He He+ C C+ O O+ CO HCO+ OH OH+ H2O H2O+ H3O+ O2 CH CH+ CH2 CH2+ CH3+ e-"
SEEN = ("CO", "HCO+", "OH", "CH", "C", "C+", "H3+", "H2O", "O2", "CH2")
SIGMA, LIMIT = 0.2, -8.0
#: Clouds made at once.
TOGETHER = 100


def dark_cloud_model(path):
    """The model; molecular oxygen is only seen above an abundance of 10^LIMIT."""
    network = with_grains(Network.read(path).sub(species=SPECIES.split()))
    upper = np.array([name == "O2" for name in SEEN])
    observed = ObservedAbundances(
        np.where(upper, LIMIT, 0.0), np.full(len(SEEN), SIGMA), upper, SEEN
    )
    return cloud_model(network, Conditions(2e4, 10.0), low_metal(network), observed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--network", default="../shared/data/chemistry/umist_rate12.csv")
    parser.add_argument("--out", type=Path, default=Path("cloud_sbi"))
    parser.add_argument("--simulations", type=int, default=30_000)
    parser.add_argument("--members", type=int, default=3, help="of NPE's ensemble")
    parser.add_argument("--tests", type=int, default=1000, help="new clouds for the ranks")
    parser.add_argument("--mocks", type=int, default=50, help="clouds for NUTS")
    options = parser.parse_args()
    out, model = options.out, dark_cloud_model(options.network)
    train_key, test_key, npe_key, key = jax.random.split(jax.random.key(1), 4)
    pairs = simulations(out / "train", train_key, model, options.simulations, TOGETHER)
    new = simulations(out / "test", test_key, model, options.tests, TOGETHER)
    members = options.members
    place = out / f"npe-{members}-{len(pairs)}"
    estimator = trained(npe, place, npe_key, pairs, members=members)
    print(f"NPE, {len(new)} new clouds: {calibration(key, estimator, new)}", flush=True)

    settings = {"search": {"n_draws": 64, "n_starts": 4}, "n_warmup": 150, "target_accept": 0.9}
    exact = sampled(out, key, model, new, estimator, options.mocks, **settings)
    if exact:
        nuts_coverage(model.prior, exact, new, estimator)


if __name__ == "__main__":
    main()
