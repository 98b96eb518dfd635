"""`jaxastro`: the main jobs from a shell.

A thin layer over the library: it chooses float64 and the compilation cache, reads files, shows
progress, and writes results. The only package that knows both sides, physics and inference.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

WHOLE_LOOPS = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=1000000000"
"""Has XLA write loops over small arrays as one piece of machine code, not as a queue of small
kernels: the gradient of the GD-1 posterior takes less than half the time, for a compilation a third
longer."""


def main(argv=None) -> int:
    """Run a job; returns the exit status."""
    args = _parser().parse_args(argv)
    _configure()
    from jaxastro.infer import Interrupted

    try:
        return args.job(args)
    except Interrupted as stop:
        print(f"\n{stop}\nRun the same command again to go on.", file=sys.stderr)
        return 130
    except (ValueError, FileNotFoundError, ModuleNotFoundError) as error:
        print(f"jaxastro {args.command}: {error}", file=sys.stderr)
        return 2


def _parser():
    parser = argparse.ArgumentParser(
        prog="jaxastro", description="Inference through the physics, in JAX."
    )
    jobs = parser.add_subparsers(dest="command", required=True)
    _add_gd1(jobs)
    _add_lens(jobs)
    _add_cloud(jobs)
    return parser


def _add_gd1(jobs):
    gd1 = jobs.add_parser(
        "gd1",
        help="weigh the Milky Way with the GD-1 stream",
        description="MAP from many starts, then NUTS, through a differentiable stream simulator; "
        "writes the posterior, a summary and figures. An interrupted run goes on where it was.",
    )
    gd1.set_defaults(job=_gd1)
    gd1.add_argument("--out", type=Path, default=Path("gd1"), help="folder for the results")
    gd1.add_argument(
        "--track",
        help="a table of measurements: phi1, observables, and NAME_error columns "
        "(ECSV, FITS, CSV); default: GD-1 as galstreams ships it",
    )
    gd1.add_argument("--chains", type=_positive, default=4)
    gd1.add_argument("--warmup", type=_positive, default=80, help="steps a chain")
    gd1.add_argument("--draws", type=_positive, default=400, help="draws a chain")
    gd1.add_argument("--starts", type=_positive, default=6, help="starts of the MAP search")
    gd1.add_argument("--particles", type=_positive, default=64)
    gd1.add_argument("--step", type=float, default=1.0, help="longest time step [Myr]")
    gd1.add_argument("--age", type=float, default=2000.0, help="age of the stream [Myr]")
    gd1.add_argument("--seed", type=int, default=0)
    gd1.add_argument("--no-doubled", action="store_true", help="skip the run with doubled errors")
    gd1.add_argument("--fresh", action="store_true", help="discard an unfinished run")


def _gd1(args):
    from .gd1 import run

    return run(args)


def _add_lens(jobs):
    lens = jobs.add_parser(
        "lens",
        help="fit a lensed galaxy: an image, its noise and its PSF",
        description="Finds the lens galaxy, its arcs and a model of both by itself, then samples "
        "it with NUTS; writes the posterior, a summary, figures and a magnification map. An "
        "interrupted run goes on where it was.",
    )
    lens.set_defaults(job=_lens)
    lens.add_argument("image", type=Path, help="FITS file")
    lens.add_argument("--noise", type=Path, help="FITS file of sigma; default: in IMAGE")
    lens.add_argument("--psf", type=Path, help="FITS file; default: in IMAGE")
    lens.add_argument(
        "--extensions",
        action="append",
        metavar="FLUX,NOISE,PSF",
        help="names or numbers of the HDUs; once a band (the first finds the lens)",
    )
    lens.add_argument("--pixel-scale", type=float, help="[arcsec]; default: from the WCS")
    lens.add_argument("--out", type=Path, default=Path("lens"), help="folder for the results")
    lens.add_argument("--supersampling", type=_positive, default=2)
    lens.add_argument("--sources", type=_positive, default=5, help="components at most, 1 to 6")
    lens.add_argument("--chains", type=_positive, default=4)
    lens.add_argument("--warmup", type=_positive, default=250, help="steps a chain")
    lens.add_argument("--draws", type=_positive, default=500, help="draws a chain")
    lens.add_argument("--starts", type=_positive, default=8, help="starts of the search")
    lens.add_argument("--seed", type=int, default=0)
    lens.add_argument("--fresh", action="store_true", help="discard an unfinished run")


def _lens(args):
    from .lens import run

    return run(args)


def _add_cloud(jobs):
    cloud = jobs.add_parser(
        "cloud",
        help="the chemistry of a dark cloud; with observed abundances, its conditions",
        description="Reads a reaction network and runs a cloud for 10^7 yr; writes abundances, the "
        "reactions that make and destroy a species and those that matter for it. With --observed, "
        "ionisation rate, density and age by NUTS through the network and by NPE, compared.",
    )
    cloud.set_defaults(job=_cloud)
    cloud.add_argument("network", help="a network's file, or 'compact', which is shipped")
    cloud.add_argument("--elements", help="cut the network to these, as H,He,C,O")
    cloud.add_argument("--species", help="cut the network to these, as H,H2,CO,e-")
    cloud.add_argument("--observed", type=Path, help="a table of abundances (ECSV, CSV, FITS)")
    cloud.add_argument("--per", choices=("H", "H2"), default="H", help="what they are relative to")
    cloud.add_argument("--follow", help="species to follow, as CO,HCO+")
    cloud.add_argument("--n-H", dest="n_H", type=float, default=2e4, help="[1 / cm^3]")
    cloud.add_argument("--temperature", type=float, default=10.0, help="[K]")
    cloud.add_argument("--zeta", type=float, default=1.3e-17, help="of H2, by cosmic rays [1 / s]")
    cloud.add_argument("--G0", type=float, default=1.0, help="starlight, in Draine's field")
    cloud.add_argument("--A-V", dest="A_V", type=float, default=10.0, help="[mag]")
    cloud.add_argument("--age", type=float, default=1e6, help="at which species are followed [yr]")
    cloud.add_argument("--out", type=Path, default=Path("cloud"), help="folder for the results")
    cloud.add_argument("--chains", type=_positive, default=4)
    cloud.add_argument("--warmup", type=_positive, default=150, help="steps a chain")
    cloud.add_argument("--draws", type=_positive, default=500, help="draws a chain")
    cloud.add_argument("--simulations", type=_positive, default=10_000, help="for NPE")
    cloud.add_argument("--seed", type=int, default=0)
    cloud.add_argument("--fresh", action="store_true", help="discard an unfinished run")


def _cloud(args):
    from .cloud import run

    return run(args)


def _positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value}: give a positive number")
    return value


def _configure():
    # Before JAX is imported. Set by hand, each of these is left as it is.
    os.environ.setdefault("JAX_ENABLE_X64", "1")
    # Only so do programs with a diffrax solver reach the persistent cache (JAX 0.10).
    os.environ.setdefault("EQX_ON_ERROR", "nan")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxastro"
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "1")
    # ArviZ 0.23 announces its successor at every import.
    warnings.filterwarnings("ignore", r"\s*ArviZ is undergoing", FutureWarning)
    # Chains run in threads of their own; a second level of threads would only contend.
    os.environ.setdefault("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen=false {WHOLE_LOOPS}")
