"""Figures of lenses; matplotlib is imported when one is drawn."""

import numpy as np


def lens_figure(data, maps):
    """Data, model and residual; the arcs without the lens galaxy, their model, the source.

    Args:
        data: the `LensImage` that was fitted.
        maps: what `galaxy_lens.maps` gives.

    Returns:
        A Matplotlib figure, not attached to any window.
    """
    from matplotlib.figure import Figure

    image, mask = np.asarray(data.image), np.asarray(data.noise.mask)
    noise = float(np.median(np.asarray(data.noise.noise_map)[mask]))
    frame = {"origin": "lower", "extent": _extent(data.grid)}
    figure = Figure(figsize=(11.0, 7.0), layout="constrained")
    axes = figure.subplots(2, 3)

    def hidden(values):
        return np.where(mask, values, np.nan)

    top = np.arcsinh(np.nanmax(hidden(image)) / noise)
    bright = {"cmap": "magma", "vmin": np.arcsinh(-3.0), "vmax": top, **frame}
    axes[0, 0].imshow(np.arcsinh(hidden(image) / noise), **bright)
    shown = axes[0, 1].imshow(np.arcsinh(hidden(maps["model"]) / noise), **bright)
    figure.colorbar(shown, ax=axes[0, :2], shrink=0.8, label="arcsinh(flux / median noise)")
    pulls = axes[0, 2].imshow(hidden(maps["residual"]), cmap="RdBu_r", vmin=-5, vmax=5, **frame)
    figure.colorbar(pulls, ax=axes[0, 2], shrink=0.8, label=r"(data $-$ model) / $\sigma$")

    arcs = hidden(image - maps["lens_light"]) / noise
    high = max(float(np.max(maps["arcs"])) / noise, 5.0)
    faint = {"cmap": "magma", "vmin": -0.1 * high, "vmax": high, **frame}
    axes[1, 0].imshow(arcs, **faint)
    shown = axes[1, 1].imshow(hidden(maps["arcs"]) / noise, **faint)
    figure.colorbar(shown, ax=axes[1, :2], shrink=0.8, label="flux / median noise")
    x, y = maps["source_x"], maps["source_y"]
    reach = (x[0], x[-1], y[0], y[-1])
    shown = axes[1, 2].imshow(maps["source"], cmap="magma", origin="lower", extent=reach)
    figure.colorbar(shown, ax=axes[1, 2], shrink=0.8, label=r"source [flux arcsec$^{-2}$]")

    critical, caustics = _curves(maps)
    for curve in critical:
        axes[1, 1].plot(*curve.T, color="white", lw=0.8)
    for curve in caustics:
        axes[1, 2].plot(*curve.T, color="white", lw=0.8)
    axes[1, 2].set(xlim=reach[:2], ylim=reach[2:])
    titles = ("data", "model", "residual", "arcs", "arcs, model", "source")
    for axis, title in zip(axes.flat, titles, strict=True):
        axis.set_title(title, fontsize=10)
        axis.set_aspect("equal")
    for axis in axes[1]:
        axis.set_xlabel("x [arcsec]")
    for axis in axes[:, 0]:
        axis.set_ylabel("y [arcsec]")
    return figure


def magnification_figure(data, maps):
    """The magnification on the sky with the critical curves, and the caustics.

    Args:
        data: the `LensImage` that was fitted.
        maps: what `galaxy_lens.maps` gives.

    Returns:
        A Matplotlib figure, not attached to any window.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    strength = -np.log10(np.maximum(np.abs(maps["det_A"]), 1e-4))
    shown = left.imshow(
        strength, cmap="viridis", vmin=-1, vmax=2, origin="lower", extent=_extent(data.grid)
    )
    figure.colorbar(shown, ax=left, label=r"$\log_{10}|\mu|$")
    critical, caustics = _curves(maps)
    for curve in critical:
        left.plot(*curve.T, color="white", lw=0.8)
    for curve in caustics:
        right.plot(*curve.T, color="#0072B2", lw=1.2)
    x, y, source = maps["source_x"], maps["source_y"], maps["source"]
    levels = float(np.max(source)) * np.array([0.05, 0.2, 0.5])
    if np.all(np.diff(levels) > 0):
        right.contour(x, y, source, levels, colors="#9A9A9A", linewidths=0.8)
    right.set_aspect("equal")
    left.set_title("magnification, critical curves", fontsize=10)
    right.set_title("caustics; source at 5, 20, 50 per cent of its peak", fontsize=10)
    for axis in (left, right):
        axis.set(xlabel="x [arcsec]", ylabel="y [arcsec]")
    return figure


def _extent(grid):
    """Edges of the image [arcsec]; the pixels' own axes where the grid is turned."""
    scale = float(grid.pixel_scale)
    half = [0.5 * n * scale for n in reversed(grid.shape)]
    x, y = float(grid.center_x), float(grid.center_y)
    return (x - half[0], x + half[0], y - half[1], y + half[1])


def _curves(maps):
    """Critical curves and caustics, lists of (n, 2)."""
    from contourpy import contour_generator

    found = contour_generator(z=maps["det_A"]).lines(0.0)
    # a loop of a few pixels is the grid's, about the singular centre
    found = [line for line in found if np.ptp(line, axis=0).max() > 6.0]
    return tuple(
        [np.stack([_at(part, line) for part in maps[name]], axis=-1) for line in found]
        for name in ("theta", "beta")
    )


def _at(values, line):
    """`values` at (column, row) of a line, bilinear."""
    low = np.clip(np.floor(line).astype(int), 0, np.array(values.shape)[::-1] - 2)
    (u, v), (j, i) = (line - low).T, low.T
    return (1 - v) * ((1 - u) * values[i, j] + u * values[i, j + 1]) + v * (
        (1 - u) * values[i + 1, j] + u * values[i + 1, j + 1]
    )
