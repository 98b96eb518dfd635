"""Block-neural autoregressive layers (De Cao et al. 2019, UAI): a triangular, monotone network."""

import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .bijection import AbstractBijection, Chain
from .coupling import bounded_log_scale
from .flow import flow_behind_regression
from .linear import reversal_and_mixing
from .perceptron import Perceptron

# Halvings that take a bracket to the last bit of float64; Newton's steps need about ten.
_MAX_STEPS = 100


class BlockNeuralAutoregressive(AbstractBijection):
    r"""A perceptron whose Jacobian is triangular with a positive diagonal.

    .. math:: z_i = e^{s_i(c)} (x_i + n_i(x_{\le i}, c)), \quad \partial n_i/\partial x_i > 0

    n has `width` tanh units a coordinate and layer. Weights within a coordinate's block are
    positive, those from earlier coordinates are free, others are zero. The context shifts the
    first layer's units and sets s, by a perceptron of its own. The diagonal
    :math:`\log \partial n_i / \partial x_i` is a product of matrices taken in log space. Since
    :math:`|n_i| \le B_i` (the sum of its last weights), the map reaches every z and is linear far
    out; :math:`x_i` lies within :math:`B_i` of :math:`z_i e^{-s_i}`.

    `inverse` solves one coordinate after the other by Newton's steps inside that bracket, with
    bisection where a step leaves it or does not halve the residual. The slope of
    :math:`x_i + n_i` is at least one, so that the residual bounds the error of x; it ends at
    8 rounding errors of :math:`|z_i| e^{-s_i} + B_i`. No derivative passes through the search;
    derivatives of all orders, in both modes, are those of the implicit function.

    Raises ValueError for depth < 1.

    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> layer = BlockNeuralAutoregressive(2, 1, key=jax.random.key(0))
    >>> x, c = jnp.array([0.1, -0.5], jnp.float32), jnp.zeros(1, jnp.float32)
    >>> z, log_det = eqx.filter_jit(layer.forward)(x, c)
    >>> bool(jnp.allclose(eqx.filter_jit(layer.inverse)(z, c)[0], x, atol=1e-5))
    True
    """

    log_positive: tuple
    mixing: tuple
    biases: tuple
    network: Perceptron
    dim: int = eqx.field(static=True)

    def __init__(self, dim, context_size, *, width=8, depth=2, hidden=50, dtype=jnp.float32, key):
        if depth < 1:
            raise ValueError(f"depth={depth}; a block-neural layer needs at least 1 hidden layer.")
        self.dim = dim
        context_key, *keys = jax.random.split(key, depth + 2)
        self.network = Perceptron(
            context_size,
            dim * (width + 1),
            hidden=hidden,
            depth=1,
            dtype=dtype,
            key=context_key,
        )
        sizes = [1, *[width] * depth, 1]
        positive, mixing, biases = [], [], []
        for k, (below, above) in enumerate(itertools.pairwise(sizes)):
            # Small at the last, so that the layer starts near the identity.
            size = 0.1 if k == depth else 1.0
            # Units' centres cover the range of whitened data.
            reach = 2.0 if k == 0 else 0.0
            # One draw for all: each shape of a draw is a program to compile.
            shape = (dim, above, below + 1 + dim * below)
            draws = jax.random.uniform(keys[k], shape, dtype, -1.0)
            positive.append(draws[:, :, :below] + math.log(size / below))
            biases.append(reach * draws[:, :, below])
            mixing.append(
                size / math.sqrt(dim * below) * draws[:, :, below + 1 :].reshape(dim * above, -1)
            )
        self.log_positive, self.mixing, self.biases = tuple(positive), tuple(mixing), tuple(biases)

    def forward(self, x, context):
        shift, log_scale = self._of_context(context)
        y, log_slope = _monotone(self._weights(), shift, x)
        return y * jnp.exp(log_scale), jnp.sum(log_slope) + jnp.sum(log_scale)

    def inverse(self, z, context):
        shift, log_scale = self._of_context(context)
        weights, reach = self._weights(), _reach(self._weights())
        target = z * jnp.exp(-log_scale)

        def residual(x):
            return _monotone(weights, shift, x)[0] - target

        def solve(residual, x):
            def one(i, x):
                return x.at[i].set(_search(weights, shift, target, reach, x, i))

            return jax.lax.fori_loop(0, self.dim, one, x)

        x = jax.lax.custom_root(residual, jnp.zeros_like(z), solve, _solve_triangular)
        _, log_slope = _monotone(weights, shift, x)
        return x, -jnp.sum(log_slope) - jnp.sum(log_scale)

    def _weights(self):
        mixing = tuple(
            jnp.where(_below(self.dim, *p.shape[1:]), m, 0)
            for p, m in zip(self.log_positive, self.mixing, strict=True)
        )
        return self.log_positive, mixing, self.biases

    def _of_context(self, context):
        raw = self.network(context)
        shift, log_scale = jnp.split(raw, [raw.size - self.dim])
        return shift.reshape(self.dim, -1), bounded_log_scale(log_scale)


def _monotone(weights, shift, x):
    """x + n(x) and the log of its diagonal derivative, both (D,)."""
    h, log_slope = x[:, None], jnp.zeros_like(x)[:, None]
    *inner, last = zip(*weights, strict=True)
    for k, layer in enumerate(inner):
        h, log_slope = _linear(*layer, h, log_slope)
        h = h + shift if k == 0 else h
        # log of tanh's derivative, without overflow and smooth at zero.
        log_slope = log_slope + 2 * (math.log(2) + h - jax.nn.softplus(2 * h))
        h = jnp.tanh(h)
    h, log_slope = _linear(*last, h, log_slope)
    return x + h[:, 0], jax.nn.softplus(log_slope[:, 0])


def _linear(log_positive, mixing, bias, h, log_slope):
    within = jnp.einsum("iab,ib->ia", jnp.exp(log_positive), h)
    earlier = (mixing @ h.reshape(-1)).reshape(bias.shape)
    log_slope = jax.nn.logsumexp(log_positive + log_slope[:, None, :], axis=-1)
    return within + earlier + bias, log_slope


def _solve_triangular(tangent, y):
    """x of tangent(x) = y, where `tangent` is linear and lower triangular."""
    matrix = jax.vmap(tangent, out_axes=1)(jnp.eye(len(y), dtype=y.dtype))
    return jax.scipy.linalg.solve_triangular(matrix, y, lower=True)


def _reach(weights):
    """The largest |n_i|, (D,): tanh is at most one."""
    log_positive, mixing, bias = (layers[-1] for layers in weights)
    within = jnp.sum(jnp.exp(log_positive[:, 0]), axis=-1)
    return within + jnp.sum(jnp.abs(mixing), axis=-1) + jnp.abs(bias[:, 0])


def _search(weights, shift, target, reach, x, i):
    """x_i where coordinate i of `_monotone` is target_i, given the coordinates before it."""
    goal = target[i]
    tolerance = 8 * jnp.finfo(x.dtype).eps * (jnp.abs(goal) + reach[i])

    def unfinished(state):
        low, high, _, _, residual, step = state
        return (jnp.abs(residual) > tolerance) & (high - low > tolerance) & (step < _MAX_STEPS)

    def improve(state):
        low, high, trial, _, before, step = state
        y, log_slope = _monotone(weights, shift, x.at[i].set(trial))
        residual = y[i] - goal
        low = jnp.where(residual < 0, trial, low)
        high = jnp.where(residual < 0, high, trial)
        newton = trial - residual * jnp.exp(-log_slope[i])
        halved = jnp.abs(residual) <= 0.5 * jnp.abs(before)
        good = (newton > low) & (newton < high) & halved
        following = jnp.where(good, newton, 0.5 * (low + high))
        return low, high, following, trial, residual, step + 1

    low, high = goal - reach[i] - tolerance, goal + reach[i] + tolerance
    start = (low, high, goal, goal, jnp.full_like(goal, jnp.inf), 0)
    return jax.lax.while_loop(unfinished, improve, start)[3]


@functools.cache
def _below(dim, above, below):
    """True in the blocks below the diagonal ones."""
    return np.kron(np.tril(np.ones((dim, dim)), -1), np.ones((above, below))).astype(bool)


def block_neural_flow(
    dim,
    context_size,
    *,
    n_layers=2,
    width=8,
    depth=2,
    hidden=50,
    dtype=jnp.float32,
    key,
):
    """Block-neural autoregressive flow (De Cao et al. 2019) behind a fitted linear-Gaussian layer.

    Its layers alternate with a reversal of the coordinates and an LU matrix. Quick to evaluate;
    to sample is to solve D equations a layer.

    >>> import jax, jax.numpy as jnp
    >>> flow = block_neural_flow(2, 1, n_layers=1, key=jax.random.key(0))
    >>> flow.sample(jax.random.key(1), jnp.zeros(1, jnp.float32)).shape
    (2,)
    """

    def layer(key):
        layer = BlockNeuralAutoregressive(
            dim, context_size, width=width, depth=depth, hidden=hidden, dtype=dtype, key=key
        )
        return Chain((layer, *reversal_and_mixing(dim, dtype)))

    return flow_behind_regression(dim, context_size, layer, n_layers, dtype, key)
