"""One epoch of training as one program: what `fit` repeats.

What follows from an epoch's losses is decided on the host: in the program it would be two dozen
programs of a few numbers, each compiled.
"""

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Settings(NamedTuple):
    batch_size: int
    patience: int
    n_decays: int
    decay: float
    min_improvement: float
    average: float


class Weights(NamedTuple):
    """What an epoch changes; `params` and `averaged` are all trained weights in one vector."""

    params: jax.Array
    averaged: jax.Array
    optimiser: Any
    step: jax.Array


class State(NamedTuple):
    """Weights, the best ones so far, and numbers on the host; all by member if there are any."""

    weights: Weights
    best_params: jax.Array
    best: np.ndarray
    rate: np.ndarray
    wait: np.ndarray
    decays: np.ndarray
    done: np.ndarray
    diverged: np.ndarray


class Program(NamedTuple):
    """What an epoch is compiled for, the shapes of data apart.

    Attributes:
        template: the trained part of the network, with shapes in place of its arrays.
        static: the network without arrays.
        loss, schedule: functions of (network, batch, key) and of the step.
        optimiser: an Optax transformation; of the whole vector of weights if `flat`, else of the
            network's tree.
        impl: name of the keys' generator.
    """

    template: Any
    static: Any
    batch_size: int
    average: float
    loss: Callable
    schedule: Callable
    warmup_steps: int
    optimiser: Any
    flat: bool
    members: int | None
    impl: str

    def unravel(self, flat):
        """The trained part of the network from one vector; of all members from (E, P)."""
        leaves, tree = jax.tree.flatten(self.template)
        sizes = [math.prod(leaf.shape) for leaf in leaves]
        if isinstance(flat, np.ndarray):
            parts = np.split(flat, list(itertools.accumulate(sizes))[:-1], -1)
        else:
            parts = jax.lax.split(flat, sizes, flat.ndim - 1)
        made = []
        for part, leaf in zip(parts, leaves, strict=True):
            if not jnp.issubdtype(leaf.dtype, jnp.complexfloating):
                part = part.real
            made.append(part.reshape(*flat.shape[:-1], *leaf.shape).astype(leaf.dtype))
        return jax.tree.unflatten(tree, made)

    def ravel(self, tree, xp=jnp):
        """The inverse of `unravel`."""
        leaves = jax.tree.leaves(tree)
        axes = () if xp is jnp or self.members is None else (self.members,)
        # Networks may hold several types of floats.
        with jax.numpy_dtype_promotion("standard"):
            dtype = jnp.result_type(*leaves)
        return xp.concatenate([xp.reshape(a, (*axes, -1)).astype(dtype) for a in leaves], -1)

    def update(self, gradient, inner, flat):
        """The optimiser's step, and its new state."""
        if self.flat:
            return self.optimiser.update(gradient, inner, flat)
        tree, inner = self.optimiser.update(self.unravel(gradient), inner, self.unravel(flat))
        return self.ravel(tree), inner


@eqx.filter_jit
def one_epoch(program, weights, rate, frozen, train, held, order, key_data):
    """New weights, and the losses in training and held out, by member if there are members.

    `rate` multiplies the schedule's; `order` are the rows of `train` as the batches take them,
    (E,) n; `key_data` raw keys of all batches, of the training ones first, (E,) n_batches of them.
    """

    def run(weights, rate, frozen, order, key_data):
        keys = jax.random.wrap_key_data(key_data, impl=program.impl)
        return _one_member(program, weights, rate, frozen, train, held, order, keys)

    if program.members is None:
        return run(weights, rate, frozen, order, key_data)
    return jax.vmap(run)(weights, rate, frozen, order, key_data)


def _one_member(program, weights, factor, frozen, train, held, order, keys):
    size = program.batch_size

    def value(flat, batch, key):
        return program.loss(eqx.combine(program.unravel(flat), frozen, program.static), batch, key)

    def step(carry, inputs):
        params, averaged, inner, count = carry
        batch, key = inputs
        current, gradient = jax.value_and_grad(value)(params, batch, key)
        rate = factor * jnp.asarray(program.schedule(count), factor.dtype)
        rate = rate * jnp.minimum(1.0, (count + 1).astype(rate.dtype) / n_warmup)
        # Optax mixes types freely; the user's strict setting is for the user's code.
        with jax.numpy_dtype_promotion("standard"):
            update, inner = program.update(gradient, inner, params)
            params = params - (rate * update).astype(params.dtype)
        # The average is short at first, for it begins with weights that know nothing.
        memory = jnp.minimum(program.average, (count + 1) / (count + 10)).astype(rate.dtype)
        averaged = averaged + ((1 - memory) * (params - averaged)).astype(params.dtype)
        return Weights(params, averaged, inner, count + 1), current

    batches = jax.tree.map(lambda a: _batched(a[order], size), train)
    n_steps = length(batches)
    n_warmup = max(1, min(program.warmup_steps, n_steps))
    weights, losses = jax.lax.scan(step, weights, (batches, keys[:n_steps]))
    held_batches = jax.tree.map(lambda a: _batched(a, min(size, length(held))), held)
    _, held_losses = jax.lax.scan(
        lambda _, inputs: (None, value(weights.averaged, *inputs)),
        None,
        (held_batches, keys[n_steps:]),
    )
    return weights, (losses, held_losses)


def concluded(settings, state, weights, losses):
    """The state after an epoch with these weights and mean losses, (training, held out)."""
    mean, held_mean = losses
    diverged = ~(np.isfinite(mean) & np.isfinite(held_mean))
    better = held_mean < state.best  # False where NaN
    enough = held_mean < state.best - settings.min_improvement
    wait = np.where(enough, 0, state.wait + 1)
    stuck = wait >= settings.patience
    decays = state.decays + stuck
    best_params = _choose(better, weights.averaged, state.best_params)
    new = State(
        weights=weights._replace(
            params=_choose(stuck, best_params, weights.params),
            averaged=_choose(stuck, best_params, weights.averaged),
        ),
        best_params=best_params,
        best=np.where(better, held_mean, state.best),
        rate=np.where(stuck, state.rate * settings.decay, state.rate),
        wait=np.where(stuck, 0, wait),
        decays=decays,
        done=diverged | (decays > settings.n_decays),
        diverged=diverged,
    )
    # A member that has ended waits, unchanged, for the others.
    return jax.tree.map(lambda x, y: _choose(state.done, x, y).astype(x.dtype), state, new)


def _choose(mask, x, y):
    """x of members in the mask, y of others."""
    if np.all(mask) or not np.any(mask):
        return x if np.all(mask) else y
    mask = np.reshape(mask, (-1,) + (1,) * (np.ndim(x) - 1))
    return np.where(mask, x, y) if isinstance(x, np.ndarray) else _where(mask, x, y)


_where = jax.jit(jnp.where)


def n_batches(n_train, n_held, size):
    """How many batches of training and of held-out data an epoch has."""
    return n_train // size, n_held // min(size, n_held)


def start(program, params):
    """The first state, from the trained part of a network."""
    flat = program.ravel(jax.tree.map(np.asarray, params), np)
    axes = flat.shape[:-1]
    if program.flat:
        # Adam begins with zeros; asked for them, it would compile a program for each.
        one = jax.ShapeDtypeStruct(flat.shape[-1:], flat.dtype)
        inner = jax.tree.map(
            lambda leaf: np.zeros((*axes, *leaf.shape), leaf.dtype),
            jax.eval_shape(program.optimiser.init, one),
        )
    else:
        inner = _init(program, params)
    flat = jax.device_put(flat)
    return State(
        weights=Weights(flat, flat, inner, np.zeros(axes, np.int32)),
        best_params=flat,
        best=np.full(axes, np.inf, flat.dtype),
        rate=np.ones(axes, flat.dtype),
        wait=np.zeros(axes, np.int32),
        decays=np.zeros(axes, np.int32),
        done=np.zeros(axes, bool),
        diverged=np.zeros(axes, bool),
    )


@eqx.filter_jit
def _init(program, params):
    init = program.optimiser.init
    return init(params) if program.members is None else jax.vmap(init)(params)


def _batched(array, size):
    n = array.shape[0] // size
    return array[: n * size].reshape(n, size, *array.shape[1:])


def length(data):
    return jax.tree.leaves(data)[0].shape[0]
