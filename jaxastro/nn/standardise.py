"""Numbers near one: observations and parameters shifted and scaled by their own statistics."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core.masked import Masked, is_masked


class Standardiser(eqx.Module):
    r""":math:`z = (x - \mu)/\sigma` for each element of a pytree of arrays; constant in training.

    The difference is taken in the data's own precision, then cast: a float32 network sees a small
    scatter on top of a large mean. A `Masked` set has one mean and scale a feature, from its valid
    entries, and zeros as padding afterwards.

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

        Negative axes count from the last: (-2, -1) gives an image one mean and scale a channel,
        whether it is (H, W) or (C, H, W). Axes that an array lacks are passed over.

        An element that never varies, but for rounding, gets scale 1. Raises ValueError for an
        empty batch, sets without a valid entry, or a non-finite valid value.
        """
        mean, scale = [], []
        leaves, tree = jax.tree.flatten(x, is_leaf=is_masked)
        for i, leaf in enumerate(leaves):
            name = f"observations[{i}]"
            array, valid, axes = _checked(name, leaf, pooled_axes)
            kind = array.dtype if np.issubdtype(array.dtype, np.floating) else np.float64
            array = array.astype(np.float64)
            middle = array.mean(axes, keepdims=True, where=valid)[0]
            deviation = array.std(axes, keepdims=True, where=valid)[0]
            # The deviation of equal numbers is a rounding error of their mean, not always zero.
            n = array.size // max(1, middle.size)
            rounding = max(np.finfo(kind).eps, n * np.finfo(np.float64).eps)
            varies = deviation > rounding * np.abs(middle)
            mean.append(jnp.asarray(middle.astype(kind)))
            scale.append(jnp.asarray(np.where(varies, deviation, 1.0).astype(kind)))
        return cls(jax.tree.unflatten(tree, mean), jax.tree.unflatten(tree, scale), dtype)

    def __call__(self, x):
        """One observation, standardised."""

        def standardise(x, mean, scale):
            x = jnp.asarray(x, mean.dtype)
            return ((x - mean) / scale).astype(self.dtype)

        return self._map(standardise, x)

    def inverse(self, z):
        """The observation whose standardised form is z, in the data's own precision."""
        return self._map(lambda z, m, s: z.astype(m.dtype) * s + m, z)

    def log_det(self, x):
        """log |det dz/dx| at any x of the fitted shape, its valid entries: a scalar."""

        def one(x, scale):
            if is_masked(x):
                log_scale = jnp.broadcast_to(jnp.log(scale), x.values.shape)
                return -jnp.sum(jnp.where(x.broadcast_mask, log_scale, jnp.zeros_like(log_scale)))
            return -jnp.sum(jnp.broadcast_to(jnp.log(scale), jnp.shape(x)))

        return sum(jax.tree.leaves(jax.tree.map(one, x, self.scale, is_leaf=is_masked)))

    def _map(self, function, x):
        def apply(x, mean, scale):
            if not is_masked(x):
                return function(x, mean, scale)
            valid = Masked(jnp.asarray(x.values), x.mask).zeroed()
            return Masked(function(valid.values, mean, scale), jnp.asarray(x.mask)).zeroed()

        mean, scale = jax.lax.stop_gradient((self.mean, self.scale))
        return jax.tree.map(apply, x, mean, scale, is_leaf=is_masked)


def _checked(name, leaf, pooled_axes):
    """Values of a batch on the host, which of them are valid, and the axes of the statistics."""
    array = np.asarray(leaf.values if is_masked(leaf) else leaf)
    if len(array) == 0:
        raise ValueError(f"{name} is empty; there is nothing to standardise.")
    if is_masked(leaf):
        valid = np.broadcast_to(np.asarray(leaf.broadcast_mask), array.shape)
        axes = tuple(range(leaf.mask.ndim))
        if not valid.any():
            raise ValueError(f"{name} holds no valid entry in any set; check its mask.")
    else:
        valid, rank = True, array.ndim - 1
        axes = (0, *(a % rank + 1 for a in pooled_axes if -rank <= a < rank))
    if not np.all(np.isfinite(array), where=valid):
        raise ValueError(f"{name} holds NaN or infinity; drop those rows.")
    return array, valid, axes
