"""Maximum mean discrepancy: a two-sample test without training."""

import jax
import jax.numpy as jnp
import numpy as np

from ..core.host_random import generator
from .verdict import Verdict, check_resolved, exceedance


def mmd_test(key, p, q, *, false_alarm=1e-3, n_permutations=4999, n_max=2000):
    r"""Test of p = q by the maximum mean discrepancy of a Gaussian kernel (Gretton et al. 2012).

    .. math:: MMD^2 = \langle k(p, p') \rangle + \langle k(q, q') \rangle - 2 \langle k(p,q)\rangle

    without bias, k as wide as the median distance, coordinates in units of the standard deviations
    of both sets together. Labels are permuted for its null distribution: the false-alarm rate is
    exact.

    Args:
        key: typed PRNG key.
        p, q: independent draws, (N, D) and (M, D).
        n_max: at most so many of each are used, for the kernel takes their number squared.

    >>> import jax, numpy as np
    >>> p, q = np.random.default_rng(0).normal(size=(2, 200, 2))
    >>> mmd_test(jax.random.key(0), p, q).ok, mmd_test(jax.random.key(0), p, q + 0.7).ok
    (True, False)
    """
    check_resolved(false_alarm, n_permutations, "n_permutations")
    p, q = np.asarray(p, float), np.asarray(q, float)
    if p.ndim != 2 or q.ndim != 2 or p.shape[1] != q.shape[1] or min(len(p), len(q)) < 2:
        raise ValueError(f"p has shape {p.shape}, q {q.shape}; give (N, D) and (M, D), N, M > 1.")
    for name, draws in (("p", p), ("q", q)):
        if not np.all(np.isfinite(draws)):
            raise ValueError(f"{name} holds {np.sum(~np.isfinite(draws))} non-finite values.")
    rng = generator(key)
    p, q = (draws[rng.permutation(len(draws))[:n_max]] for draws in (p, q))
    x = np.concatenate([p, q])
    scale = x.std(0)
    x = ((x - x.mean(0)) / np.where(scale > 0, scale, 1.0)).astype(np.float32)
    labels = np.zeros((n_permutations + 1, len(x)), np.float32)
    labels[0, : len(p)] = 1
    for row in labels[1:]:
        row[rng.permutation(len(x))[: len(p)]] = 1
    values = np.asarray(_mmd(jnp.asarray(x), jnp.asarray(labels)), float)
    return Verdict(
        "squared maximum mean discrepancy",
        float(values[0]),
        values[1:],
        exceedance(values[0], values[1:]),
        false_alarm,
        passes="not told apart",
        fails="DIFFERENT distributions",
    )


@jax.jit
def _mmd(x, labels):
    """MMD^2 of each labelling (B, N) of points (N, D)."""
    square = jnp.sum(x**2, 1)
    distance = jnp.maximum(square[:, None] + square[None] - 2 * x @ x.T, 0)
    n = jnp.asarray(len(x), x.dtype)
    kernel = jnp.exp(-distance / jnp.maximum(jnp.median(distance), 1e-12))
    kernel = kernel * (1 - jnp.eye(len(x), dtype=x.dtype))
    n_p = jnp.sum(labels[0])
    n_q = n - n_p
    of_p = labels @ kernel
    pp = jnp.sum(of_p * labels, 1)
    pq = jnp.sum(of_p, 1) - pp
    qq = jnp.sum(kernel) - pp - 2 * pq
    return pp / (n_p * (n_p - 1)) + qq / (n_q * (n_q - 1)) - 2 * pq / (n_p * n_q)
