"""Sets of varying size, padded to one shape: particles, catalogues, irregular series."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


class Masked(eqx.Module):
    """Values of which some are padding: `mask` is True where an entry is valid.

    The mask's shape is that of the leading axes of the values: (P, F) values of P members with F
    features have a (P,) mask, a batch of N sets (N, P, F) has (N, P). What stands in the padding,
    NaN included, means nothing to anything in jaxastro that takes a `Masked`.

    Raises ValueError for a mask that is not boolean or does not fit, and for values that are not
    floating-point numbers.

    >>> import numpy as np
    >>> catalogue = Masked.pad(np.array([[1.0, 2.0], [3.0, 4.0]]), size=3)
    >>> catalogue.values.shape, catalogue.mask.tolist()
    ((3, 2), [True, True, False])
    """

    values: jax.Array | np.ndarray
    mask: jax.Array | np.ndarray

    def __init__(self, values, mask):
        values, mask = _array(values), _array(mask)
        if not jnp.issubdtype(values.dtype, jnp.inexact):
            raise ValueError(f"values have dtype {values.dtype}; make them floating-point numbers.")
        if mask.dtype != bool:
            raise ValueError(
                f"mask has dtype {mask.dtype}; make it boolean, True where an entry is valid."
            )
        if mask.ndim == 0 or values.shape[: mask.ndim] != mask.shape:
            raise ValueError(
                f"mask has shape {mask.shape} and values {values.shape}; give the mask the shape "
                "of the values' leading axes, without those of the features."
            )
        self.values, self.mask = values, mask

    @classmethod
    def pad(cls, values, size):
        """One set of n members (n, ...), on the host, with padding up to `size`; zeros fill it.

        Raises ValueError for more than `size` members.
        """
        values = np.asarray(values)
        if values.ndim == 0 or len(values) > size:
            raise ValueError(
                f"values have shape {values.shape}, size is {size}; give an array of at most "
                "`size` members along its first axis, or a larger size."
            )
        padding = np.zeros((size - len(values), *values.shape[1:]), values.dtype)
        return cls(np.concatenate([values, padding]), np.arange(size) < len(values))

    @classmethod
    def stack(cls, sets, size=None):
        """A batch of sets of different lengths: `size` is by default that of the largest."""
        sets = [np.asarray(one) for one in sets]
        size = max(len(one) for one in sets) if size is None else size
        padded = [cls.pad(one, size) for one in sets]
        return jax.tree.map(lambda *arrays: np.stack(arrays), *padded)

    @property
    def n_valid(self):
        """How many entries are valid."""
        return self.mask.sum()

    @property
    def broadcast_mask(self):
        """The mask with axes of size one for the features."""
        return self.mask.reshape(self.mask.shape + (1,) * (self.values.ndim - self.mask.ndim))

    def zeroed(self):
        """The same with zeros as padding; no NaN of the padding enters its gradient either."""
        library = np if isinstance(self.values, np.ndarray) else jnp
        zeros = library.zeros_like(self.values)
        return Masked(library.where(self.broadcast_mask, self.values, zeros), self.mask)


def is_masked(node):
    """Whether a node of a pytree is a `Masked`: an `is_leaf` of `jax.tree.map`."""
    return isinstance(node, Masked)


def zero_padding(tree):
    """A pytree with the padding of each `Masked` in it set to zero."""
    return jax.tree.map(lambda x: x.zeroed() if is_masked(x) else x, tree, is_leaf=is_masked)


def _array(x):
    return x if isinstance(x, jax.Array | np.ndarray) else np.asarray(x)
