"""Which leaves of a network an optimiser may change."""

import equinox as eqx
import jax


def trainable_leaves(network):
    """A tree of bools in the network's structure: True at floating arrays that are to be trained.

    A module whose class sets `trainable = False` (statistics of the data, a fitted regression) is
    constant with all that it holds.

    >>> import jax.numpy as jnp
    >>> trainable_leaves((jnp.ones(2), 3, jnp.arange(2)))
    (True, False, False)
    """

    def frozen(node):
        return isinstance(node, eqx.Module) and not getattr(type(node), "trainable", True)

    def mark(node):
        if frozen(node):
            return jax.tree.map(lambda _: False, node)
        return eqx.is_inexact_array(node)

    return jax.tree.map(mark, network, is_leaf=frozen)
