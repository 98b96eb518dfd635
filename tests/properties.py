"""What the table-driven tests of potentials, lenses and light ask of every row alike."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

#: For `jax.jit(compiler_options=...)` of large programs for small arrays: compiled quickly.
QUICK = {"xla_disable_hlo_passes": "fusion", "xla_backend_optimization_level": 0}


def steps_of(modules, at_zero=1.0):
    """A step of every parameter of the order of its value, of `at_zero` where that is zero."""
    rng = np.random.default_rng(3)
    return jax.tree.map(
        lambda p: (
            jnp.asarray(rng.uniform(0.5, 1.0, p.shape), p.dtype) * jnp.where(p == 0.0, at_zero, p)
        ),
        modules,
    )


def along(gradient, steps):
    """The derivative along `steps`, and the sum of the sizes of its terms."""
    terms = jax.tree.leaves(jax.tree.map(lambda g, d: np.sum(g * d), gradient, steps))
    return sum(terms), sum(map(abs, terms)) + 1e-30


def assert_compiles_nothing(compilations, function, old, new):
    """A call with the arguments `new` compiles nothing after one with `old`."""
    jax.block_until_ready(function(*old))
    with compilations() as made:
        jax.block_until_ready(function(*new))
    assert made.count == 0


def assert_pytree(module):
    """Leaves are strongly typed arrays, and flattening loses nothing."""
    leaves, treedef = jax.tree.flatten(module)
    assert leaves and all(isinstance(leaf, jax.Array) for leaf in leaves)
    assert not any(leaf.weak_type for leaf in leaves)
    assert eqx.tree_equal(jax.tree.unflatten(treedef, leaves), module)
