"""An image of a lens, its gradient, batches of them, and a thousand subhaloes, beside the peers.

One CPU thread, float64. The scene: 100 x 100 pixels with 2 x 2 subpixels, a 21 x 21 PSF at the
pixels' resolution, EPL with external shear, Sersic source and Sersic lens light; then 1000
truncated NFW haloes on 200 x 200 rays. All codes get the same parameters by lenstronomy's names,
and how far their images are from ours is printed (in units of the brightest pixel).

    python benchmarks/lensing.py [--codes jaxastro,lenstronomy,...] [--python CODE=PATH]

Each code runs in a process of its own; `--python` names the interpreter of one that lives in
another environment, which finds this repository by PYTHONPATH=. Herculens needs
`pip install herculens six matplotlib astropy`, caustics `pip install caustics` with PyTorch.
"""

import timing

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import lensing_peers
import numpy as np
from lensing_scene import (
    LENS_MODELS,
    SCALE,
    SHAPE,
    SUPERSAMPLING,
    halo_cases,
    image_cases,
    psf_kernel,
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


CODES = {
    "jaxastro": jaxastro,
    "lenstronomy": lensing_peers.lenstronomy,
    "jaxtronomy": lensing_peers.jaxtronomy,
    "herculens": lensing_peers.herculens,
    "caustics": lensing_peers.caustics,
}


def child(code, folder):
    """Time one code; arrays are kept in `folder`, lines of JSON printed."""
    path = Path(folder)
    why = timing.missing("jax" if code == "jaxastro" else code)
    if why:
        print(json.dumps({"failed": why}), flush=True)
        return
    for case, call in CODES[code]():
        if isinstance(call, str):
            print(json.dumps({"case": case, "failed": call}), flush=True)
            continue
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
