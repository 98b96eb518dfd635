"""Coupling layers: half of a vector is transformed, given the other half and the context."""

import equinox as eqx
import jax
import jax.numpy as jnp

from .bijection import AbstractBijection
from .perceptron import Perceptron
from .spline import inverse_spline, n_spline_parameters, spline


class SplineCoupling(AbstractBijection):
    r"""Rational-quadratic splines with parameters from a perceptron (Durkan et al. 2019).

    .. math:: z_a = x_a, \quad z_b = \mathrm{spline}(x_b; g(x_a, c))

    with the first D//2 coordinates in a. As costly to invert as to evaluate.

    >>> import jax, jax.numpy as jnp
    >>> layer = SplineCoupling(3, 1, key=jax.random.key(0))
    >>> x, c = jnp.array([0.1, -0.5, 2.0], jnp.float32), jnp.zeros(1, jnp.float32)
    >>> z, log_det = layer.forward(x, c)
    >>> bool(jnp.allclose(layer.inverse(z, c)[0], x, atol=1e-5))
    True
    """

    network: Perceptron
    dim: int = eqx.field(static=True)
    n_bins: int = eqx.field(static=True)
    bound: float = eqx.field(static=True)

    def __init__(
        self,
        dim,
        context_size,
        *,
        hidden=50,
        depth=2,
        n_bins=8,
        bound=5.0,
        dtype=jnp.float32,
        key,
    ):
        self.dim, self.n_bins, self.bound = dim, n_bins, bound
        kept = dim // 2
        out = (dim - kept) * n_spline_parameters(n_bins)
        self.network = Perceptron(
            kept + context_size, out, hidden=hidden, depth=depth, dtype=dtype, key=key
        )

    def forward(self, x, context):
        return self._apply(spline, x, context)

    def inverse(self, z, context):
        return self._apply(inverse_spline, z, context)

    forward_columns = forward

    def _apply(self, function, x, context):
        kept = self.dim // 2
        network = self.network if x.ndim == 1 else self.network.columns
        raw = network(x[:kept], context)
        raw = raw.reshape(self.dim - kept, n_spline_parameters(self.n_bins), *x.shape[1:])
        y, log_det = _remade(function)(x[kept:], raw, self.bound)
        return jnp.concatenate([x[:kept], y]), log_det


def _remade(function):
    """A spline that keeps nothing for the reverse pass but its arguments.

    In a loop over layers each number kept is an array written to memory and a program to compile.
    """
    return jax.checkpoint(function, prevent_cse=False, static_argnums=(2,))


class AffineCoupling(AbstractBijection):
    r"""RealNVP's layer (Dinh et al. 2017): :math:`z_b = (x_b - m) e^{-s}`.

    m and s come from a perceptron of the other half and the context.
    The log-scale is bounded, :math:`|s| < 3`, so that no data point can blow up a step.
    """

    network: Perceptron
    dim: int = eqx.field(static=True)

    def __init__(self, dim, context_size, *, hidden=50, depth=2, dtype=jnp.float32, key):
        self.dim = dim
        kept = dim // 2
        size = 2 * (dim - kept)
        self.network = Perceptron(
            kept + context_size, size, hidden=hidden, depth=depth, dtype=dtype, key=key
        )

    def forward(self, x, context):
        mean, log_scale = self._parameters(x, context)
        kept = self.dim // 2
        z = (x[kept:] - mean) * jnp.exp(-log_scale)
        return jnp.concatenate([x[:kept], z]), -jnp.sum(log_scale)

    def inverse(self, z, context):
        mean, log_scale = self._parameters(z, context)
        kept = self.dim // 2
        x = z[kept:] * jnp.exp(log_scale) + mean
        return jnp.concatenate([z[:kept], x]), jnp.sum(log_scale)

    def _parameters(self, x, context):
        raw = self.network(x[: self.dim // 2], context)
        mean, log_scale = jnp.split(raw, 2)
        return mean, bounded_log_scale(log_scale)


def bounded_log_scale(raw, largest=3.0):
    """A log-scale within (-largest, largest), its own value near zero."""
    return largest * jnp.tanh(raw / largest)
