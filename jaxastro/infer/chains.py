"""Running chains in segments: threads or lockstep, checkpoints, interruptions."""

import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from functools import partial
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import checkpoint as checkpoints
from ..core.interrupt import Interrupted, stop_requests
from . import adaptation
from .gradient import with_gradient
from .resume import identify, resume_state

SAVE_SECONDS = 2.0
"""A checkpoint at most this often: a kill loses no more than this and one segment."""


class Run(NamedTuple):
    """The settings of a run."""

    n_chains: int
    n_warmup: int
    n_draws: int
    every: int
    target_accept: float
    max_treedepth: int
    mode: str
    method: str
    workers: int


class _Record(NamedTuple):
    u: jax.Array
    lp: jax.Array
    acceptance_rate: jax.Array
    step_size: jax.Array
    tree_depth: jax.Array
    n_steps: jax.Array
    diverging: jax.Array
    energy: jax.Array


@eqx.filter_jit
def _segment(target, chains, keys, flags, begin, count, target_accept, mode, max_treedepth):
    """`count` (traced, at most the length of `flags`) steps of chains stacked on axis 0.

    The target is an argument: new data or priors of the same shapes compile nothing.
    """
    one = partial(
        _one_segment,
        target=target,
        flags=flags,
        begin=begin,
        count=count,
        target_accept=target_accept,
        mode=mode,
        max_treedepth=max_treedepth,
    )
    if keys.shape[0] == 1:
        # No vmap over a single chain: it would turn every `cond` into both branches.
        single = one(jax.tree.map(lambda x: x[0], chains), keys[0])
        return jax.tree.map(lambda x: x[None], single)
    return jax.vmap(one)(chains, keys)


def _one_segment(chain, key, *, target, flags, begin, count, target_accept, mode, max_treedepth):
    import blackjax

    # BlackJAX relies on implicit promotion, which a user's strict setting forbids.
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        density = with_gradient(target.unguarded, target.dim, mode)
        kernel = blackjax.nuts.build_kernel()

        def step(i, carry):
            chain, records = carry
            state = blackjax.mcmc.hmc.HMCState(chain.u, chain.log_density, chain.gradient)
            state, info = kernel(
                jax.random.fold_in(key, begin + i),
                state,
                density,
                chain.step_size,
                chain.inverse_mass,
                max_treedepth,
            )
            record = _Record(
                u=state.position,
                lp=state.logdensity,
                acceptance_rate=info.acceptance_rate,
                step_size=chain.step_size,
                tree_depth=info.num_trajectory_expansions,
                n_steps=info.num_integration_steps,
                diverging=info.is_divergent,
                energy=info.energy,
            )
            chain = chain._replace(
                u=state.position, log_density=state.logdensity, gradient=state.logdensity_grad
            )
            chain = adaptation.adapt(chain, info.acceptance_rate, flags[i], target_accept)
            records = jax.tree.map(lambda a, x: a.at[i].set(x.astype(a.dtype)), records, record)
            return chain, records

        empty = _empty((flags.shape[0],), chain.u.shape[0], chain.u.dtype, jnp)
        return jax.lax.fori_loop(jnp.zeros((), jnp.int32), count, step, (chain, empty))


def _empty(shape, dim, dtype, numpy):
    real, whole = partial(numpy.zeros, shape, dtype), partial(numpy.zeros, shape, np.int32)
    return _Record(
        u=numpy.zeros((*shape, dim), dtype),
        lp=real(),
        acceptance_rate=real(),
        step_size=real(),
        tree_depth=whole(),
        n_steps=whole(),
        diverging=numpy.zeros(shape, bool),
        energy=real(),
    )


def run_chains(key, target, run, points, metric, *, checkpoint, resume, report):
    """All chains to their end: unconstrained draws, sample_stats, divergences of the warm-up.

    `points()` gives the starts, called only where no checkpoint is found; `metric` is (inverse
    mass matrix, whether it is trusted, step size).
    """
    keys = jax.random.split(key, run.n_chains)
    total = run.n_warmup + run.n_draws
    identity = identify(key, target, run) if checkpoint is not None else None

    if checkpoint is not None and resume and checkpoints.exists(checkpoint):
        state = resume_state(checkpoint, identity)
    else:
        u, log_density, gradient = points()
        starts = [
            adaptation.start(jnp.asarray(a), b, c, *metric)
            for a, b, c in zip(u, log_density, gradient, strict=True)
        ]
        chains = jax.tree.map(lambda *x: np.stack([np.asarray(v) for v in x]), *starts)
        records = _empty((run.n_chains, total), target.dim, u.dtype, np)
        state = {
            "chains": chains._asdict(),
            "records": records._asdict(),
            "done": np.zeros(run.n_chains, np.int64),
        }
    _advance(target, run, keys, state, checkpoint, identity, report)

    kept = {name: value[:, run.n_warmup :] for name, value in state["records"].items()}
    warmup_divergences = int(state["records"]["diverging"][:, : run.n_warmup].sum())
    return kept.pop("u"), kept, warmup_divergences


def _advance(target, run, keys, state, checkpoint, identity, report):
    total, done = run.n_warmup + run.n_draws, state["done"]
    flags = adaptation.schedule(run.n_warmup, run.n_draws)
    everyone = list(range(run.n_chains))
    groups = [everyone] if run.method == "vectorized" else [[c] for c in everyone]

    def segment(group, count=None):
        begin = int(done[group[0]])
        count = min(run.every, total - begin) if count is None else count
        piece = np.zeros(run.every, np.int32)
        piece[:count] = flags[begin : begin + count]
        chains = adaptation.Chain(**{k: jnp.asarray(v[group]) for k, v in state["chains"].items()})
        result = _segment(
            target,
            chains,
            keys[np.asarray(group)],
            jnp.asarray(piece),
            jnp.asarray(begin, jnp.int32),
            jnp.asarray(count, jnp.int32),
            jnp.asarray(run.target_accept, chains.u.dtype),
            run.mode,
            run.max_treedepth,
        )
        return group, begin, count, jax.tree.map(np.asarray, result)

    def store(group, begin, count, result):
        chains, records = result
        for name, value in chains._asdict().items():
            state["chains"][name][group] = value
        for name, value in records._asdict().items():
            state["records"][name][group, begin : begin + count] = value[:, :count]
        done[group] = begin + count

    def save():
        if checkpoint is not None:
            checkpoints.save(checkpoint, state, identity)

    waiting = [g for g in groups if done[g[0]] < total]
    if not waiting:
        return
    segment(waiting[0], count=0)  # compiles before the threads race to do it
    began = saved = time.monotonic()
    with stop_requests() as requested, ThreadPoolExecutor(run.workers) as pool:
        pending = {pool.submit(segment, g) for g in waiting}
        while pending:
            # The timeout lets Python run its signal handlers on every platform.
            finished, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in finished:
                group, *result = future.result()
                store(group, *result)
                if done[group[0]] < total and not requested():
                    pending.add(pool.submit(segment, group))
            if finished and report:
                facts = _progress(run, state, time.monotonic() - began)
                report(facts, last=facts.done == facts.total)
            if finished and time.monotonic() - saved > SAVE_SECONDS:
                save()
                saved = time.monotonic()
    save()
    if requested() and np.any(done < total):
        raise Interrupted(_farewell(requested(), int(done.sum()), run, checkpoint))


def _farewell(signal_name, steps, run, checkpoint):
    total = run.n_chains * (run.n_warmup + run.n_draws)
    if checkpoint is None:
        return (
            f"stopped by {signal_name} after {steps} of {total} steps; nothing was saved. Give "
            "checkpoint=DIRECTORY to make a run resumable."
        )
    return (
        f"stopped by {signal_name} after {steps} of {total} steps. The state is in "
        f"{str(checkpoint)!r}: the same call with the same checkpoint continues from there."
    )


def _progress(run, state, seconds):
    from .nuts import Progress

    done, total = state["done"], run.n_warmup + run.n_draws
    last = np.maximum(done - 1, 0)
    records, chain = state["records"], np.arange(run.n_chains)
    sampled = np.arange(total)[None] >= run.n_warmup
    seen = np.arange(total)[None] < done[:, None]
    recent = seen & (np.arange(total)[None] >= done[:, None] - run.every)
    return Progress(
        done=int(done.sum()),
        total=total * run.n_chains,
        warming_up=bool(np.any(done < run.n_warmup)),
        divergences=int((records["diverging"] & sampled).sum()),
        acceptance=float(records["acceptance_rate"][recent].mean()),
        step_size=float(records["step_size"][chain, last].mean()),
        seconds=seconds,
    )
