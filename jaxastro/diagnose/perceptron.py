"""The classifier of the two-sample tests: scikit-learn's `MLPClassifier`, many at a time."""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..core.host_random import generator

# MLPClassifier's defaults, on which the SBI benchmark's figures rest (Lueckmann et al. 2021).
BATCH, RATE, ALPHA, TOLERANCE, PATIENCE, MAX_EPOCHS = 200, 1e-3, 1e-4, 1e-4, 10, 10_000
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_GROUP = 20


class _State(NamedTuple):
    weights: jax.Array
    first: jax.Array
    second: jax.Array
    step: jax.Array
    best: jax.Array
    wait: jax.Array


def train(key, x, y, max_epochs=MAX_EPOCHS):
    """Fit M independent classifiers with two hidden layers of 10 D rectified units.

    Adam in batches of 200 at a rate of 1e-3, an L2 penalty of 1e-4, until the training loss has
    not fallen by 1e-4 for more than ten epochs: `MLPClassifier` by default, in float32. On a CPU
    the members are trained one by one on as many cores as there are, each until it ends; on an
    accelerator in lockstep.

    Args:
        x: (M, N, D) float32, about standardised. Rows in an order of chance: the members share
            the shuffling of the epochs.
        y: (M, N), labels 0 and 1.

    Returns:
        Weights (M, P), for `logits`, and the number of epochs of each, (M,).
    """
    x, y = jnp.asarray(x, jnp.float32), jnp.asarray(y, jnp.float32)
    members, n, dim = x.shape
    start_key, order_key = jax.random.split(key)
    state = jax.vmap(functools.partial(_start, dim))(jax.random.split(start_key, members))
    # Shuffled by NumPy: JAX sorts, which on a CPU takes longer than the epoch.
    rng = generator(order_key)
    epochs = np.zeros(members, int)
    if jax.default_backend() == "cpu":
        parts = [jax.tree.map(lambda a, i=i: a[i], state) for i in range(members)]
        data = [(x[i], y[i]) for i in range(members)]
    active = np.arange(members)
    for begin in range(0, max_epochs, _GROUP):
        orders = _orders(rng, n, min(_GROUP, max_epochs - begin))
        if jax.default_backend() == "cpu":
            # Dispatched without waiting, so that they run side by side.
            done = {i: _epochs(parts[i], *data[i], *orders) for i in active}
            for i, (part, count) in done.items():
                parts[i] = part
                epochs[i] += int(count)
            active = np.array([i for i in active if int(parts[i].wait) <= PATIENCE])
        else:
            state, counts = _epochs_lockstep(state, x, y, *orders)
            epochs += np.asarray(counts)
            active = np.flatnonzero(np.asarray(state.wait) <= PATIENCE)
        if not active.size:
            break
    if jax.default_backend() == "cpu":
        return jnp.stack([part.weights for part in parts]), epochs
    return state.weights, epochs


def logits(weights, x):
    """Log odds of label 1 for one classifier: weights (P,), x (N, D) -> (N,)."""
    (w1, b1), (w2, b2), (w3, b3) = _layers(weights, x.shape[-1])
    hidden = jax.nn.relu(w1 @ x.T + b1[:, None])
    hidden = jax.nn.relu(w2 @ hidden + b2[:, None])
    return (w3 @ hidden)[0] + b3


def _orders(rng, n, n_epochs):
    """Rows of each batch (epochs, steps, batch), and how many of the last batch count."""
    size = min(BATCH, n)
    steps = -(-n // size)
    orders = np.zeros((n_epochs, steps * size), np.int32)
    for order in orders:
        order[:n] = rng.permutation(n)
    counted = np.arange(steps * size) < n
    shape = (steps, size)
    return orders.reshape(n_epochs, *shape), counted.reshape(shape).astype(np.float32)


def _layers(weights, dim):
    sizes = [dim, 10 * dim, 10 * dim, 1]
    layers, begin = [], 0
    for m, n in itertools.pairwise(sizes):
        matrix = weights[begin : begin + m * n].reshape(n, m)
        layers.append((matrix, weights[begin + m * n : begin + m * n + n]))
        begin += m * n + n
    return layers


def _start(dim, key):
    sizes = [dim, 10 * dim, 10 * dim, 1]
    parts = []
    for k, m, n in zip(jax.random.split(key, 3), sizes[:-1], sizes[1:], strict=True):
        bound = (6.0 / (m + n)) ** 0.5
        parts.append(jax.random.uniform(k, (m * n + n,), jnp.float32, -bound, bound))
    weights = jnp.concatenate(parts)
    none = jnp.zeros((), jnp.int32)
    inf = jnp.asarray(jnp.inf, jnp.float32)
    return _State(weights, jnp.zeros_like(weights), jnp.zeros_like(weights), none, inf, none)


def _loss(weights, x, y, counted):
    z = logits(weights, x)
    size = jnp.sum(counted)
    entropy = jnp.sum(counted * (jax.nn.softplus(z) - y * z))
    square = sum(jnp.sum(matrix**2) for matrix, _ in _layers(weights, x.shape[-1]))
    return (entropy + 0.5 * ALPHA * square) / size


def _member(state, x, y, orders, counted):
    total = jnp.asarray(x.shape[0], jnp.float32)

    def step(carry, batch):
        weights, first, second, count = carry
        value, slope = jax.value_and_grad(_loss)(weights, *batch)
        count = count + 1
        first = _BETA1 * first + (1 - _BETA1) * slope
        second = _BETA2 * second + (1 - _BETA2) * slope**2
        t = count.astype(jnp.float32)
        rate = RATE * jnp.sqrt(1 - _BETA2**t) / (1 - _BETA1**t)
        weights = weights - rate * first / (jnp.sqrt(second) + _EPSILON)
        return (weights, first, second, count), value

    def epoch(carry):
        i, state = carry
        order = orders[i]
        begin = (state.weights, state.first, state.second, state.step)
        carry, values = jax.lax.scan(step, begin, (x[order], y[order], counted))
        mean = jnp.sum(values * jnp.sum(counted, 1)) / total
        wait = jnp.where(mean > state.best - TOLERANCE, state.wait + 1, 0)
        return i + 1, _State(*carry, jnp.minimum(mean, state.best), wait)

    def more(carry):
        return (carry[0] < len(orders)) & (carry[1].wait <= PATIENCE)

    count, state = jax.lax.while_loop(more, epoch, (jnp.zeros((), jnp.int32), state))
    return state, count


_epochs = jax.jit(_member)
_epochs_lockstep = jax.jit(jax.vmap(_member, (0, 0, 0, None, None)))
