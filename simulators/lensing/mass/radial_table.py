"""Functions of a squared radius on many rays: a few exact values, and a polynomial for each ray."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.batches import in_blocks

# Each octave of the squared radius is cut into 8 pieces with a polynomial of 8 coefficients. A
# function whose singularities lie at R^2 <= 0 converges there as 34^-8, and a row of the table is
# one line of a processor's cache. 44 octaves reach down to 2^-22 of the largest radius.
_SPLITS, _DEGREES, _OCTAVES = 3, 8, 44
_PIECES = _OCTAVES << _SPLITS
# Rays whose coefficients stay in the cache between the gather and the sum.
_CHUNK = 400
# With fewer rays exact values alone are cheaper. A truncated halo on one core, float64: 70 us and
# 5 ns a ray by table, 27 ns a ray without; its gradient 280 us and 35 ns, 75 ns without.
WORTH = 10_000

_NODES = np.cos(np.pi * (np.arange(_DEGREES) + 0.5) / _DEGREES)


def _to_powers(dtype):
    """The matrix from values at the nodes to the coefficients of powers.

    In float32 only five terms of the Chebyshev series are above rounding; higher ones would carry
    the rounding of the values into large coefficients.
    """
    terms = _DEGREES if dtype.itemsize > 4 else 5
    series = np.polynomial.chebyshev.chebvander(_NODES, terms - 1) * (2.0 / _DEGREES)
    series[:, 0] *= 0.5
    powers = np.zeros((terms, _DEGREES))
    for n in range(terms):
        powers[n, : n + 1] = np.polynomial.chebyshev.cheb2poly(np.eye(terms)[n])[: n + 1]
    return jnp.asarray(series @ powers, dtype)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def tabulate(function, theta, r2):
    """function(theta, r2) for many r2, to 1e-12 of its values (float32: 1e-6).

    On CPUs each call makes a table of exact values. Elsewhere a gather costs more than it saves,
    and `function` is called as it is. Derivatives are those of `function`, from tables likewise,
    one for each leaf of `theta`: a reverse pass multiplies and adds up, and scatters nothing.

    Args:
        function: elementwise, a tuple of arrays of the shape of r2; analytic but for R^2 <= 0.
        theta: a pytree of scalars, which broadcast against r2.
        r2: squared radii [arcsec^2], shape (N,), above 0. Below 6e-14 of the largest it keeps the
            value that it has there.

    Returns:
        A tuple of arrays (N,); NaN where r2 is not finite.
    """
    # A batch of tables falls out of the cache: one after the other.
    by_table = jax.custom_batching.sequential_vmap(functools.partial(_by_table, function))
    return jax.lax.platform_dependent(theta, r2, cpu=by_table, default=function)


@tabulate.defjvp
def _tabulate_jvp(function, primals, tangents):
    (theta, r2), (dtheta, dr2) = primals, tangents
    structure, changes = jax.tree.structure(theta), [*jax.tree.leaves(dtheta), dr2]

    def with_slopes(theta, r2):
        parts = [jnp.broadcast_to(leaf, r2.shape) for leaf in (*jax.tree.leaves(theta), r2)]

        def of_parts(*parts):
            return function(jax.tree.unflatten(structure, parts[:-1]), parts[-1])

        # All parts in one pass: what is elementwise has a diagonal for its Jacobian.
        values, pull = jax.vjp(of_parts, *parts)
        zeros = [jnp.zeros_like(r2)] * len(values)
        for n in range(len(zeros)):
            values += pull((*zeros[:n], jnp.ones_like(r2), *zeros[n + 1 :]))
        return values

    values = tabulate(with_slopes, theta, r2)
    m = len(values) // (len(changes) + 1)
    rows = [values[m + n * len(changes) :][: len(changes)] for n in range(m)]
    return values[:m], tuple(sum(map(jnp.multiply, row, changes)) for row in rows)


def _by_table(function, theta, r2):
    integer = jnp.dtype(f"int{8 * r2.dtype.itemsize}")
    shift = jnp.finfo(r2.dtype).nmant - _SPLITS
    mantissa = (1 << shift) - 1

    # The bits of a float are its exponent and its mantissa: what is above `shift` counts pieces.
    def bits(values):
        return jax.lax.bitcast_convert_type(values, integer)

    def floats(values):
        return jax.lax.bitcast_convert_type(values, r2.dtype)

    finite = jnp.isfinite(r2)
    first = (bits(jnp.max(jnp.where(finite, r2, 0.0))) >> shift) - (_PIECES - 1)
    edges = floats((first + jnp.arange(_PIECES + 1, dtype=integer)) << shift)
    middle, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * (edges[1:] - edges[:-1])
    nodes = middle[:, None] + half[:, None] * jnp.asarray(_NODES[None], r2.dtype)
    values = function(theta, nodes.ravel())
    to_powers = _to_powers(r2.dtype)
    tables = [value.reshape(nodes.shape) @ to_powers for value in values]

    def evaluate(table, r2):
        chosen = bits(at := jnp.maximum(r2, edges[0]))
        row = ((chosen >> shift) - first).astype(jnp.int32)
        # What is left of the mantissa, from -1 to 1
        rest = ((chosen & mantissa) << _SPLITS) | bits(jnp.ones_like(at))
        v = 2.0 * floats(rest) - 3.0
        powers = [jnp.ones_like(v), v]
        for _ in range(_DEGREES - 2):
            powers.append(powers[-1] * v)
        return jnp.sum(table.at[row].get(mode="clip") * jnp.stack(powers, axis=-1), axis=-1)

    return tuple(
        jnp.where(finite, in_blocks(functools.partial(evaluate, table), _CHUNK)(r2), jnp.nan)
        for table in tables
    )
