"""The classifier two-sample test: can a network tell two sets of draws apart?"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from ..core.host_random import generator
from .perceptron import MAX_EPOCHS, logits, train


@dataclass(frozen=True)
class C2stResult:
    """Accuracy on draws held out, its p-value, and the verdict at the stated false alarm.

    `null_accuracy` is (lower, upper): where 95 per cent of the accuracies lie if p and q agree.
    """

    accuracy: float
    p_value: float
    null_accuracy: tuple
    n_test: int
    false_alarm: float

    @property
    def ok(self):
        """Whether the two sets of draws were not told apart."""
        return self.p_value >= self.false_alarm

    def __bool__(self):
        return self.ok

    def __str__(self):
        verdict = "not told apart" if self.ok else "DIFFERENT distributions"
        return (
            f"{verdict} at a false-alarm rate of {self.false_alarm}: accuracy {self.accuracy:.3f} "
            f"on {self.n_test} draws held out, p={self.p_value:.3g}"
        )


def c2st(key, p, q, n_folds=5, max_epochs=MAX_EPOCHS):
    """Cross-validated accuracy of a classifier of p against q: 0.5 where they cannot be told apart.

    A perceptron with two hidden layers of 10 D rectified units, trained as scikit-learn's
    `MLPClassifier` by default, on draws shifted and scaled by p's mean and standard deviation: the
    metric of the SBI benchmark (Lueckmann et al. 2021, AISTATS). That classifier trains until its
    training loss stalls, hundreds of epochs in ten dimensions: `max_epochs` cuts it short, at the
    price that the figures are no longer the benchmark's.

    Args:
        p, q: draws, (N, D) each; or (M, N, D) for M comparisons at once.

    Returns:
        A float, or (M,).

    Raises ValueError for other shapes, or values that are not finite.

    >>> import numpy as np
    >>> draws = np.random.default_rng(0).normal(size=(2, 500, 1))
    >>> 0.4 < c2st(jax.random.key(0), draws[0], draws[1]) < 0.6
    True
    >>> c2st(jax.random.key(0), draws[0], draws[1] + 9.0) > 0.99
    True
    """
    p, q = _draws(p, q, (2, 3))
    single = p.ndim == 2
    p, q = (draws[None] if single else draws for draws in (p, q))
    if not 2 <= n_folds <= p.shape[1]:
        raise ValueError(f"n_folds={n_folds}: take 2 or more, and no more than the draws.")
    x, y = _labelled(p, q)
    n = x.shape[1]
    n_test = n // n_folds
    data_key, fit_key = jax.random.split(key)
    rng = generator(data_key)
    # (M, folds, N): each comparison shuffled on its own, each fold in turn put last.
    orders = np.stack([rng.permutation(n) for _ in range(len(x))])
    orders = np.stack([np.roll(orders, i * n_test, axis=1) for i in range(n_folds)], axis=1)
    rows = np.arange(len(x))[:, None, None]
    folds = x[rows, orders].reshape(-1, *x.shape[1:])
    labels = y[orders].reshape(-1, n)
    weights, _ = train(fit_key, folds[:, :-n_test], labels[:, :-n_test], max_epochs)
    correct = _predictions(weights, folds[:, -n_test:]) == labels[:, -n_test:]
    accuracy = correct.reshape(len(x), -1).mean(1)
    return float(accuracy[0]) if single else accuracy


def c2st_test(key, p, q, false_alarm=1e-3, max_epochs=MAX_EPOCHS):
    """Test of p = q by the accuracy of the classifier of `c2st`, with an exact false-alarm rate.

    Trained on one half of the draws and judged on the other, for the folds of a cross-validation
    depend on each other. There, given how many draws the classifier calls q's, the number that are
    is hypergeometric if p = q (Fisher's exact test, one-sided), whatever the classifier learnt.

    Args:
        p, q: draws, (N, D) each, independent: thin a chain first.

    >>> import numpy as np
    >>> p, q = np.random.default_rng(0).normal(size=(2, 400, 1))
    >>> c2st_test(jax.random.key(0), p, q).ok, c2st_test(jax.random.key(0), p, q + 1.0).ok
    (True, False)
    """
    from scipy.stats import hypergeom

    p, q = _draws(p, q, (2,))
    data_key, fit_key = jax.random.split(key)
    rng = generator(data_key)
    p, q = rng.permutation(p), rng.permutation(q)
    half = len(p) // 2
    if half < 1:
        raise ValueError(f"p and q hold {len(p)} draws; at least 2 are needed.")
    # Scaled by the half that is learnt from alone, so that nothing of the other is known.
    scale = _scale(p[None, :half])
    x, y = _labelled(p[None, :half], q[None, :half], scale)
    order = rng.permutation(len(y))
    weights, _ = train(fit_key, x[:, order], y[order][None], max_epochs)
    test_x, test_y = _labelled(p[None, half:], q[None, half:], scale)
    called = _predictions(weights, test_x)[0]
    n, n_called, n_right = len(test_y), int(called.sum()), int(np.sum(called * test_y))
    null = hypergeom(n, n // 2, n_called)
    # Right are those of q called q's, and those of p that are not.
    low, high = (float(1 / 2 + (2 * a - n_called) / n) for a in null.ppf([0.025, 0.975]))
    return C2stResult(
        accuracy=float(np.mean(called == test_y)),
        p_value=float(null.sf(n_right - 1)),
        null_accuracy=(low, high),
        n_test=n,
        false_alarm=false_alarm,
    )


def _draws(p, q, ndims):
    p, q = np.asarray(p, np.float64), np.asarray(q, np.float64)
    if p.shape != q.shape or p.ndim not in ndims:
        shapes = " or ".join({2: "(N, D)", 3: "(M, N, D)"}[n] for n in ndims)
        raise ValueError(
            f"p has shape {p.shape}, q {q.shape}; give as many draws of each, {shapes}."
        )
    for name, draws in (("p", p), ("q", q)):
        if not np.all(np.isfinite(draws)):
            raise ValueError(f"{name} holds {np.sum(~np.isfinite(draws))} non-finite values.")
    return p, q


def _scale(p):
    mean, scale = p.mean(1, keepdims=True), p.std(1, ddof=1, keepdims=True)
    return mean, np.where(scale > 0, scale, 1.0)


def _labelled(p, q, scale=None):
    mean, scale = scale or _scale(p)
    x = ((np.concatenate([p, q], 1) - mean) / scale).astype(np.float32)
    return x, np.repeat(np.array([0.0, 1.0], np.float32), p.shape[1])


_logits = jax.jit(jax.vmap(logits))


def _predictions(weights, x):
    return (np.asarray(_logits(weights, jnp.asarray(x))) > 0).astype(np.float32)
