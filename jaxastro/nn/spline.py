"""Monotone rational-quadratic splines (Durkan et al. 2019, NeurIPS)."""

import itertools
import math

import jax
import jax.numpy as jnp

MIN_BIN = 1e-3
MIN_SLOPE = 1e-3
# softplus of this is 1 - MIN_SLOPE: zero raw parameters then give the identity.
_UNIT_SLOPE = math.log(math.expm1(1.0 - MIN_SLOPE))


def n_spline_parameters(n_bins):
    """Raw parameters of one dimension: widths, heights and inner slopes, 3 n_bins - 1."""
    return 3 * n_bins - 1


def spline(x, raw, bound):
    r"""The spline of each element and the sum of its log-derivatives.

    With :math:`s = h/w` of the bin, :math:`t = (x - x_k)/w` and slopes :math:`\delta` at the knots

    .. math:: y = y_k + h \frac{s t^2 + \delta_k t(1-t)}{s + (\delta_k+\delta_{k+1}-2s) t(1-t)}

    on [-bound, bound], the identity outside (Durkan et al. 2019, equations 4 and 5).

    Args:
        x: (D,), or (D, N).
        raw: (D, 3 K - 1), or (D, 3 K - 1, N), unconstrained: K widths, K heights, K - 1 slopes at
            inner knots.

    >>> import jax.numpy as jnp
    >>> y, log_det = spline(jnp.array([0.3, 7.0]), jnp.zeros((2, 23)), 4.0)
    >>> y.round(4).tolist(), round(float(log_det), 4)
    ([0.3, 7.0], 0.0)
    """
    s = (x + bound) / (2 * bound)
    inside = (s > 0) & (s < 1)
    s = jnp.clip(s, 0.0, 1.0)
    width, height, left, bottom, below, above = _bin(s, raw, by_height=False)
    t = (s - left) / width
    slope = height / width
    u = t * (1 - t)
    denominator = slope + (below + above - 2 * slope) * u
    y = bottom + height * (slope * t * t + below * u) / denominator
    return (
        jnp.where(inside, 2 * bound * y - bound, x),
        jnp.sum(jnp.where(inside, _log_slope(t, slope, below, above, denominator), 0.0), 0),
    )


def inverse_spline(y, raw, bound):
    """The inverse of `spline` and the sum of *its* log-derivatives; one quadratic equation."""
    s = (y + bound) / (2 * bound)
    inside = (s > 0) & (s < 1)
    s = jnp.clip(s, 0.0, 1.0)
    width, height, left, bottom, below, above = _bin(s, raw, by_height=True)
    slope = height / width
    rise = s - bottom
    bend = below + above - 2 * slope
    a = height * (slope - below) + rise * bend
    b = height * below - rise * bend
    c = -slope * rise
    # The root in [0, 1], in the form without cancellation.
    # Rounding can take the discriminant to zero, where the gradient of a root is infinite.
    root = jnp.sqrt(jnp.maximum(b * b - 4 * a * c, jnp.finfo(y.dtype).tiny))
    t = jnp.clip(2 * c / (-b - root), 0.0, 1.0)
    denominator = slope + bend * t * (1 - t)
    x = left + t * width
    return (
        jnp.where(inside, 2 * bound * x - bound, y),
        jnp.sum(jnp.where(inside, -_log_slope(t, slope, below, above, denominator), 0.0), 0),
    )


def _bin(s, raw, by_height):
    """Width, height, left knot, bottom and both slopes of the bin that holds s, each like s."""
    n = (raw.shape[1] + 1) // 3
    widths, heights = (
        MIN_BIN + (1 - MIN_BIN * n) * jax.nn.softmax(raw[:, i * n : (i + 1) * n], 1) for i in (0, 1)
    )
    steps = heights if by_height else widths
    edge = jnp.zeros_like(steps[:, :1], dtype=bool)
    if raw.ndim == 2:
        # A product with a triangle: under vmap XLA's cumulative sum, and sums one by one, are slow.
        reached = s[:, None] >= steps @ jnp.triu(jnp.ones((n, n), raw.dtype), 1)
        passed = jnp.concatenate([reached[:, 1:], edge], 1)
    else:
        # Each knot once: a cumulative sum over few bins is that many additions.
        knots = itertools.accumulate(steps[:, k] for k in range(n - 1))
        passed = jnp.stack([s >= knot for knot in knots], 1)
        reached, passed = jnp.concatenate([~edge, passed], 1), jnp.concatenate([passed, edge], 1)
    here = reached & ~passed

    # Sums over bins, not gathers: a gather's transpose is a scatter, element by element.
    def pick(mask, values):
        return jnp.sum(mask.astype(raw.dtype) * values, 1)

    def slope(raw):
        return MIN_SLOPE + jax.nn.softplus(raw + _UNIT_SLOPE)

    # At both ends the slope is one, which raw zeros give.
    ends = jnp.pad(raw[:, 2 * n :], [(0, 0), (1, 1), *[(0, 0)] * (raw.ndim - 2)])
    return (
        pick(here, widths),
        pick(here, heights),
        pick(passed, widths),
        pick(passed, heights),
        slope(pick(here, ends[:, :-1])),
        slope(pick(here, ends[:, 1:])),
    )


def _log_slope(t, slope, below, above, denominator):
    u = t * (1 - t)
    top = above * t * t + 2 * slope * u + below * (1 - t) ** 2
    return jnp.log(top * (slope / denominator) ** 2)
