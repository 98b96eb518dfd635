"""Networks away from their start, where many layers are the identity."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def filled(make, seed=0, scale=0.3):
    """The module that `make()` returns, all its arrays replaced by normal noise.

    Nothing is run: JAX would compile a program for each shape drawn. Arrays of integers are the
    orders of permutations, and become reversals.
    """
    rng = np.random.default_rng(seed)

    def noise(leaf):
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            reversal = jnp.arange(leaf.shape[-1], dtype=leaf.dtype)[::-1]
            return jnp.broadcast_to(reversal, leaf.shape)
        return jnp.asarray(scale * rng.normal(size=leaf.shape), leaf.dtype)

    arrays, static = eqx.partition(
        eqx.filter_eval_shape(make), lambda a: isinstance(a, jax.ShapeDtypeStruct)
    )
    return eqx.combine(jax.tree.map(noise, arrays), static)
