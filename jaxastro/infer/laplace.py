"""A Gaussian at the maximum, from finite differences of the gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .gradient import evaluate_gradient, on_threads


class Laplace(eqx.Module):
    """Mean `u` (D,), `covariance` (D, D), and how many directions had no negative curvature."""

    u: np.ndarray
    covariance: np.ndarray
    n_repaired: int

    @classmethod
    def of_draws(cls, prior, posterior):
        """Mean and covariance of a `SamplePosterior`'s draws in the prior's unconstrained space.

        >>> import numpyro.distributions as dist
        >>> from jaxastro.core import Parameter, Prior, SamplePosterior
        >>> prior = Prior(m=Parameter(dist.Normal(0.0, 1.0)), b=Parameter(dist.Normal(0.0, 1.0)))
        >>> draws = SamplePosterior({"m": np.array([[1.0, 3.0]]), "b": np.array([[0.0, 0.0]])})
        >>> Laplace.of_draws(prior, draws).covariance.max().round(3).tolist()
        2.0
        """
        draws = jax.tree.map(jnp.asarray, posterior.flat())
        u = np.asarray(jax.vmap(prior.to_unconstrained)(draws))
        return cls(u.mean(axis=0), np.cov(u, rowvar=False), 0)

    def sample(self, key, n):
        """n points of unconstrained space: (n, D)."""
        factor = np.linalg.cholesky(self.covariance)
        noise = np.asarray(jax.random.normal(key, (n, len(self.u))))
        return (self.u + noise @ factor.T).astype(self.u.dtype)


def laplace(target, u, *, scale=None, gradient="auto"):
    r"""Covariance of the Gaussian that matches the curvature at `u`: (-Hessian)^-1.

    The Hessian is a central difference of the gradient with steps of 1/20 of the posterior's
    standard deviations: right to about 1e-3 of them, deaf to the rounding noise of a solver, and
    free of a compilation of second derivatives. `scale` (D,) gives those deviations
    (`MapResult.scale`); without it they are estimated first, from the curvature along each axis.
    Directions of no or wrong curvature get that of the weakest good size, and are counted.

    Args:
        target: a `Target`.
        u: point of shape (D,), or a `MapResult`, which brings its scale.

    Raises:
        ValueError: a bad shape, or a gradient that is not finite around `u`.
    """
    if hasattr(u, "scale"):
        u, scale = u.u, u.scale if scale is None else scale
    u = np.asarray(u)
    if u.shape != (target.dim,):
        raise ValueError(f"laplace: u has shape {u.shape}; it must be ({target.dim},).")
    if scale is None:
        scale = np.full(u.shape, np.finfo(u.dtype).eps ** 0.2)
    # The scale of a search may be far off along some axes: two rounds settle it.
    for _ in range(2):
        hessian = _hessian(target, u, 0.05 * scale, gradient)
        curvature = -np.diag(hessian)
        good = curvature > 0
        scale = np.where(good, 1 / np.sqrt(np.where(good, curvature, 1.0)), scale)
    hessian = _hessian(target, u, 0.05 * scale, gradient)
    precision, vectors = np.linalg.eigh(-hessian * scale[:, None] * scale[None, :])
    # In these coordinates the diagonal is one; an eigenvalue below 1e-6 is rounding.
    repaired = np.maximum(np.abs(precision), 1e-6)
    covariance = (vectors / repaired) @ vectors.T * scale[:, None] * scale[None, :]
    return Laplace(u, covariance.astype(u.dtype), int(np.sum(precision < 1e-6)))


def _hessian(target, u, step, gradient):
    offsets = np.diag(step)
    points = np.concatenate([u + offsets, u - offsets]).astype(u.dtype)
    slopes = on_threads(lambda x: evaluate_gradient(target, x, gradient), list(points))
    values = np.array([value for value, _ in slopes])
    slopes = np.array([slope for _, slope in slopes], float)
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(slopes))):
        raise ValueError(
            "laplace: the log density or its gradient is not finite around u; start from a point "
            "inside the posterior, as find_map gives."
        )
    n = len(u)
    hessian = (slopes[:n] - slopes[n:]) / (2 * step[:, None])
    return 0.5 * (hessian + hessian.T)
