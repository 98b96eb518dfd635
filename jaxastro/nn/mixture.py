"""Mixture density networks (Bishop 1994): Gaussians with parameters from a perceptron."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from .coupling import bounded_log_scale
from .flow import AbstractConditionalDensity, repeated
from .linear import LinearGaussian
from .perceptron import Perceptron


class MixtureDensity(AbstractConditionalDensity):
    r"""A mixture of Gaussians with full covariances, behind a fitted linear-Gaussian layer.

    .. math:: p(z | c) = \sum_k w_k N(z; m_k, (L_k^T L_k)^{-1})

    The factors L of the precisions are lower triangular. Their diagonals lie within
    :math:`e^{\pm 7}`, in units of the fitted layer's scatter, so that no component collapses onto a
    point.

    >>> import jax, jax.numpy as jnp
    >>> density = MixtureDensity(2, 3, key=jax.random.key(0))
    >>> c = jnp.zeros(3, jnp.float32)
    >>> density.log_prob(density.sample(jax.random.key(1), c), c).shape
    ()
    """

    start: LinearGaussian
    network: Perceptron
    dim: int = eqx.field(static=True)
    n_components: int = eqx.field(static=True)

    def __init__(
        self,
        dim,
        context_size,
        *,
        n_components=8,
        hidden=50,
        depth=2,
        dtype=jnp.float32,
        key,
    ):
        self.dim, self.n_components = dim, n_components
        self.start = LinearGaussian(dim, context_size, dtype=dtype)
        network_key, mean_key = jax.random.split(key)
        out = n_components * (1 + dim + dim * dim)
        network = Perceptron(
            context_size, out, hidden=hidden, depth=depth, dtype=dtype, key=network_key
        )
        # Components that begin at one place would stay together.
        means = jax.random.normal(mean_key, (n_components * dim,), dtype)
        self.network = eqx.tree_at(
            lambda m: m.biases[-1],
            network,
            network.biases[-1].at[n_components : n_components * (1 + dim)].set(means),
        )

    def log_prob(self, x, context):
        z, log_det = self.start.forward(x, context)
        log_weight, mean, factor, log_diagonal = self._components(context)
        noise = jnp.einsum("kij,kj->ki", factor, z[None] - mean)
        log_normal = -0.5 * jnp.sum(noise**2, axis=1) + jnp.sum(log_diagonal, axis=1)
        total = jax.nn.logsumexp(log_weight + log_normal)
        return total - 0.5 * self.dim * math.log(2 * math.pi) + log_det

    def sample(self, key, context):
        log_weight, mean, factor, _ = self._components(context)
        k_key, noise_key = jax.random.split(key)
        k = jax.random.categorical(k_key, log_weight)
        noise = jax.random.normal(noise_key, (self.dim,), mean.dtype)
        # All inverses, which a vmap over keys forms once; a solve would be one for each draw.
        eye = jnp.broadcast_to(jnp.eye(self.dim, dtype=mean.dtype), factor.shape)
        spread = jax.scipy.linalg.solve_triangular(factor, eye, lower=True)
        return self.start.inverse(mean[k] + spread[k] @ noise, context)[0]

    def started(self, x, context):
        return eqx.tree_at(lambda d: d.start, self, self.start.fitted(x, context))

    def shared_start(self, stacked, members):
        return eqx.tree_at(lambda d: d.start, stacked, repeated(self.start, members))

    def _components(self, context):
        """Log weights (K,), means (K, D), factors L (K, D, D) and their log diagonals (K, D)."""
        n, d = self.n_components, self.dim
        log_weight, mean, raw = jnp.split(self.network(context), [n, n * (1 + d)])
        raw = raw.reshape(n, d, d)
        log_diagonal = bounded_log_scale(jnp.diagonal(raw, axis1=1, axis2=2), 7.0)
        eye = jnp.eye(d, dtype=raw.dtype)
        factor = jnp.tril(raw, -1) + jnp.exp(log_diagonal)[:, :, None] * eye[None]
        return jax.nn.log_softmax(log_weight), mean.reshape(n, d), factor, log_diagonal
