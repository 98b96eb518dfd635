"""Posterior predictive checks: does the fitted model make data like these?"""

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .verdict import check_resolved

CHI_SQUARE = "chi square"


@dataclass(frozen=True)
class Predictive:
    """Two-sided tail probabilities of statistics, and the verdict over all of them.

    `observed` (K,) and `replicated` (n, K) are the elements of the observation, flat, and of data
    simulated from draws of the posterior.
    """

    p_values: dict
    false_alarm: float
    observed: np.ndarray = field(repr=False)
    replicated: np.ndarray = field(repr=False)

    @property
    def ok(self):
        """Whether no statistic is rejected."""
        # A posterior predictive p-value is at most twice as often below a level as a uniform one
        # (Meng 1994); and Bonferroni over the statistics.
        return min(self.p_values.values()) >= self.false_alarm / (2 * len(self.p_values))

    def __bool__(self):
        return self.ok

    def __str__(self):
        verdict = "the data are like replicas" if self.ok else "the data are NOT like replicas"
        values = ", ".join(f"{name} p={p:.3g}" for name, p in self.p_values.items())
        return f"{verdict} at a false-alarm rate of at most {self.false_alarm}: {values}"


def predictive_check(
    key, model, posterior, observation, n=2000, *, statistics=None, false_alarm=0.01
):
    """Compare an observation with data simulated from draws of its posterior.

    The data are used twice, to fit and to judge: p-values lie nearer to 1/2 than uniform ones. By
    Meng's (1994, Ann. Statist. 22, 1142) bound the false-alarm rate is at most the stated one, and
    mostly far below.

    Args:
        key: typed PRNG key.
        model: the `Model`, whose simulator makes the replicas.
        posterior: anything with `sample(key, n)`: a neural one, or draws of NUTS.
        observation: as simulated.
        n: number of replicas.
        statistics: name -> function of one observation to a scalar; by default the sum of squares
            of the elements' deviations from the replicas' mean, in their standard deviations.
    """
    check_resolved(false_alarm / 4 / max(1, len(statistics or ())), n, "n")
    draw_key, simulate_key = jax.random.split(key)
    draws = jax.tree.map(jnp.asarray, posterior.sample(draw_key, n))
    replicas = _simulate(model.simulator, jax.random.split(simulate_key, n), draws)
    shapes = [np.shape(a) for a in jax.tree.leaves(observation)]
    if shapes != [a.shape[1:] for a in jax.tree.leaves(replicas)]:
        raise ValueError(
            f"the observation has arrays of shapes {shapes}, the simulator makes "
            f"{[a.shape[1:] for a in jax.tree.leaves(replicas)]}; give one as simulated."
        )
    both = jax.tree.map(
        lambda a, b: np.concatenate([np.asarray(a)[None], b]), observation, replicas
    )
    flat = np.concatenate(
        [np.asarray(a, float).reshape(n + 1, -1) for a in jax.tree.leaves(both)], axis=1
    )
    good = np.all(np.isfinite(flat), axis=1)
    if not good[0]:
        raise ValueError(f"the observation holds {np.sum(~np.isfinite(flat[0]))} non-finite values")
    if good.sum() < (n + 1) / 2:
        raise ValueError(f"{int((~good).sum())} of {n} replicas hold NaN or infinity.")
    flat = flat[good]
    if statistics is None:
        scale = flat.std(0)
        values = {
            CHI_SQUARE: np.sum(((flat - flat.mean(0)) / np.where(scale > 0, scale, 1.0)) ** 2, 1)
        }
    else:
        both = jax.tree.map(lambda a: jnp.asarray(a[good]), both)
        values = {name: np.asarray(jax.vmap(f)(both), float) for name, f in statistics.items()}
    p_values = {name: _two_sided(v[0], v[1:]) for name, v in values.items()}
    return Predictive(p_values, false_alarm, flat[0], flat[1:])


def _two_sided(value, null):
    above, below = np.sum(null >= value), np.sum(null <= value)
    return float(min(1.0, 2 * (1 + min(above, below)) / (1 + len(null))))


@eqx.filter_jit
def _simulate(simulator, keys, draws):
    return jax.vmap(simulator.simulate)(keys, draws)
