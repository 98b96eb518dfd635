"""The corner plot: every pair of parameters, and each alone."""

import numpy as np

# Okabe & Ito's palette: told apart by colour-blind readers and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_LEVELS = (0.95, 0.68)


def corner(
    posterior,
    names=None,
    *,
    truth=None,
    others=None,
    label="posterior",
    reference=None,
    bins=40,
    transform=None,
):
    """Filled 68 and 95 per cent regions for pairs, smoothed histograms on the diagonal.

    Args:
        posterior: a `SamplePosterior`, or a dict of name -> draws (flattened over chains).
        names: which parameters, in order; all scalar ones by default. A component of a vector is
            written `name[i]`.
        truth: name -> value, drawn as dotted lines.
        others: label -> posterior or dict, drawn as outlines over the first.
        label: the first one's label in the legend.
        reference: label -> {name: (value, error)}: published values, drawn as bands on the
            diagonal.
        bins: of the histograms, over the range that holds 99.8 per cent of all draws.
        transform: name -> function applied to that parameter's draws, truths and references
            (`np.log10`, a change of unit); rename its axis through the posterior's labels.

    Returns:
        A Matplotlib figure, not attached to any window.

    Raises:
        ValueError: an unknown name, or nothing to draw.
    """
    from matplotlib.figure import Figure

    transform = transform or {}
    others = others or {}
    samples = {label: _scalars(posterior, transform)}
    for other, value in others.items():
        samples[other] = _scalars(value, transform)
    first = samples[label]
    names = list(first) if names is None else list(names)
    unknown = [n for n in names if n not in first]
    if unknown or not names:
        raise ValueError(f"corner: no parameters {unknown}; there are {list(first)}.")
    titles = _titles(posterior, names)
    limits = {n: _limits([s[n] for s in samples.values() if n in s]) for n in names}

    n = len(names)
    width, height = 1.1 + 1.75 * n, 1.0 + 1.75 * n
    figure = Figure(figsize=(width, height))
    # Margins in inches, so that labels fit whatever the number of parameters.
    axes = figure.subplots(n, n, squeeze=False)
    figure.subplots_adjust(
        left=0.9 / width,
        right=1 - 0.2 / width,
        bottom=0.8 / height,
        top=1 - 0.2 / height,
        wspace=0.05,
        hspace=0.05,
    )
    for row, y in enumerate(names):
        for column, x in enumerate(names):
            axis = axes[row, column]
            if column > row:
                axis.set_axis_off()
                continue
            for order, sample in enumerate(samples.values()):
                colour = COLOURS[order % len(COLOURS)]
                if row == column and x in sample:
                    _histogram(axis, sample[x], limits[x], bins, colour, fill=order == 0)
                elif x in sample and y in sample:
                    pair, box = (sample[x], sample[y]), (limits[x], limits[y])
                    _regions(axis, *pair, box, bins, colour, fill=order == 0)
            _mark(axis, truth, reference, transform, x, y, len(samples))
            _dress(axis, row, column, n, limits[x], limits[y], titles[x], titles[y])
    figure.align_labels()
    _legend(figure, samples, truth, reference)
    return figure


def _scalars(posterior, transform):
    draws = posterior.flat() if hasattr(posterior, "flat") else posterior
    out = {}
    for name, value in draws.items():
        value = np.asarray(value, float)
        for index in np.ndindex(value.shape[1:]):
            key = f"{name}[{','.join(map(str, index))}]" if index else name
            out[key] = transform.get(key, np.asarray)(value[(slice(None), *index)])
    return out


def _titles(posterior, names):
    labels, units = getattr(posterior, "labels", {}), getattr(posterior, "units", {})
    titles = {}
    for name in names:
        base, _, index = name.partition("[")
        title = labels.get(base, base) + (f"[{index}" if index else "")
        titles[name] = f"{title} [{units[base]}]" if units.get(base) else title
    return titles


def _limits(values):
    low = min(np.quantile(v, 0.001) for v in values)
    high = max(np.quantile(v, 0.999) for v in values)
    if high == low:
        return low - (0.5 * abs(low) or 0.5), high + (0.5 * abs(low) or 0.5)
    # Never beyond the draws: a bound of the prior is the edge of the frame, and no smoothing
    # leaks over it.
    pad = 0.05 * (high - low)
    return max(low - pad, min(map(np.min, values))), min(high + pad, max(map(np.max, values)))


def _smooth(counts, widths):
    # A Gaussian kernel along each axis, its mass at the edges renormalised: draws piled up at a
    # bound of the prior stay there.
    for axis, width in enumerate(widths):
        far = min(int(4 * width), (counts.shape[axis] - 1) // 2)
        reach = np.arange(-far, far + 1)
        kernel = np.exp(-0.5 * (reach / width) ** 2)
        weight = np.convolve(np.ones(counts.shape[axis]), kernel, "same")
        counts = np.apply_along_axis(np.convolve, axis, counts, kernel, "same")
        shape = [-1 if a == axis else 1 for a in range(counts.ndim)]
        counts = counts / weight.reshape(shape)
    return counts


def _width(values, limits, bins, dimensions):
    """Of the smoothing kernel [bins]: Scott's rule, for as many draws as there are."""
    sigma = np.std(values) / (limits[1] - limits[0]) * bins
    return max(1.0, sigma * len(values) ** (-1.0 / (dimensions + 4)))


def _histogram(axis, values, limits, bins, colour, fill):
    counts, edges = np.histogram(values, bins, limits)
    density = _smooth(counts.astype(float), [_width(values, limits, bins, 1)])
    density /= density.max()
    middle = 0.5 * (edges[1:] + edges[:-1])
    axis.plot(middle, density, color=colour, lw=1.4)
    if fill:
        axis.fill_between(middle, density, color=colour, alpha=0.2, lw=0)
    axis.set_ylim(0, 1.12)


def _regions(axis, x, y, box, bins, colour, fill):
    counts, x_edges, y_edges = np.histogram2d(x, y, bins, box)
    widths = [_width(v, b, bins, 2) for v, b in zip((x, y), box, strict=True)]
    density = _smooth(counts, widths).T
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    levels = [ordered[min(np.searchsorted(mass, p), ordered.size - 1)] for p in _LEVELS]
    middles = 0.5 * (x_edges[1:] + x_edges[:-1]), 0.5 * (y_edges[1:] + y_edges[:-1])
    if not levels[0] < levels[1] < ordered[0]:
        axis.plot(x, y, ".", color=colour, ms=2, alpha=0.5)  # too few distinct draws for regions
        return
    if fill:
        axis.contourf(*middles, density, [levels[0], levels[1]], colors=[colour], alpha=0.25)
        axis.contourf(*middles, density, [levels[1], ordered[0]], colors=[colour], alpha=0.6)
    axis.contour(*middles, density, levels, colors=[colour], linewidths=1.0)


def _mark(axis, truth, reference, transform, x, y, offset):
    def mapped(name, value):
        return float(transform.get(name, np.asarray)(np.asarray(value, float)))

    if truth and x in truth:
        axis.axvline(mapped(x, truth[x]), color="black", ls=":", lw=1.1)
    if truth and y in truth and x != y:
        axis.axhline(mapped(y, truth[y]), color="black", ls=":", lw=1.1)
    if x != y:
        return
    for i, published in enumerate((reference or {}).values()):
        if x in published:
            value, error = published[x]
            ends = mapped(x, value - error), mapped(x, value + error)
            colour = COLOURS[(offset + i) % len(COLOURS)]
            axis.axvspan(*ends, color=colour, alpha=0.18, lw=0)
            axis.axvline(mapped(x, value), color=colour, lw=1.0, ls="--")


def _dress(axis, row, column, n, x_limits, y_limits, x_title, y_title):
    from matplotlib.ticker import MaxNLocator

    axis.set_xlim(x_limits)
    axis.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
    axis.tick_params(direction="in", top=True, labelsize=8)
    axis.tick_params(axis="x", labelrotation=45)
    if row == column:
        axis.set_yticks([])
    else:
        axis.set_ylim(y_limits)
        axis.yaxis.set_major_locator(MaxNLocator(3, prune="both"))
        axis.tick_params(right=True)
    if row == n - 1:
        axis.set_xlabel(x_title, fontsize=10)
    else:
        axis.set_xticklabels([])
    if column == 0 and row > 0:
        axis.set_ylabel(y_title, fontsize=10)
    elif column > 0 or row == 0:
        axis.set_yticklabels([])


def _legend(figure, samples, truth, reference):
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=COLOURS[i % 6], alpha=0.6, label=name)
        if i == 0
        else Line2D([], [], color=COLOURS[i % 6], label=name)
        for i, name in enumerate(samples)
    ]
    if truth:
        handles.append(Line2D([], [], color="black", ls=":", label="truth"))
    for i, name in enumerate(reference or {}):
        colour = COLOURS[(len(samples) + i) % 6]
        handles.append(Patch(facecolor=colour, alpha=0.4, label=name))
    figure.legend(handles=handles, loc="upper right", frameon=False, fontsize=10)
