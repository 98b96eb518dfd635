"""`jaxastro cloud`: a dark cloud's chemistry, and its conditions from observed abundances."""

from .report import Clock, save_figure, write_summary

#: What a figure shows of a network without observations, as far as the network has it.
SHOWN = ("CO", "C", "C+", "O", "OH", "H2O", "HCO+", "H3+", "N2H+", "NH3", "HCN", "HC3N", "e-")
#: Draws of NPE.
DRAWS = 4000
#: Networks of its ensemble; one alone is too narrow.
MEMBERS = 3
#: Times at which abundances are written and drawn [yr].
TIMES = [10.0 ** (2.0 + i / 12.0) for i in range(61)]


def run(args) -> int:
    """The job; returns the exit status."""
    import jax.numpy as jnp

    from simulators.chemistry import RateTable
    from simulators.chemistry.dark_cloud import low_metal
    from simulators.chemistry.evolve import evolve, index_of
    from simulators.chemistry.figures import abundance_figure
    from simulators.chemistry.observe import read_abundances

    clock = Clock()
    observed = read_abundances(args.observed, per=args.per) if args.observed else None
    network = _network(args)
    print(network.report)
    conditions = _conditions(args)
    followed = args.follow.split(",") if args.follow else _followed(network, observed)
    # Before the first integration, not after it.
    for name in (*followed, *(observed.names if observed else ())):
        index_of(network.species, name)
    args.out.mkdir(parents=True, exist_ok=True)
    table, initial = RateTable.of(network), low_metal(network)
    table.warn_outside(conditions)
    times = jnp.asarray(TIMES)
    history = evolve(table, conditions, initial, times)
    if history.n_failed:
        raise ValueError(f"the integration ended early, with result {int(history.result)}.")
    clock.say(f"{len(table.species)} species to {times[-1]:.0e} yr in {int(history.steps)} steps")
    _write_abundances(args.out / "abundances.ecsv", history)
    text = _chemistry(args, table, conditions, initial, history, followed, clock)
    (args.out / "chemistry.txt").write_text(text + "\n")
    print(text)
    shown = list(observed.names) if observed else [x for x in SHOWN if x in network.species]
    if observed is None:
        save_figure(abundance_figure(history, shown), args.out / "abundances", 130)
        return 0
    return _infer(args, network, conditions, initial, observed, clock)


def _network(args):
    """The network of the file, or one that the package ships, cut to the elements asked for."""
    from pathlib import Path

    from simulators.chemistry import Network, networks
    from simulators.chemistry.dark_cloud import with_grains

    if args.network == "compact":
        network = networks.compact()
    elif not Path(args.network).exists():
        raise FileNotFoundError(f"{args.network}: no such file, and not 'compact'.")
    else:
        network = Network.read(args.network)
    if args.elements:
        network = network.sub(elements=args.elements.split(","))
    if args.species:
        network = network.sub(species=args.species.split(","))
    return with_grains(network)


def _conditions(args):
    from simulators.chemistry import Conditions

    return Conditions(
        n_H=args.n_H, temperature=args.temperature, zeta=args.zeta, G0=args.G0, A_V=args.A_V
    )


def _followed(network, observed):
    if observed is not None:
        return observed.names[:2]
    return [name for name in ("CO", "HCO+") if name in network.species]


def _write_abundances(path, history):
    import numpy as np
    from astropy.table import Table

    columns = {"time_yr": np.asarray(history.times)}
    columns |= {name: np.asarray(history[name]) for name in history.species}
    Table(columns).write(path, overwrite=True)


def _chemistry(args, table, conditions, initial, history, followed, clock):
    """What makes, destroys and matters for the species followed, as text; figures beside it."""
    import numpy as np

    from simulators.chemistry.analysis import budget, log_sensitivities, ranked
    from simulators.chemistry.figures import sensitivity_figure

    at = int(np.argmin(np.abs(np.asarray(history.times) - args.age)))
    time = history.times[at]
    lines = []
    for name in followed:
        lines.append(f"{name} at {float(time):.3g} yr: {float(history[name][at]):.3e} per H")
        shares = budget(table, conditions, history.y[at], name)
        for what, sign in (("made", 1.0), ("destroyed", -1.0)):
            mine = [share for share in shares if sign * share.rate > 0.0]
            total = sum(share.rate for share in mine)
            lines += [f"  {what}, {abs(total):.2e} / s:"]
            shown = [share for share in mine[:5] if share.rate / total > 1e-3]
            lines += [f"    {share.rate / total:6.1%}  {share.reaction}" for share in shown]
        values = log_sensitivities(table, conditions, initial, time, name)
        clock.say(f"sensitivities of {name}")
        most = ranked(table, values, 10)
        lines += [f"  d ln {name} / d ln k:"]
        lines += [f"    {value:+7.3f}  {reaction}" for reaction, value in most]
        save_figure(sensitivity_figure(name, most), args.out / f"sensitivities_{name}", 130)
    return "\n".join(lines)


def _infer(args, network, conditions, initial, observed, clock):
    """NUTS through the network, NPE from simulations, and how far they are apart."""
    import jax
    import numpy as np

    from jaxastro.diagnose import converged
    from jaxastro.plot import corner
    from simulators.chemistry.dark_cloud import cloud_model

    model = cloud_model(network, conditions, initial, observed)
    keys = jax.random.split(jax.random.key(args.seed), 3)
    posterior = _sampled(keys[0], args, model.condition(observed.log10_x), clock)
    learnt = _learnt(keys[1], args, model, observed, clock)
    ours = {name: np.asarray(posterior.flat()[name]) for name in model.prior.names}
    comparison, accuracy = _compared(keys[2], ours, learnt)
    table, verdict = posterior.summary(), converged(posterior)
    text = "\n\n".join([str(table), str(verdict), comparison])
    print(text)
    posterior.save(args.out / "posterior.nc")
    np.savez(args.out / "npe_draws.npz", **learnt)
    write_summary(args.out, text, table, verdict, c2st_npe_nuts=accuracy)
    figure = corner(posterior, label="NUTS", others={"NPE": learnt})
    save_figure(figure, args.out / "corner", 110)
    save_figure(_at_median(model.simulator, ours, observed), args.out / "abundances", 130)
    clock.say(f"posterior.nc, npe_draws.npz, summary, chemistry.txt, figures in {args.out}/")
    return 0 if verdict else 1


def _sampled(key, args, target, clock):
    """The posterior by NUTS, from a search's maximum on."""
    import jax

    from jaxastro.infer import find_map, laplace, nuts

    search, chains = jax.random.split(key)
    best = find_map(search, target, n_starts=8, n_draws=64, n_keep=3)
    clock.say(f"maximum: log density {best.log_density:.2f}")
    posterior = nuts(
        chains,
        target,
        n_chains=args.chains,
        n_warmup=args.warmup,
        n_draws=args.draws,
        initial=laplace(target, best),
        target_accept=0.9,
        checkpoint=args.out / "state" / "nuts",
        resume=not args.fresh,
        progress=True,
    )
    clock.say(f"NUTS: {args.chains} chains of {args.draws} draws")
    return posterior


def _learnt(key, args, model, observed, clock):
    """Draws by NPE, {name: (DRAWS,)}."""
    import shutil

    import jax
    import numpy as np

    from jaxastro.sbi import npe, simulate

    simulated, trained, drawn = jax.random.split(key, 3)
    pairs = simulate(simulated, model, args.simulations, batch_size=100, progress=True)
    clock.say(f"{args.simulations} simulations, {pairs.n_failed} failed")
    folder = args.out / "state" / f"npe-{len(pairs)}"
    if args.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    estimator, _ = npe(trained, pairs, members=MEMBERS, checkpoint=folder, progress=True)
    draws = estimator.posterior(observed.log10_x).sample(drawn, DRAWS)
    return {name: np.asarray(draws[name]) for name in model.prior.names}


def _compared(key, ours, learnt):
    """How far NPE is from NUTS, as text, and by a classifier."""
    import numpy as np

    from jaxastro.diagnose import c2st

    lines = ["NPE against NUTS:"]
    for name, mine in ours.items():
        shift = (learnt[name].mean() - mine.mean()) / mine.std()
        ratio = learnt[name].std() / mine.std()
        lines.append(f"  {name:12} {shift:+6.2f} sigma, {ratio:5.2f} of the deviation")
    n = min(DRAWS, *map(len, ours.values()))
    sets = (np.stack([draws[name][:n] for name in ours], 1) for draws in (ours, learnt))
    accuracy = float(c2st(key, *sets))
    lines.append(f"  C2ST {accuracy:.3f} (0.5: alike, 1: apart)")
    return "\n".join(lines), accuracy


def _at_median(simulator, draws, observed):
    """The figure of the cloud at the median, beside what was observed."""
    import jax.numpy as jnp
    import numpy as np

    from simulators.chemistry.evolve import evolve
    from simulators.chemistry.figures import abundance_figure

    median = {name: jnp.asarray(np.median(values)) for name, values in draws.items()}
    times = jnp.asarray(TIMES)
    history = evolve(simulator.table, simulator.at(median), simulator.initial, times)
    age = 10.0 ** float(median["log10_age"])
    return abundance_figure(history, list(observed.names), observed, age)
