r"""The tasks whose simulator is a differential equation: SIR and Lotka-Volterra.

Definitions after Lueckmann et al. (2021, AISTATS, arXiv:2101.04653). Both are solved by the
classical Runge-Kutta method with steps of one length: a batch then runs in lockstep, so a
simulation costs microseconds, and there is no solver that could give up. The tests hold the steps
to an adaptive solution at a tolerance of 1e-12.
"""

import math

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.scipy.special import gammaln, xlog1py, xlogy

from jaxastro.core import AbstractTractableSimulator, Model, Parameter, Prior

#: Times at which a solution is observed, the start included.
TIMES = 10


def solution(field, start, interval, steps):
    """The solution of y' = field(y) at `TIMES` times `interval` apart.

    `start` is a tuple of scalars and `field` maps such a tuple to another. Returns a tuple of
    arrays of shape (TIMES,), the first entries being the start. Scalars instead of one vector keep
    a batch contiguous in memory.

    >>> import jax.numpy as jnp
    >>> (y,) = solution(lambda y: (-y[0],), (jnp.asarray(1.0),), 0.1, 10)
    >>> round(float(y[-1]), 6)
    0.40657
    """
    step = interval / steps

    def ahead(state, slope, length):
        return tuple(y + length * k for y, k in zip(state, slope, strict=True))

    def advance(_, state):
        k1 = field(state)
        k2 = field(ahead(state, k1, step / 2))
        k3 = field(ahead(state, k2, step / 2))
        k4 = field(ahead(state, k3, step))
        mean = tuple(
            (a + 2.0 * b + 2.0 * c + d) / 6.0 for a, b, c, d in zip(k1, k2, k3, k4, strict=True)
        )
        return ahead(state, mean, step)

    def to_next_time(state, _):
        state = jax.lax.fori_loop(0, steps, advance, state)
        return state, state

    _, later = jax.lax.scan(to_next_time, start, length=TIMES - 1)
    return tuple(jnp.concatenate([a[None], b]) for a, b in zip(start, later, strict=True))


class SIR(AbstractTractableSimulator):
    r"""An epidemic among a million: susceptible, infected and recovered shares of the population.

    .. math:: \dot s = -\beta s i, \quad \dot i = \beta s i - \gamma i, \quad i(0) = 10^{-6}

    :math:`\theta = (\beta, \gamma)` in 1/day. On the days 0, 17, ..., 153 a thousand people are
    tested: :math:`x_k \sim \mathrm{Binomial}(1000, i(t_k))`, held as floats.

    >>> import jax, jax.numpy as jnp
    >>> x = SIR().simulate(jax.random.key(0), {"theta": jnp.array([0.6, 0.2])})
    >>> x.shape, float(x[0])
    ((10,), 0.0)
    """

    def infected(self, theta):
        """The share of infected people at the ten times."""
        beta, gamma = theta
        start = jnp.asarray(1e-6, theta.dtype)

        def field(state):
            infection = beta * state[0] * state[1]
            return -infection, infection - gamma * state[1]

        _, infected = solution(field, (1.0 - start, start), interval=17.0, steps=200)
        return jnp.clip(infected, 0.0, 1.0)

    def simulate(self, key, params):
        """x of shape (10,) for theta of shape (2,)."""
        share = self.infected(params["theta"])
        return jax.random.binomial(key, jnp.asarray(1000.0, share.dtype), share, dtype=share.dtype)

    def log_likelihood(self, params, observation):
        """log p(x | theta): a scalar."""
        share = self.infected(params["theta"])
        ways = gammaln(1001.0) - gammaln(observation + 1.0) - gammaln(1001.0 - observation)
        return jnp.sum(
            ways + xlogy(observation, share) + xlog1py(1000.0 - observation, -share)
        ).astype(share.dtype)


class LotkaVolterra(AbstractTractableSimulator):
    r"""Prey and predators, counted with an error of a tenth.

    .. math:: \dot u = \alpha u - \beta u v, \quad \dot v = -\gamma v + \delta u v,
              \quad u(0) = 30, \quad v(0) = 1

    :math:`\theta = (\alpha, \beta, \gamma, \delta)`. The observation holds u at ten times 2.1
    apart, then v: :math:`\log x_k \sim N(\log u(t_k), 0.1^2)`, the populations being clipped to
    [1e-10, 1e4] before.

    >>> import jax, jax.numpy as jnp
    >>> theta = jnp.array([0.7, 0.1, 0.9, 0.1])
    >>> LotkaVolterra().simulate(jax.random.key(0), {"theta": theta}).shape
    (20,)
    """

    def log_populations(self, theta):
        """Logarithms of u, then of v, at the ten times: shape (20,)."""
        alpha, beta, gamma, delta = theta

        def field(state):
            prey, predators = state
            return (alpha - beta * predators) * prey, (delta * prey - gamma) * predators

        start = (jnp.asarray(30.0, theta.dtype), jnp.asarray(1.0, theta.dtype))
        populations = jnp.concatenate(solution(field, start, interval=2.1, steps=800))
        return jnp.log(jnp.clip(populations, 1e-10, 1e4))

    def simulate(self, key, params):
        """x of shape (20,) for theta of shape (4,)."""
        centre = self.log_populations(params["theta"])
        return jnp.exp(centre + 0.1 * jax.random.normal(key, centre.shape, centre.dtype))

    def log_likelihood(self, params, observation):
        """log p(x | theta): a scalar."""
        log_x = jnp.log(observation)
        z = (log_x - self.log_populations(params["theta"])) / 0.1
        return jnp.sum(-0.5 * z**2 - log_x - 0.5 * math.log(2.0 * math.pi) - math.log(0.1))


def _log_normal_prior(loc, scale):
    return Prior(theta=Parameter(dist.LogNormal(jnp.asarray(loc), jnp.asarray(scale))))


def sir():
    """theta = (contact rate, recovery rate) > 0, x the ten counts."""
    return Model(_log_normal_prior([math.log(0.4), math.log(0.125)], [0.5, 0.2]), SIR())


def lotka_volterra():
    """theta in (0, inf)^4, x in (0, inf)^20."""
    return Model(_log_normal_prior([-0.125, -3.0, -0.125, -3.0], [0.5] * 4), LotkaVolterra())
