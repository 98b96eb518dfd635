"""Numbers of publications as arrays: tables on a regular grid are read off without a search."""

import functools
from importlib import resources

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.elementwise import at_least, at_most


@functools.cache
def read(name: str) -> np.ndarray:
    """The numbers of a file of `tables`, without its comments, shape (lines, columns)."""
    path = resources.files("simulators.chemistry") / "tables" / name
    lines = path.read_text(encoding="utf-8").splitlines()
    return np.array([line.split() for line in lines if not line.startswith("#")], dtype=float)


def padded(table: np.ndarray) -> np.ndarray:
    """A table with one more node beyond each end of its first two axes, for `bicubic`."""
    ends = [(1, 1), (1, 1)] + [(0, 0)] * (table.ndim - 2)
    return np.pad(table, ends, mode="reflect", reflect_type="odd")


def column(numbers: np.ndarray, like: Array) -> Array:
    """Numbers (n,) in the dtype of `like` and with as many axes, to go with its cells.

    >>> column([1.0, 2.0], jnp.ones((1, 5))).shape
    (2, 1)
    """
    return jnp.asarray(np.array(numbers), like.dtype).reshape((-1,) + (1,) * (like.ndim - 1))


def bicubic(table: np.ndarray, x: Float[Array, "*B"], y: Float[Array, "*B"]) -> Array:
    """Interpolation by Catmull and Rom's splines: exact at the nodes, continuous in its slopes.

    Args:
        table: from `padded`, shape (n + 2, m + 2, ...).
        x, y: where, counted in nodes from 0 to n - 1 and m - 1; beyond counts as the nearest end.

    Returns:
        shape (*B, ...).

    >>> plane = padded(np.add.outer(10.0 * np.arange(3), np.arange(4)))
    >>> round(float(bicubic(plane, jnp.asarray(0.5), jnp.asarray(2.25))), 5)
    7.25
    """
    (i, p), (j, q) = (_weights(at, size - 2) for at, size in zip((x, y), table.shape, strict=False))
    table, four = jnp.asarray(table, x.dtype), np.arange(4, dtype=np.int32)
    i, j = (k[..., None, None] for k in (i, j))
    # Explicit axes throughout: strict rank promotion.
    rows = i + four.reshape((1,) * x.ndim + (4, 1))
    columns = j + four.reshape((1,) * x.ndim + (1, 4))
    weight = p[..., :, None] * q[..., None, :]
    weight = weight.reshape(weight.shape + (1,) * (table.ndim - 2))
    return jnp.sum(table[rows, columns] * weight, axis=(x.ndim, x.ndim + 1))


def _weights(x, size):
    """The first of the four nodes around x, counted in the padded table, and their weights."""
    # Just beyond the ends, so that derivatives there are those from inside.
    x = at_most(at_least(x, -1e-3), size - 1.0 + 1e-3)
    first = jnp.clip(jnp.floor(x), 0, size - 2)
    t = x - first
    square, cube = t * t, t * t * t
    weights = (
        square - 0.5 * (t + cube),
        1.0 - 2.5 * square + 1.5 * cube,
        0.5 * t + 2.0 * square - 1.5 * cube,
        0.5 * (cube - square),
    )
    return first.astype(jnp.int32), jnp.stack(weights, axis=-1)
