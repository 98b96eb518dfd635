"""Batches in parts that fit the cache of a core, or memory."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp


def one_by_one(function, *trees):
    """function(*trees), which `jax.vmap` runs on a CPU for one example after the other.

    For what fills the cache with one example: together they would pass through the memory at each
    operation. On other devices, and wherever derivatives are taken, `vmap` does as ever.

    >>> import jax.numpy as jnp
    >>> jax.vmap(lambda x: one_by_one(lambda x: 2.0 * x, x))(jnp.arange(3.0)).tolist()
    [0.0, 2.0, 4.0]
    """
    arrays, static = eqx.partition(trees, eqx.is_array)

    def plain(arrays):
        return function(*eqx.combine(arrays, static))

    @jax.custom_jvp
    def call(arrays):
        in_turn = jax.custom_batching.sequential_vmap(plain)
        return jax.lax.platform_dependent(arrays, cpu=in_turn, default=plain)

    @call.defjvp
    def _(primals, tangents):
        return jax.jvp(plain, primals, tangents)

    return call(arrays)


def in_blocks(function: Callable, block: int) -> Callable:
    """`function` of trees of arrays with cells last, of at most `block` cells at a time.

    Blocks of equal size are taken one after another; the last cell is repeated to fill the last.
    What `function` returns must have the cells last as well.
    """

    def call(*trees):
        cells = jax.tree.leaves(trees)[0].shape[-1]
        count = -(-cells // block)
        if count <= 1:
            return function(*trees)
        size = -(-cells // count)

        def cut(a):
            missing = count * size - cells
            a = jnp.concatenate([a, jnp.repeat(a[..., -1:], missing, axis=-1)], axis=-1)
            return jnp.moveaxis(a.reshape(*a.shape[:-1], count, size), -2, 0)

        def join(a):
            a = jnp.moveaxis(a, 0, -2)
            return a.reshape(*a.shape[:-2], -1)[..., :cells]

        found = jax.lax.map(lambda trees: function(*trees), jax.tree.map(cut, trees))
        return jax.tree.map(join, found)

    return call
