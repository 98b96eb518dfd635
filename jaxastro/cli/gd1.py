"""`jaxastro gd1`: weigh the Milky Way with the GD-1 stream."""

from pathlib import Path

from .report import Clock, keep, kept, save_figure, write_summary


def run(args) -> int:
    """The job `jaxastro gd1`; returns the exit status."""
    from functools import partial

    import jax
    import numpy as np

    from jaxastro.diagnose import converged
    from jaxastro.infer import Laplace, nuts
    from simulators.streams.gd1 import gd1_measurements
    from simulators.streams.milky_way_model import gd1_model, starting_points

    clock = Clock()
    data = _measurements(args.track) if args.track else gd1_measurements()
    clock.say(f"{data.phi1.size} positions of {', '.join(data.names)}")
    model = gd1_model(data, n_particles=args.particles, step=args.step, age=args.age)
    latents = model.simulator.fixed_latents(args.seed)
    key = jax.random.key(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)

    starts = np.asarray(starting_points(key, model, args.starts))
    sample = partial(nuts, n_chains=args.chains, resume=not args.fresh, progress=True)
    state, label = args.out / "state", "stated errors"
    target = model.condition(data, latents=latents)
    found = _maximum(args, key, target, state / "maximum", starts, clock)
    posteriors = {
        label: sample(
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
        posteriors[label] = sample(
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

    from jaxastro.infer import find_map, laplace

    settings = {
        "starts": args.starts,
        "seed": args.seed,
        "particles": args.particles,
        "step": args.step,
        "age": args.age,
        "data": [np.asarray(a).ravel().tolist() for a in jax.tree.leaves(target.observation)],
    }
    earlier = None if args.fresh else kept(folder, settings, target.dim)
    if earlier:
        clock.say("maximum: taken from the earlier run")
        return earlier[0]

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
    keep(folder, settings, found)
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
    write_summary(out, text, table, verdict, derived=compared)


def _figures(out, posteriors, simulator, latents, data):
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxastro.plot import corner
    from simulators.streams.figures import stream_over_data

    (label, posterior), *others = posteriors.items()
    save_figure(corner(posterior, label=label, others=dict(others)), out / "corner", 110)

    chosen = posterior.sample(jax.random.key(0), 100)
    grid = np.union1d(np.linspace(float(data.phi1[0]), float(data.phi1[-1]), 60), data.phi1)
    track = eqx.filter_jit(lambda p: simulator.summary(p, latents, grid).track)
    tracks = jax.lax.map(track, {n: jnp.asarray(v) for n, v in chosen.items()})
    median = {n: jnp.median(jnp.asarray(v)) for n, v in posterior.flat().items()}
    many = eqx.tree_at(lambda s: s.convention, simulator, type(simulator.convention)())
    sky = eqx.filter_jit(many.on_sky)(median, type(latents).quasi(1024))
    # The stars too are shown at the distances that would be measured.
    sky = sky._replace(distance=sky.distance * median["distance_scale"])
    save_figure(stream_over_data(data, grid, tracks, sky), out / "stream", 130)
