"""Figures of streams; matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence

import numpy as np

_TITLES = {
    "phi2": r"$\phi_2$ [deg]",
    "distance": r"$d$ [kpc]",
    "pm_phi1_cosphi2": r"$\mu_{\phi_1}\cos\phi_2$ [mas yr$^{-1}$]",
    "pm_phi2": r"$\mu_{\phi_2}$ [mas yr$^{-1}$]",
    "radial_velocity": r"$v_r$ [km s$^{-1}$]",
}
_BLUE, _GREY, _INK = "#0072B2", "#9A9A9A", "#222222"


def stream_over_data(data, phi1, tracks, sky=None, residuals: bool = True):
    """The stream over the measurements, one row for each observable, residuals beside them.

    Args:
        data: `TrackMeasurements`.
        phi1: where the tracks are given [deg], shape (n,), with the measured positions among them
            if `residuals`.
        tracks: posterior draws of the track, shape (draws, M, n).
        sky: `StreamCoordinates` of one simulated stream, drawn as dots.
        residuals: whether to draw (data - median track) / sigma in a second column.

    Returns:
        A Matplotlib figure, not attached to any window.

    Raises:
        ValueError: if shapes do not match.
    """
    from matplotlib.figure import Figure

    phi1, tracks = np.asarray(phi1), np.asarray(tracks)
    if tracks.shape[1:] != (len(data.names), phi1.size):
        raise ValueError(
            f"tracks: expected shape (draws, {len(data.names)}, {phi1.size}), got {tracks.shape}"
        )
    rows, columns = len(data.names), 2 if residuals else 1
    figure = Figure(figsize=(7.2 * columns / 1.6, 1.7 * rows + 0.7), layout="constrained")
    axes = figure.subplots(
        rows, columns, squeeze=False, sharex=True, width_ratios=[1.6, 1.0][:columns]
    )
    low, mid, high = np.percentile(tracks, [2.5, 50.0, 97.5], axis=0)
    for i, name in enumerate(data.names):
        axis, seen = axes[i, 0], np.asarray(data.mask[i])
        at = np.asarray(data.phi1)[seen]
        value, sigma = np.asarray(data.value[i])[seen], np.asarray(data.sigma[i])[seen]
        if sky is not None:
            along = np.asarray(sky.phi1)
            inside = (along > phi1[0] - 2.0) & (along < phi1[-1] + 2.0)
            dots = np.asarray(getattr(sky, name))[inside]
            axis.plot(
                along[inside],
                dots,
                ".",
                ms=1.5,
                color=_GREY,
                zorder=1,
                label="simulated stars",
                rasterized=True,
            )
        axis.fill_between(
            phi1, low[i], high[i], color=_BLUE, alpha=0.35, lw=0, zorder=2, label="track, 95%"
        )
        axis.plot(phi1, mid[i], color=_BLUE, lw=1.2, zorder=3, label="track, median")
        axis.errorbar(
            at, value, sigma, fmt="o", ms=3.5, lw=1.0, color=_INK, zorder=4, label="GD-1 track"
        )
        axis.set_ylabel(_TITLES.get(name, name))
        if residuals:
            _residuals(axes[i, 1], at, value, sigma, phi1, low[i], mid[i], high[i])
    for axis in axes[-1]:
        axis.set_xlabel(r"$\phi_1$ [deg]")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    return figure


def _residuals(axis, at, value, sigma, phi1, low, mid, high):
    pull = (value - np.interp(at, phi1, mid)) / sigma
    band = [np.interp(at, phi1, edge - mid) / sigma for edge in (low, high)]
    axis.fill_between(at, *band, color=_BLUE, alpha=0.35, lw=0)
    axis.axhline(0.0, color=_BLUE, lw=1.0)
    axis.errorbar(at, pull, np.ones_like(pull), fmt="o", ms=3.5, lw=1.0, color=_INK)
    axis.set_ylabel(r"residual / $\sigma$")
    axis.set_ylim(-4.0, 4.0)


def comparison(names: Sequence[str], works: Mapping[str, Mapping[str, tuple]]) -> str:
    """A plain table of published values, one row a work.

    Args:
        names: the quantities, which are the columns.
        works: work -> {quantity: (value, minus, plus)}.
    """
    width = max(map(len, works)) + 2
    lines = [" " * width + "".join(f"{n:>20}" for n in names)]
    for work, row in works.items():
        lines.append(f"{work:<{width}}" + "".join(f"{_cell(row.get(n)):>20}" for n in names))
    return "\n".join(lines)


def _cell(entry):
    if entry is None:
        return "-"
    value, minus, plus = entry
    digits = 0 if abs(value) >= 100 else 2
    return f"{value:.{digits}f} -{minus:.{digits}f} +{plus:.{digits}f}"
