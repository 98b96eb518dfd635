"""An observation as one vector."""

import jax
import jax.numpy as jnp


def as_vector(x):
    """All leaves of a pytree of arrays, ravelled one after another.

    >>> import jax.numpy as jnp
    >>> as_vector({"a": jnp.zeros((2, 2)), "b": jnp.ones(1)}).shape
    (5,)
    """
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(x)])
