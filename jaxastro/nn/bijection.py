"""What a layer of a normalizing flow is."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..core.host_random import split, stack

Vector = Float[Array, " D"]
Vectors = Float[Array, "D N"]
Context = Float[Array, " C"]


class AbstractBijection(eqx.Module):
    r"""An invertible map of a vector, given a context: from data to noise, and back.

    .. math:: z = f(x; c), \quad \log|\det \partial z / \partial x|

    `forward` and `inverse` are unbatched. `context` is a vector of shape (C,), of size zero where
    a density depends on nothing.
    """

    @abc.abstractmethod
    def forward(self, x: Vector, context: Context):
        """Data to noise: (z, log |det dz/dx|)."""

    @abc.abstractmethod
    def inverse(self, z: Vector, context: Context):
        """Noise to data: (x, log |det dx/dz|)."""

    def forward_columns(self, x: Vectors, context):
        """`forward` of each column of x (D, N), each under its own context, (C, N).

        A layer that is slow under vmap has its own: with the batch as the last axis a CPU does
        what is done to each row of it in the width of its registers.
        """
        return jax.vmap(self.forward, 1, (1, 0))(x, context)


class Chain(AbstractBijection):
    """Bijections one after the other: the first acts on data, the last leaves noise."""

    layers: tuple

    def forward(self, x, context):
        total = jnp.zeros((), x.dtype)
        for layer in self.layers:
            x, log_det = layer.forward(x, context)
            total = total + log_det
        return x, total

    def inverse(self, z, context):
        total = jnp.zeros((), z.dtype)
        for layer in reversed(self.layers):
            z, log_det = layer.inverse(z, context)
            total = total + log_det
        return z, total

    def forward_columns(self, x, context):
        total = jnp.zeros(x.shape[1:], x.dtype)
        for layer in self.layers:
            x, log_det = layer.forward_columns(x, context)
            total = total + log_det
        return x, total


class Repeated(AbstractBijection):
    """Bijections of one form, one after the other, as a loop over their stacked arrays.

    What a `Chain` of them does; but it compiles one of them, not all, and compilation is most of
    the time that a first training takes.

    >>> import jax, jax.numpy as jnp
    >>> from jaxastro.nn import AffineCoupling
    >>> layers = Repeated(lambda key: AffineCoupling(2, 0, key=key), 3, key=jax.random.key(0))
    >>> x = jnp.array([1.0, 2.0], jnp.float32)
    >>> z, _ = layers.forward(x, jnp.zeros(0, jnp.float32))
    >>> bool(jnp.allclose(layers.inverse(z, jnp.zeros(0, jnp.float32))[0], x, atol=1e-5))
    True
    """

    layers: AbstractBijection

    def __init__(self, make, n, *, key):
        """`make(key)` gives one bijection; n of them, their arrays stacked along axis 0."""
        self.layers = stack_modules([make(k) for k in split(key, n)])

    def forward(self, x, context):
        return self._scan(lambda layer, x: layer.forward(x, context), x, reverse=False)

    def inverse(self, z, context):
        return self._scan(lambda layer, z: layer.inverse(z, context), z, reverse=True)

    def forward_columns(self, x, context):
        return self._scan(lambda layer, x: layer.forward_columns(x, context), x, reverse=False)

    def _scan(self, apply, x, reverse):
        arrays, static = eqx.partition(self.layers, eqx.is_array)

        def step(carry, arrays):
            x, total = carry
            x, log_det = apply(eqx.combine(arrays, static), x)
            return (x, total + log_det), None

        return jax.lax.scan(step, (x, jnp.zeros(x.shape[1:], x.dtype)), arrays, reverse=reverse)[0]


def stack_modules(modules):
    """Modules of one form as one, each array stacked along a new first axis."""
    arrays = [eqx.filter(module, eqx.is_array) for module in modules]
    return eqx.combine(stack(arrays), modules[0])
