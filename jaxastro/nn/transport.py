"""Densities by transport along an ordinary differential equation: flow and score matching."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp

from .denoiser import AbstractDenoiser, MLPDenoiser
from .flow import AbstractConditionalDensity, repeated
from .linear import LinearGaussian


class AbstractPath(eqx.Module):
    r"""A path :math:`z_t = \alpha(t) z + \sigma(t) \epsilon` from noise (t = 0) to data (t = 1).

    Denoisers are preconditioned so that zero output is exact for standard normal data: a network
    learns only what is not Gaussian.
    """

    @abc.abstractmethod
    def place(self, t, noise, data):
        """z_t."""

    @abc.abstractmethod
    def target(self, t, noise, data):
        """What the denoiser should return, in the mean."""

    @abc.abstractmethod
    def velocity(self, t, z, output):
        """dz/dt of the probability flow, from the denoiser's output."""


class StraightPath(AbstractPath):
    r""":math:`z_t = t z + (1 - t)\epsilon` (Lipman et al. 2023).

    With :math:`m = t^2 + (1-t)^2` the velocity is :math:`(2t - 1) z_t/m + g/\sqrt m`.
    """

    def place(self, t, noise, data):
        return t * data + (1 - t) * noise

    def target(self, t, noise, data):
        m = t * t + (1 - t) ** 2
        return jnp.sqrt(m) * (data - noise - (2 * t - 1) / m * self.place(t, noise, data))

    def velocity(self, t, z, output):
        m = t * t + (1 - t) ** 2
        return (2 * t - 1) / m * z + output / jnp.sqrt(m)


class TrigonometricPath(AbstractPath):
    r""":math:`z_t = \sin(\pi t/2) z + \cos(\pi t/2) \epsilon`, a variance-preserving diffusion.

    The denoiser gives :math:`g = E[\sigma z - \alpha \epsilon | z_t]`; then the velocity is
    :math:`\pi g/2` and the score :math:`-z_t + (\alpha/\sigma) g` (Salimans & Ho 2022).
    """

    def place(self, t, noise, data):
        alpha, sigma = _trigonometric(t)
        return alpha * data + sigma * noise

    def target(self, t, noise, data):
        alpha, sigma = _trigonometric(t)
        return sigma * data - alpha * noise

    def velocity(self, t, z, output):
        return 0.5 * math.pi * output

    def score(self, t, z, output):
        """Gradient of log p_t(z), for t < 1."""
        alpha, sigma = _trigonometric(t)
        return -z + alpha / sigma * output


def _trigonometric(t):
    return jnp.sin(0.5 * math.pi * t), jnp.cos(0.5 * math.pi * t)


class TransportDensity(AbstractConditionalDensity):
    r"""A standard normal carried along :math:`dz/dt = v(t, z, c)` from t = 0 to 1.

    .. math:: \log p(z_1) = \log N(z_0; 0, 1) - \int_0^1 \nabla\cdot v\, dt

    in the coordinates of a fitted linear-Gaussian layer. Runge-Kutta of fourth order in `n_steps`
    equal steps; the trace is exact (D products with the Jacobian).
    """

    start: LinearGaussian
    denoiser: AbstractDenoiser
    path: AbstractPath
    dim: int = eqx.field(static=True)
    n_steps: int = eqx.field(static=True)

    def regression_loss(self, key, t, x, context):
        """Squared error of the denoiser at one time, for random noise: a scalar."""
        z, _ = self.start.forward(x, context)
        noise = jax.random.normal(key, z.shape, z.dtype)
        output = self.denoiser(t, self.path.place(t, noise, z), context)
        return jnp.sum((output - self.path.target(t, noise, z)) ** 2)

    def velocity(self, t, z, context):
        """dz/dt in the linear-Gaussian layer's coordinates."""
        return self.path.velocity(t, z, self.denoiser(t, z, context))

    def score(self, t, z, context):
        """Gradient of log p_t(z | c), of the trigonometric path."""
        return self.path.score(t, z, self.denoiser(t, z, context))

    def sample(self, key, context):
        z = jax.random.normal(key, (self.dim,), self.start.offset.dtype)
        z = _runge_kutta(lambda t, z: self.velocity(t, z, context), z, self.n_steps, 1)
        return self.start.inverse(z, context)[0]

    def log_prob(self, x, context):
        z, log_det = self.start.forward(x, context)

        def slope(t, state):
            z, _ = state
            eye = jnp.eye(self.dim, dtype=z.dtype)
            value, push = jax.linearize(lambda z: self.velocity(t, z, context), z)
            return value, jnp.trace(jax.vmap(push)(eye))

        z, divergence = _runge_kutta(slope, (z, jnp.zeros((), z.dtype)), self.n_steps, -1)
        normal = -0.5 * jnp.sum(z * z) - 0.5 * self.dim * math.log(2 * math.pi)
        # Integrated from 1 to 0, the divergence comes with its sign turned.
        return normal + divergence + log_det

    def started(self, x, context):
        """This density with its linear layer fitted to (N, D) and (N, C)."""
        return eqx.tree_at(lambda d: d.start, self, self.start.fitted(x, context))

    def shared_start(self, stacked, members):
        """`stacked` members with this one's linear layer."""
        return eqx.tree_at(lambda d: d.start, stacked, repeated(self.start, members))


def _runge_kutta(slope, state, n_steps, direction):
    leaf = jax.tree.leaves(state)[0]
    h = jnp.asarray(direction / n_steps, leaf.dtype)
    begin = jnp.asarray(0.0 if direction > 0 else 1.0, leaf.dtype)

    def shifted(state, change, factor):
        return jax.tree.map(lambda a, b: a + factor * b, state, change)

    def step(i, state):
        t = begin + i.astype(leaf.dtype) * h
        k1 = slope(t, state)
        k2 = slope(t + 0.5 * h, shifted(state, k1, 0.5 * h))
        k3 = slope(t + 0.5 * h, shifted(state, k2, 0.5 * h))
        k4 = slope(t + h, shifted(state, k3, h))
        return jax.tree.map(
            lambda s, a, b, c, d: s + h / 6 * (a + 2 * b + 2 * c + d), state, k1, k2, k3, k4
        )

    return jax.lax.fori_loop(0, n_steps, step, state)


def flow_matching_density(
    dim, context_size, *, hidden=128, depth=3, n_steps=12, dtype=jnp.float32, key
):
    """A transport density along the straight path, for `fmpe`."""
    start = LinearGaussian(dim, context_size, dtype=dtype)
    denoiser = MLPDenoiser(dim, context_size, hidden=hidden, depth=depth, dtype=dtype, key=key)
    return TransportDensity(start, denoiser, StraightPath(), dim, n_steps)


def score_density(dim, context_size, *, hidden=128, depth=3, n_steps=12, dtype=jnp.float32, key):
    """A transport density along the variance-preserving path, for `npse`."""
    start = LinearGaussian(dim, context_size, dtype=dtype)
    denoiser = MLPDenoiser(dim, context_size, hidden=hidden, depth=depth, dtype=dtype, key=key)
    return TransportDensity(start, denoiser, TrigonometricPath(), dim, n_steps)
