"""Lensed arcs in what is left of an image once the lens galaxy is taken off: where a fit starts."""

from typing import NamedTuple

import numpy as np

#: A smoothed excess so many times its noise is an arc, or something else that is no lens galaxy.
THRESHOLD = 4.0


class Arcs(NamedTuple):
    """What `find_arcs` saw: `mask` (H, W), true on an arc, and `others`, true on what stands out
    farther from the lens; `theta_E` [arcsec], the Einstein radius that brings them together on the
    source plane; `source` (x, y) [arcsec], where they then lie; `extent` [arcsec], the radius that
    holds 98 per cent of their significance."""

    mask: np.ndarray
    others: np.ndarray
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
    sphere, :math:`\beta = \theta - \theta_E \theta / |\theta|`, those within 2 theta_E: beyond
    it a source has one image. The Einstein radius is the one for which most significance comes
    together on the source plane, to within 0.15 theta_E, from all sides of the lens: of two images
    half their distance, of a ring its radius. A galaxy beside the lens comes from one side.

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
    w, r = np.minimum(level[found], 5.0 * THRESHOLD), radius[found]
    directions = np.stack([x[found], y[found]]) / r
    trials = np.linspace(max(inner, 0.1), r.max(), 150)
    scores = [_gathered(trial, w, r, directions) for trial in trials]
    best = int(np.argmax([score for score, *_ in scores]))
    _, place, kept = scores[best]
    if not kept.sum() > 0.0:
        return None
    order = np.argsort(r)
    extent = r[order][np.searchsorted(np.cumsum(kept[order]), 0.98 * kept.sum())]
    # the wings of the arcs are theirs
    near = radius <= 1.3 * extent
    source = (float(place[0]) + center[0], float(place[1]) + center[1])
    return Arcs(found & near, found & ~near, float(trials[best]), source, float(extent))


def _gathered(theta_E, w, r, directions):
    """How much significance an Einstein radius brings together, where, and which."""
    multiple = np.flatnonzero(r < 2.0 * theta_E)
    kept = np.zeros_like(w)
    if not multiple.size:
        return 0.0, np.zeros(2), kept
    beta = (r - theta_E) * directions
    width = 0.15 * theta_E
    some = multiple[np.argsort(w[multiple])[-300:]]
    squares = np.sum((beta[:, some, None] - beta[:, None, some]) ** 2, axis=0)
    place = beta[:, some[np.argmax(np.exp(-0.5 * squares / width**2) @ w[some])]]
    for _ in range(5):
        squares = np.sum((beta[:, multiple] - place[:, None]) ** 2, axis=0)
        near = w[multiple] * np.exp(-0.5 * squares / width**2)
        place = beta[:, multiple] @ near / near.sum()
    kept[multiple] = near
    one_sided = np.hypot(*(directions[:, multiple] @ near))
    return near.sum() - one_sided, place, kept


def source_peaks(residual, mask, beta, magnification, width=0.03, n=3):
    """Where on the source plane the residual of a lens model points to: up to n of (x, y) [arcsec].

    Each significant pixel votes with its significance over the magnification; the places are the
    peaks of the vote, smoothed by `width` [arcsec], at least 3 widths apart, the highest first.

    Args:
        residual: (data - model) / noise, (H, W).
        mask: true where a pixel counts and may hold lensed light, (H, W).
        beta: source positions of the pixels (x, y) [arcsec], each (H, W).
        magnification: |mu| of the pixels, (H, W).
    """
    level = np.where(mask, significance(residual, mask), 0.0)
    votes = np.where(level > 1.5, level, 0.0).ravel() / np.maximum(np.ravel(magnification), 1.0)
    chosen = np.flatnonzero(votes)
    chosen = chosen[np.argsort(votes[chosen])[-2000:]]
    points = np.stack([np.ravel(b)[chosen] for b in beta], axis=1)
    squares = np.sum((points[:, None] - points) ** 2, axis=-1)
    density = np.exp(-0.5 * squares / width**2) @ votes[chosen]
    peaks = []
    while len(peaks) < n and np.any(density > 0.0):
        at = np.argmax(density)
        peaks.append(tuple(float(v) for v in points[at]))
        density[squares[at] < 9.0 * width**2] = 0.0
    return peaks
