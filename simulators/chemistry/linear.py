"""Linear maps with a transpose of their own, in both modes of differentiation and under vmap."""

from collections.abc import Callable

import jax
import jax.numpy as jnp


def linear_map(push: Callable, pull: Callable, x, like=None):
    """`push(x)`, whose transpose is `pull`.

    For a loop of unknown length JAX makes no transpose, and `jax.custom_derivatives.linear_call`
    has no rule for vmap; so v = push(x) is given out as the solution of a linear system with u = x
    and v - push(u) = 0. What `push` closes over must be constant: JAX would take its derivative as
    zero.

    Args:
        push: linear, from the tree `x` to another.
        pull: its transpose.
        x: a tree of arrays.
        like: the tree of what `push` gives, found by tracing it when left out.

    >>> twice = lambda x: linear_map(lambda x: 2.0 * x, lambda v: 2.0 * v, x)
    >>> float(jax.grad(twice)(1.0)), float(jax.vmap(twice)(jnp.ones(3))[2])
    (2.0, 2.0)
    """
    shape = jax.eval_shape(push, x) if like is None else like
    # The rules of `custom_linear_solve` want all of a tree to have a tangent or nothing of it: this
    # zero, which XLA folds away, has one if any leaf has.
    parts = [jnp.sum(leaf) for leaf in jax.tree.leaves(x)]
    nothing = sum(jnp.where(False, part, jnp.zeros_like(part)) for part in parts)
    x = jax.tree.map(lambda leaf: leaf + nothing.astype(leaf.dtype), x)
    zero = jax.tree.map(lambda s: jnp.broadcast_to(nothing.astype(s.dtype), s.shape), shape)

    # JAX reads the first argument for the derivative with respect to what `push` closes over alone.
    def identity(uv):
        return uv

    def solve(_, b):
        return b[0], push(b[0])

    def transpose_solve(_, b):
        return pull(b[1]), b[1]

    return jax.lax.custom_linear_solve(identity, (x, zero), solve, transpose_solve)[1]
