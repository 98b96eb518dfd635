"""The no-U-turn sampler: multi-chain, with warm-up, resumable to the bit."""

import time
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import SamplePosterior, Target
from ..core.progress import reporter
from .chains import Run, run_chains
from .gradient import evaluate_gradient, resolve_mode, worker_count
from .laplace import Laplace


class Progress(NamedTuple):
    """What `progress` is called with: steps done and to do over all chains, and how it goes."""

    done: int
    total: int
    warming_up: bool
    divergences: int
    acceptance: float
    step_size: float
    seconds: float


def nuts(
    key,
    target,
    *,
    n_chains=4,
    n_warmup=500,
    n_draws=1000,
    initial=None,
    inverse_mass_matrix=None,
    dense=True,
    target_accept=0.8,
    max_treedepth=10,
    initial_step_size=None,
    backend="blackjax",
    gradient="auto",
    chain_method="auto",
    checkpoint=None,
    resume=True,
    progress=None,
    every=25,
):
    r"""Sample a target with the no-U-turn sampler (Hoffman & Gelman 2014, JMLR 15, 1593).

    The chain runs in segments of `every` steps through one compiled program; progress, Ctrl-C,
    SIGTERM and checkpoints are dealt with between them. Step `i` of a chain draws from
    `fold_in(chain_key, i)`, so a resumed run gives the very draws of an uninterrupted one.

    Args:
        key: typed PRNG key.
        target: a `Target`, from `Model.condition(observation)`.
        n_chains, n_warmup, n_draws: chains, and steps of each before and after adaptation ends.
        initial: unconstrained points, (D,) or (n_chains, D), or a `Laplace`: its draws start the
            chains and its covariance is the first inverse mass matrix. Default: prior draws with
            a finite density.
        inverse_mass_matrix: (D, D), or (D,) for a diagonal one; adaptation goes on from it.
            150 steps of warm-up then do for a posterior that is nearly Gaussian.
        dense: adapt a full matrix, or its diagonal.
        target_accept, max_treedepth: 0.8 and 10 as in Stan; raise the first on divergences.
        backend: "blackjax", or "numpyro" for the same target through the other library (for
            cross-checks: it has no checkpoints, compiles on each call and adapts in its own way).
        gradient: "auto", "forward" or "reverse", see `value_and_grad`.
        chain_method: "threads" (a thread a core, each chain at its own pace), "vectorized"
            (chains in lockstep by vmap), or "auto": threads on a CPU, vectorized elsewhere.
        checkpoint: a directory. An earlier unfinished run found there is continued if `resume`,
            after a check that it is the same run; ValueError where it is not.
        progress: True for a line on standard error, or a function of a `Progress`.

    Returns:
        A `SamplePosterior`; `sample_stats` has lp, acceptance_rate, step_size, tree_depth,
        n_steps, diverging and energy, after warm-up only.

    Raises:
        ValueError: a bad argument, a start without finite density, another run's checkpoint.
        Interrupted: after Ctrl-C or SIGTERM, once the state is saved.
    """
    _check(target, n_chains, n_warmup, n_draws, every, max_treedepth, target_accept)
    mode = resolve_mode(target.dim, gradient)
    if backend not in ("blackjax", "numpyro"):
        raise ValueError(f"backend={backend!r}; choose 'blackjax' or 'numpyro'.")
    if chain_method not in ("auto", "threads", "vectorized"):
        raise ValueError(f"chain_method={chain_method!r}; choose auto, threads or vectorized.")
    if isinstance(initial, Laplace) and inverse_mass_matrix is None:
        inverse_mass_matrix = initial.covariance
    inverse_mass = _mass(target.dim, inverse_mass_matrix, dense)
    start_key, run_key = jax.random.split(key)
    began = time.monotonic()

    def points():
        return _starting_points(start_key, target, n_chains, initial, mode)

    if backend == "numpyro":
        if checkpoint is not None:
            raise ValueError("backend='numpyro' cannot be resumed; leave checkpoint=None.")
        from .numpyro_backend import run_numpyro

        u, stats = run_numpyro(
            run_key,
            target,
            points()[0],
            inverse_mass if inverse_mass_matrix is not None else None,
            n_warmup=n_warmup,
            n_draws=n_draws,
            dense=dense,
            target_accept=target_accept,
            max_treedepth=max_treedepth,
            mode=mode,
        )
        warmup_divergences = None
    else:
        if chain_method == "auto":
            # Threads: chains need no common tree depth, and four runs of one program on two cores
            # took half the time of a vmapped one (see `on_threads`). An accelerator has one queue.
            chain_method = "threads" if jax.default_backend() == "cpu" else "vectorized"
        run = Run(
            n_chains=n_chains,
            n_warmup=n_warmup,
            n_draws=n_draws,
            every=every,
            target_accept=float(target_accept),
            max_treedepth=max_treedepth,
            mode=mode,
            method=chain_method,
            workers=min(n_chains, worker_count()),
        )
        # Sampling without warm-up takes the step size as it is; dual averaging finds it quickly.
        step = initial_step_size or (0.5 if inverse_mass_matrix is not None else 0.1)
        u, stats, warmup_divergences = run_chains(
            run_key,
            target,
            run,
            points,
            (inverse_mass, inverse_mass_matrix is not None, step),
            checkpoint=checkpoint,
            resume=resume,
            report=reporter(progress, _line) if progress else None,
        )
    draws = _constrain(target.prior, jnp.asarray(u))
    attrs = {
        "sampler": "NUTS",
        "backend": backend,
        "gradient": mode,
        "n_warmup": n_warmup,
        "warmup_divergences": warmup_divergences,
        "target_accept": float(target_accept),
        "max_treedepth": max_treedepth,
        "seconds": time.monotonic() - began,
    }
    prior = target.prior
    draws = {name: np.asarray(draws[name]) for name in prior.names}
    return SamplePosterior(draws, stats, units=prior.units, labels=prior.labels, attrs=attrs)


@eqx.filter_jit
def _constrain(prior, u):
    return jax.vmap(jax.vmap(lambda x: prior.from_unconstrained(x)[0]))(u)


def _starting_points(key, target, n_chains, initial, mode):
    """(u, log density, gradient) of each chain; ValueError where one has no finite density."""
    dim, given = target.dim, initial is not None and not isinstance(initial, Laplace)
    if given:
        u = np.asarray(initial)
        if u.shape not in ((dim,), (n_chains, dim)):
            raise ValueError(
                f"initial has shape {u.shape}; it must be ({dim},) or ({n_chains}, {dim})."
            )
        candidates = np.broadcast_to(u, (n_chains, dim))[:, None]
    elif initial is not None:
        candidates = initial.sample(key, 50 * n_chains).reshape(n_chains, 50, dim)
    else:
        draws = target.prior.sample(key, (50 * n_chains,))
        flat = jax.vmap(target.prior.to_unconstrained)(draws)
        candidates = np.asarray(flat).reshape(n_chains, 50, dim)
    found = []
    for chain, options in enumerate(candidates):
        for u in options:
            value, slope = evaluate_gradient(target, u, mode)
            if np.isfinite(value) and np.all(np.isfinite(slope)):
                found.append((u, value, slope))
                break
        else:
            source = "initial" if given else f"{len(options)} draws"
            raise ValueError(
                f"chain {chain}: the log density or its gradient is not finite at {source}; give "
                "initial= points inside the posterior (find_map finds them)."
            )
    return tuple(np.stack(parts) for parts in zip(*found, strict=True))


def _mass(dim, given, dense):
    if given is None:
        return np.eye(dim) if dense else np.ones(dim)
    matrix = np.asarray(given)
    if matrix.shape not in ((dim,), (dim, dim)):
        raise ValueError(
            f"inverse_mass_matrix has shape {matrix.shape}; it must be ({dim},) or ({dim}, {dim})."
        )
    if matrix.ndim == 1:
        good, matrix = np.all(matrix > 0), np.diag(matrix) if dense else matrix
    else:
        symmetric = np.allclose(matrix, matrix.T, rtol=1e-3, atol=0)
        good = np.all(np.isfinite(matrix)) and symmetric and np.all(np.linalg.eigvalsh(matrix) > 0)
        matrix = matrix if dense else np.diag(matrix)
    if not good:
        raise ValueError("inverse_mass_matrix must be symmetric and positive definite.")
    return matrix


def _check(target, n_chains, n_warmup, n_draws, every, max_treedepth, target_accept):
    if not isinstance(target, Target):
        raise ValueError(f"target is a {type(target).__name__}; give model.condition(observation).")
    for name, value, least in (
        ("n_chains", n_chains, 1),
        ("n_warmup", n_warmup, 0),
        ("n_draws", n_draws, 1),
        ("every", every, 1),
        ("max_treedepth", max_treedepth, 1),
    ):
        if int(value) != value or value < least:
            raise ValueError(f"{name}={value}; it must be a whole number, at least {least}.")
    if not 0 < target_accept < 1:
        raise ValueError(f"target_accept={target_accept}; it must lie between 0 and 1.")


def _line(p):
    stage = "warm-up" if p.warming_up else "sampling"
    return (
        f"NUTS {stage}: {p.done}/{p.total} steps, {p.divergences} divergences, "
        f"acceptance {p.acceptance:.2f}, {p.seconds:.0f} s"
    )
