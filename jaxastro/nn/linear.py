"""Linear layers of a flow: mixing of coordinates, and a linear-Gaussian first guess."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .bijection import AbstractBijection


class Permutation(AbstractBijection):
    """Coordinates in another order; volume is kept.

    >>> import jax.numpy as jnp
    >>> swap = Permutation(jnp.array([1, 0]))
    >>> swap.forward(jnp.array([3.0, 4.0]), jnp.zeros(0))[0].tolist()
    [4.0, 3.0]
    """

    order: Int[Array, " D"] = eqx.field(converter=jnp.asarray)

    def forward(self, x, context):
        return x[self.order], jnp.zeros((), x.dtype)

    def inverse(self, z, context):
        return z[jnp.argsort(self.order)], jnp.zeros((), z.dtype)


class LU(AbstractBijection):
    r"""A matrix :math:`z = L U P x`, by its triangular factors (Kingma & Dhariwal 2018).

    P rolls the coordinates by `roll`, L has a unit diagonal, U a positive one; it starts as P
    alone. Cost D^2, log-determinant :math:`\sum \log U_{ii}`.
    """

    factors: Float[Array, "D D"]
    roll: int = eqx.field(static=True)

    def __init__(self, dim, roll=0, *, dtype=jnp.float32):
        self.factors = jax.device_put(np.zeros((dim, dim), dtype))
        self.roll = roll

    def _triangles(self):
        dim, dtype = len(self.factors), self.factors.dtype
        eye = np.eye(dim, dtype=dtype)
        below = np.tril(np.ones((dim, dim), dtype), -1)
        lower = self.factors * below + eye
        upper = self.factors * below.T + jnp.exp(self.factors * eye) * eye
        return lower, upper

    def forward(self, x, context):
        lower, upper = self._triangles()
        # A matrix made once for a whole vmapped batch, with P in the order of its columns.
        matrix = jnp.roll(lower @ upper, -self.roll, axis=1)
        return matrix @ x, self._log_det(x)

    def inverse(self, z, context):
        lower, upper = self._triangles()
        # An inverse matrix is formed once for a whole vmapped batch; a solve would not be.
        eye = jnp.eye(len(self.factors), dtype=z.dtype)
        to_lower = jax.scipy.linalg.solve_triangular(lower, eye, lower=True, unit_diagonal=True)
        to_upper = jax.scipy.linalg.solve_triangular(upper, eye)
        x = to_upper @ (to_lower @ z)
        return jnp.roll(x, -self.roll), -self._log_det(z)

    # A matrix times columns is the same product.
    forward_columns = forward

    def _log_det(self, x):
        eye = np.eye(len(self.factors), dtype=self.factors.dtype)
        return jnp.broadcast_to(jnp.sum(self.factors * eye), x.shape[1:])


class LinearGaussian(AbstractBijection):
    r"""The residual of a linear regression on the context, whitened: :math:`z = W(x - Ac - b)`.

    Fitted once, by ridge regression, and constant in training: a flow behind it learns only what
    is not linear and Gaussian. W is the inverse of the residuals' Cholesky factor.
    """

    trainable: ClassVar[bool] = False

    whiten: Float[Array, "D D"]
    colour: Float[Array, "D D"]
    slope: Float[Array, "D C"]
    offset: Float[Array, " D"]

    def __init__(self, dim, context_size, *, dtype=jnp.float32):
        eye, slope, offset = np.eye(dim), np.zeros((dim, context_size)), np.zeros(dim)
        made = (jax.device_put(array.astype(dtype)) for array in (eye, eye, slope, offset))
        self.whiten, self.colour, self.slope, self.offset = made

    def fitted(self, x, context, ridge=1e-3):
        """The same layer fitted to x (N, D) and context (N, C), on the host in float64."""
        x, context = np.asarray(x, float), np.asarray(context, float)
        c_mean, x_mean = context.mean(0), x.mean(0)
        centred, target = context - c_mean, x - x_mean
        scale = np.maximum(centred.std(0), 1e-12)
        gram = centred.T @ centred / len(x) + ridge * np.diag(scale**2)
        slope = np.linalg.solve(gram, centred.T @ target / len(x)).T
        residual = target - centred @ slope.T
        covariance = residual.T @ residual / len(x)
        floor = 1e-6 * np.maximum(x.var(0), 1e-12)
        colour = np.linalg.cholesky(covariance + np.diag(floor))
        new = (np.linalg.inv(colour), colour, slope, x_mean - slope @ c_mean)
        old = (self.whiten, self.colour, self.slope, self.offset)
        new = tuple(jax.device_put(n.astype(o.dtype)) for n, o in zip(new, old, strict=True))
        return eqx.tree_at(lambda m: (m.whiten, m.colour, m.slope, m.offset), self, new)

    def forward(self, x, context):
        whiten, _, slope, offset = self._constants()
        z = whiten @ (x - slope @ context - offset)
        return z, jnp.sum(jnp.log(jnp.diag(whiten)))

    def inverse(self, z, context):
        whiten, colour, slope, offset = self._constants()
        x = colour @ z + slope @ context + offset
        return x, -jnp.sum(jnp.log(jnp.diag(whiten)))

    def _constants(self):
        return jax.lax.stop_gradient((self.whiten, self.colour, self.slope, self.offset))


def reversal_and_mixing(dim, dtype):
    """What stands between autoregressive layers: the coordinates turned round, and a matrix."""
    return Permutation(np.arange(dim, dtype=np.int32)[::-1]), LU(dim, dtype=dtype)
