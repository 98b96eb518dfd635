"""Figures of the diagnostics: what was measured, and where it lies if all is well."""

import numpy as np

from .corner import COLOURS

_BAND = "#BBBBBB"


def ranks(result):
    """Distribution function of each of the ranks of `calibration` less that of uniform ones.

    A curve leaves its band where, and only where, the test rejects it: below the truth is too
    often high among the draws, above too often low; a posterior too narrow rises before it falls.

    Returns a Matplotlib figure, not attached to any window.
    """
    names = list(result.ranks)
    columns = min(4, len(names))
    rows = -(-len(names) // columns)
    figure, axes = _figure(2.1 * columns + 0.5, 1.8 * rows + 0.5, rows, columns)
    nodes = np.arange(1, result.n_draws + 1)
    uniform = nodes / (result.n_draws + 1)
    for i, axis in enumerate(axes.flat):
        if i >= len(names):
            axis.set_axis_off()
            continue
        name = names[i]
        width = result.band[name] * np.sqrt(uniform * (1 - uniform))
        axis.fill_between(uniform, -width, width, color=_BAND, lw=0)
        gap = np.mean(result.ranks[name][:, None] < nodes, axis=0) - uniform
        rejected = result.p_values[name] < result.false_alarm / len(names)
        axis.plot(uniform, gap, color=COLOURS[int(rejected)], lw=1.4)
        axis.axhline(0, color="k", lw=0.6)
        axis.set_title(f"{name}, $p$ = {result.p_values[name]:.2g}", fontsize=8)
        axis.set_xlim(0, 1)
        if i % columns == 0:
            axis.set_ylabel("ECDF $-$ uniform")
        if i + columns >= len(names):
            axis.set_xlabel("fractional rank")
    return figure


def coverage(result):
    """How often credible regions hold the truth, against how often they should.

    Regions of highest density, and (TARP) regions around a reference, where `calibration` made
    those ranks; above the diagonal the posterior is too wide. With the bands of the test.

    Returns a Matplotlib figure. Raises ValueError where the result holds neither.
    """
    names = [name for name in ("highest density", "reference distance") if name in result.ranks]
    if not names:
        raise ValueError(f"there are no regions in ranks of {list(result.ranks)}: `calibration`.")
    figure, axes = _figure(3.4, 3.2, 1, 1)
    axis = axes[0, 0]
    level = np.arange(1, result.n_draws + 1) / (result.n_draws + 1)
    width = result.band[names[0]] * np.sqrt(level * (1 - level))
    axis.fill_between(level, level - width, level + width, color=_BAND, lw=0)
    axis.plot([0, 1], [0, 1], color="k", lw=0.6)
    labels = {
        "highest density": "highest density",
        "reference distance": "around a reference (TARP)",
    }
    for name, colour in zip(names, COLOURS, strict=False):
        # Of n draws as many are denser (nearer) than the truth as the least region needs.
        inner = result.n_draws - result.ranks[name]
        held = np.mean(inner[:, None] < np.arange(1, result.n_draws + 1), axis=0)
        axis.plot(level, held, color=colour, lw=1.4, label=labels[name])
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="credibility", ylabel="coverage", aspect="equal")
    axis.legend(frameon=False, fontsize=8)
    return figure


def null(verdict):
    """A statistic (`Verdict`) among the values that it takes where all is well.

    For `held_out_log_prob`, `mmd_test`, `local_c2st_test` and `misspecification_test`.

    Returns a Matplotlib figure.
    """
    figure, axes = _figure(3.6, 2.6, 1, 1)
    axis = axes[0, 0]
    axis.hist(verdict.null, bins=40, color=_BAND, density=True, label="if all is well")
    colour = COLOURS[int(not verdict.ok)]
    axis.axvline(verdict.statistic, color=colour, lw=1.6, label=f"$p$ = {verdict.p_value:.2g}")
    axis.set(xlabel=verdict.name, yticks=[])
    axis.locator_params(axis="x", nbins=5)
    axis.set_ylim(0, 1.35 * axis.get_ylim()[1])
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper center")
    return figure


def accuracy(results):
    """Accuracies of `c2st_test`, with the interval of 95 per cent where p = q.

    Args:
        results: label -> `C2stResult`.

    Returns a Matplotlib figure.
    """
    figure, axes = _figure(4.2, 0.8 + 0.3 * len(results), 1, 1)
    axis = axes[0, 0]
    for i, result in enumerate(results.values()):
        axis.plot(result.null_accuracy, [i, i], color=_BAND, lw=7, solid_capstyle="butt")
        axis.plot(result.accuracy, i, "o", color=COLOURS[int(not result.ok)], ms=5)
    axis.axvline(0.5, color="k", lw=0.6)
    axis.set_yticks(range(len(results)), list(results), fontsize=8)
    axis.set(ylim=(len(results) - 0.5, -0.5), xlabel="accuracy of the classifier")
    low = min(0.45, *(min(r.accuracy, r.null_accuracy[0]) - 0.01 for r in results.values()))
    axis.set_xlim(low, 1.0)
    return figure


def predictive(result, grid=None, label="element of the observation"):
    """Data over the 68 and 95 per cent bands of replicas from the posterior (`predictive_check`).

    Args:
        grid: (K,) abscissae of the elements; their index by default.
        label: of the abscissa.

    Returns a Matplotlib figure.
    """
    size = len(result.observed)
    grid = np.arange(size) if grid is None else np.asarray(grid)
    if grid.shape != (size,):
        raise ValueError(f"grid has shape {grid.shape}; the observation has {size} elements.")
    figure, axes = _figure(4.6, 2.8, 1, 1)
    axis = axes[0, 0]
    order = np.argsort(grid)
    quantiles = np.quantile(result.replicated, [0.025, 0.16, 0.5, 0.84, 0.975], axis=0)
    names = (("95 per cent", 0, 4, 0.25), ("68 per cent of replicas", 1, 3, 0.35))
    for name, low, high, alpha in names:
        edges = quantiles[low][order], quantiles[high][order]
        style = {"color": COLOURS[0], "alpha": alpha, "lw": 0, "label": name}
        # A few elements are no curve: a bar each.
        if size < 10:
            axis.bar(grid[order], edges[1] - edges[0], 0.6, edges[0], **style)
        else:
            axis.fill_between(grid[order], *edges, **style)
    axis.plot(grid, result.observed, "o", color="k", ms=3, label="data")
    axis.set_xlabel(label)
    if size < 10:
        axis.set_xticks(grid)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _figure(width, height, rows, columns):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
