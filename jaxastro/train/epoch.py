"""One epoch of training as one program: what `fit` repeats."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp


class Settings(NamedTuple):
    batch_size: int
    patience: int
    n_decays: int
    decay: float
    min_improvement: float
    average: float


class State(NamedTuple):
    params: Any
    averaged: Any
    optimiser: Any
    best_params: Any
    best: jax.Array
    rate: jax.Array
    wait: jax.Array
    decays: jax.Array
    step: jax.Array
    done: jax.Array
    diverged: jax.Array


@eqx.filter_jit
def one_epoch(
    state,
    frozen,
    static,
    train,
    held,
    key,
    members,
    settings,
    schedule,
    warmup_steps,
    loss,
    optimiser,
):
    def run(state, frozen, key):
        return _one_member(
            state,
            frozen,
            static,
            train,
            held,
            key,
            settings,
            schedule,
            warmup_steps,
            loss,
            optimiser,
        )

    if members is None:
        return run(state, frozen, key)
    return jax.vmap(run)(state, frozen, jax.random.split(key, members))


def _one_member(
    state, frozen, static, train, held, key, settings, schedule, warmup_steps, loss, optimiser
):
    size = settings.batch_size
    order_key, step_key, held_key = jax.random.split(key, 3)

    def value(params, batch, key):
        return loss(eqx.combine(params, frozen, static), batch, key)

    def step(carry, inputs):
        params, averaged, inner, count = carry
        batch, key = inputs
        current, gradient = jax.value_and_grad(value)(params, batch, key)
        rate = state.rate * jnp.asarray(schedule(count), state.rate.dtype)
        rate = rate * jnp.minimum(1.0, (count + 1).astype(rate.dtype) / n_warmup)
        # Optax mixes types freely; the user's strict setting is for the user's code.
        with jax.numpy_dtype_promotion("standard"):
            update, inner = optimiser.update(gradient, inner, params)
            params = jax.tree.map(lambda p, u: p - (rate * u).astype(p.dtype), params, update)
        # The average is short at first, for it begins with weights that know nothing.
        memory = jnp.minimum(settings.average, (count + 1) / (count + 10)).astype(rate.dtype)
        averaged = jax.tree.map(
            lambda a, p: a + ((1 - memory) * (p - a)).astype(p.dtype), averaged, params
        )
        return (params, averaged, inner, count + 1), current

    order = jax.random.permutation(order_key, length(train))
    batches = jax.tree.map(lambda a: _batched(a[order], size), train)
    n_steps = length(batches)
    n_warmup = max(1, min(warmup_steps, n_steps))
    carry = (state.params, state.averaged, state.optimiser, state.step)
    keys = jax.random.split(step_key, n_steps)
    (params, averaged, inner, count), losses = jax.lax.scan(step, carry, (batches, keys))
    mean = jnp.mean(losses)

    held_batches = jax.tree.map(lambda a: _batched(a, min(size, length(held))), held)
    keys = jax.random.split(held_key, length(held_batches))
    _, held_losses = jax.lax.scan(
        lambda _, inputs: (None, value(averaged, *inputs)), None, (held_batches, keys)
    )
    held_mean = jnp.mean(held_losses)

    diverged = ~(jnp.isfinite(mean) & jnp.isfinite(held_mean))
    better = held_mean < state.best  # False where NaN
    enough = held_mean < state.best - settings.min_improvement
    wait = jnp.where(enough, 0, state.wait + 1)
    stuck = wait >= settings.patience
    decays = state.decays + stuck.astype(jnp.int32)
    best_params = _where(better, averaged, state.best_params)
    new = State(
        params=_where(stuck, best_params, params),
        averaged=_where(stuck, best_params, averaged),
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
    return _where(state.done, state, new), (mean, held_mean)


def start(params, optimiser, members):
    def one(params):
        dtype = jnp.result_type(*jax.tree.leaves(params))
        return State(
            params=params,
            averaged=params,
            optimiser=optimiser.init(params),
            best_params=params,
            best=jnp.full((), jnp.inf, dtype),
            rate=jnp.ones((), dtype),
            wait=jnp.zeros((), jnp.int32),
            decays=jnp.zeros((), jnp.int32),
            step=jnp.zeros((), jnp.int32),
            done=jnp.zeros((), bool),
            diverged=jnp.zeros((), bool),
        )

    return one(params) if members is None else jax.vmap(one)(params)


def _batched(array, size):
    n = array.shape[0] // size
    return array[: n * size].reshape(n, size, *array.shape[1:])


def length(data):
    return jax.tree.leaves(data)[0].shape[0]


def _where(condition, a, b):
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
