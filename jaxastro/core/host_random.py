"""Random numbers made on the host.

JAX compiles a program for each shape of a draw and each number of keys, a quarter of a second or
more on a CPU. Where numbers are few, or are drawn once a program (first weights, the order of an
epoch), NumPy makes them in no time. Still a pure function of the typed key. Under a
transformation, where a key has no value, JAX draws.
"""

import jax
import jax.numpy as jnp
import numpy as np


def generator(key, *tags):
    """A NumPy generator seeded by a typed key, and integers that tell its streams apart.

    >>> bool(generator(jax.random.key(0)).random() == generator(jax.random.key(0)).random())
    True
    >>> bool(generator(jax.random.key(0), 1).random() == generator(jax.random.key(0), 2).random())
    False
    """
    return np.random.default_rng([*np.ravel(jax.random.key_data(key)).tolist(), *tags])


def split(key, n):
    """A list of n typed keys."""
    if _is_traced(key):
        return list(jax.random.split(key, n))
    data = key_data(generator(key, n), key, (n,))
    return [jax.random.wrap_key_data(row, impl=jax.random.key_impl(key)) for row in data]


def key_data(rng, like, shape):
    """Raw data of an array of keys, uint32 of `shape` and what one key of `like`'s kind takes."""
    return rng.integers(0, 2**32, (*shape, *jax.random.key_data(like).shape[-1:]), np.uint32)


def uniform(key, shape, dtype):
    """Uniform numbers in (-1, 1): a NumPy array, or JAX's of a traced key."""
    if _is_traced(key):
        return jax.random.uniform(key, shape, dtype, -1.0, 1.0)
    return generator(key).uniform(-1.0, 1.0, shape).astype(dtype)


def stack(trees):
    """Trees of like structure as one, each leaf stacked along a new first axis."""

    def leaf(*leaves):
        if any(isinstance(a, jax.core.Tracer) for a in leaves):
            return jnp.stack(leaves)
        return jnp.asarray(np.stack([np.asarray(a) for a in leaves]))

    return jax.tree.map(leaf, *trees)


def _is_traced(key):
    # Under a transformation even the data of a known key is abstract.
    return isinstance(jax.random.key_data(key), jax.core.Tracer)
