"""Simulation-based calibration: are the posteriors as wide as they ought to be?"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SbcResult:
    """Uniformity of ranks: p-value a parameter, and the verdict at a family-wise false alarm."""

    p_values: dict
    false_alarm: float

    @property
    def ok(self):
        """Whether no parameter is rejected (Bonferroni over the parameters)."""
        return min(self.p_values.values()) >= self.false_alarm / len(self.p_values)

    def __bool__(self):
        return self.ok

    def __str__(self):
        verdict = "calibrated" if self.ok else "NOT calibrated"
        values = ", ".join(f"{name} p={p:.3g}" for name, p in self.p_values.items())
        return f"{verdict} at a false-alarm rate of {self.false_alarm}: {values}"


def sbc_ranks(truths, draws):
    """Rank of each true value among its posterior's draws (Talts et al. 2018).

    `truths[name]` has shape (N,) and `draws[name]` (N, L), draws thinned to be nearly
    independent. Returns name -> integers in 0..L of shape (N,), uniform where the posterior is
    right.

    >>> import numpy as np
    >>> sbc_ranks({"x": np.array([0.5])}, {"x": np.array([[0.0, 0.4, 0.9]])})["x"].tolist()
    [2]
    """
    if set(truths) != set(draws):
        raise ValueError(f"truths have {sorted(truths)}, draws {sorted(draws)}; give the same.")
    return {k: np.sum(np.asarray(draws[k]) < np.asarray(truths[k])[:, None], 1) for k in truths}


def sbc_test(ranks, n_draws, false_alarm=1e-3, n_simulated=20_000, seed=0):
    """Uniformity by the largest weighted gap of the ranks' distribution function.

    The statistic is Anderson and Darling's, :math:`\\max_r |F_N(r) - F(r)| / \\sqrt{F(1-F)}`,
    which sees a shift, a slope and a too narrow or too wide posterior; its null distribution is
    simulated with the same N and L, so that `false_alarm` (family-wise over the parameters) is
    exact up to the simulation's error.

    Args:
        ranks: name -> integers in 0..n_draws of shape (N,), as `sbc_ranks` gives.
        n_draws: L.
    """
    if false_alarm < 20 * len(ranks) / n_simulated:
        raise ValueError(
            f"false_alarm={false_alarm} cannot be resolved with n_simulated={n_simulated}; use at "
            f"least {int(20 * len(ranks) / false_alarm)}."
        )
    rng = np.random.default_rng(seed)
    sizes = {len(r) for r in ranks.values()}
    cells = n_draws + 1
    null = {
        n: np.concatenate(
            [
                _gap(rng.multinomial(n, np.full(cells, 1 / cells), size=1000))
                for _ in range(n_simulated // 1000)
            ]
        )
        for n in sizes
    }
    p_values = {}
    for name, r in ranks.items():
        if np.min(r) < 0 or np.max(r) > n_draws:
            raise ValueError(f"ranks of {name!r} leave 0..{n_draws}; check n_draws.")
        gap = _gap(np.bincount(np.asarray(r), minlength=cells)[None])[0]
        p_values[name] = float((1 + np.sum(null[len(r)] >= gap)) / (1 + len(null[len(r)])))
    return SbcResult(p_values, false_alarm)


def _gap(counts):
    uniform = np.arange(1, counts.shape[1]) / counts.shape[1]
    empirical = np.cumsum(counts, axis=1)[:, :-1] / counts.sum(axis=1, keepdims=True)
    return np.max(np.abs(empirical - uniform) / np.sqrt(uniform * (1 - uniform)), axis=1)
