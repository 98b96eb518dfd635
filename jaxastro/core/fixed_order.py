"""NumPyro distributions as a pytree whose leaves have the same order in every process."""

from typing import Any

import equinox as eqx
import jax
import numpyro.distributions as dist


class FixedOrder(eqx.Module):
    """A pytree that holds distributions, its leaves sorted by the names of their fields.

    NumPyro lists the fields of a distribution as a set gives them, so by the hash seed of the
    process: `Normal` has the leaves loc, scale in one and scale, loc in the next. Stored arrays
    would come back swapped, and XLA's persistent cache would not find what was compiled before.

    >>> import jax, numpyro.distributions as dist
    >>> jax.tree.leaves(FixedOrder((dist.Normal(1.0, 2.0), dist.Normal(3.0, 4.0))))
    [1.0, 2.0, 3.0, 4.0]
    """

    leaves: tuple
    places: tuple[int, ...] = eqx.field(static=True)
    structure: Any = eqx.field(static=True)

    def __init__(self, tree):
        leaves, self.structure = jax.tree.flatten(tree)
        names = list(_names(tree, ""))
        self.places = tuple(sorted(range(len(leaves)), key=names.__getitem__))
        self.leaves = tuple(leaves[i] for i in self.places)

    def __hash__(self):
        # By identity, as NumPyro's own: `jax.jit(prior.log_prob)` asks for one, and arrays have
        # none.
        return id(self)

    @property
    def tree(self):
        """The pytree itself."""
        leaves = dict(zip(self.places, self.leaves, strict=True))
        return jax.tree.unflatten(self.structure, [leaves[i] for i in range(len(leaves))])


def _names(tree, prefix):
    """A name for every leaf, in the order in which JAX has them."""
    parts = jax.tree.leaves(tree, is_leaf=lambda part: isinstance(part, dist.Distribution))
    for i, part in enumerate(parts):
        name = f"{prefix}{i:06d}"
        if not isinstance(part, dist.Distribution):
            yield name
            continue
        fields = type(part).gather_pytree_data_fields()
        for field, child in zip(fields, part.tree_flatten()[0], strict=True):
            yield from _names(child, f"{name}.{field}.")
