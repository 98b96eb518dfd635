"""A classifier of pairs, for ratio estimation."""

import equinox as eqx
import jax
import jax.numpy as jnp


class RatioClassifier(eqx.Module):
    """Residual perceptron on a pair of vectors: a logit, zero before training.

    >>> import jax, jax.numpy as jnp
    >>> classifier = RatioClassifier(2, 3, key=jax.random.key(0))
    >>> classifier(jnp.zeros(2, jnp.float32), jnp.ones(3, jnp.float32)).shape
    ()
    """

    first: eqx.nn.Linear
    blocks: tuple
    norms: tuple
    last: eqx.nn.Linear

    def __init__(self, dim, context_size, *, hidden=100, depth=3, dtype=jnp.float32, key):
        first, last, *blocks = jax.random.split(key, 2 + depth)
        self.first = eqx.nn.Linear(dim + context_size, hidden, dtype=dtype, key=first)
        self.blocks = tuple(eqx.nn.Linear(hidden, hidden, dtype=dtype, key=k) for k in blocks)
        self.norms = tuple(eqx.nn.LayerNorm(hidden, dtype=dtype) for _ in blocks)
        linear = eqx.nn.Linear(hidden, "scalar", dtype=dtype, key=last)
        zeros = (jnp.zeros_like(linear.weight), jnp.zeros_like(linear.bias))
        self.last = eqx.tree_at(lambda m: (m.weight, m.bias), linear, zeros)

    def __call__(self, x, context):
        h = self.first(jnp.concatenate([x, context]))
        for norm, block in zip(self.norms, self.blocks, strict=True):
            h = h + block(jax.nn.silu(norm(h)))
        return self.last(jax.nn.silu(h))
