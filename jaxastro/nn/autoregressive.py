"""Masked autoregressive layers: each coordinate transformed, given those before it and the context.

After Germain et al. (2015, MADE) and Papamakarios et al. (2017, MAF).
"""

import abc
import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .bijection import AbstractBijection, Chain
from .coupling import bounded_log_scale
from .flow import flow_behind_regression
from .linear import reversal_and_mixing
from .perceptron import Perceptron, smooth_ramp
from .spline import inverse_spline, n_spline_parameters, spline


class AbstractElementwise(eqx.Module):
    """A family of monotone maps of single numbers: what an autoregressive layer does to each."""

    @property
    @abc.abstractmethod
    def n_parameters(self):
        """How many unconstrained numbers pick one map; near zeros it is the identity."""

    @abc.abstractmethod
    def forward(self, x, raw):
        """x (D,) and raw (D, n_parameters) to (z, sum of log dz/dx)."""

    @abc.abstractmethod
    def inverse(self, z, raw):
        """z (D,) and raw (D, n_parameters) to (x, sum of log dx/dz)."""


class ElementwiseAffine(AbstractElementwise):
    r""":math:`z = (x - m) e^{-s}` with :math:`|s| < 3`."""

    @property
    def n_parameters(self):
        return 2

    def forward(self, x, raw):
        log_scale = bounded_log_scale(raw[:, 1])
        return (x - raw[:, 0]) * jnp.exp(-log_scale), -jnp.sum(log_scale)

    def inverse(self, z, raw):
        log_scale = bounded_log_scale(raw[:, 1])
        return z * jnp.exp(log_scale) + raw[:, 0], jnp.sum(log_scale)


class ElementwiseSpline(AbstractElementwise):
    """Rational-quadratic splines on [-bound, bound] (Durkan et al. 2019)."""

    n_bins: int = eqx.field(static=True, default=8)
    bound: float = eqx.field(static=True, default=5.0)

    @property
    def n_parameters(self):
        return n_spline_parameters(self.n_bins)

    def forward(self, x, raw):
        return spline(x, raw, self.bound)

    def inverse(self, z, raw):
        return inverse_spline(z, raw, self.bound)


class MaskedAutoregressive(AbstractBijection):
    r"""One perceptron, masked so that parameters of a coordinate come from those before it.

    .. math:: z_i = \tau(x_i; g_i(x_{<i}, c))

    One pass to evaluate, D passes to invert. The first coordinate's map depends on the context
    alone. The masks follow from the sizes and are no parameters.

    Args:
        elementwise: the family tau, by default `ElementwiseSpline()`.
        hidden: width; below D, not every coordinate sees all the coordinates before it.

    >>> import jax, jax.numpy as jnp
    >>> layer = MaskedAutoregressive(3, 1, elementwise=ElementwiseAffine(), key=jax.random.key(0))
    >>> x, c = jnp.array([0.1, -0.5, 2.0], jnp.float32), jnp.zeros(1, jnp.float32)
    >>> z, log_det = layer.forward(x, c)
    >>> bool(jnp.allclose(layer.inverse(z, c)[0], x, atol=1e-5))
    True
    """

    network: Perceptron
    elementwise: AbstractElementwise
    dim: int = eqx.field(static=True)
    context_size: int = eqx.field(static=True)

    def __init__(
        self,
        dim,
        context_size,
        *,
        elementwise=None,
        hidden=50,
        depth=2,
        dtype=jnp.float32,
        key,
    ):
        self.dim, self.context_size = dim, context_size
        self.elementwise = ElementwiseSpline() if elementwise is None else elementwise
        out = dim * self.elementwise.n_parameters
        self.network = Perceptron(
            dim + context_size, out, hidden=hidden, depth=depth, dtype=dtype, key=key
        )

    def forward(self, x, context):
        return self.elementwise.forward(x, self._parameters(x, context))

    def inverse(self, z, context):
        def solve(i, state):
            x, _ = state
            # Coordinates not solved yet are zero, so that nothing spurious can overflow.
            raw = self._parameters(x, context)
            one, _ = self.elementwise.inverse(_row(z, i), _row(raw, i))
            return jax.lax.dynamic_update_slice(x, one, (i,)), raw

        raw = jnp.zeros((self.dim, self.elementwise.n_parameters), z.dtype)
        # In the last pass all that the parameters depend on is in place.
        _, raw = jax.lax.fori_loop(0, self.dim, solve, (jnp.zeros_like(z), raw))
        return self.elementwise.inverse(z, raw)

    def _parameters(self, x, context):
        weights, biases = self.network.weights, self.network.biases
        n = self.elementwise.n_parameters
        h = jnp.concatenate([x, context])
        masks = _masks(self.dim, self.context_size, len(biases[0]), len(biases) - 1, n)
        for k, (weight, bias, mask) in enumerate(zip(weights, biases, masks, strict=True)):
            h = (h if k == 0 else smooth_ramp(h)) @ jnp.where(mask, weight, 0) + bias
        return h.reshape(self.dim, n)


@functools.cache
def _masks(dim, context_size, hidden, depth, n_parameters):
    """Which weight of each layer may be non-zero: a tuple of bool arrays (in, out).

    Coordinates have the degrees 1 to D, the context 0. A hidden unit of degree k sees units of
    degrees up to k, an output of degree k those below k.
    """
    lowest = 0 if context_size or dim == 1 else 1
    degrees = [np.concatenate([np.arange(1, dim + 1), np.zeros(context_size, int)])]
    degrees += [lowest + np.arange(hidden) % (dim - lowest)] * depth
    masks = [below[:, None] <= above[None] for below, above in itertools.pairwise(degrees)]
    last = np.repeat(np.arange(1, dim + 1), n_parameters)
    return (*masks, degrees[-1][:, None] < last[None])


def _row(array, i):
    return jax.lax.dynamic_index_in_dim(array, i, keepdims=True)


def masked_autoregressive_flow(
    dim,
    context_size,
    *,
    n_layers=5,
    hidden=50,
    depth=2,
    spline=True,
    n_bins=8,
    bound=5.0,
    dtype=jnp.float32,
    key,
):
    """Autoregressive flow (Papamakarios et al. 2017), with splines or affine maps.

    Masked autoregressive layers alternate with a reversal of the coordinates and an LU matrix,
    behind a fitted linear-Gaussian layer. Sampling costs D times an evaluation.

    >>> import jax, jax.numpy as jnp
    >>> flow = masked_autoregressive_flow(2, 1, n_layers=2, spline=False, key=jax.random.key(0))
    >>> flow.sample(jax.random.key(1), jnp.zeros(1, jnp.float32)).shape
    (2,)
    """
    elementwise = ElementwiseSpline(n_bins, bound) if spline else ElementwiseAffine()

    def layer(key):
        layer = MaskedAutoregressive(
            dim,
            context_size,
            elementwise=elementwise,
            hidden=hidden,
            depth=depth,
            dtype=dtype,
            key=key,
        )
        return Chain((layer, *reversal_and_mixing(dim, dtype)))

    return flow_behind_regression(dim, context_size, layer, n_layers, dtype, key)
