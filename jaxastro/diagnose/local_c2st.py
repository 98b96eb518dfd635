"""The local classifier test: is the posterior right at this observation?"""

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core.host_random import generator
from .calibration import posterior_draws
from .perceptron import logits, train
from .verdict import Verdict, check_resolved, exceedance


@dataclass(frozen=True)
class LocalC2st(Verdict):
    """`params` are draws at the observation, name -> (n, ...), and `probability` (n,) that of a
    draw to be one of the estimator's, not a truth: where it is above 1/2 there is too much of q.
    """

    params: dict = field(repr=False)
    probability: np.ndarray = field(repr=False)


def local_c2st_test(
    key,
    estimator,
    simulations,
    observation,
    *,
    false_alarm=0.02,
    n_null=99,
    n_draws=2000,
    max_epochs=100,
):
    r"""Test of q(theta | x) = p(theta | x) at one x (Linhart et al. 2023).

    A classifier learns to tell pairs (theta, x) of simulations from pairs whose theta was drawn
    from the estimator, and is asked at the observation:

    .. math:: T = \langle (d(\theta, x_o) - 1/2)^2 \rangle_{\theta \sim q(\theta|x_o)}

    The same with labels exchanged at random within each x gives the null distribution: the
    false-alarm rate is exact. `n_null` classifiers are trained.

    Args:
        key: typed PRNG key.
        estimator: has `sample(key, observation, n)` and `describe(observations)`, the vectors that
            stand for them, as what `npe`, `fmpe` and `npse` return.
        simulations: pairs that it was NOT trained on, a thousand or more.
        observation: as simulated.
        n_draws: at the observation.
        max_epochs: of each classifier's training.
    """
    check_resolved(false_alarm, n_null, "n_null")
    draw_key, order_key, fit_key, at_key = jax.random.split(key, 4)
    rng = generator(order_key)
    _, drawn, _, _ = posterior_draws(draw_key, estimator, simulations, 1, densities=False)
    truth, drawn = np.asarray(simulations.u, float), np.asarray(drawn[:, 0], float)
    x = np.asarray(estimator.describe(simulations.observations), float)
    one = jax.tree.map(lambda a: np.asarray(a)[None], observation)
    at = np.asarray(estimator.describe(one), float)
    params, u = _draws_at(estimator, simulations.prior, at_key, observation, n_draws)
    n = len(truth)
    rows = np.concatenate([np.concatenate([a, x], 1) for a in (truth, drawn)])
    asked = np.concatenate([np.asarray(u, float), np.repeat(at, n_draws, axis=0)], 1)
    mean, scale = rows.mean(0), rows.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    rows, asked = (((a - mean) / scale).astype(np.float32) for a in (rows, asked))
    # Truth first, or draw first: in the first row as they are, below exchanged by chance.
    exchanged = np.concatenate([np.zeros((1, n), bool), rng.random((n_null, n)) < 0.5])
    labels = np.concatenate([exchanged, ~exchanged], axis=1).astype(np.float32)
    order = rng.permutation(2 * n)
    members = jnp.broadcast_to(jnp.asarray(rows[order]), (n_null + 1, *rows.shape))
    weights, _ = train(fit_key, members, jnp.asarray(labels[:, order]), max_epochs)
    probability = np.asarray(_probability(weights, jnp.asarray(asked)), float)
    values = np.mean((probability - 0.5) ** 2, axis=1)
    return LocalC2st(
        "local two-sample statistic",
        float(values[0]),
        values[1:],
        exceedance(values[0], values[1:]),
        false_alarm,
        passes="right here as far as a classifier sees",
        fails="NOT the posterior here",
        params=jax.tree.map(np.asarray, params),
        probability=probability[0],
    )


@eqx.filter_jit
def _draws_at(estimator, prior, key, observation, n):
    draws = estimator.sample(key, jax.tree.map(jnp.asarray, observation), n)
    return draws, jax.vmap(prior.to_unconstrained)(draws)


@jax.jit
def _probability(weights, x):
    return jax.nn.sigmoid(jax.vmap(logits, (0, None))(weights, x))
