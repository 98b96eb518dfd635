"""Lensed arcs in what is left of an image once the lens galaxy is taken off: where a fit starts."""

from typing import NamedTuple

import numpy as np

#: A smoothed excess so many times its noise is an arc, or something else that is no lens galaxy.
THRESHOLD = 4.0


class Arcs(NamedTuple):
    """What `find_arcs` saw: `mask` (H, W), true on an arc; `weight` (H, W), its significance;
    `theta_E` [arcsec], the Einstein radius that makes the source most compact; `source` (x, y)
    [arcsec], where it then lies; `extent` [arcsec], the radius that holds 98 per cent of the
    significance."""

    mask: np.ndarray
    weight: np.ndarray
    theta_E: float
    source: tuple[float, float]
    extent: float


def smooth(image, sigma):
    """`image` (H, W) convolved with a Gaussian of `sigma` pixels, zeros beyond the edge.

    >>> round(float(smooth(np.eye(1), 1.0)[0, 0]), 3)
    0.159
    """
    reach = max(1, int(np.ceil(4.0 * sigma)))
    steps = np.arange(-reach, reach + 1)
    line = np.exp(-0.5 * (steps / sigma) ** 2)
    line /= line.sum()
    for axis in (0, 1):
        # `same` gives the longer of both, which would be the kernel for a small image
        image = np.apply_along_axis(
            lambda row: np.convolve(row, line)[reach : reach + row.size], axis, image
        )
    return image


def significance(residual, mask, sigma=1.0):
    """The residual in units of its noise, smoothed, again in units of its noise: (H, W).

    Args:
        residual: (data - model) / noise, (H, W).
        mask: true where a pixel counts, (H, W).
        sigma: width of the smoothing [pixels].
    """
    mask = np.asarray(mask, float)
    kept = np.where(mask > 0, residual, 0.0)
    # the noise of the sum is that of a Gaussian squared
    variance = smooth(mask, sigma / np.sqrt(2.0)) / (4.0 * np.pi * sigma**2)
    return np.where(mask > 0, smooth(kept, sigma) / np.sqrt(np.maximum(variance, 1e-12)), 0.0)


def brightest(image, mask, grid, radius):
    """Centre (x, y) [arcsec] of the lens galaxy: the brightest smoothed pixel within `radius`."""
    x, y = (np.asarray(a) for a in grid.centres())
    near = np.hypot(x - float(grid.center_x), y - float(grid.center_y)) < radius
    level = np.where(near & np.asarray(mask), smooth(np.asarray(image), 1.5), -np.inf)
    if not np.isfinite(level).any():
        raise ValueError(
            f"image: no pixel that counts lies within {radius:g} arcsec of its centre; unmask the "
            "lens galaxy, or cut the image about it."
        )
    at = np.unravel_index(np.argmax(level), level.shape)
    return float(x[at]), float(y[at])


def find_arcs(residual, mask, grid, center, inner):
    r"""Arcs in a residual, and the lens they ask for.

    Pixels whose smoothed excess is above `THRESHOLD` are traced back by a singular isothermal
    sphere, :math:`\beta = \theta - \theta_E \theta / |\theta|`. The Einstein radius is the one
    for which they come closest together on the source plane (weighted by significance): for two
    images that is half their distance, for a ring its radius.

    Args:
        residual: (data - model of the lens galaxy) / noise, (H, W).
        mask: true where a pixel counts, (H, W).
        grid: the `Grid`.
        center: the lens galaxy (x, y) [arcsec].
        inner: what lies nearer to the centre than this [arcsec] is a fault of the galaxy's model.

    Returns:
        `Arcs`, or None where nothing is significant.
    """
    level = significance(residual, mask)
    x, y = (np.asarray(a) - c for a, c in zip(grid.centres(), center, strict=True))
    radius = np.hypot(x, y)
    found = (level > THRESHOLD) & (radius > inner)
    if found.sum() < 5:
        return None
    # a single bright knot must not decide alone
    weight = np.where(found, np.minimum(level, 5.0 * THRESHOLD), 0.0)
    w = weight[found] / weight[found].sum()
    directions = np.stack([x[found], y[found]]) / radius[found]
    trials = np.linspace(max(inner, 0.1), radius[found].max(), 200)
    beta = (radius[found] - trials[:, None])[:, None, :] * directions
    mean = beta @ w
    # linear in the distance: what does not belong to the source counts less
    spread = np.hypot(*np.moveaxis(beta - mean[..., None], 1, 0)) @ w
    best = int(np.argmin(spread))
    order = np.argsort(radius[found])
    extent = radius[found][order][np.searchsorted(np.cumsum(w[order]), 0.98, side="left")]
    source = (float(mean[best, 0]) + center[0], float(mean[best, 1]) + center[1])
    return Arcs(found, weight, float(trials[best]), source, float(extent))


def source_peak(residual, mask, beta, magnification, width=0.03):
    """Where on the source plane the residual of a lens model points to, (x, y) [arcsec].

    Each significant pixel votes with its significance over the magnification; the place is that of
    the vote's peak, smoothed by `width` [arcsec].

    Args:
        residual: (data - model) / noise, (H, W).
        mask: true where a pixel counts and may hold lensed light, (H, W).
        beta: source positions of the pixels (x, y) [arcsec], each (H, W).
        magnification: |mu| of the pixels, (H, W).
    """
    level = np.where(mask, significance(residual, mask), 0.0)
    votes = np.where(level > 1.5, level, 0.0).ravel() / np.maximum(np.ravel(magnification), 1.0)
    chosen = np.flatnonzero(votes)
    if not chosen.size:
        return None
    chosen = chosen[np.argsort(votes[chosen])[-2000:]]
    points = np.stack([np.ravel(b)[chosen] for b in beta], axis=1)
    squares = np.sum((points[:, None] - points) ** 2, axis=-1)
    density = np.exp(-0.5 * squares / width**2) @ votes[chosen]
    return tuple(float(v) for v in points[np.argmax(density)])
