"""The maximum of the posterior density, from many starts."""

import equinox as eqx
import jax
import numpy as np

from ..core import Target
from ..core.progress import reporter
from .gradient import evaluate, evaluate_gradient, on_threads, resolve_mode


class MapResult(eqx.Module):
    """The best point found, and what every start found.

    `u` (D,), its parameters, `log_density` and `converged`; `scale` (D,) estimates the
    posterior's standard deviations from the search. `starts` holds for each start, the best
    first: `u` (n, D), `log_density`, `converged`, `n_evaluations` (each (n,)).
    """

    u: np.ndarray
    params: dict
    log_density: float
    converged: bool
    scale: np.ndarray
    starts: dict


def find_map(
    key,
    target,
    *,
    n_starts=64,
    n_draws=None,
    n_keep=8,
    initial=None,
    max_evaluations=400,
    tolerance=1e-4,
    gradient="auto",
    progress=None,
):
    """Maximise the log density over unconstrained space.

    Stage one evaluates `n_draws` prior draws (16 a start by default) and keeps the best
    `n_starts`; `initial` of shape (n, D) replaces or joins them (they come first). Stage two runs
    BFGS with backtracking from each; every 30 evaluations the worse half is set aside until
    `n_keep` remain. A start converges where the expected gain of log density of a Newton step is
    below `tolerance`, and again after a search from there with a new estimate of the curvature.
    Points where the density is -inf are stepped back from.

    The density includes the log-determinant: the result is the mode in unconstrained space,
    where the samplers work, and in general not the mode in the parameters.

    The optimiser runs outside JAX and calls one compiled value-and-gradient, the same that
    `laplace` and the start of `nuts` call: three jobs for one compilation.

    Args:
        key: typed PRNG key.
        target: a `Target`.
        progress: True for a line on standard error, or a function of (ended, total, best log
            density), after each round of searches.

    Raises:
        ValueError: bad counts or shapes, or no draw with a finite density.
    """
    _check(target, n_starts, n_keep, max_evaluations, initial)
    mode = resolve_mode(target.dim, gradient)
    starts = _choose_starts(key, target, n_starts, n_draws, initial)

    def density(u):
        value, slope = evaluate_gradient(target, u.astype(starts.dtype), mode)
        return -value, -np.asarray(slope, float)

    searches = [_Search(u) for u in np.asarray(starts, float)]
    active = list(searches)
    report = reporter(progress, "maximum: {}/{} searches ended, log density {:.2f}".format)
    while active:

        def advance(search):
            search.run(density, min(30, max_evaluations - search.n_evaluations), tolerance)

        on_threads(advance, active)
        active.sort(key=lambda s: s.value)
        active = active[: max(n_keep, (len(active) + 1) // 2)]
        active = [s for s in active if not s.finished and s.n_evaluations < max_evaluations]
        ended = len(searches) - len(active)
        report(ended, len(searches), max(-s.value for s in searches), last=not active)

    searches.sort(key=lambda s: s.value)
    found = searches[0]
    u = found.u.astype(starts.dtype)
    params = jax.tree.map(np.asarray, target.constrain(jax.numpy.asarray(u)))
    return MapResult(
        u=u,
        params=params,
        log_density=-found.value,
        converged=found.converged,
        scale=np.sqrt(found.variances()),
        starts={
            "u": np.stack([s.u for s in searches]).astype(starts.dtype),
            "log_density": np.array([-s.value for s in searches]),
            "converged": np.array([s.converged for s in searches]),
            "n_evaluations": np.array([s.n_evaluations for s in searches]),
        },
    )


class _Search:
    """One BFGS minimisation that can be paused (Nocedal & Wright 2006, algorithm 6.1)."""

    def __init__(self, u):
        self.u = u
        self.value, self.slope = np.inf, np.zeros_like(u)
        self.inverse_hessian = np.eye(len(u))
        self.fresh = True
        self.confirming, self.settled = np.inf, None
        self.converged = self.finished = False
        self.n_evaluations = 0

    def variances(self):
        """Of the posterior, as the search that took longest has them."""
        return np.diag(self.inverse_hessian if self.settled is None else self.settled)

    def run(self, density, budget, tolerance):
        stop = self.n_evaluations + budget
        if self.n_evaluations == 0:
            self.value, self.slope = density(self.u)
            self.n_evaluations = 1
        while self.n_evaluations < stop and not self.finished:
            self._step(density, tolerance)

    def _step(self, density, tolerance):
        direction = -self.inverse_hessian @ self.slope
        decrease = -(self.slope @ direction)
        if not np.isfinite(decrease):
            self.finished = True
            return
        if 0.5 * decrease < tolerance and not self.fresh:
            self._confirm()
            return
        # Unconstrained space has the prior's scale: a step beyond 2 leaves what the data know.
        direction *= min(1.0, (0.1 if self.fresh else 2.0) / max(np.linalg.norm(direction), 1e-300))
        expected, length = self.slope @ direction, 1.0
        for _ in range(25):
            value, slope = density(self.u + length * direction)
            self.n_evaluations += 1
            if np.all(np.isfinite(slope)) and value <= self.value + 1e-4 * length * expected:
                self._accept(length * direction, value, slope)
                return
            excess = value - self.value - length * expected
            quadratic = -0.5 * length**2 * expected / excess if np.isfinite(excess) else 0.0
            length = np.clip(quadratic, 0.1 * length, 0.5 * length)
        # No decrease along this direction: the curvature estimate or rounding is to blame.
        self.finished = self.fresh
        self.converged = self.finished and 0.5 * decrease < tolerance
        self.inverse_hessian, self.fresh = np.eye(len(self.u)), True

    def _confirm(self):
        # A wrong estimate of the curvature promises no decrease where there is one: of a lens model
        # a second search from such points went up by 0.01 to 20. The end is where it gains nothing.
        if self.confirming - self.value < 0.01:
            self.converged = self.finished = True
            return
        self.confirming, self.settled = self.value, self.inverse_hessian
        self.inverse_hessian, self.fresh = np.eye(len(self.u)), True

    def _accept(self, step, value, slope):
        change = slope - self.slope
        curvature = step @ change
        if curvature > 1e-10 * np.linalg.norm(step) * np.linalg.norm(change):
            if self.fresh:
                self.inverse_hessian = np.eye(len(step)) * curvature / (change @ change)
            left = np.eye(len(step)) - np.outer(step, change) / curvature
            self.inverse_hessian = left @ self.inverse_hessian @ left.T
            self.inverse_hessian += np.outer(step, step) / curvature
            self.fresh = False
        self.u, self.value, self.slope = self.u + step, value, slope


def _choose_starts(key, target, n_starts, n_draws, initial):
    given = [] if initial is None else list(np.atleast_2d(np.asarray(initial)))
    wanted = n_starts - len(given)
    drawn = []
    if wanted > 0:
        n_draws = 16 * wanted if n_draws is None else max(n_draws, wanted)
        draws = target.prior.sample(key, (n_draws,))
        points = np.asarray(jax.vmap(target.prior.to_unconstrained)(draws))
        values = evaluate(target, points)
        order = np.argsort(-values, kind="stable")[:wanted]
        drawn = [points[i] for i in order if np.isfinite(values[i])]
    if not given and not drawn:
        raise ValueError(
            f"find_map: the log density is -inf or NaN at all {n_draws} prior draws; check the "
            "likelihood at a known point, tighten the prior, or give initial=."
        )
    return np.stack([*given[:n_starts], *drawn])


def _check(target, n_starts, n_keep, max_evaluations, initial):
    if not isinstance(target, Target):
        raise ValueError(
            f"find_map: target is a {type(target).__name__}; give model.condition(observation)."
        )
    counts = {"n_starts": n_starts, "n_keep": n_keep, "max_evaluations": max_evaluations}
    for name, value in counts.items():
        if value < 1:
            raise ValueError(f"find_map: {name}={value}; it must be at least 1.")
    if initial is not None and np.atleast_2d(initial).shape[1:] != (target.dim,):
        raise ValueError(
            f"find_map: initial has shape {np.shape(initial)}; it must be (n, {target.dim})."
        )
