"""`jaxastro`: the main jobs from a shell.

A thin layer over the library: it chooses float64 and the compilation cache, reads files, shows
progress, and writes results. The only module of the package that knows both sides.
"""

import argparse
import json
import os
import sys
import time
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
    return parser


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


def _gd1(args) -> int:
    from functools import partial

    import jax
    import numpy as np

    from jaxastro.diagnose import converged
    from jaxastro.infer import Laplace, nuts
    from simulators.streams.gd1 import gd1_measurements
    from simulators.streams.milky_way_model import gd1_model, starting_points

    clock = _Clock()
    data = _measurements(args.track) if args.track else gd1_measurements()
    clock.say(f"{data.phi1.size} positions of {', '.join(data.names)}")
    model = gd1_model(data, n_particles=args.particles, step=args.step, age=args.age)
    latents = model.simulator.fixed_latents(args.seed)
    key = jax.random.key(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    starts = np.asarray(starting_points(key, model, args.starts))
    run = partial(nuts, n_chains=args.chains, resume=not args.fresh, progress=True)
    state, label = args.out / "state", "stated errors"
    target = model.condition(data, latents=latents)
    found = _maximum(args, key, target, state / "maximum", starts, clock)
    posteriors = {
        label: run(
            jax.random.fold_in(key, 1),
            target,
            n_warmup=args.warmup,
            n_draws=args.draws,
            initial=found,
            target_accept=0.9,
            checkpoint=state / "stated-errors",
        )
    }
    clock.say(f"NUTS with {label}: {args.chains} chains of {args.draws} draws")
    if not args.no_doubled:
        # It only shows how the posterior moves: just long enough, and from the first one's shape.
        label, n_draws = "errors doubled", -(-3 * args.draws // 4)
        posteriors[label] = run(
            jax.random.fold_in(key, 2),
            model.condition(data.scaled(2.0), latents=latents),
            n_warmup=-(-args.warmup // 2),
            n_draws=n_draws,
            initial=Laplace.of_draws(model.prior, posteriors["stated errors"]),
            checkpoint=state / "errors-doubled",
        )
        clock.say(f"NUTS with {label}: {args.chains} chains of {n_draws} draws")

    posterior = posteriors["stated errors"]
    table = posterior.summary()
    verdicts = {label: converged(p) for label, p in posteriors.items()}
    verdict = verdicts["stated errors"]
    compared = {label: _compared(p) for label, p in posteriors.items()}
    text = _report(table, verdicts, compared)
    print(text)
    _write(args.out, posteriors, table, verdict, compared, text)
    _figures(args.out, posteriors, model.simulator, latents, data)
    clock.say(f"posterior.nc, summary.txt, summary.json, corner and stream figures in {args.out}/")
    return 0 if verdict else 1


class _Clock:
    """Says what was done, with the seconds since the start of the process's work."""

    def __init__(self):
        self.began = time.monotonic()

    def say(self, what):
        print(f"[{time.monotonic() - self.began:6.1f} s] {what}", file=sys.stderr, flush=True)


def _measurements(path):
    """A table of measurements with our own column names."""
    from simulators.streams.observe import OBSERVABLES, read_measurements
    from simulators.streams.tables import load_table

    if not Path(path).is_file():
        raise FileNotFoundError(f"--track: no file {path!r}; give an existing table.")
    present = set(load_table(Path(path)))
    names = [n for n in OBSERVABLES if n in present]
    missing = {"phi1", *(f"{n}_error" for n in names)} - present
    if missing or not names:
        raise ValueError(
            f"--track: {path} lacks {sorted(missing) or 'any of ' + ', '.join(OBSERVABLES)}; it "
            f"has {sorted(present)}. Give phi1, observables and a NAME_error column for each."
        )
    return read_measurements(
        path, {n: n for n in ("phi1", *names)}, {n: f"{n}_error" for n in names}
    )


def _maximum(args, key, target, folder, initial, clock):
    """The Laplace approximation at the maximum; from `folder` where an earlier run left it."""
    import jax
    import numpy as np

    from jaxastro.core import checkpoint
    from jaxastro.infer import Laplace, find_map, laplace

    settings = {
        "starts": args.starts,
        "seed": args.seed,
        "particles": args.particles,
        "step": args.step,
        "age": args.age,
        "data": [np.asarray(a).ravel().tolist() for a in jax.tree.leaves(target.observation)],
    }
    if checkpoint.exists(folder) and not args.fresh:
        d = target.dim
        like = {"u": np.zeros(d), "covariance": np.zeros((d, d)), "n_repaired": 0}
        arrays, metadata = checkpoint.load(folder, like)
        if metadata != json.loads(json.dumps(settings)):
            raise ValueError(
                f"{folder} is of a run with other data or settings; choose another --out, or "
                "--fresh to discard it."
            )
        clock.say("maximum: taken from the earlier run")
        return Laplace(arrays["u"], arrays["covariance"], int(arrays["n_repaired"]))

    n = len(initial)
    best = find_map(
        key, target, initial=initial, n_starts=n, n_draws=n, n_keep=min(n, 3), progress=True
    )
    agree = int(np.sum(best.starts["log_density"] > best.log_density - 0.5))
    clock.say(
        f"maximum: log density {best.log_density:.2f}, reached by {agree} of "
        f"{len(best.starts['log_density'])} starts"
        + ("" if best.converged else "; the search did NOT converge")
    )
    found = laplace(target, best)
    clock.say("curvature at the maximum")
    tree = {"u": found.u, "covariance": found.covariance, "n_repaired": found.n_repaired}
    checkpoint.save(folder, tree, settings)
    return found


def _compared(posterior):
    """Median, minus and plus of what other work publishes."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from simulators.streams.milky_way_model import derived

    draws = {n: jnp.asarray(v) for n, v in posterior.flat().items()}
    values = eqx.filter_jit(jax.vmap(derived))(draws)
    edges = {n: np.percentile(np.asarray(v), [15.87, 50.0, 84.13]) for n, v in values.items()}
    return {n: (float(m), float(m - a), float(b - m)) for n, (a, m, b) in edges.items()}


def _report(table, verdicts, compared):
    from simulators.streams.figures import comparison
    from simulators.streams.gd1 import PUBLISHED, QUANTITIES

    ours = {f"this work, {label}": row for label, row in compared.items()}
    rows = comparison(list(QUANTITIES), ours | PUBLISHED)
    notes = "\n".join(f"  {name}: {what}" for name, what in QUANTITIES.items())
    lines = [f"{label}: {verdict}" for label, verdict in verdicts.items()]
    return "\n\n".join([str(table), "\n".join(lines), f"{rows}\n{notes}"])


def _write(out, posteriors, table, verdict, compared, text):
    for label, posterior in posteriors.items():
        suffix = "" if label == "stated errors" else "_doubled"
        posterior.save(out / f"posterior{suffix}.nc")
    (out / "summary.txt").write_text(text + "\n")
    summary = {
        "parameters": table.rows,
        "units": table.units,
        "divergences": table.divergences,
        "converged": bool(verdict),
        "reasons": list(verdict.reasons),
        "derived": compared,
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=1, default=float) + "\n")


def _figures(out, posteriors, simulator, latents, data):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxastro.plot import corner
    from simulators.streams.figures import stream_over_data

    (label, posterior), *others = posteriors.items()
    figure = corner(posterior, label=label, others=dict(others))
    figure.savefig(out / "corner.pdf")
    figure.savefig(out / "corner.png", dpi=110)

    chosen = posterior.sample(jax.random.key(0), 100)
    grid = np.union1d(np.linspace(float(data.phi1[0]), float(data.phi1[-1]), 60), data.phi1)
    track = eqx.filter_jit(lambda p: simulator.summary(p, latents, grid).track)
    tracks = jax.lax.map(track, {n: jnp.asarray(v) for n, v in chosen.items()})
    median = {n: jnp.median(jnp.asarray(v)) for n, v in posterior.flat().items()}
    many = eqx.tree_at(lambda s: s.convention, simulator, type(simulator.convention)())
    sky = eqx.filter_jit(many.on_sky)(median, type(latents).quasi(1024))
    # The stars too are shown at the distances that would be measured.
    sky = sky._replace(distance=sky.distance * median["distance_scale"])
    figure = stream_over_data(data, grid, tracks, sky)
    figure.savefig(out / "stream.pdf")
    figure.savefig(out / "stream.png", dpi=130)
