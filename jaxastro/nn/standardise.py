"""Numbers near one: observations and parameters shifted and scaled by their own statistics."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Standardiser(eqx.Module):
    r""":math:`z = (x - \mu)/\sigma` for each element of a pytree of arrays; constant in training.

    The difference is taken in the data's own precision, then cast: a float32 network sees a small
    scatter on top of a large mean.

    >>> import numpy as np
    >>> scale = Standardiser.fit(np.array([[1e6 - 1.0], [1e6 + 1.0]]))
    >>> scale(np.array([1e6 + 2.0])).tolist()
    [2.0]
    """

    trainable: ClassVar[bool] = False

    mean: Any
    scale: Any
    dtype: Any = eqx.field(static=True)

    @classmethod
    def fit(cls, x, pooled_axes=(), dtype=jnp.float32):
        """Statistics of a batch (leading axis N), shared over `pooled_axes` of one observation.

        An element that never varies gets scale 1. Raises ValueError for an empty batch or a
        non-finite value.
        """
        mean, scale = [], []
        leaves, tree = jax.tree.flatten(x)
        for i, leaf in enumerate(leaves):
            array = np.asarray(leaf)
            kind = array.dtype if np.issubdtype(array.dtype, np.floating) else np.float64
            array = array.astype(np.float64)
            if len(array) == 0:
                raise ValueError(f"observations[{i}] is empty; there is nothing to standardise.")
            if not np.all(np.isfinite(array)):
                raise ValueError(f"observations[{i}] holds NaN or infinity; drop those rows.")
            axes = (0, *(a + 1 for a in pooled_axes if a + 1 < array.ndim))
            deviation = array.std(axes, keepdims=True)[0]
            mean.append(jnp.asarray(array.mean(axes, keepdims=True)[0].astype(kind)))
            scale.append(jnp.asarray(np.where(deviation > 0, deviation, 1.0).astype(kind)))
        return cls(jax.tree.unflatten(tree, mean), jax.tree.unflatten(tree, scale), dtype)

    def __call__(self, x):
        """One observation, standardised."""

        def standardise(x, mean, scale):
            x = jnp.asarray(x, mean.dtype)
            return ((x - mean) / scale).astype(self.dtype)

        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return jax.tree.map(standardise, x, mean, scale)

    def inverse(self, z):
        """The observation whose standardised form is z, in the data's own precision."""
        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return jax.tree.map(lambda z, m, s: z.astype(m.dtype) * s + m, z, mean, scale)

    def log_det(self, x):
        """log |det dz/dx| at any x of the fitted shape: a scalar."""

        def one(x, scale):
            return -jnp.sum(jnp.broadcast_to(jnp.log(scale), jnp.shape(x)))

        return sum(jax.tree.leaves(jax.tree.map(one, x, self.scale)))
