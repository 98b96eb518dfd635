"""Functions of arrays that have cells as their last axis: in blocks, and under vmap."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


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


def merged_by_vmap(function: Callable) -> Callable:
    """`function` of arrays with cells last, which makes of a batch by vmap more cells.

    Batches of cells-last arrays would have the batch first, and nothing would be vectorised.
    """
    merging = jax.custom_batching.custom_vmap(function)

    @merging.def_vmap
    def _(size, batched, *trees):
        def merge(a, is_batched):
            if not is_batched:
                a = jnp.broadcast_to(a[None], (size, *a.shape))
            a = jnp.moveaxis(a, 0, -2)
            return a.reshape(*a.shape[:-2], -1)

        def part(a):
            return jnp.moveaxis(a.reshape(*a.shape[:-1], size, -1), -2, 0)

        found = jax.tree.map(
            part, merged_by_vmap(function)(*jax.tree.map(merge, trees, tuple(batched)))
        )
        return found, jax.tree.map(lambda _: True, found)

    return merging
