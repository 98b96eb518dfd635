"""The log density of true parameters: how good an estimator is, and whether as good as it says."""

from dataclasses import dataclass, field

import jax
import numpy as np

from ..core.host_random import generator
from .calibration import posterior_draws
from .verdict import Verdict, check_resolved, exceedance


@dataclass(frozen=True)
class HeldOut(Verdict):
    """`statistic` is the mean of `log_prob` (N,), `error` its standard error over the pairs."""

    log_prob: np.ndarray = field(repr=False)
    error: float

    def __str__(self):
        return f"{super().__str__()} (± {self.error:.2g}, {self.null.mean():.4g} if it were right)"


def held_out_log_prob(
    key, estimator, simulations, n_draws=99, *, false_alarm=1e-3, n_resampled=9999
):
    r"""Mean of :math:`\log q(\theta^*|x)` over pairs that the estimator was not trained on.

    The larger the better, in the parameters' own units: it falls short of its greatest value by
    the mean Kullback-Leibler divergence from the posterior to q. If q is right, a truth is one
    more of its draws: the mean for truths replaced by draws is the null distribution, and a truth
    that is less (or more) probable than the estimator says has it rejected.

    Args:
        key: typed PRNG key.
        estimator: has `sample(key, observation, n)` and `log_prob(params, observation)`.
        simulations: pairs that it was NOT trained on.
        n_draws: from each posterior.
        n_resampled: values of the null distribution.
    """
    check_resolved(false_alarm, n_resampled / 2, "n_resampled / 2")
    draw_key, test_key = jax.random.split(key)
    _, _, own, of_draws = posterior_draws(draw_key, estimator, simulations, n_draws)
    values = np.concatenate([own[:, None], of_draws], axis=1).astype(float)
    if np.any(np.isnan(values)):
        raise ValueError(f"the estimator gave {int(np.isnan(values).sum())} log densities of NaN.")
    rng = generator(test_key)
    rows = np.arange(len(values))
    picks = (rng.integers(0, values.shape[1], len(values)) for _ in range(n_resampled))
    null = np.array([values[rows, pick].mean() for pick in picks])
    mean = float(own.mean())
    p_value = min(1.0, 2 * min(exceedance(mean, null), exceedance(-mean, -null)))
    return HeldOut(
        "mean log density of the truth",
        mean,
        null,
        p_value,
        false_alarm,
        passes="as good as it says",
        fails="NOT as good as it says" if mean < null.mean() else "BETTER than it says",
        log_prob=np.asarray(own),
        error=float(own.std(ddof=1) / np.sqrt(len(own))),
    )
