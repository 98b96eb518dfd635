"""Embedding networks: an observation of any shape as one vector."""

import abc
from itertools import product
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core.masked import is_masked, zero_padding


class AbstractEmbedding(eqx.Module):
    """A map of one standardised observation (unbatched) to a vector of shape (out_size,).

    Estimators ask for no more than `out_size` and the call, so any module with both will do.
    `pooled_axes`, where there are any, are the axes of an observation over which its elements
    share one mean and scale.
    """

    out_size: eqx.AbstractVar[int]

    @abc.abstractmethod
    def __call__(self, x):
        """The vector that a density is conditioned on."""


def as_vector(x):
    """All leaves of a pytree of arrays, ravelled one after another.

    A `Masked` gives its values, zeros in the padding, then its mask as zeros and ones.

    >>> import jax.numpy as jnp
    >>> as_vector({"a": jnp.zeros((2, 2)), "b": jnp.ones(1)}).shape
    (5,)
    """
    parts = []
    for leaf in jax.tree.leaves(zero_padding(x), is_leaf=is_masked):
        if is_masked(leaf):
            parts += [jnp.ravel(leaf.values), jnp.ravel(leaf.mask).astype(leaf.values.dtype)]
        else:
            parts.append(jnp.ravel(leaf))
    return jnp.concatenate(parts)


class Flatten(AbstractEmbedding):
    """All leaves of an observation as one vector; nothing is trained."""

    out_size: int = eqx.field(static=True)

    def __call__(self, x):
        return as_vector(x)


class MLPEmbedding(AbstractEmbedding):
    """A perceptron of all elements of an observation, `as_vector`.

    Raises ValueError when called with another number of elements than `in_size`.

    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> embed = MLPEmbedding(6, 4, key=jax.random.key(0))
    >>> eqx.filter_jit(embed)(jnp.ones((2, 3), jnp.float32)).shape
    (4,)
    """

    network: eqx.nn.MLP
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size, out_size, *, hidden=64, depth=2, dtype=jnp.float32, key):
        self.in_size, self.out_size = in_size, out_size
        self.network = perceptron(key, in_size, hidden, depth, out_size, dtype)

    def __call__(self, x):
        return self.network(_vector_of_size(x, self.in_size))


class ResidualEmbedding(AbstractEmbedding):
    r"""A residual perceptron: `depth` blocks :math:`h + B\,s(A\,s(N(h)))`, with layer norm N.

    It starts as a linear map of the observation, `as_vector`, so that many layers cost no signal.
    Raises ValueError when called with another number of elements than `in_size`.

    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> embed = ResidualEmbedding(3, 4, key=jax.random.key(0))
    >>> eqx.filter_jit(embed)(jnp.ones(3, jnp.float32)).shape
    (4,)
    """

    first: eqx.nn.Linear
    norms: tuple
    inner: tuple
    outer: tuple
    last: eqx.nn.Linear
    in_size: int = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(self, in_size, out_size, *, hidden=64, depth=3, dtype=jnp.float32, key):
        self.in_size, self.out_size = in_size, out_size
        first, last, *keys = jax.random.split(key, 2 + 2 * depth)
        self.first = eqx.nn.Linear(in_size, hidden, dtype=dtype, key=first)
        self.norms = tuple(eqx.nn.LayerNorm(hidden, dtype=dtype) for _ in range(depth))
        square = [eqx.nn.Linear(hidden, hidden, dtype=dtype, key=k) for k in keys]
        self.inner, self.outer = tuple(square[:depth]), tuple(map(_zeros_like, square[depth:]))
        self.last = eqx.nn.Linear(hidden, out_size, dtype=dtype, key=last)

    def __call__(self, x):
        h = self.first(_vector_of_size(x, self.in_size))
        for norm, inner, outer in zip(self.norms, self.inner, self.outer, strict=True):
            h = h + outer(jax.nn.silu(inner(jax.nn.silu(norm(h)))))
        return self.last(h)


class ConvEmbedding(AbstractEmbedding):
    """Convolutions of stride two, then a perceptron: spectra, images, cubes.

    `size` is the shape of the grid, (L,), (H, W) or (D, H, W), and x has the shape
    (in_channels, *size), or `size` where there is one channel. By default there are as many layers
    as bring the longest side to 4, of 16, 32, ... up to 128 channels. Positions are kept: the last
    grid is ravelled, not averaged.

    Raises ValueError when called with another shape, or for an even `kernel_size`.

    >>> import equinox as eqx, jax, jax.numpy as jnp
    >>> spectrum = ConvEmbedding(1, (8,), 4, key=jax.random.key(0))
    >>> eqx.filter_jit(spectrum)(jnp.ones(8, jnp.float32)).shape
    (4,)
    """

    layers: tuple
    network: eqx.nn.MLP
    shape: tuple = eqx.field(static=True)
    out_size: int = eqx.field(static=True)

    def __init__(
        self,
        in_channels,
        size,
        out_size,
        *,
        channels=None,
        kernel_size=3,
        hidden=64,
        dtype=jnp.float32,
        key,
    ):
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size={kernel_size}; make it odd, so that it has a centre.")
        self.shape, self.out_size = (in_channels, *size), out_size
        channels = _default_channels(max(size)) if channels is None else tuple(channels)
        last_key, *keys = jax.random.split(key, 1 + len(channels))
        layers, before = [], in_channels
        for k, after in zip(keys, channels, strict=True):
            layers.append(
                eqx.nn.Conv(
                    len(size), before, after, kernel_size, 2, kernel_size // 2, dtype=dtype, key=k
                )
            )
            size, before = tuple(-(-n // 2) for n in size), after
        self.layers = tuple(map(_keep_variance, layers))
        ravelled = before
        for n in size:
            ravelled *= n
        self.network = perceptron(last_key, ravelled, hidden, 1, out_size, dtype)

    @property
    def pooled_axes(self):
        """One mean and scale a channel: a faint pixel is not as loud as a bright one."""
        return tuple(range(1 - len(self.shape), 0))

    def __call__(self, x):
        shape = () if is_masked(x) else jnp.shape(x)
        if shape == self.shape[1:] and self.shape[0] == 1:
            x = x[..., None]
        elif shape == self.shape:
            x = jnp.moveaxis(x, 0, -1)
        else:
            got = "is Masked" if is_masked(x) else f"has shape {shape}"
            raise ValueError(f"x {got}; ConvEmbedding was built for an array of {self.shape}.")
        for layer in self.layers:
            x = jax.nn.silu(_strided(layer, x))
        return self.network(jnp.ravel(x))


class AbstractSetEmbedding(AbstractEmbedding):
    """An embedding of (P, F) arrays or `Masked`, whatever P: statistics are one a feature."""

    pooled_axes: ClassVar[tuple] = (0,)

    in_size: eqx.AbstractVar[int]


def perceptron(key, in_size, hidden, depth, out_size, dtype):
    """`depth` hidden layers with SiLU."""
    return eqx.nn.MLP(in_size, out_size, hidden, depth, jax.nn.silu, dtype=dtype, key=key)


def _vector_of_size(x, size):
    vector = as_vector(x)
    if vector.size != size:
        raise ValueError(f"x has {vector.size} elements, in_size is {size}; make them the same.")
    return vector


def _strided(layer, x):
    """A convolution of stride two of x (*grid, channels), as one matrix product.

    XLA has no fast code for the gradient of strided convolutions on CPUs: in training this takes a
    quarter of the time with 8 to 64 channels, and a tenth with 16 to 128.
    """
    pad, half = layer.kernel_size[0] // 2, [-(-n // 2) for n in x.shape[:-1]]
    x = jnp.pad(x, [(pad, pad)] * len(half) + [(0, 0)])
    offsets = product(*(range(k) for k in layer.kernel_size))
    patches = [
        x[tuple(slice(i, i + 2 * n - 1, 2) for i, n in zip(at, half, strict=True))]
        for at in offsets
    ]
    weight = jnp.moveaxis(layer.weight, (0, 1), (-1, -2))
    out = jnp.concatenate(patches, axis=-1) @ weight.reshape(-1, weight.shape[-1])
    return out + layer.bias.T


def _zeros_like(linear):
    zeros = (jnp.zeros_like(linear.weight), jnp.zeros_like(linear.bias))
    return eqx.tree_at(lambda m: (m.weight, m.bias), linear, zeros)


def _keep_variance(conv):
    # Equinox draws weights with a variance of 1/(3 fan-in), with which six layers would leave a
    # thousandth of the signal; 2/fan-in keeps it (He et al. 2015).
    return eqx.tree_at(lambda m: m.weight, conv, 6**0.5 * conv.weight)


def _default_channels(side):
    channels = []
    while side > 4:
        channels.append(min(16 * 2 ** len(channels), 128))
        side = -(-side // 2)
    return tuple(channels)
