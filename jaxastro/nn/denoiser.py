"""Denoisers: what flow matching and score matching train."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp

_N_FREQUENCIES = 8


class AbstractDenoiser(eqx.Module):
    """A regression on a noisy array: any shape in, the same shape out."""

    @abc.abstractmethod
    def __call__(self, t, x, context):
        """Output like x, at time t in [0, 1] (0 is noise, 1 data), given a context vector."""


class MLPDenoiser(AbstractDenoiser):
    """Residual perceptron for vectors; time enters by sines and cosines, its output starts at zero.

    >>> import jax, jax.numpy as jnp
    >>> denoiser = MLPDenoiser(2, 3, key=jax.random.key(0))
    >>> zeros = jnp.zeros(3, jnp.float32)
    >>> denoiser(jnp.float32(0.5), zeros[:2], zeros).tolist()
    [0.0, 0.0]
    """

    first: eqx.nn.Linear
    blocks: tuple
    last: eqx.nn.Linear

    def __init__(self, dim, context_size, *, hidden=128, depth=3, dtype=jnp.float32, key):
        first, last, *blocks = jax.random.split(key, 2 + depth)
        size = dim + context_size + 2 * _N_FREQUENCIES
        self.first = eqx.nn.Linear(size, hidden, dtype=dtype, key=first)
        self.blocks = tuple(eqx.nn.Linear(hidden, hidden, dtype=dtype, key=k) for k in blocks)
        linear = eqx.nn.Linear(hidden, dim, dtype=dtype, key=last)
        zeros = (jnp.zeros_like(linear.weight), jnp.zeros_like(linear.bias))
        self.last = eqx.tree_at(lambda m: (m.weight, m.bias), linear, zeros)

    def __call__(self, t, x, context):
        angle = (0.5 * math.pi) * t * jnp.arange(1, _N_FREQUENCIES + 1, dtype=x.dtype)
        h = self.first(jnp.concatenate([x, context, jnp.sin(angle), jnp.cos(angle)]))
        for block in self.blocks:
            h = h + block(jax.nn.silu(h))
        return self.last(jax.nn.silu(h))
