"""Effective samples a second of a lens' posterior: NUTS beside emcee around lenstronomy.

The posterior of the ready job (`simulators.lensing.galaxy_lens`), lens, shear, source and lens
light, of an image; brightnesses are integrated out. The peer is what one does without gradients:
emcee's ensemble of walkers around lenstronomy's images of the components. Prior, data, PSF,
subpixels and the integral over brightnesses are the same. Both start from the Laplace approximation
at the maximum that the ready job finds. One CPU core; effective samples are counted by CPU seconds.

    python benchmarks/lensing_inference.py                     # a mock lens, 47 x 47 pixels
    python benchmarks/lensing_inference.py IMAGE NOISE PSF --pixel-scale 0.05
"""

import timing

# isort: split
import argparse
import os

import jax
import jax.numpy as jnp
import numpy as np
from inference import compete, gradients, row

from jaxastro.cli.find_lens import find_lens
from jaxastro.infer.gradient import evaluate
from simulators.lensing.galaxy_lens import mock_lens
from simulators.lensing.light.sersic import b_n_exact, b_n_linear
from simulators.lensing.linear import fit_amplitudes
from simulators.lensing.observe import read_image

#: Largest difference of the two log densities across the posterior for the run to go on.
SAME = 0.01
EPL = ("theta_E", "gamma", "e1", "e2", "center_x", "center_y")
SHOWN = ("theta_E", "gamma", "source_R")


def lenstronomy_density(found):
    """The log density as a NumPy function of u, with lenstronomy's images inside."""
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_linear_solve import ImageLinearFit
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    target, (simulator,) = found.target, found.simulators
    grid, mask = simulator.grid, np.asarray(simulator.noise.mask)
    x, y = (np.asarray(a) for a in grid.centres())
    data = ImageData(
        image_data=np.where(mask, found.data.image, 0.0),
        noise_map=np.asarray(simulator.noise.noise_map),
        ra_at_xy_0=x[0, 0],
        dec_at_xy_0=y[0, 0],
        transform_pix2angle=np.array([[x[0, 1] - x[0, 0], x[1, 0] - x[0, 0]],
                                      [y[0, 1] - y[0, 0], y[1, 0] - y[0, 0]]]),
    )  # fmt: skip
    if simulator.psf.supersampling != 1:
        raise SystemExit("the PSF is supersampled; give one of the pixels' resolution")
    fit = ImageLinearFit(
        data,
        PSF(psf_type="PIXEL", kernel_point_source=np.asarray(simulator.psf.kernel)),
        LensModel(["EPL", "SHEAR"]),
        LightModel(["SERSIC_ELLIPSE"] * found.n_sources),
        LightModel(["SERSIC_ELLIPSE"] * 2 + ["UNIFORM"]),
        kwargs_numerics={
            "supersampling_factor": grid.supersampling,
            "supersampling_convolution": False,
        },
        likelihood_mask=mask,
    )

    @jax.jit
    def before(point):
        params = target.constrain(point)
        lens, sources, lights = simulator.scene(params)
        return lens, sources, lights, target.log_prior(point)

    @jax.jit
    def after(design, scale):
        design = scale[:, None, None] * design
        noise = simulator.noise
        sigma = simulator.prior_sigma
        fit = fit_amplitudes(
            design, found.data.image, noise.noise_map, noise.mask, simulator.prior_mean, sigma
        )
        return fit.log_marginal

    def density(point):
        lens, sources, lights, prior = before(point)
        if not np.isfinite(prior):
            return -np.inf
        epl, shear = lens.parts
        shear = {"gamma1": float(shear.gamma1), "gamma2": float(shear.gamma2)}
        profiles, scales = zip(*(_sersic(p) for p in (*sources, *lights[:2])), strict=True)
        rows = fit.linear_response_matrix(
            [
                {name: float(getattr(epl, name)) for name in EPL},
                shear | {"ra_0": 0.0, "dec_0": 0.0},
            ],
            list(profiles[: len(sources)]),
            [*profiles[len(sources) :], {"amp": 1.0}],
            [],
        )
        design = np.zeros((len(rows), *mask.shape))
        design[:, mask] = rows
        found = float(prior) + float(after(design, jnp.asarray([*scales, 1.0])))
        return found if np.isfinite(found) else -np.inf

    return density


def _sersic(profile):
    """lenstronomy's keywords of a Sersic profile, and what its image is to be multiplied with.

    lenstronomy's b_n is the linear one, ours that which the profile asks for: the same function of
    another radius and another amplitude.
    """
    n, radius = float(profile.n_sersic), float(profile.R_sersic)
    linear = float(b_n_linear(profile.n_sersic))
    own = float(b_n_exact(profile.n_sersic)) if profile.exact else linear
    kwargs = {name: float(getattr(profile, name)) for name in ("e1", "e2", "center_x", "center_y")}
    kwargs |= {"amp": 1.0, "R_sersic": radius * (linear / own) ** n, "n_sersic": n}
    return kwargs, float(profile.amp) * np.exp(own - linear)


def agreement(target, peer, start):
    """How far the two log densities differ across the posterior; ends the run if they do."""
    points = np.asarray(start.sample(jax.random.key(5), 20))
    apart = np.array([peer(p) for p in points]) - evaluate(target, points)
    worst = np.max(np.abs(apart))
    print(f"log density with lenstronomy's images minus ours: worst {worst:.2e} of 20 points")
    if not worst < SAME:
        raise SystemExit(f"the log densities differ by more than {SAME}: not the same target")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="*", help="FITS files of the image, the noise and the PSF")
    parser.add_argument("--pixel-scale", type=float)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=250, help="steps a chain")
    parser.add_argument("--draws", type=int, default=300, help="draws a chain")
    parser.add_argument("--seconds", type=float, default=200.0, help="of emcee")
    options = parser.parse_args()
    if reason := timing.missing("lenstronomy", "emcee", "arviz"):
        raise SystemExit(f"{reason}; this benchmark needs it")
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})  # chains would use more cores
    print(timing.banner("jax", "blackjax", "lenstronomy", "emcee"))
    if options.files:
        data = read_image(*options.files, pixel_scale=options.pixel_scale, supersampling=2)
    else:
        data = mock_lens(jax.random.key(0))
    found = find_lens(jax.random.key(1), data, say=print)
    base = gradients(found.target, found.start.u)
    peer = lenstronomy_density(found)
    row("value, lenstronomy's images", lambda: peer(found.start.u), base)
    agreement(found.target, peer, found.start)
    walkers = 2 * found.target.dim + 2
    compete(found.target, peer, found.start, options, "emcee, lenstronomy", SHOWN, walkers)
    print(timing.load())


if __name__ == "__main__":
    main()
