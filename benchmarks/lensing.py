"""An image of a lens, its gradient, batches of them, and a thousand subhaloes, beside the peers.

One CPU thread, float64. The scene: 100 x 100 pixels with 2 x 2 subpixels, a 21 x 21 PSF at the
pixels' resolution, EPL with external shear, Sersic source and Sersic lens light; then 1000
truncated NFW haloes on 200 x 200 rays. All codes get the same parameters by lenstronomy's names,
and how far their images are from ours is printed (in units of the brightest pixel).

    python benchmarks/lensing.py [--codes jaxastro,lenstronomy,jaxtronomy] [--python CODE=PATH]

Each code runs in a process of its own; `--python` names the interpreter of one that lives in
another environment.
"""

import timing

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SHAPE, SCALE, SUPERSAMPLING = (100, 100), 0.05, 2
SIGMA = 0.1
LENS_MODELS = ["EPL", "SHEAR"]
LENS = [
    {"theta_E": 1.2, "gamma": 2.07, "e1": 0.12, "e2": -0.08, "center_x": 0.02, "center_y": -0.01},
    {"gamma1": 0.03, "gamma2": -0.04, "ra_0": 0.0, "dec_0": 0.0},
]
SOURCE = {"amp": 20.0, "R_sersic": 0.2, "n_sersic": 1.3, "e1": 0.1, "e2": 0.15}
SOURCE |= {"center_x": 0.07, "center_y": 0.04}
LIGHT = {"amp": 15.0, "R_sersic": 0.7, "n_sersic": 3.5, "e1": 0.05, "e2": -0.05}
LIGHT |= {"center_x": 0.02, "center_y": -0.01}
N_IMAGES, N_HALOES, RAYS = 64, 1000, 200


def psf_kernel():
    """A Gaussian of 0.12 arcsec, 21 x 21."""
    steps = np.arange(21) - 10
    line = np.exp(-4.0 * np.log(2.0) * (steps * SCALE / 0.12) ** 2)
    kernel = line[:, None] * line
    return kernel / kernel.sum()


def haloes():
    """Arguments of `N_HALOES` TNFW lenses, each an array."""
    rng = np.random.default_rng(2)
    Rs = 10 ** rng.uniform(-2.0, -0.7, N_HALOES)
    return {
        "Rs": Rs,
        "alpha_Rs": 0.02 * Rs,
        "r_trunc": Rs * rng.uniform(2.0, 20.0, N_HALOES),
        "center_x": rng.uniform(-2.5, 2.5, N_HALOES),
        "center_y": rng.uniform(-2.5, 2.5, N_HALOES),
    }


def rays():
    """Directions [arcsec], each (RAYS^2,)."""
    line = (np.arange(RAYS) - 0.5 * (RAYS - 1)) * (5.0 / RAYS)
    x, y = np.meshgrid(line, line)
    return x.ravel(), y.ravel()


def varied(tree, n=N_IMAGES):
    """`n` sets of parameters: the first is `tree`, the others about a per cent off."""
    import jax

    factors = 1.0 + 0.01 * np.random.default_rng(0).normal(size=n) * (np.arange(n) > 0)
    return jax.tree.map(lambda leaf: np.asarray(leaf) * factors, tree)


def image_cases(image):
    """What a JAX code is asked for, from its function of (lens, source, light)."""
    import jax
    import jax.numpy as jnp

    params = jax.tree.map(jnp.asarray, (LENS, SOURCE, LIGHT))
    sets = jax.tree.map(jnp.asarray, varied(params))

    def one(params):
        return image(*params)

    def log_likelihood(params):
        return -0.5 * jnp.sum((one(params) / SIGMA) ** 2)

    call, gradient = jax.jit(one), jax.jit(jax.value_and_grad(log_likelihood))
    yield "image", lambda: np.asarray(call(params))
    yield "value and gradient", lambda: jax.block_until_ready(gradient(params))
    many, mapped = jax.jit(jax.vmap(one)), jax.jit(lambda sets: jax.lax.map(one, sets))
    yield f"{N_IMAGES} images, vmap", lambda: np.asarray(many(sets))
    yield f"{N_IMAGES} images, lax.map", lambda: np.asarray(mapped(sets))


def halo_cases(deflect):
    """Deflections by all haloes, and the gradient of a scalar of them with its memory."""
    import jax
    import jax.numpy as jnp

    x, y = map(jnp.asarray, rays())
    kwargs = jax.tree.map(jnp.asarray, haloes())
    one = jax.jit(deflect)
    yield f"{N_HALOES} haloes", lambda: np.stack(one(kwargs, x, y))

    def scalar(kwargs):
        ax, ay = deflect(kwargs, x, y)
        return jnp.sum(jnp.cos(ax) + 0.5 * ay * ay)

    program = jax.jit(jax.grad(scalar)).lower(kwargs).compile()
    memory = program.memory_analysis().temp_size_in_bytes / 1e6
    yield (
        f"{N_HALOES} haloes, gradient ({memory:.0f} MB)",
        lambda: jax.block_until_ready(program(kwargs)),
    )


def jaxastro():
    from simulators.lensing.grid import Grid
    from simulators.lensing.image import render
    from simulators.lensing.interop import lens_from_lenstronomy, light_from_lenstronomy
    from simulators.lensing.mass import TNFW, Population
    from simulators.lensing.psf import PSF

    grid, psf = Grid(SHAPE, SCALE, supersampling=SUPERSAMPLING), PSF(psf_kernel())

    def image(lens, source, light):
        lens = lens_from_lenstronomy(LENS_MODELS, lens)
        profiles = (light_from_lenstronomy(["SERSIC_ELLIPSE"], [p]) for p in (source, light))
        return render(lens, *profiles, grid, psf)

    yield from image_cases(image)
    yield from halo_cases(lambda kwargs, x, y: Population(TNFW(**kwargs)).alpha(x, y))


def lenstronomy():
    from lenstronomy.Data.pixel_grid import PixelGrid
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    model = ImageModel(*_imaging(PixelGrid, PSF, LensModel, LightModel), **_numerics())
    yield "image", lambda: model.image(LENS, [SOURCE], [LIGHT])
    many = LensModel(["TNFW"] * N_HALOES)
    x, y = rays()
    rows = np.stack(list(haloes().values()), axis=1).tolist()
    kwargs = [dict(zip(haloes(), row, strict=True)) for row in rows]
    yield f"{N_HALOES} haloes", lambda: np.stack(many.alpha(x, y, kwargs))


def jaxtronomy():
    from jaxtronomy.ImSim.image_model import ImageModel
    from jaxtronomy.LensModel.lens_model import LensModel
    from jaxtronomy.LightModel.light_model import LightModel
    from lenstronomy.Data.pixel_grid import PixelGrid
    from lenstronomy.Data.psf import PSF

    model = ImageModel(*_imaging(PixelGrid, PSF, LensModel, LightModel), **_numerics())
    yield from image_cases(lambda lens, source, light: model.image(lens, [source], [light]))
    many = LensModel(["TNFW"] * N_HALOES)

    def deflect(kwargs, x, y):
        return many.alpha(x, y, [{k: v[i] for k, v in kwargs.items()} for i in range(N_HALOES)])

    yield from halo_cases(deflect)


def _imaging(PixelGrid, PSF, LensModel, LightModel):
    """The scene by the interface that lenstronomy and jaxtronomy share."""
    corner = [-0.5 * (n - 1) * SCALE for n in SHAPE]
    grid = PixelGrid(
        nx=SHAPE[1],
        ny=SHAPE[0],
        transform_pix2angle=np.eye(2) * SCALE,
        ra_at_xy_0=corner[1],
        dec_at_xy_0=corner[0],
    )
    psf = PSF(psf_type="PIXEL", kernel_point_source=psf_kernel())
    profiles = (LightModel(["SERSIC_ELLIPSE"]) for _ in range(2))
    return grid, psf, LensModel(LENS_MODELS), *profiles


def _numerics():
    numerics = {"supersampling_factor": SUPERSAMPLING, "supersampling_convolution": False}
    return {"kwargs_numerics": numerics}


CODES = {"jaxastro": jaxastro, "lenstronomy": lenstronomy, "jaxtronomy": jaxtronomy}


def child(code, folder):
    """Time one code; arrays are kept in `folder`, lines of JSON printed."""
    path = Path(folder)
    why = timing.missing("jax" if code == "jaxastro" else code)
    if why:
        print(json.dumps({"failed": why}), flush=True)
        return
    for case, call in CODES[code]():
        try:
            found = timing.timed(call)
        except Exception as error:  # a peer that fails in one case is still timed in the others
            print(json.dumps({"case": case, "failed": f"{type(error).__name__}: {error}"[:300]}))
            continue
        if isinstance(found.value, np.ndarray):
            np.save(path / f"{code} {case}.npy", found.value)
        row = {name: getattr(found, name) for name in ("run", "best", "compile")}
        print(json.dumps({"case": case} | row), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--codes", default=",".join(CODES))
    parser.add_argument("--python", action="append", default=[], metavar="CODE=PATH")
    parser.add_argument("--limit", type=float, default=600.0, help="seconds for each code")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(*options.child)
        return
    pythons = dict(entry.split("=", 1) for entry in options.python)
    print(timing.banner("jax", "lenstronomy", "numba"))
    print(
        f"{'code':12}{'case':32}{'run [ms]':>10}{'best':>10}{'compile [s]':>12}{'ratio':>8}  apart"
    )
    ours = {}
    with tempfile.TemporaryDirectory() as folder:
        for code in options.codes.split(","):
            command = [pythons.get(code, sys.executable), __file__, "--child", code, folder]
            try:
                out = subprocess.run(
                    command, stdout=subprocess.PIPE, check=False, timeout=options.limit
                ).stdout
            except subprocess.TimeoutExpired as late:
                out = late.stdout or b""
                print(f"{code}: stopped after {options.limit:.0f} s")
            for line in out.decode().splitlines():
                if line.startswith("{"):
                    _show(Path(folder), code, json.loads(line), ours)


def _show(folder, code, row, ours):
    label = f"{code:12}{row.get('case', ''):32}"
    if "run" not in row:
        print(label + row["failed"], flush=True)
        return
    key = row["case"].split(" (")[0]
    if code == "jaxastro":
        ours[key] = row["run"]
    ratio = f"{row['run'] / ours[key]:8.2f}" if key in ours else " " * 8
    times = f"{row['run'] * 1e3:10.3f}{row['best'] * 1e3:10.3f}{row['compile']:12.2f}"
    print(label + times + ratio + _apart(folder, code, key), flush=True)


def _apart(folder, code, case):
    """The largest difference from our array, over its largest value."""
    paths = [folder / f"{name} {case}.npy" for name in ("jaxastro", code)]
    if code == "jaxastro" or not all(path.exists() for path in paths):
        return ""
    one, two = map(np.load, paths)
    return f"  {np.max(np.abs(one - two)) / np.max(np.abs(one)):.1e}"


if __name__ == "__main__":
    main()
