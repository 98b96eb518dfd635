r"""A Bernoulli generalised linear model of a spike train, as the benchmark's authors define it.

Lueckmann et al. (2021, AISTATS, arXiv:2101.04653), after Goncalves et al. (2020, eLife 9, e56261).
"""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior

BINS = 100
LAGS = 9


def design_matrix():
    """Ones, then the stimulus at lags 0 to 8: shape (100, 10), as `design_matrix.pt` stores it.

    The stimulus is white noise from NumPy's legacy generator, whose stream is frozen: drawing it
    again gives the stored numbers, and no file that may run code is read.

    >>> design_matrix().shape
    (100, 10)
    """
    stimulus = np.random.RandomState(42).randn(BINS).astype(np.float32)
    lagged = [np.concatenate([np.zeros(j, np.float32), stimulus[: BINS - j]]) for j in range(LAGS)]
    return np.stack([np.ones(BINS, np.float32), *lagged], axis=1)


def prior_precision():
    r"""Precision matrix of the prior, shape (10, 10).

    The offset has the variance 2. The filter is smooth: its second differences are penalised, and
    its late entries shrunk, by :math:`F^T F` with :math:`F = D^2 + \mathrm{diag}\sqrt{i / 9}` and
    D the first difference.
    """
    difference = np.eye(LAGS) - np.eye(LAGS, k=-1)
    smoothing = difference @ difference + np.diag(np.sqrt(np.arange(LAGS) / LAGS))
    precision = np.zeros((LAGS + 1, LAGS + 1))
    precision[0, 0] = 0.5
    precision[1:, 1:] = smoothing.T @ smoothing
    return precision


class BernoulliGLM(AbstractTractableSimulator):
    r"""Spikes of a neuron driven by white noise through a linear filter.

    .. math:: y_t \sim \mathrm{Bernoulli}(\sigma(X\theta)_t), \quad x = X^T y

    The observation x, of shape (10,), is sufficient: the number of spikes and the spike-triggered
    sums of the stimulus at nine lags.

    >>> import jax, jax.numpy as jnp
    >>> BernoulliGLM(design_matrix()).simulate(jax.random.key(0), {"theta": jnp.zeros(10)}).shape
    (10,)
    """

    design: Float[Array, "bins parameters"]

    def __init__(self, design):
        self.design = jnp.asarray(design)

    def simulate(self, key, params):
        """x of shape (10,) for theta of shape (10,)."""
        theta = params["theta"]
        design = self.design.astype(theta.dtype)
        chance = jax.nn.sigmoid(design @ theta)
        spikes = jax.random.uniform(key, chance.shape, theta.dtype) < chance
        return spikes.astype(theta.dtype) @ design

    def log_likelihood(self, params, observation):
        """log p(x | theta) up to the number of spike trains that share x, which no theta enters."""
        theta = params["theta"]
        drive = self.design.astype(theta.dtype) @ theta
        return observation @ theta - jnp.sum(jax.nn.softplus(drive))


def bernoulli_glm():
    """theta and x in R^10, a Gaussian prior that prefers smooth filters."""
    prior = dist.MultivariateNormal(jnp.zeros(LAGS + 1), precision_matrix=prior_precision())
    return Model(Prior(theta=Parameter(prior)), BernoulliGLM(design_matrix()))
