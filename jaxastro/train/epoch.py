"""One epoch of training as one program: what `fit` repeats."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree


class Settings(NamedTuple):
    batch_size: int
    patience: int
    n_decays: int
    decay: float
    min_improvement: float
    average: float


class State(NamedTuple):
    """`params`, `averaged` and `best_params` are all trained weights in one vector."""

    params: jax.Array
    averaged: jax.Array
    optimiser: Any
    best_params: jax.Array
    best: jax.Array
    rate: jax.Array
    wait: jax.Array
    decays: jax.Array
    step: jax.Array
    done: jax.Array
    diverged: jax.Array


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
    settings: Settings
    loss: Callable
    schedule: Callable
    warmup_steps: int
    optimiser: Any
    flat: bool
    members: int | None
    impl: str

    def unravel(self, flat):
        """The trained part of the network from one vector."""
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.template)
        return _ravel(zeros)[1](flat)

    def update(self, gradient, inner, flat):
        """The optimiser's step, and its new state."""
        if self.flat:
            return self.optimiser.update(gradient, inner, flat)
        tree, inner = self.optimiser.update(self.unravel(gradient), inner, self.unravel(flat))
        return _ravel(tree)[0], inner


@eqx.filter_jit
def one_epoch(program, state, frozen, train, held, order, key_data):
    """A new state, and the losses in training and held out, by member if there are members.

    `order` are the rows of `train` as the batches take them, (E,) n; `key_data` raw keys of all
    batches, of the training ones first, (E,) n_batches of them.
    """

    def run(state, frozen, order, key_data):
        keys = jax.random.wrap_key_data(key_data, impl=program.impl)
        return _one_member(program, state, frozen, train, held, order, keys)

    if program.members is None:
        return run(state, frozen, order, key_data)
    return jax.vmap(run)(state, frozen, order, key_data)


def _one_member(program, state, frozen, train, held, order, keys):
    settings = program.settings
    size = settings.batch_size

    def value(flat, batch, key):
        return program.loss(eqx.combine(program.unravel(flat), frozen, program.static), batch, key)

    def step(carry, inputs):
        params, averaged, inner, count = carry
        batch, key = inputs
        current, gradient = jax.value_and_grad(value)(params, batch, key)
        rate = state.rate * jnp.asarray(program.schedule(count), state.rate.dtype)
        rate = rate * jnp.minimum(1.0, (count + 1).astype(rate.dtype) / n_warmup)
        # Optax mixes types freely; the user's strict setting is for the user's code.
        with jax.numpy_dtype_promotion("standard"):
            update, inner = program.update(gradient, inner, params)
            params = params - (rate * update).astype(params.dtype)
        # The average is short at first, for it begins with weights that know nothing.
        memory = jnp.minimum(settings.average, (count + 1) / (count + 10)).astype(rate.dtype)
        averaged = averaged + ((1 - memory) * (params - averaged)).astype(params.dtype)
        return (params, averaged, inner, count + 1), current

    batches = jax.tree.map(lambda a: _batched(a[order], size), train)
    n_steps = length(batches)
    n_warmup = max(1, min(program.warmup_steps, n_steps))
    carry = (state.params, state.averaged, state.optimiser, state.step)
    carry, losses = jax.lax.scan(step, carry, (batches, keys[:n_steps]))
    params, averaged, inner, count = carry
    mean = jnp.mean(losses)

    held_batches = jax.tree.map(lambda a: _batched(a, min(size, length(held))), held)
    _, held_losses = jax.lax.scan(
        lambda _, inputs: (None, value(averaged, *inputs)), None, (held_batches, keys[n_steps:])
    )
    held_mean = jnp.mean(held_losses)

    diverged = ~(jnp.isfinite(mean) & jnp.isfinite(held_mean))
    better = held_mean < state.best  # False where NaN
    enough = held_mean < state.best - settings.min_improvement
    wait = jnp.where(enough, 0, state.wait + 1)
    stuck = wait >= settings.patience
    decays = state.decays + stuck.astype(jnp.int32)
    best_params = jnp.where(better, averaged, state.best_params)
    new = State(
        params=jnp.where(stuck, best_params, params),
        averaged=jnp.where(stuck, best_params, averaged),
        optimiser=inner,
        best_params=best_params,
        best=jnp.where(better, held_mean, state.best),
        rate=jnp.where(stuck, state.rate * settings.decay, state.rate),
        wait=jnp.where(stuck, 0, wait),
        decays=decays,
        step=count,
        done=diverged | (decays > settings.n_decays),
        diverged=diverged,
    )
    # A member that has ended waits, unchanged, for the others.
    new = jax.tree.map(lambda x, y: jnp.where(state.done, x, y), state, new)
    return new, (mean, held_mean)


def n_batches(n_train, n_held, size):
    """How many batches of training and of held-out data an epoch has."""
    return n_train // size, n_held // min(size, n_held)


@eqx.filter_jit
def start(program, params):
    """The first state, from the trained part of a network."""

    def one(tree):
        flat = _ravel(tree)[0]
        return State(
            params=flat,
            averaged=flat,
            optimiser=program.optimiser.init(flat if program.flat else tree),
            best_params=flat,
            best=jnp.full((), jnp.inf, flat.dtype),
            rate=jnp.ones((), flat.dtype),
            wait=jnp.zeros((), jnp.int32),
            decays=jnp.zeros((), jnp.int32),
            step=jnp.zeros((), jnp.int32),
            done=jnp.zeros((), bool),
            diverged=jnp.zeros((), bool),
        )

    return one(params) if program.members is None else jax.vmap(one)(params)


@eqx.filter_jit
def unravelled(program, flat):
    """The trained part of the network, of all members, from `State.best_params`."""
    return program.unravel(flat) if program.members is None else jax.vmap(program.unravel)(flat)


def _ravel(tree):
    # Networks may hold several types of floats.
    with jax.numpy_dtype_promotion("standard"):
        return ravel_pytree(tree)


def _batched(array, size):
    n = array.shape[0] // size
    return array[: n * size].reshape(n, size, *array.shape[1:])


def length(data):
    return jax.tree.leaves(data)[0].shape[0]
