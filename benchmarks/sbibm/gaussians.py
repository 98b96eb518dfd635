r"""The tasks of the benchmark with a closed-form likelihood: Gaussians, mixtures, two moons, SLCP.

Definitions after Lueckmann et al. (2021, AISTATS, arXiv:2101.04653), whose code settles what the
paper leaves open. Every parameter vector is called "theta"; an observation is one flat vector.
"""

import math

import jax
import jax.numpy as jnp
import numpyro.distributions as dist

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior

LOG_2PI = math.log(2.0 * math.pi)


def uniform_prior(dim, bound):
    """theta of shape (dim,), uniform in [-bound, bound]."""
    edge = jnp.full((dim,), float(bound))
    return Prior(theta=Parameter(dist.Uniform(-edge, edge)))


def normal_log_prob(x, loc, scale):
    """Sum over the entries of `x` of log N(x | loc, scale); `scale` is a Python float."""
    z = (x - loc) / scale
    return -jnp.sum(0.5 * z**2 + 0.5 * LOG_2PI + math.log(scale))


class GaussianLinear(AbstractTractableSimulator):
    r"""The mean of a Gaussian of known variance 0.1.

    .. math:: x | \theta \sim N(\theta, 0.1\, I)

    >>> import jax, jax.numpy as jnp
    >>> GaussianLinear().simulate(jax.random.key(0), {"theta": jnp.zeros(10)}).shape
    (10,)
    """

    def simulate(self, key, params):
        """x of shape (D,) for theta of shape (D,)."""
        theta = params["theta"]
        return theta + math.sqrt(0.1) * jax.random.normal(key, theta.shape, theta.dtype)

    def log_likelihood(self, params, observation):
        """log p(x | theta): a scalar."""
        return normal_log_prob(observation, params["theta"], math.sqrt(0.1))


class GaussianMixture(AbstractTractableSimulator):
    r"""The common mean of a broad and a narrow Gaussian; both coordinates share the component.

    .. math:: x | \theta \sim \tfrac12 N(\theta, I) + \tfrac12 N(\theta, 0.01\, I)

    >>> import jax, jax.numpy as jnp
    >>> GaussianMixture().simulate(jax.random.key(0), {"theta": jnp.zeros(2)}).shape
    (2,)
    """

    def simulate(self, key, params):
        """x of shape (2,) for theta of shape (2,)."""
        theta = params["theta"]
        component_key, noise_key = jax.random.split(key)
        scale = jnp.where(jax.random.bernoulli(component_key), 1.0, 0.1).astype(theta.dtype)
        return theta + scale * jax.random.normal(noise_key, theta.shape, theta.dtype)

    def log_likelihood(self, params, observation):
        """log p(x | theta): a scalar."""
        broad, narrow = (normal_log_prob(observation, params["theta"], s) for s in (1.0, 0.1))
        return jnp.logaddexp(broad, narrow) - math.log(2.0)


class TwoMoons(AbstractTractableSimulator):
    r"""A crescent whose place depends on theta up to a sign, so the posterior has two crescents.

    .. math::
        a \sim U(-\pi/2, \pi/2), \quad r \sim N(0.1, 0.01^2), \quad
        x = \begin{pmatrix} r\cos a + 0.25 \\ r\sin a \end{pmatrix} + \frac{1}{\sqrt 2}
            \begin{pmatrix} -|\theta_1 + \theta_2| \\ -\theta_1 + \theta_2 \end{pmatrix}

    Around the crescent's centre, at the distance :math:`\rho`, the density in the half plane ahead
    is :math:`N(\rho | 0.1, 0.01) / (\pi\rho)`. Behind it stand the draws with a negative radius,
    ten standard deviations off, so that the likelihood is tiny there but positive.

    >>> import jax, jax.numpy as jnp
    >>> TwoMoons().simulate(jax.random.key(0), {"theta": jnp.zeros(2)}).shape
    (2,)
    """

    def simulate(self, key, params):
        """x of shape (2,) for theta of shape (2,)."""
        theta = params["theta"]
        angle_key, radius_key = jax.random.split(key)
        angle = jax.random.uniform(
            angle_key, (), theta.dtype, minval=-math.pi / 2, maxval=math.pi / 2
        )
        radius = 0.1 + 0.01 * jax.random.normal(radius_key, (), theta.dtype)
        return self._centre(theta) + radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    def log_likelihood(self, params, observation):
        """log p(x | theta): a scalar."""
        offset = observation - self._centre(params["theta"])
        distance = jnp.sqrt(jnp.sum(offset**2))
        radius = jnp.where(offset[0] < 0, -distance, distance)
        return normal_log_prob(radius, 0.1, 0.01) - jnp.log(distance) - math.log(math.pi)

    def _centre(self, theta):
        along = 0.25 - jnp.abs(theta[0] + theta[1]) / math.sqrt(2.0)
        return jnp.stack([along, (theta[1] - theta[0]) / math.sqrt(2.0)])


class SLCP(AbstractTractableSimulator):
    r"""Simple likelihood, complex posterior: four draws of a Gaussian of two dimensions.

    .. math::
        m = (\theta_1, \theta_2), \quad s_1 = \theta_3^2, \quad s_2 = \theta_4^2, \quad
        \rho = \tanh\theta_5, \quad x_k \sim N\left(m, \begin{pmatrix}
        s_1^2 + \epsilon & \rho s_1 s_2 \\ \rho s_1 s_2 & s_2^2 + \epsilon \end{pmatrix}\right)

    with :math:`\epsilon = 10^{-6}`, which keeps the covariance regular at the origin.

    >>> import jax, jax.numpy as jnp
    >>> SLCP().simulate(jax.random.key(0), {"theta": jnp.ones(5)}).shape
    (8,)
    """

    def simulate(self, key, params):
        """x of shape (8,), the four draws one after another, for theta of shape (5,)."""
        theta = params["theta"]
        first, slope, second = self._cholesky(theta)
        z1, z2 = jax.random.normal(key, (2, 4), theta.dtype)
        return jnp.stack(
            [theta[0] + first * z1, theta[1] + slope * z1 + second * z2], axis=-1
        ).reshape(8)

    def log_likelihood(self, params, observation):
        """log p(x | theta): a scalar."""
        theta = params["theta"]
        first, slope, second = self._cholesky(theta)
        x1, x2 = observation.reshape(4, 2).T
        z1 = (x1 - theta[0]) / first
        z2 = (x2 - theta[1] - slope * z1) / second
        log_scale = jnp.log(first) + jnp.log(second)
        return -0.5 * jnp.sum(z1**2 + z2**2) - 4.0 * (log_scale + LOG_2PI)

    def _cholesky(self, theta):
        """The lower factor (l11, l21, l22); each square is a sum of positive terms."""
        epsilon = 1e-6
        v1, v2, rho = theta[2] ** 4, theta[3] ** 4, jnp.tanh(theta[4])
        first = jnp.sqrt(v1 + epsilon)
        slope = rho * theta[2] ** 2 * theta[3] ** 2 / first
        # 1 - rho^2 = sech^2 would cancel in float32 for a strong correlation.
        left = v2 * (v1 / jnp.cosh(theta[4]) ** 2 + epsilon) / (v1 + epsilon)
        return first, slope, jnp.sqrt(left + epsilon)


def two_moons():
    """theta in [-1, 1]^2, x in R^2."""
    return Model(uniform_prior(2, 1.0), TwoMoons())


def slcp():
    """theta in [-3, 3]^5, x in R^8."""
    return Model(uniform_prior(5, 3.0), SLCP())


def gaussian_linear():
    """theta and x in R^10, the prior N(0, 0.1 I)."""
    prior = Prior(theta=Parameter(dist.Normal(jnp.zeros(10), jnp.full((10,), math.sqrt(0.1)))))
    return Model(prior, GaussianLinear())


def gaussian_linear_uniform():
    """theta in [-1, 1]^10, x in R^10."""
    return Model(uniform_prior(10, 1.0), GaussianLinear())


def gaussian_mixture():
    """theta in [-10, 10]^2, x in R^2."""
    return Model(uniform_prior(2, 10.0), GaussianMixture())
