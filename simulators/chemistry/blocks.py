"""Functions of arrays that have cells as their last axis, under vmap."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


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


def along_together(push: Callable, primals: int) -> Callable:
    """`push` along one direction from one along P, which a vmap over directions alone makes use of.

    Args:
        push: of `primals` trees, and trees of directions with a leading axis P; it returns trees
            with that axis.
        primals: how many of its arguments directions share.
    """

    def along_one(*trees):
        here, along = trees[:primals], trees[primals:]
        along = jax.tree.map(lambda a: a[None], along)
        return jax.tree.map(lambda a: a[0], push(*here, *along))

    together = jax.custom_batching.custom_vmap(along_one)

    @together.def_vmap
    def _(size, batched, *trees):
        here, along = trees[:primals], trees[primals:]
        if any(jax.tree.leaves(tuple(batched[:primals]))):
            axes = jax.tree.map(lambda is_batched: 0 if is_batched else None, tuple(batched))
            found = jax.vmap(along_one, axes, axis_size=size)(*trees)
        else:

            def spread(a, is_batched):
                return a if is_batched else jnp.broadcast_to(a[None], (size, *a.shape))

            found = push(*here, *jax.tree.map(spread, along, tuple(batched[primals:])))
        return found, jax.tree.map(lambda _: True, found)

    return together
