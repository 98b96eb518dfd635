"""Many lenses of one kind in one plane, such as the subhaloes of a galaxy."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.mass.base import AbstractMass

# 1000 truncated haloes on 4 rays, float64, one core: 2.0, 0.6 and 0.55 ms in blocks of 1, 8 and 32.
_BLOCK = 8
# More rays times lenses than this fall out of a core's cache: with 200 x 200 rays blocks of 1 take
# 0.29 s and blocks of 8 0.41 s.
_CACHED = 64_000


class Population(AbstractMass):
    r"""A sum over lenses of one kind whose parameters carry a leading axis.

    .. math:: \psi = \sum_{n} w_n \psi_n

    The sum runs over blocks of lenses, one after the other, and a gradient computes each block
    anew: its memory is that of a few grids, whatever the number of lenses. One program serves every
    number of lenses up to the length of the axis: give the padding valid parameters and a mask.

    Args:
        mass: a lens whose every leaf has the same leading axis N.
        mask: of shape (N,), true where there is a lens, or weights w_n; by default all.
        block: lenses computed at once, at most; static. On many rays it is one by one.

    Raises:
        ValueError: if the leading axes differ, or `block` is not positive.

    >>> import jax.numpy as jnp
    >>> from simulators.lensing.mass.nfw import TNFW
    >>> from simulators.lensing.mass.population import Population
    >>> one = jnp.ones(3)
    >>> haloes = Population(
    ...     TNFW(0.1 * one, 0.01 * one, 0.5 * one, jnp.array([1.0, -1.0, 0.0]), 0.0 * one),
    ...     mask=jnp.array([True, True, False]),
    ... )
    >>> bool(jnp.allclose(haloes.deflection([0.0, 0.0]), 0.0, atol=1e-9))
    True
    """

    mass: AbstractMass
    mask: jax.Array
    block: int = eqx.field(static=True)

    def __init__(self, mass, mask=None, block=_BLOCK):
        shapes = {getattr(leaf, "shape", ()) for leaf in jax.tree.leaves(mass)}
        lengths = {shape[:1] for shape in shapes}
        if len(lengths) != 1 or () in lengths:
            raise ValueError(
                f"Population: the leaves of argument `mass` have shapes {sorted(shapes)}; give "
                "each the same leading axis, the lenses."
            )
        (length,) = lengths
        mask = jnp.ones(length, bool) if mask is None else jnp.asarray(mask)
        if mask.shape != length:
            raise ValueError(
                f"Population: argument `mask` has shape {mask.shape}; give {length}, an entry for "
                "each lens."
            )
        if block < 1:
            raise ValueError(f"Population: argument `block` = {block}; give at least 1.")
        self.mass, self.mask, self.block = mass, mask, int(block)

    def psi(self, x, y):
        """Sum of the lenses' potentials."""
        return self._sum(lambda lens, x, y: (lens.psi(x, y),), 1, x, y)[0]

    def alpha(self, x, y):
        """Sum of the lenses' deflections."""
        return self._sum(lambda lens, x, y: lens.alpha(x, y), 2, x, y)

    def hessian(self, x, y):
        """Sum of the lenses' second derivatives."""
        return self._sum(lambda lens, x, y: lens.hessian(x, y), 3, x, y)

    def kappa(self, x, y):
        """Sum of the lenses' convergences."""
        return self._sum(lambda lens, x, y: (lens.kappa(x, y),), 1, x, y)[0]

    def _sum(self, method, parts, x, y):
        weights = self.mask.astype(x.dtype)
        block = max(1, min(self.block, weights.shape[0], _CACHED // max(x.size, 1)))
        lenses = jax.tree.map(lambda leaf: _blocks(leaf, block), self.mass)
        weights = _blocks(weights, block, fill=0.0)

        def add(lenses, weights, x, y):
            terms = jax.vmap(method, in_axes=(0, None, None))(lenses, x, y)
            return tuple(jnp.tensordot(weights, term, 1) for term in terms)

        # The sum's own value is needed by no derivative: only `add` is computed anew.
        add = jax.checkpoint(add, prevent_cse=False)

        def step(total, blocks):
            return tuple(map(jnp.add, total, add(*blocks, x, y))), None

        zeros = (jnp.zeros_like(x),) * parts
        return jax.lax.scan(step, zeros, (lenses, weights))[0]


def _blocks(leaf, block, fill=None):
    """Split the leading axis into blocks, padded with the last entry or with `fill`."""
    rest = -leaf.shape[0] % block
    if rest:
        last = leaf[-1:] if fill is None else jnp.full_like(leaf[-1:], fill)
        leaf = jnp.concatenate([leaf, jnp.repeat(last, rest, axis=0)])
    return leaf.reshape(-1, block, *leaf.shape[1:])
