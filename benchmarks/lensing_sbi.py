"""Images of a lens of 13 parameters: NPE beside NUTS, and whether either is calibrated.

    python -m benchmarks.lensing_sbi --out lensing_sbi

Simulates images, trains NPE with convolutions and prints
(a) NPE's ranks (SBC, expected coverage, TARP) over the prior;
(b) for the first three of `--mocks` images NPE against NUTS: differences of means in units of NUTS'
    standard deviation, ratios of the deviations, C2ST, and how many of NPE's draws are effective
    when the likelihood weighs them;
(c) for all of them, each sampled from its maximum: ranks, z-scores and coverage of the truths among
    NUTS' draws, its deviations over the prior's and NPE's over its own (medians).

A value in brackets is what a right posterior gives, with the scatter of that many trials.
Everything is kept in `--out`, and the same command goes on where it was stopped.
"""

import argparse
import os
from functools import partial
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
os.environ.setdefault("EQX_ON_ERROR", "nan")

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from benchmarks.trials import nuts_coverage, sampled, simulations, trained
from jaxastro.core import Model, Parameter, Prior
from jaxastro.diagnose import calibration
from jaxastro.nn import ConvEmbedding
from jaxastro.sbi import npe
from simulators.lensing.grid import Grid
from simulators.lensing.light import Sersic
from simulators.lensing.mass import EPL, Shear
from simulators.lensing.noise import GaussianNoise
from simulators.lensing.psf import PSF
from simulators.lensing.simulator import LensedImage

#: Images made at once: on a CPU a few are fastest.
TOGETHER = 16
NOISE = 0.08


def lens_prior(width):
    """What a look at the arcs tells of a lens for a width of one."""

    def positive(median, scatter, unit=""):
        return Parameter(dist.LogNormal(np.log(median), width * scatter), unit)

    def normal(mean, sigma, unit=""):
        return Parameter(dist.Normal(mean, width * sigma), unit)

    return Prior(
        theta_E=normal(1.1, 0.05, "arcsec"),
        gamma=normal(2.0, 0.1),
        e1=normal(0.05, 0.08),
        e2=normal(0.0, 0.08),
        center_x=normal(0.0, 0.03, "arcsec"),
        center_y=normal(0.0, 0.03, "arcsec"),
        gamma1=normal(0.0, 0.03),
        gamma2=normal(0.02, 0.03),
        source_x=normal(0.05, 0.08, "arcsec"),
        source_y=normal(0.02, 0.08, "arcsec"),
        source_R=positive(0.15, 0.2, "arcsec"),
        source_n=positive(1.0, 0.2),
        source_amp=positive(20.0, 0.2),
    )


LENS = lens_prior(1.0)


def scene(p):
    lens = EPL(p["theta_E"], p["gamma"], p["e1"], p["e2"], p["center_x"], p["center_y"])
    place = {"center_x": p["source_x"], "center_y": p["source_y"]}
    source = Sersic(p["source_amp"], p["source_R"], p["source_n"], **place)
    return lens + Shear(p["gamma1"], p["gamma2"]), source, None


def image_model(prior, side, scale, noise, supersampling, dtype):
    grid = Grid((side, side), jnp.asarray(scale, dtype), supersampling=supersampling)
    psf = PSF.gaussian(jnp.asarray(0.15, dtype), scale, 7)
    return Model(prior, LensedImage(scene, grid, GaussianNoise(jnp.asarray(noise, dtype)), psf))


def images(options):
    """NPE and NUTS on images of one lens."""
    out = options.out
    model = image_model(LENS, 40, 0.1, NOISE, 2, jnp.float64)
    train_key, test_key, npe_key, key = jax.random.split(jax.random.key(1), 4)
    n = options.simulations
    pairs = simulations(out / f"train-{n}", train_key, model, n, TOGETHER)
    new = simulations(out / "test", test_key, model, options.tests, TOGETHER)
    peak = np.median(new.observations.max(axis=(1, 2))) / NOISE
    print(f"brightest pixel over the noise: {peak:.0f} in the median")
    embedding = partial(ConvEmbedding, 1, (40, 40), 64, channels=(16, 32, 64), hidden=256)
    settings = {"embedding": embedding, "max_epochs": options.epochs, "learning_rate": 3e-3}
    estimator = trained(npe, out / f"npe-{n}", npe_key, pairs, **settings)
    print(f"NPE, {len(new)} new images: {calibration(key, estimator, new)}", flush=True)

    settings = {"search": {"n_starts": 16}, "n_warmup": 100, "weighed": 2000}
    exact = sampled(out, key, model, new, estimator, options.mocks, **settings)
    if exact:
        nuts_coverage(model.prior, exact, new, estimator)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("lensing_sbi"))
    parser.add_argument("--simulations", type=int, default=120_000)
    parser.add_argument("--tests", type=int, default=500, help="new images for the ranks")
    parser.add_argument("--mocks", type=int, default=50, help="images for NUTS")
    parser.add_argument("--epochs", type=int, default=30, help="at most, of the training")
    images(parser.parse_args())


if __name__ == "__main__":
    main()
