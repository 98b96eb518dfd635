r"""Point sources: all images of one, differentiable by the implicit function theorem.

The lens equation theta - alpha(theta) = beta is solved on a grid of triangles: a triangle whose
image in the source plane encloses beta holds an image (Schneider, Ehlers & Falco 1992, section
10.4), from where Newton's method goes on. Images closer together than a cell, beside a critical
curve, may be missed: make the cells smaller there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from simulators.lensing.mass.base import AbstractMass
from simulators.shared.fields import as_float

#: Newton steps from the triangle on, none longer than a cell: five square an error of a tenth of a
#: cell into rounding, and beside a critical curve more are needed.
_STEPS = 12


class Images(NamedTuple):
    """The images of one point source, the brightest first, padded to a fixed number.

    Attributes:
        theta: directions [arcsec], shape (K, 2).
        magnification: signed, shape (K,); zero where there is no image.
        found: which rows hold an image, shape (K,).
        n: how many images there are, more than K if some did not fit.
    """

    theta: Float[Array, "K 2"]
    magnification: Float[Array, " K"]
    found: Bool[Array, " K"]
    n: Array


def image_positions(
    lens: AbstractMass, beta, *, window=3.0, n_cells=60, max_images=5, center=(0.0, 0.0)
) -> Images:
    """All images of a point source in a square window.

    Derivatives of the directions are those of the implicit function theorem, in both modes; the
    number of images carries none.

    Args:
        lens: one plane of lenses.
        beta: the source's true direction [arcsec], shape (2,).
        window: half the side of the window [arcsec].
        n_cells: cells along a side (static); each is two triangles.
        max_images: rows of the result (static).
        center: of the window [arcsec].

    Raises:
        ValueError: for a `beta` of another shape, or counts that are not positive.

    >>> from simulators.lensing.mass.point import SIS
    >>> images = image_positions(SIS(1.0), [0.2, 0.0])
    >>> int(images.n), [round(float(x), 4) for x in images.theta[:2, 0]]
    (2, [1.2, -0.8])
    """
    beta = as_float(beta)
    if beta.shape != (2,):
        raise ValueError(f"beta: got shape {beta.shape}; give one direction of shape (2,).")
    if n_cells < 2 or max_images < 1:
        raise ValueError(
            f"n_cells = {n_cells}, max_images = {max_images}: give at least 2 and at least 1."
        )
    cell = 2.0 * window / n_cells
    bx, by = beta[0], beta[1]
    still = jax.lax.stop_gradient((lens, bx, by))
    starts, holds = _candidates(*still, cell, n_cells, center)
    # A cell may be entered twice, from triangles on both sides of an edge: room for both.
    room = 2 * max_images
    chosen = jnp.nonzero(holds, size=room, fill_value=0)[0]
    start = tuple(c[chosen] for c in starts)
    x, y = _refine(*still, *start, cell)
    # What Newton's method did not take to a solution near its cell is no image but a jump of alpha.
    miss = _squared(*_residual(lens, bx, by, x, y))
    moved = _squared(x - start[0], y - start[1])
    valid = jnp.arange(room) < jnp.sum(holds)
    valid &= (miss < float(jnp.finfo(x.dtype).eps) * cell**2) & (moved < (2.0 * cell) ** 2)
    valid &= ~_repeated(x, y, valid, 1e-3 * cell)
    # One more step from the solution has its derivatives: the Jacobian multiplies what is zero, so
    # that its own derivative, which is cut, does not count.
    x, y = (jax.lax.stop_gradient(c) for c in (x, y))
    dx, dy = _newton_step(lens, bx, by, x, y)
    x, y = x + dx, y + dy
    theta = jnp.stack([x, y], axis=-1)
    magnification = jnp.where(valid, lens.magnification(theta), 0.0)
    order = jnp.argsort(-jnp.abs(magnification))[:max_images]
    return Images(theta[order], magnification[order], valid[order], jnp.sum(valid))


def _candidates(lens, bx, by, cell, n, center):
    """A start in each of the 2 n^2 triangles, and whether its image encloses the source."""
    axis = (jnp.arange(n + 1).astype(bx.dtype) - 0.5 * n) * cell
    cx, cy = (jnp.asarray(c).astype(bx.dtype) for c in center)
    x, y = jnp.meshgrid(axis + cx, axis + cy, indexing="ij")
    corners = [(slice(None, -1), slice(None, -1)), (slice(1, None), slice(None, -1))]
    corners += [(slice(None, -1), slice(1, None)), (slice(1, None), slice(1, None))]
    sx, sy = _residual(lens, bx, by, x, y)
    p = [(x[c], y[c]) for c in corners]
    s = [(sx[c], sy[c]) for c in corners]
    starts, holds = [], []
    for i, j, k in ((0, 1, 2), (3, 2, 1)):
        parts = _cross(s[j], s[k]), _cross(s[k], s[i]), _cross(s[i], s[j])
        area = parts[0] + parts[1] + parts[2]
        low = jnp.minimum(jnp.minimum(parts[0], parts[1]), parts[2])
        high = jnp.maximum(jnp.maximum(parts[0], parts[1]), parts[2])
        holds.append(((low >= 0) | (high <= 0)) & (area != 0))
        # Only where the source is inside are the weights of any use.
        weights = [w / jnp.where(area == 0, 1.0, area) for w in parts]
        corner = [p[m] for m in (i, j, k)]
        starts.append([sum(w * q[c] for w, q in zip(weights, corner, strict=True)) for c in (0, 1)])
    x, y = (jnp.stack([start[c] for start in starts]).reshape(-1) for c in (0, 1))
    return (x, y), jnp.stack(holds).reshape(-1)


def _cross(a, b):
    return a[0] * b[1] - a[1] * b[0]


def _squared(x, y):
    return x * x + y * y


def _residual(lens, bx, by, x, y):
    x, y = lens.trace(x, y)
    return x - bx, y - by


def _newton_step(lens, bx, by, x, y):
    """-A^-1 (theta - alpha - beta) with the Jacobian A of the lens equation, held constant."""
    xx, xy, yy = jax.lax.stop_gradient(lens.hessian(x, y))
    rx, ry = _residual(lens, bx, by, x, y)
    det = (1.0 - xx) * (1.0 - yy) - xy * xy
    det = jnp.where(det == 0, float(jnp.finfo(x.dtype).eps), det)
    return -((1.0 - yy) * rx + xy * ry) / det, -(xy * rx + (1.0 - xx) * ry) / det


def _refine(lens, bx, by, x, y, cell):
    def step(place, _):
        dx, dy = _newton_step(lens, bx, by, *place)
        length = jnp.sqrt(_squared(dx, dy))
        share = jnp.minimum(1.0, cell / jnp.where(length == 0, 1.0, length))
        moves = (jnp.where(jnp.isfinite(length), share * d, 0.0) for d in (dx, dy))
        return tuple(c + d for c, d in zip(place, moves, strict=True)), None

    return jax.lax.scan(step, (x, y), None, length=_STEPS)[0]


def _repeated(x, y, valid, near):
    """Rows that hold an image which an earlier row holds."""
    apart = _squared(x[:, None] - x[None], y[:, None] - y[None])
    same = (apart < near * near) & valid[None] & valid[:, None]
    return jnp.any(jnp.tril(same, -1), axis=1)
