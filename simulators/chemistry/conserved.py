"""Elements and charge of abundances, put back to what they were."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def restored(
    ys: Float[Array, "T S B"], y0: Float[Array, "S B"], conserved: np.ndarray
) -> Float[Array, "T S B"]:
    r"""`ys` with the sums M y0 of the rows of M = `conserved` (E, S), for y of one sign.

    .. math:: y \to y - D M^T (M D M^T)^{-1} M (y - y_0), \qquad D = \mathrm{diag}(y)

    the least change relative to y: every abundance by a common factor for each element. The solver
    keeps M y to rounding, but to that of M times the amounts that react to and fro within a step,
    which were seen to add up to 4e-10 of an element in strong ultraviolet; and cutting off negative
    abundances adds to it. Derivatives pass unchanged.

    >>> y0, off = jnp.array([[1.0], [0.0]]), jnp.array([[[0.5], [0.4]]])
    >>> [round(float(y), 3) for y in restored(off, y0, np.array([[1.0, 1.0]]))[0, :, 0]]
    [0.556, 0.444]
    """
    matrix = jnp.asarray(conserved, ys.dtype)
    fixed, start = jax.lax.stop_gradient((ys, y0))

    def change(y):
        """Of one time, (S, B)."""
        excess = jnp.einsum("es,sb->be", matrix, y - start)
        gram = jnp.einsum("es,sb,fs->bef", matrix, y, matrix)
        scale = jnp.sqrt(jnp.einsum("bee->be", gram))
        # Elements that are not there at all.
        scale = jnp.where(scale > 0.0, scale, jnp.ones_like(scale))
        gram = gram / (scale[:, :, None] * scale[:, None, :])
        absent = jnp.einsum("bee->be", gram) == 0.0
        unit = jnp.eye(len(matrix), dtype=y.dtype)[None]
        gram = gram + jnp.where(absent[:, :, None], unit, jnp.zeros_like(unit))
        factor = jnp.linalg.solve(gram, (excess / scale)[:, :, None])[:, :, 0] / scale
        return y * jnp.einsum("es,be->sb", matrix, factor)

    return ys - jax.lax.map(change, fixed)
