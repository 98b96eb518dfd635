"""Distributions cut to an interval, for `Prior.truncate`."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from numpyro.distributions import constraints


class CutDistribution(dist.Distribution):
    r"""A scalar distribution restricted to `[low, high]` through its distribution function.

    .. math:: p(x) = f(x) / (F(b) - F(a)), \qquad x = F^{-1}(F(a) + U (F(b) - F(a)))

    It draws without rejection, so that a draw costs the same anywhere in the prior.
    """

    arg_constraints: ClassVar = {}
    reparametrized_params: ClassVar = []
    pytree_data_fields = ("base", "low", "high")

    def __init__(self, base, low, high, *, validate_args=None):
        self.base, self.low, self.high = base, low, high
        super().__init__((), (), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        return constraints.interval(self.low, self.high)

    def sample(self, key, sample_shape=()):
        below, above = self.base.cdf(self.low), self.base.cdf(self.high)
        uniform = jax.random.uniform(key, sample_shape, dtype=jnp.result_type(below))
        value = self.base.icdf(below + uniform * (above - below))
        # Rounding in the inverse may step over the edge by one unit in the last place.
        return jnp.clip(value, self.low, self.high)

    def log_prob(self, value):
        mass = self.base.cdf(self.high) - self.base.cdf(self.low)
        return self.base.log_prob(value) - jnp.log(mass)


def truncate(name, distribution, low, high):
    """`distribution` restricted to `[low, high]`; ValueError where that cannot be done."""
    if distribution.event_shape != ():
        raise ValueError(
            f"parameter {name!r} has event shape {distribution.event_shape}; only scalar "
            "distributions can be truncated. Write the truncation into its distribution."
        )
    if not low < high:
        raise ValueError(
            f"the bounds of {name!r} are ({low}, {high}); the lower must be below the upper."
        )
    support = distribution.support
    low = max(low, float(getattr(support, "lower_bound", -jnp.inf)))
    high = min(high, float(getattr(support, "upper_bound", jnp.inf)))
    if not low < high:
        raise ValueError(f"the bounds of {name!r} leave nothing of its support {support}.")
    if isinstance(distribution, dist.Uniform):
        return dist.Uniform(low, high)
    if isinstance(distribution, dist.Normal):
        # NumPyro's own keeps precision in the tails by reflecting to the lower one.
        return dist.TruncatedNormal(distribution.loc, distribution.scale, low=low, high=high)
    try:
        mass = float(distribution.cdf(jnp.asarray(high)) - distribution.cdf(jnp.asarray(low)))
        distribution.icdf(jnp.asarray(0.5))
    except (NotImplementedError, AttributeError, TypeError, ImportError) as error:
        raise ValueError(
            f"parameter {name!r}: {type(distribution).__name__} has no cdf and icdf in NumPyro, "
            "so it cannot be truncated without rejection. Use a Uniform, Normal, LogNormal or "
            "LogUniform prior, or one that is bounded by itself."
        ) from error
    if not mass > 0:
        raise ValueError(
            f"the bounds of {name!r}, ({low}, {high}), hold no prior mass at this precision."
        )
    return CutDistribution(distribution, jnp.asarray(low), jnp.asarray(high))
