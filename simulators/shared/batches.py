"""What a batch does on a CPU."""

import equinox as eqx
import jax


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
