"""Simulation-based calibration: are the posteriors as wide as they ought to be?

Three kinds of ranks of a true value among draws of its posterior, all uniform where the posterior
is right: by each parameter, by the density (expected coverage of the regions of highest density),
and by the distance from a reference point (TARP).
"""

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core.host_random import generator

DENSITY, DISTANCE = "highest density", "reference distance"
_BATCH = 50


@dataclass(frozen=True)
class SbcResult:
    """Uniformity of ranks: p-value of each, and the verdict at a family-wise false alarm.

    `ranks[name]` are integers in 0..n_draws, (N,). `band[name]` is the critical value of the
    statistic of `sbc_test`: the ranks' distribution function leaves F ± band sqrt(F (1 - F))
    where, and only where, `name` is rejected.
    """

    p_values: dict
    false_alarm: float
    ranks: dict = field(repr=False)
    n_draws: int
    band: dict = field(repr=False)

    @property
    def ok(self):
        """Whether none is rejected (Bonferroni over the ranks)."""
        return min(self.p_values.values()) >= self.false_alarm / len(self.p_values)

    def __bool__(self):
        return self.ok

    def __str__(self):
        verdict = "calibrated" if self.ok else "NOT calibrated"
        values = ", ".join(f"{name} p={p:.3g}" for name, p in self.p_values.items())
        return f"{verdict} at a false-alarm rate of {self.false_alarm}: {values}"


def calibration(
    key, estimator, simulations, n_draws=99, *, densities=True, false_alarm=1e-3, references=None
):
    """Ranks of all kinds for an amortised estimator, and the test of their uniformity.

    A posterior that ignores the data, as wide as the prior, passes by parameters and density; it
    is seen by the distance from a reference that depends on the data (Lemos et al. 2023).

    Args:
        key: typed PRNG key.
        estimator: has `sample(key, observation, n)` and `log_prob(params, observation)`, for one
            observation, as what `npe`, `fmpe` and `npse` return.
        simulations: pairs that it was NOT trained on (`jaxastro.sbi.simulate`), some hundreds.
        n_draws: from each posterior.
        densities: False leaves out the ranks by density, which take n_draws densities a pair:
            dear where each is an integral.
        false_alarm: probability that any of the ranks of a right posterior is rejected.
        references: (N, D) points for `tarp_ranks`, in the prior's unconstrained space; by default
            linear predictions from the data.

    Returns:
        `SbcResult`; `jaxastro.plot.ranks` and `jaxastro.plot.coverage` draw it.
    """
    draw_key, reference_key = jax.random.split(key)
    params, observations = simulations.params, simulations.observations
    draws, u, own, of_draws = posterior_draws(draw_key, estimator, simulations, n_draws, densities)
    ranks = sbc_ranks(params, draws)
    if densities:
        ranks[DENSITY] = density_ranks(own, of_draws)
    if references is None:
        references = linear_predictions(reference_key, simulations.u, observations)
    ranks[DISTANCE] = tarp_ranks(simulations.u, u, references)
    return sbc_test(ranks, n_draws, false_alarm)


def posterior_draws(key, estimator, simulations, n_draws, densities=True):
    """n draws for each simulation, in both spaces, and log densities of truth and draws.

    Returns name -> (N, n, ...), (N, n, D), (N,) and (N, n); the last two are None without
    `densities`.
    """
    keys = jax.random.split(key, len(simulations))
    arguments = keys, *jax.tree.map(jnp.asarray, (simulations.params, simulations.observations))
    found = _posterior_draws(estimator, simulations.prior, *arguments, n_draws, densities)
    return jax.tree.map(np.asarray, found)


@eqx.filter_jit
def _posterior_draws(estimator, prior, keys, params, observations, n_draws, densities):
    def one(pair):
        key, truth, observation = pair
        draws = estimator.sample(key, observation, n_draws)
        u = jax.vmap(prior.to_unconstrained)(draws)
        if not densities:
            return draws, u, None, None
        own = estimator.log_prob(truth, observation)
        return draws, u, own, jax.vmap(lambda p: estimator.log_prob(p, observation))(draws)

    return jax.lax.map(one, (keys, params, observations), batch_size=min(_BATCH, len(keys)))


def sbc_ranks(truths, draws):
    """Rank of each true value among its posterior's draws (Talts et al. 2018).

    `truths[name]` has shape (N, ...) and `draws[name]` (N, L, ...), draws thinned to be nearly
    independent. Returns integers in 0..L of shape (N,), uniform where the posterior is right, for
    each name, or `name[i]` for each component of a vector.

    >>> import numpy as np
    >>> sbc_ranks({"x": np.array([0.5])}, {"x": np.array([[0.0, 0.4, 0.9]])})["x"].tolist()
    [2]
    """
    if set(truths) != set(draws):
        raise ValueError(f"truths have {sorted(truths)}, draws {sorted(draws)}; give the same.")
    ranks = {}
    for name in truths:
        truth, values = np.asarray(truths[name]), np.asarray(draws[name])
        if values.ndim != truth.ndim + 1 or values.shape[:1] + values.shape[2:] != truth.shape:
            raise ValueError(
                f"draws[{name!r}] has shape {values.shape}, truths[{name!r}] {truth.shape}; give "
                "(N, L, ...) and (N, ...)."
            )
        below = np.sum(values < truth[:, None], axis=1)
        for index in np.ndindex(truth.shape[1:]):
            label = f"{name}[{','.join(map(str, index))}]" if index else name
            ranks[label] = below[(slice(None), *index)]
    return ranks


def density_ranks(of_truth, of_draws):
    """How many draws are less dense than the truth: 0 where it lies outside of them all.

    Uniform where the regions of highest density hold as often as they say (Hermans et al. 2022).

    Args:
        of_truth: log density of the true parameters, (N,).
        of_draws: log density of the draws, (N, L).
    """
    return np.sum(np.asarray(of_draws) < np.asarray(of_truth)[:, None], axis=1)


def tarp_ranks(truths, draws, references):
    """How many draws lie further from a reference point than the truth (TARP; Lemos et al. 2023).

    Uniform where the posterior is right, for every choice of references that does not know the
    truth but through the data. With references that depend on the data it is uniform only there.

    Args:
        truths, draws, references: (N, D), (N, L, D) and (N, D). Distances are Euclidean, in units
            of the truths' standard deviations.
    """
    truths, draws, references = (np.asarray(a, float) for a in (truths, draws, references))
    if truths.shape != references.shape or draws.shape[::2] != truths.shape:
        raise ValueError(
            f"truths, draws and references have shapes {truths.shape}, {draws.shape} and "
            f"{references.shape}; give (N, D), (N, L, D) and (N, D)."
        )
    scale = truths.std(0)
    scale = np.where(scale > 0, scale, 1.0)
    own = np.sum(((truths - references) / scale) ** 2, -1)
    of_draws = np.sum(((draws - references[:, None]) / scale) ** 2, -1)
    return np.sum(of_draws > own[:, None], axis=1)


def linear_predictions(key, u, observations, n_components=20):
    """Each u (N, D) predicted by regression on the data of the other half of the pairs, (N, D).

    On the largest principal components, where data have more than `n_components` elements or a
    tenth of N. No prediction knows its own truth.
    """
    u = np.asarray(u, float)
    n = len(u)
    x = np.concatenate(
        [np.asarray(a, float).reshape(n, -1) for a in jax.tree.leaves(observations)], axis=1
    )
    scale = x.std(0)
    x = (x - x.mean(0)) / np.where(scale > 0, scale, 1.0)
    size = max(1, min(n_components, n // 10))
    if x.shape[1] > size:
        x = x @ np.linalg.svd(x, full_matrices=False)[2][:size].T
    x = np.concatenate([x, np.ones((n, 1))], axis=1)
    order = generator(key).permutation(n)
    predicted = np.empty_like(u)
    for here, there in ((order[::2], order[1::2]), (order[1::2], order[::2])):
        predicted[here] = x[here] @ np.linalg.lstsq(x[there], u[there], rcond=None)[0]
    return predicted


def sbc_test(ranks, n_draws, false_alarm=1e-3, n_simulated=None, seed=0):
    """Uniformity by the largest weighted gap of the ranks' distribution function.

    The statistic is Anderson and Darling's, :math:`\\max_r |F_N(r) - F(r)| / \\sqrt{F(1-F)}`,
    which sees a shift, a slope and a too narrow or too wide posterior; its null distribution is
    simulated with the same N and L, so that `false_alarm` (family-wise over the ranks) is exact up
    to the simulation's error.

    Args:
        ranks: name -> integers in 0..n_draws of shape (N,), as `sbc_ranks` gives.
        n_draws: L.
        n_simulated: number of simulated null values; by default twice what `false_alarm` needs.
    """
    needed = int(20 * len(ranks) / false_alarm)
    n_simulated = 2 * needed if n_simulated is None else n_simulated
    if n_simulated < needed:
        raise ValueError(
            f"false_alarm={false_alarm} cannot be resolved with n_simulated={n_simulated}; use at "
            f"least {needed}."
        )
    rng = np.random.default_rng(seed)
    null = {n: _null_gaps(rng, n, n_draws, n_simulated) for n in {len(r) for r in ranks.values()}}
    p_values, band = {}, {}
    for name, r in ranks.items():
        if np.min(r) < 0 or np.max(r) > n_draws:
            raise ValueError(f"ranks of {name!r} leave 0..{n_draws}; check n_draws.")
        gap = _gap(np.bincount(np.asarray(r), minlength=n_draws + 1)[None])[0]
        gaps = null[len(r)]
        p_values[name] = float((1 + np.sum(gaps >= gap)) / (1 + len(gaps)))
        # The least gap that is rejected: fewer than k of the simulated ones reach it.
        k = int(np.ceil(false_alarm / len(ranks) * (1 + len(gaps)) - 1))
        band[name] = float(np.partition(gaps, len(gaps) - k)[len(gaps) - k])
    return SbcResult(p_values, false_alarm, dict(ranks), n_draws, band)


def _null_gaps(rng, n, n_draws, n_simulated):
    cells = np.full(n_draws + 1, 1 / (n_draws + 1))
    sizes = [1000] * (n_simulated // 1000) + [n_simulated % 1000] * (n_simulated % 1000 > 0)
    return np.concatenate([_gap(rng.multinomial(n, cells, size=size)) for size in sizes])


def _gap(counts):
    uniform = np.arange(1, counts.shape[1]) / counts.shape[1]
    empirical = np.cumsum(counts, axis=1)[:, :-1] / counts.sum(axis=1, keepdims=True)
    return np.max(np.abs(empirical - uniform) / np.sqrt(uniform * (1 - uniform)), axis=1)
