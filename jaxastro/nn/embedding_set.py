"""Embeddings of sets and series with padding: deep sets and transformers."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.masked import is_masked
from .embedding import AbstractSetEmbedding, perceptron

_N_FREQUENCIES = 8


class DeepSet(AbstractSetEmbedding):
    r"""A function of a set (Zaheer et al. 2017).

    .. math:: f(\{x_i\}) = \rho\big(\langle\phi(x_i)\rangle, \max_i \phi(x_i), \log(1 + n)\big)

    over the n valid members of `x`, a `Masked` with values (P, in_size) or an array of that shape.
    The mean with the number says what a sum does, with numbers near one. The empty set has zeros
    for mean and maximum.

    Raises ValueError when called with values of another shape.

    >>> import equinox as eqx, jax, numpy as np
    >>> from jaxastro.core import Masked
    >>> stars = Masked.pad(np.ones((5, 2), np.float32), size=8)
    >>> embed = DeepSet(2, 4, key=jax.random.key(0))
    >>> eqx.filter_jit(embed)(stars).shape
    (4,)
    """

    each: eqx.nn.MLP
    whole: eqx.nn.MLP
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size, out_size, *, hidden=64, depth=2, dtype=jnp.float32, key):
        self.in_size, self.out_size = in_size, out_size
        each, whole = jax.random.split(key)
        self.each = perceptron(each, in_size, hidden, depth, hidden, dtype)
        self.whole = perceptron(whole, 2 * hidden + 1, hidden, depth, out_size, dtype)

    def __call__(self, x):
        values, mask = members_of(x, self.in_size)
        h, mask = jax.vmap(self.each)(values), mask[:, None]
        n = jnp.sum(mask.astype(h.dtype))
        mean = jnp.sum(jnp.where(mask, h, jnp.zeros_like(h)), 0) / jnp.maximum(n, 1)
        largest = jnp.max(jnp.where(mask, h, jnp.full_like(h, -jnp.inf)), 0)
        largest = jnp.where(n > 0, largest, jnp.zeros_like(largest))
        return self.whole(jnp.concatenate([mean, largest, jnp.log1p(n)[None]]))


class SetTransformer(AbstractSetEmbedding):
    """Induced set attention blocks, then pooling by multihead attention (Lee et al. 2019).

    Each block attends through `n_inducing` learnt points, so that P members cost P times those,
    not P squared. `n_seeds` learnt queries pool the members; log(1 + n) goes with them, because an
    attention is a mean and cannot count. Where members do not matter to each other a `DeepSet` is
    as good and cheaper.

    Input and errors as `DeepSet`. Raises ValueError for `hidden` that `n_heads` does not divide.

    >>> import equinox as eqx, jax, numpy as np
    >>> from jaxastro.core import Masked
    >>> stars = Masked.pad(np.ones((5, 2), np.float32), size=8)
    >>> embed = SetTransformer(2, 4, hidden=16, n_blocks=1, key=jax.random.key(0))
    >>> eqx.filter_jit(embed)(stars).shape
    (4,)
    """

    first: eqx.nn.Linear
    inducing: tuple
    gather: tuple
    spread: tuple
    pool: "Pooling"
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_size,
        out_size,
        *,
        hidden=64,
        n_heads=4,
        n_blocks=2,
        n_inducing=16,
        n_seeds=1,
        dtype=jnp.float32,
        key,
    ):
        self.in_size, self.out_size = in_size, out_size
        first, pool, *keys = jax.random.split(key, 2 + 3 * n_blocks)
        self.first = eqx.nn.Linear(in_size, hidden, dtype=dtype, key=first)
        self.inducing = tuple(
            jax.random.normal(k, (n_inducing, hidden), dtype) for k in keys[:n_blocks]
        )
        self.gather = tuple(
            AttentionBlock(hidden, n_heads, dtype=dtype, key=k) for k in keys[n_blocks::2]
        )
        self.spread = tuple(
            AttentionBlock(hidden, n_heads, dtype=dtype, key=k) for k in keys[n_blocks + 1 :: 2]
        )
        self.pool = Pooling(hidden, out_size, n_heads, n_seeds, dtype=dtype, key=pool)

    def __call__(self, x):
        values, mask = members_of(x, self.in_size)
        h = jax.vmap(self.first)(values)
        everywhere = jnp.ones(len(self.inducing[0]), bool) if self.inducing else None
        for points, gather, spread in zip(self.inducing, self.gather, self.spread, strict=True):
            h = spread(h, gather(points, h, mask), everywhere)
        return self.pool(h, mask)


class SeriesTransformer(AbstractSetEmbedding):
    r"""Self-attention for series: light curves, spectra with gaps, chemical histories.

    x is an array (T, in_size) or a `Masked` with such values. Positions enter by sines and cosines:

    * `time_column=None`: of the index, for evenly sampled series, with wavelengths from
      :math:`2\pi` to :math:`10^4` steps (Vaswani et al. 2017);
    * `time_column=i`: of feature i, the time of each entry, in any order; standardised times, as
      the estimators pass them, are resolved to about a sixtieth of their scatter.

    Cost T squared. Errors as `SetTransformer`; ValueError for a `time_column` out of range.

    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> embed = SeriesTransformer(2, 4, hidden=16, time_column=0, key=jax.random.key(0))
    >>> eqx.filter_jit(embed)(jnp.ones((10, 2), jnp.float32)).shape
    (4,)
    """

    first: eqx.nn.Linear
    blocks: tuple
    pool: "Pooling"
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)
    time_column: int | None = eqx.field(static=True)

    def __init__(
        self,
        in_size,
        out_size,
        *,
        time_column=None,
        hidden=64,
        n_heads=4,
        n_blocks=2,
        dtype=jnp.float32,
        key,
    ):
        if time_column is not None and not 0 <= time_column < in_size:
            raise ValueError(
                f"time_column={time_column}; give None or a feature from 0 to {in_size - 1}."
            )
        self.in_size, self.out_size, self.time_column = in_size, out_size, time_column
        first, pool, *keys = jax.random.split(key, 2 + n_blocks)
        self.first = eqx.nn.Linear(in_size + 2 * _N_FREQUENCIES, hidden, dtype=dtype, key=first)
        self.blocks = tuple(AttentionBlock(hidden, n_heads, dtype=dtype, key=k) for k in keys)
        self.pool = Pooling(hidden, out_size, n_heads, 1, dtype=dtype, key=pool)

    def __call__(self, x):
        values, mask = members_of(x, self.in_size)
        h = jax.vmap(self.first)(jnp.concatenate([values, self._positions(values)], 1))
        for block in self.blocks:
            h = block(h, h, mask)
        return self.pool(h, mask)

    def _positions(self, values):
        order = jnp.arange(_N_FREQUENCIES, dtype=values.dtype)
        if self.time_column is None:
            position = jnp.arange(len(values), dtype=values.dtype)
            frequency = (1e4 / (2 * math.pi)) ** (-order / (_N_FREQUENCIES - 1))
        else:
            position = values[:, self.time_column]
            frequency = 0.25 * math.pi * 2**order
        angle = position[:, None] * frequency[None]
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], 1)


class AttentionBlock(eqx.Module):
    """Queries attend to the valid members of a set, then pass a perceptron; both residual."""

    query_norm: eqx.nn.LayerNorm
    member_norm: eqx.nn.LayerNorm
    hidden_norm: eqx.nn.LayerNorm
    query: eqx.nn.Linear
    key: eqx.nn.Linear
    value: eqx.nn.Linear
    out: eqx.nn.Linear
    network: eqx.nn.MLP
    n_heads: int = eqx.field(static=True)

    def __init__(self, size, n_heads, *, dtype=jnp.float32, key):
        if size % n_heads:
            raise ValueError(f"hidden={size}, n_heads={n_heads}; make hidden a multiple of it.")
        self.n_heads = n_heads
        self.query_norm, self.member_norm, self.hidden_norm = (
            eqx.nn.LayerNorm(size, dtype=dtype) for _ in range(3)
        )
        *keys, last = jax.random.split(key, 5)
        self.query, self.key, self.value, self.out = (
            eqx.nn.Linear(size, size, dtype=dtype, key=k) for k in keys
        )
        self.network = perceptron(last, size, size, 1, size, dtype)

    def __call__(self, queries, members, mask):
        """(Q, H) queries and (P, H) members with a (P,) mask -> (Q, H)."""
        h = queries + self._attend(queries, members, mask)
        return h + jax.vmap(lambda row: self.network(self.hidden_norm(row)))(h)

    def _attend(self, queries, members, mask):
        queries, members = jax.vmap(self.query_norm)(queries), jax.vmap(self.member_norm)(members)
        q = jax.vmap(self.query)(queries).reshape(len(queries), self.n_heads, -1)
        k = jax.vmap(self.key)(members).reshape(len(members), self.n_heads, -1)
        v = jax.vmap(self.value)(members).reshape(len(members), self.n_heads, -1)
        logits = jnp.einsum("qhd,phd->hqp", q, k) / math.sqrt(q.shape[-1])
        weights = masked_softmax(logits, mask[None, None])
        mixed = jnp.einsum("hqp,phd->qhd", weights, v).reshape(len(queries), -1)
        return jax.vmap(self.out)(mixed)


class Pooling(eqx.Module):
    """Learnt queries attend to a set; a perceptron makes one vector of what they find."""

    seeds: Float[Array, "S H"]
    block: AttentionBlock
    network: eqx.nn.MLP

    def __init__(self, size, out_size, n_heads, n_seeds, *, dtype=jnp.float32, key):
        seeds, block, last = jax.random.split(key, 3)
        self.seeds = jax.random.normal(seeds, (n_seeds, size), dtype)
        self.block = AttentionBlock(size, n_heads, dtype=dtype, key=block)
        self.network = perceptron(last, n_seeds * size + 1, size, 1, out_size, dtype)

    def __call__(self, members, mask):
        found = jnp.ravel(self.block(self.seeds, members, mask))
        n = jnp.sum(mask.astype(found.dtype))
        return self.network(jnp.concatenate([found, jnp.log1p(n)[None]]))


def masked_softmax(logits, mask):
    """Softmax over the last axis of what the mask leaves; all zeros where it leaves nothing."""
    lowest = jnp.full_like(logits, jnp.finfo(logits.dtype).min)
    largest = jnp.max(jnp.where(mask, logits, lowest), -1, keepdims=True)
    # Only valid logits reach the exponential, so that nothing overflows in the gradient either.
    shifted = jnp.where(mask, logits - jax.lax.stop_gradient(largest), jnp.zeros_like(logits))
    weights = jnp.where(mask, jnp.exp(shifted), jnp.zeros_like(logits))
    total = jnp.sum(weights, -1, keepdims=True)
    return weights / jnp.where(total > 0, total, jnp.ones_like(total))


def members_of(x, in_size):
    """Values (P, F) with zeros as padding, and mask (P,), of a `Masked` or an array."""
    values, mask = (x.zeroed().values, x.mask) if is_masked(x) else (x, None)
    shape = jnp.shape(values)
    if len(shape) != 2 or shape[1] != in_size or (mask is not None and mask.ndim != 1):
        raise ValueError(
            f"x has shape {shape}; give (members, features) with in_size={in_size} features, and "
            "one mask entry a member."
        )
    values = jnp.asarray(values)
    return values, jnp.ones(len(values), bool) if mask is None else jnp.asarray(mask)
