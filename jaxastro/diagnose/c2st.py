"""The classifier two-sample test: can a network tell two sets of draws apart?"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

# scikit-learn's MLPClassifier, as the SBI benchmark uses it (Lueckmann et al. 2021).
BATCH, RATE, ALPHA, TOLERANCE, PATIENCE, MAX_EPOCHS = 200, 1e-3, 1e-4, 1e-4, 10, 10_000
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8


class _State(NamedTuple):
    weights: list
    first: list
    second: list
    step: jax.Array
    best: jax.Array
    wait: jax.Array


def c2st(key, p, q, n_folds=5):
    """Cross-validated accuracy of a classifier of p against q: 0.5 where they cannot be told apart.

    A perceptron with two hidden layers of 10 D rectified units, trained as scikit-learn's
    `MLPClassifier` by default, on draws shifted and scaled by p's mean and standard deviation: the
    metric of the SBI benchmark (Lueckmann et al. 2021, AISTATS).

    Args:
        p, q: draws, (N, D) each; or (M, N, D) for M comparisons at once, in lockstep.

    Returns:
        A float, or (M,).

    Raises ValueError for other shapes, or values that are not finite.

    >>> import numpy as np
    >>> draws = np.random.default_rng(0).normal(size=(2, 100, 1))
    >>> c2st(jax.random.key(0), draws[0], draws[1] + 9.0) > 0.95
    True
    """
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.shape != q.shape or p.ndim not in (2, 3):
        raise ValueError(
            f"p has shape {p.shape}, q {q.shape}; give as many draws of each, (N, D) or (M, N, D)."
        )
    for name, draws in (("p", p), ("q", q)):
        if not np.all(np.isfinite(draws)):
            raise ValueError(f"{name} holds {np.sum(~np.isfinite(draws))} non-finite values.")
    single = p.ndim == 2
    p, q = (draws[None] if single else draws for draws in (p, q))
    mean, scale = p.mean(1, keepdims=True), p.std(1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    x = ((np.concatenate([p, q], 1) - mean) / scale).astype(np.float32)
    y = np.repeat(np.array([0.0, 1.0], np.float32), p.shape[1])
    n = x.shape[1]
    n_test = n // n_folds
    data_key, fit_key = jax.random.split(key)
    train_x, train_y, test_x, test_y = [], [], [], []
    for i, k in enumerate(jax.random.split(data_key, len(x))):
        order = np.asarray(jax.random.permutation(k, n))
        for fold in range(n_folds):
            test = order[fold * n_test : (fold + 1) * n_test]
            train = np.setdiff1d(order, test, assume_unique=True)[: n - n_test]
            train_x.append(x[i, train])
            train_y.append(y[train])
            test_x.append(x[i, test])
            test_y.append(y[test])
    accuracy = _accuracies(fit_key, *(np.stack(a) for a in (train_x, train_y, test_x, test_y)))
    means = accuracy.reshape(-1, n_folds).mean(1)
    return float(means[0]) if single else means


def _accuracies(key, train_x, train_y, test_x, test_y):
    """Train one classifier a member; those that have ended are left out of later epochs."""
    members = len(train_x)
    keys = jax.random.split(key, members)
    state = jax.vmap(functools.partial(_start, train_x.shape[-1]))(keys)
    final = jax.tree.map(lambda a: np.array(a), state)
    active = np.arange(members)
    data = jnp.asarray(train_x), jnp.asarray(train_y)
    rows = jnp.arange(members)
    group = 5
    for begin in range(0, MAX_EPOCHS, group):
        state = _epochs(state, data, keys, jnp.asarray(begin), group)
        ended = np.asarray(state.wait) > PATIENCE
        if not ended.any() and begin + group < MAX_EPOCHS:
            continue
        # Members that go on are gathered when half of them have ended: few sizes to compile.
        if ended.sum() * 2 >= len(ended) or ended.all() or begin + group >= MAX_EPOCHS:
            for whole, part in zip(jax.tree.leaves(final), jax.tree.leaves(state), strict=True):
                whole[active[ended]] = np.asarray(part)[ended]
            keep = np.flatnonzero(~ended)
            if len(keep) == 0 or begin + group >= MAX_EPOCHS:
                break
            padded = np.resize(keep, max(1, len(ended) // 2))
            active, rows = active[padded], rows[padded]
            state = jax.tree.map(lambda a, i=padded: a[i], state)
            data, keys = jax.tree.map(lambda a, i=padded: a[i], data), keys[padded]
    logits = jax.jit(jax.vmap(jax.vmap(_logit, (None, 0))))(final.weights, jnp.asarray(test_x))
    return np.mean((np.asarray(logits) > 0) == (test_y > 0.5), axis=1)


def _start(dim, key):
    sizes = [dim, 10 * dim, 10 * dim, 1]
    weights = []
    for k, m, n in zip(jax.random.split(key, 3), sizes[:-1], sizes[1:], strict=True):
        bound = (6.0 / (m + n)) ** 0.5
        draw = functools.partial(jax.random.uniform, dtype=jnp.float32, minval=-bound, maxval=bound)
        matrix_key, bias_key = jax.random.split(k)
        weights.append((draw(matrix_key, (m, n)), draw(bias_key, (n,))))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    inf, none = jnp.asarray(jnp.inf, jnp.float32), jnp.zeros((), jnp.int32)
    return _State(weights, zeros, zeros, none, inf, none)


def _logit(weights, x):
    for matrix, bias in weights[:-1]:
        x = jax.nn.relu(x @ matrix + bias)
    matrix, bias = weights[-1]
    return (x @ matrix + bias)[0]


def _loss(weights, x, y):
    logits = jax.vmap(_logit, (None, 0))(weights, x)
    entropy = jnp.mean(jax.nn.softplus(logits) - y * logits)
    square = sum(jnp.sum(matrix**2) for matrix, _ in weights)
    return entropy + 0.5 * ALPHA * square / len(x)


@functools.partial(jax.jit, static_argnames="n_epochs")
def _epochs(state, data, keys, begin, n_epochs):
    def member(state, data, key):
        x, y = data
        size = min(BATCH, len(x))
        n_steps = len(x) // size

        def step(carry, index):
            weights, first, second, count = carry
            value, slope = jax.value_and_grad(_loss)(weights, x[index], y[index])
            count = count + 1
            first = jax.tree.map(lambda m, g: _BETA1 * m + (1 - _BETA1) * g, first, slope)
            second = jax.tree.map(lambda v, g: _BETA2 * v + (1 - _BETA2) * g * g, second, slope)
            t = count.astype(jnp.float32)
            rate = RATE * jnp.sqrt(1 - _BETA2**t) / (1 - _BETA1**t)
            weights = jax.tree.map(
                lambda w, m, v: w - rate * m / (jnp.sqrt(v) + _EPSILON), weights, first, second
            )
            return (weights, first, second, count), value

        def epoch(i, state):
            order = jax.random.permutation(jax.random.fold_in(key, begin + i), len(x))
            carry = (state.weights, state.first, state.second, state.step)
            index = order[: n_steps * size].reshape(n_steps, size)
            (weights, first, second, count), values = jax.lax.scan(step, carry, index)
            mean = jnp.mean(values)
            wait = jnp.where(mean > state.best - TOLERANCE, state.wait + 1, 0)
            new = _State(weights, first, second, count, jnp.minimum(mean, state.best), wait)
            over = state.wait > PATIENCE
            return jax.tree.map(lambda a, b: jnp.where(over, a, b), state, new)

        return jax.lax.fori_loop(0, n_epochs, epoch, state)

    return jax.vmap(member)(state, data, keys)
