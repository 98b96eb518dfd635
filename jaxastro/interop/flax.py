"""Networks written in Flax, linen or nnx, as parts of an Equinox estimator."""

import dataclasses
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp


class Constants(eqx.Module):
    """Arrays that an optimiser leaves alone."""

    trainable: ClassVar[bool] = False

    value: Any


class LinenNetwork(eqx.Module):
    """A `flax.linen` module with its variables: "params" are trained, others stay constant."""

    params: Any
    constants: Constants
    module: Any = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)
    pooled_axes: tuple = eqx.field(static=True)

    def __call__(self, *inputs):
        return self.module.apply({"params": self.params, **self.constants.value}, *inputs)


class NNXNetwork(eqx.Module):
    """A `flax.nnx` module as its graph and states: `nnx.Param` is trained, others stay constant."""

    params: Any
    constants: Constants
    graph: Any = eqx.field(static=True)
    out_size: int | None = eqx.field(static=True)
    pooled_axes: tuple = eqx.field(static=True)

    def __call__(self, *inputs):
        return self.to_nnx()(*inputs)

    def to_nnx(self):
        """The nnx module with these (trained) parameters."""
        from flax import nnx

        return nnx.merge(self.graph, self.params, self.constants.value)


def from_flax(module, *inputs, key=None, variables=None, pooled_axes=()):
    """A Flax module as an Equinox one: an embedding, a classifier, a denoiser, a conditioner.

    It is trained by `jaxastro.train.fit` and saved with the estimator that holds it, as arrays;
    its structure is code, and comes from the same call in the frame that loads them.

    Args:
        module: a `flax.linen.Module`, or a built `flax.nnx.Module`. It is called as it is, with
            unbatched inputs and no random numbers.
        *inputs: example inputs, unbatched and in the dtype of training (float32 by default), or
            their `jax.ShapeDtypeStruct`: an observation for an embedding, `(u, context)` for a
            classifier, `(t, x, context)` for a denoiser.
        key: typed PRNG key that initialises a linen module.
        variables: those of a linen module that is initialised already, instead of a key.
        pooled_axes: as an embedding, the axes of an observation over which its elements share one
            mean and scale; (-3, -2) for the pixels of an (H, W, C) image.

    Returns a `LinenNetwork` or `NNXNetwork`, whose `out_size` is that of the output where this is
    one vector. Raises ValueError for something else than a Flax module, a linen module without
    key and variables, and for a module with batch statistics or random numbers.

    >>> import equinox as eqx, jax, jax.numpy as jnp, flax.linen as nn
    >>> network = from_flax(nn.Dense(4), jnp.zeros(3, jnp.float32), key=jax.random.key(0))
    >>> network.out_size, eqx.filter_jit(network)(jnp.ones(3, jnp.float32)).shape
    (4, (4,))
    """
    import flax.linen
    from flax import nnx

    inputs = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), inputs)
    pooled_axes = tuple(pooled_axes)
    if isinstance(module, nnx.Module):
        graph, params, rest = nnx.split(module, nnx.Param, ...)
        kinds = {type(leaf) for _, leaf in nnx.iter_graph(module) if isinstance(leaf, nnx.Variable)}
        _refuse(module, [k.__name__ for k in kinds if issubclass(k, nnx.BatchStat | nnx.RngState)])
        made = NNXNetwork(params, Constants(rest), graph, None, pooled_axes)
    elif isinstance(module, flax.linen.Module):
        variables = _linen_variables(module, inputs, key, variables)
        params = variables.pop("params", {})
        _refuse(module, [name for name in variables if name == "batch_stats"])
        made = LinenNetwork(params, Constants(variables), module, None, pooled_axes)
    else:
        raise ValueError(
            f"module is a {type(module).__name__}; give an instance of flax.linen.Module or "
            "flax.nnx.Module."
        )
    shape = getattr(jax.eval_shape(made, *inputs), "shape", ())
    return dataclasses.replace(made, out_size=shape[0]) if len(shape) == 1 else made


def _linen_variables(module, inputs, key, variables):
    if (key is None) == (variables is None):
        raise ValueError(
            f"key and variables are {'both' if key is not None else 'neither'} given; give "
            f"{type(module).__name__} one: a key to initialise it, or its variables."
        )
    if variables is None:
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), inputs)
        variables = module.init(key, *zeros)
    return dict(variables)


def _refuse(module, kinds):
    if kinds:
        raise ValueError(
            f"{type(module).__name__} holds {', '.join(sorted(kinds))}; an estimator keeps neither "
            "running statistics nor random states: use layer or group norm, and leave dropout out."
        )
