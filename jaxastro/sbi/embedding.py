"""The embedding network that a method was given, built and checked before anything is trained."""

import jax
import numpy as np

from ..core.masked import is_masked
from ..nn.embedding import Flatten


def build_embedding(embedding, key, one):
    """The network for observations like `one`: a given one, one made with `key`, or none at all."""
    if embedding is None:
        # Not by `as_vector`: before they are standardised, leaves may be booleans beside floats.
        return Flatten(sum(np.size(leaf) for leaf in jax.tree.leaves(one)))
    if hasattr(embedding, "out_size"):
        return embedding
    made = embedding(key=key)
    if not hasattr(made, "out_size"):
        raise ValueError(
            f"embedding: {type(made).__name__} has no out_size; give its output's size as that."
        )
    return made


def check_embedding(embedding, x_scale, one):
    """Raise ValueError where the network fails on one standardised observation."""
    name = type(embedding).__name__
    shapes = [
        f"Masked {leaf.values.shape}" if is_masked(leaf) else leaf.shape
        for leaf in jax.tree.leaves(one, is_leaf=is_masked)
    ]
    try:
        out = jax.eval_shape(embedding, jax.eval_shape(x_scale, one))
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"embedding={name} fails on observations of shapes {shapes}: {reason}"
        ) from error
    if out.shape != (embedding.out_size,):
        raise ValueError(
            f"embedding={name} returns the shape {out.shape} for one observation; make it "
            f"(out_size,) = ({embedding.out_size},)."
        )
