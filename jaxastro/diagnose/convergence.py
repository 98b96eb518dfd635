"""Has the sampler converged, and how well are the numbers known?"""

from dataclasses import dataclass

import numpy as np

QUANTILES = (0.05, 0.16, 0.5, 0.84, 0.95)
_COLUMNS = ("mean", "sd", "mcse", *(f"q{round(100 * q)}" for q in QUANTILES))


@dataclass(frozen=True)
class Summary:
    """One row a scalar component: `rows[name]` is a dict of numbers; `str()` is a table.

    Columns: mean, sd, mcse (Monte Carlo standard error of the mean), quantiles, ess_bulk,
    ess_tail, r_hat. `units` follows the rows.
    """

    rows: dict
    units: dict
    n_chains: int
    n_draws: int
    divergences: int

    def __str__(self):
        columns = [*_COLUMNS, "ess_bulk", "ess_tail", "r_hat"]
        table = [["", "unit", *columns]]
        for name, row in self.rows.items():
            table.append([name, self.units[name], *(_format(c, row[c]) for c in columns)])
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(
                cell.ljust(w) if i < 2 else cell.rjust(w)
                for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in table
        ]
        lines.append(
            f"{self.n_chains} chains of {self.n_draws} draws, {self.divergences} divergences after "
            "warm-up"
        )
        return "\n".join(lines)


@dataclass(frozen=True)
class Convergence:
    """A verdict: true or false, with the reasons against it."""

    ok: bool
    reasons: tuple[str, ...]
    max_rhat: float
    min_ess_bulk: float
    min_ess_tail: float
    divergences: int

    def __bool__(self):
        return self.ok

    def __str__(self):
        if self.ok:
            return f"converged: {self.facts}"
        return "NOT converged: " + "; ".join(self.reasons) + f" ({self.facts})"

    @property
    def facts(self) -> str:
        """The worst figures, in one line."""
        return (
            f"largest R-hat {self.max_rhat:.4f}, smallest ESS {self.min_ess_bulk:.0f} (bulk) and "
            f"{self.min_ess_tail:.0f} (tail), {self.divergences} divergences"
        )


def summary(posterior):
    """Rank-normalised split R-hat, bulk and tail ESS, MCSE, moments and quantiles.

    R-hat and ESS after Vehtari et al. 2021 (Bayesian Analysis 16, 667), by ArviZ. Fewer than
    four draws a chain give NaN.
    """
    rows, units = {}, {}
    for name, value in _components(posterior):
        rows[name] = _row(value)
        units[name] = posterior.units[name.split("[")[0]]
    return Summary(rows, units, posterior.n_chains, posterior.n_draws, posterior.n_divergent)


def converged(posterior, rhat=1.01, ess_min=400, table=None):
    """Whether R-hat < `rhat`, both ESS >= `ess_min` and no divergences; `str()` says why not.

    `table` is a `Summary` of the same posterior, to spare a second computation.
    """
    table = summary(posterior) if table is None else table
    reasons = []
    for name, row in table.rows.items():
        # Written so that NaN counts against: not (x < limit).
        if not row["r_hat"] < rhat:
            reasons.append(f"R-hat of {name} is {row['r_hat']:.4f}, not below {rhat}")
        for kind in ("bulk", "tail"):
            if not row[f"ess_{kind}"] >= ess_min:
                reasons.append(f"{kind} ESS of {name} is {row[f'ess_{kind}']:.0f}, below {ess_min}")
    if table.divergences:
        reasons.append(f"{table.divergences} divergences after warm-up (raise target_accept)")
    column = {c: [row[c] for row in table.rows.values()] for c in ("r_hat", "ess_bulk", "ess_tail")}
    return Convergence(
        ok=not reasons,
        reasons=tuple(reasons),
        max_rhat=float(np.max(column["r_hat"])),
        min_ess_bulk=float(np.min(column["ess_bulk"])),
        min_ess_tail=float(np.min(column["ess_tail"])),
        divergences=table.divergences,
    )


def _components(posterior):
    for name, value in posterior.draws.items():
        for index in np.ndindex(value.shape[2:]):
            label = f"{name}[{','.join(map(str, index))}]" if index else name
            yield label, value[(slice(None), slice(None), *index)]


def _row(value):
    row = {"mean": float(value.mean()), "sd": float(value.std(ddof=1))}
    quantiles = np.quantile(value, QUANTILES)
    row |= {f"q{round(100 * q)}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)}
    if value.shape[1] < 4:
        return row | dict.fromkeys(("mcse", "ess_bulk", "ess_tail", "r_hat"), np.nan)
    import arviz

    value = np.asarray(value, float)
    return row | {
        # One number; in an array where Numba is installed (ArviZ 0.23).
        "mcse": np.asarray(arviz.mcse(value, method="mean")).item(),
        "ess_bulk": float(arviz.ess(value, method="bulk")),
        # ArviZ 1 has no default for these two quantiles, 0.x has just them.
        "ess_tail": float(arviz.ess(value, method="tail", prob=(0.05, 0.95))),
        "r_hat": float(arviz.rhat(value)),
    }


def _format(column, value):
    if column.startswith("ess"):
        return f"{value:.0f}"
    return f"{value:.4f}" if column == "r_hat" else f"{value:.4g}"
