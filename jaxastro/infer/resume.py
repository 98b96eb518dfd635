"""Which run a checkpoint belongs to."""

import hashlib
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import checkpoint as checkpoints


def identify(key, target, run):
    """What must agree for a checkpoint to belong to this run, in pieces that can be named."""
    settings = run._asdict()
    # These change the pace, not the draws.
    del settings["workers"], settings["every"]
    return {
        "parameters": list(target.prior.names),
        "dim": target.dim,
        "prior": _digest(target.prior),
        "simulator": f"{type(target.simulator).__qualname__} {_digest(target.simulator)}",
        "observation": _digest((target.observation, target.latents)),
        "key": np.asarray(jax.random.key_data(key)).tolist(),
        "dtype": jnp.result_type(float).name,
        **settings,
    }


def _digest(tree):
    # NumPyro orders a distribution's fields by the hash seed of the process: its static ones in a
    # `Prior` too, and all of one that a simulator holds, whose leaves have mere numbers for names.
    # Those numbers are left out, and everything is sorted. Addresses of functions change too. The
    # structure is there for the static fields.
    structure = re.sub(r" at 0x[0-9a-f]+", "", str(jax.tree.structure(tree)))
    lines = re.findall(r"[^\s,()\[\]]+", structure)
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(tree, eqx.is_array_like)):
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        named = [k for k in path if not isinstance(k, jax.tree_util.FlattenedIndexKey)]
        content = hashlib.sha256(array.tobytes()).hexdigest()
        lines.append(f"{jax.tree_util.keystr(tuple(named))} {array.dtype} {array.shape} {content}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def resume_state(directory, identity):
    """The saved state of the same run; ValueError names what differs where it is another."""
    arrays, metadata = checkpoints.load(directory)
    differing = [name for name, value in identity.items() if metadata.get(name) != value]
    if differing:
        details = "; ".join(
            f"{name}: saved {_short(metadata.get(name))}, now {_short(identity[name])}"
            for name in differing
        )
        raise ValueError(
            f"the checkpoint in {str(directory)!r} belongs to another run ({details}). Use another "
            "directory, or resume=False to start afresh."
        )
    state = {"chains": {}, "records": {}}
    for name, value in arrays.items():
        parts = name.strip("[]'").split("']['")
        if len(parts) == 1:
            state[parts[0]] = np.array(value)
        else:
            state[parts[0]][parts[1]] = np.array(value)
    return state


def _short(value):
    text = str(value)
    return text if len(text) < 60 else text[:57] + "..."
