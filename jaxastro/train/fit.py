"""The one training loop: whole epochs in one program, best weights kept, resumable exactly."""

import hashlib
import time
import warnings
from functools import cache, partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax

from ..core import checkpoint as checkpoints
from ..core.host_random import generator, key_data
from ..core.interrupt import Interrupted, stop_requests
from ..core.progress import reporter
from .epoch import Program, Settings, State, concluded, length, n_batches, one_epoch, start
from .partition import trainable_leaves

# Streams of random numbers that no epoch has: to split the data, and to judge the held-out part.
_SPLIT, _JUDGE = 2**31, 2**31 + 1


class Fitted(NamedTuple):
    """A trained network (members stacked along axis 0 in an ensemble) and how it went.

    `loss` and `held_out_loss` have shape (epochs,), or (epochs, members); `stopped` is
    "plateau", "max_epochs" or "nan".
    """

    network: Any
    loss: np.ndarray
    held_out_loss: np.ndarray
    best: np.ndarray
    stopped: str
    seconds: float


def fit(
    key,
    network,
    loss,
    data,
    *,
    members=None,
    held_out=0.1,
    batch_size=200,
    learning_rate=1e-2,
    average=0.99,
    warmup_steps=100,
    max_epochs=500,
    patience=6,
    n_decays=1,
    decay=0.2,
    min_improvement=1e-3,
    clip=5.0,
    optimiser=None,
    checkpoint=None,
    every=20,
    progress=None,
):
    r"""Minimise a loss over batches of data.

    One epoch is one compiled `lax.scan` over batches; it is compiled once for all trainings with
    the same shapes, loss and optimiser. When the loss on held-out data has not fallen by
    `min_improvement` (absolute: a loss may be negative) in `patience` epochs, the best weights are
    taken up again and the rate is multiplied by `decay`; after `n_decays` of these training ends
    with the best weights.

    Args:
        key: typed PRNG key; epoch i takes its random numbers from the key and i alone.
        network: an Equinox module; modules whose class sets `trainable = False` stay constant.
        loss: a function `(network, batch, key) -> scalar`, defined once (not in a loop: each new
            function compiles anew).
        data: a pytree of arrays with one leading axis.
        members: None for one network; E if every array of `network` has a leading axis E. The
            members are trained in one vmapped program, on the same data in different orders.
        held_out: fraction (or a pytree of data) for early stopping.
        learning_rate: a number, or an Optax schedule of the step; it rises linearly from zero in
            the first `warmup_steps`, at most one epoch.
        average: each step the running mean of the weights keeps this fraction of itself. The mean
            is judged on the held-out data, kept and returned: it has less noise than the weights
            and allows high rates (Polyak & Juditsky 1992). 0 for the weights themselves.
        clip: largest global norm of a gradient.
        optimiser: an Optax transformation without its rate, instead of clipped Adam; it gets the
            gradient as a tree in the form of the network.
        checkpoint: a directory; an earlier unfinished training of the same data and settings found
            there goes on exactly as if never stopped. Saved each `every` epochs and on Ctrl-C.
        progress: True for a line on standard error, or a function of (epoch, loss, held-out loss).

    Raises:
        ValueError: bad data or arguments, another training's checkpoint, or a loss that is not
            finite in the first epoch. Later NaNs end training with a warning and the best weights.
        Interrupted: after Ctrl-C or SIGTERM, once the state is saved.
    """
    began = time.monotonic()
    n = _check_data(data, batch_size)
    train, held = _split(generator(key, _SPLIT), data, held_out, n)
    n_train, n_held = length(train), length(held)
    settings = Settings(
        min(batch_size, n_train),
        patience,
        n_decays,
        float(decay),
        float(min_improvement),
        float(average),
    )
    schedule = learning_rate if callable(learning_rate) else _constant(float(learning_rate))
    params, static = eqx.partition(network, trainable_leaves(network))
    frozen, static = eqx.partition(static, eqx.is_array)
    program = Program(
        template=jax.tree.map(partial(_form, members), params),
        static=static,
        batch_size=settings.batch_size,
        average=settings.average,
        loss=loss,
        schedule=schedule,
        warmup_steps=warmup_steps,
        optimiser=_clipped_adam(float(clip)) if optimiser is None else optimiser,
        flat=optimiser is None,
        members=members,
        impl=str(jax.random.key_impl(key)),
    )
    state = start(program, params)
    identity = {
        "n_train": n_train,
        "n_held": n_held,
        "members": members,
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "data": _digest((train, frozen)),
        "settings": list(settings),
    }
    history = []
    report = reporter(progress, _line)
    if checkpoint is not None and checkpoints.exists(checkpoint):
        state, history = _resume(checkpoint, state, identity)

    def save():
        if checkpoint is not None:
            checkpoints.save(checkpoint, state._asdict(), {**identity, "history": history})

    n_keys, n_held_keys = n_batches(n_train, n_held, settings.batch_size)
    axis = () if members is None else (members,)
    # The same in every epoch: whether the held-out loss fell does not hang on its noise.
    held_keys = key_data(generator(key, _JUDGE), key, (*axis, n_held_keys))
    with stop_requests() as requested:
        for epoch in range(len(history), max_epochs):
            if history and bool(np.all(state.done)):
                break
            rng = generator(key, epoch)
            rows = np.broadcast_to(np.arange(n_train, dtype=np.int32), (*axis, n_train))
            order = rng.permuted(rows, axis=-1)
            keys = key_data(rng, key, (*axis, n_keys))
            keys = np.concatenate([keys, held_keys], axis=len(axis))
            weights, losses = one_epoch(
                program, state.weights, state.rate, frozen, train, held, order, keys
            )
            losses = [np.mean(value, -1) for value in jax.device_get(losses)]
            state = concluded(settings, state, weights, losses)
            history.append([np.asarray(value, float).tolist() for value in losses])
            ended = epoch + 1 == max_epochs or bool(np.all(state.done))
            report(epoch + 1, *history[-1], last=ended)
            if epoch == 0 and not np.all(np.isfinite(state.best)):
                raise ValueError(
                    f"the loss is {history[0][0]} (training) and {history[0][1]} (held out) in the "
                    "first epoch; lower learning_rate, or look for extreme values in the data."
                )
            signal = requested()
            if signal or (epoch + 1) % every == 0:
                save()
            if signal:
                kept = f"; saved in {str(checkpoint)!r}" if checkpoint is not None else ""
                raise Interrupted(f"training stopped by {signal} after epoch {epoch + 1}{kept}.")
    if checkpoint is not None:
        save()
    diverged = bool(np.any(state.diverged))
    if diverged:
        warnings.warn(
            f"the loss became NaN or infinite in epoch {len(history)}; the best weights before "
            f"that are kept (held-out loss {np.asarray(state.best)}). Lower learning_rate.",
            stacklevel=2,
        )
    trained = jax.device_put(program.unravel(np.asarray(state.best_params)))
    trained = eqx.combine(trained, frozen, static)
    curves = np.asarray(history, float)
    stopped = "nan" if diverged else "plateau" if bool(np.all(state.done)) else "max_epochs"
    return Fitted(
        trained,
        curves[:, 0],
        curves[:, 1],
        np.asarray(state.best),
        stopped,
        time.monotonic() - began,
    )


def _resume(directory, state, identity):
    like = jax.tree.map(lambda leaf: leaf, state._asdict())
    saved, metadata = checkpoints.load(directory, like=like)
    differing = [name for name, value in identity.items() if metadata.get(name) != value]
    if differing:
        raise ValueError(
            f"the checkpoint in {str(directory)!r} belongs to another training (different "
            f"{', '.join(differing)}); use another directory, or remove it."
        )
    return State(**saved), metadata["history"]


def _check_data(data, batch_size):
    lengths = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(data)}
    if len(lengths) != 1 or lengths == {()}:
        raise ValueError(f"data: arrays have lengths {sorted(lengths)}; they must be the same.")
    (n,) = next(iter(lengths))
    if n < 10:
        raise ValueError(f"data: {n} rows; training needs at least 10.")
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size}; it must be at least 1.")
    return n


def _split(rng, data, held_out, n):
    if not isinstance(held_out, int | float):
        return data, held_out
    if not 0 < held_out < 1:
        raise ValueError(f"held_out={held_out}; it must lie between 0 and 1.")
    order = rng.permutation(n)
    n_held = max(1, round(n * held_out))

    def take(index):
        return jax.device_put(jax.tree.map(lambda a: np.asarray(a)[index], data))

    return take(order[n_held:]), take(order[:n_held])


def _form(members, leaf):
    """Shape and type of a leaf of one member."""
    shape = leaf.shape if members is None else leaf.shape[1:]
    return jax.ShapeDtypeStruct(shape, leaf.dtype)


def _digest(tree):
    total = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        total.update(np.ascontiguousarray(leaf).tobytes())
    return total.hexdigest()


@cache
def _clipped_adam(clip):
    # One object for one number: the compiled epoch is found again by the optimiser's identity.
    return optax.chain(optax.clip_by_global_norm(clip), optax.scale_by_adam())


@cache
def _constant(rate):
    return lambda step: rate


def _line(epoch, train, held):
    return f"epoch {epoch}: loss {np.mean(train):.4f}, held out {np.mean(held):.4f}"
