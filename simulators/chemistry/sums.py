"""Sums over static lists of terms, as straight code that is vectorised over cells.

A sparse matrix times a vector, and the updates of a sparse factorisation, are for each row a sum
over a list of terms that is known before the program is compiled. XLA's scatter is a serial loop on
CPUs and its reductions of gathered terms are not vectorised (5 ns a term and cell, measured on one
AVX-512 core); sums written out over a fixed number of gathered terms are, at 0.3 ns.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

#: The longest sum that is written out; longer ones are sums of such sums.
LONGEST = 16
#: What a group of equally long sums costs beside its terms, in terms.
GROUP_COST = 2000
#: Whole rows of a matrix.
ROWS = jax.lax.GatherDimensionNumbers((1,), (0,), (0,))
#: A number that no witness of a fence is.
NEVER = -1.2345e30


def gather(x: jax.Array, index: np.ndarray) -> jax.Array:
    """Rows of `x`, (n, B) -> (k, B), at static places that are known to be inside."""
    # `x.at[index].get()` does the same and takes ten times as long to trace.
    return jax.lax.gather(
        x, index[:, None], ROWS, (1, x.shape[1]), mode=jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
    )


def fence(function: Callable, *operands: jax.Array):
    """`function(*operands)`, which XLA may not compute again inside of each of its consumers.

    XLA on CPUs copies cheap producers into all their consumers, chains of sums into one kernel of
    exponential size, and drops `optimization_barrier` before it does so. A conditional on what it
    cannot know is a fence that keeps every transformation. The first operand is the witness.
    """
    shape = jax.eval_shape(function, *operands)
    never = jnp.ravel(operands[0])[0] == NEVER

    def nothing(*_):
        return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shape)

    return jax.lax.cond(never, nothing, function, *operands)


def _groups(lengths):
    """Cuts of an ascending list of lengths into groups of least padding, as [(start, stop)]."""
    values, starts = np.unique(lengths, return_index=True)
    stops = np.append(starts[1:], len(lengths))
    best, cut = [0.0], []
    for j in range(len(values)):
        cost = [
            best[i] + GROUP_COST + float(values[j]) * (stops[j] - starts[i]) for i in range(j + 1)
        ]
        cut.append(int(np.argmin(cost)))
        best.append(min(cost))
    found, j = [], len(values)
    while j:
        i = cut[j - 1]
        found.append((int(starts[i]), int(stops[j - 1])))
        j = i
    return found[::-1]


class Sums:
    """sum_t term(t) for `n` rows of given lists of terms.

    The result comes in an order of its own, with partial sums in it: row r is at `place[r]`.

    Args:
        n: number of rows.
        row: which row each term belongs to, (T,).
        fields: what identifies a term: integer arrays (T,).
        null: for each field the value that makes a term vanish, for padding.
        weight: factors of the terms, (T,), all one when left out.
    """

    def __init__(self, n: int, row, fields, null, weight=None):
        row = np.asarray(row, np.int64)
        order = np.argsort(row, kind="stable")
        row = row[order]
        fields = [np.asarray(f, np.int32)[order] for f in fields]
        weight = None if weight is None else np.asarray(weight, float)[order]
        length = np.bincount(row, minlength=n)
        within = np.arange(len(row)) - (np.cumsum(length) - length)[row]
        # Rows longer than LONGEST are cut into equal parts, and these summed again.
        parts = np.maximum(-(-length // LONGEST), 1)
        size = -(-length // parts)
        first = np.cumsum(parts) - parts
        part = first[row] + within // np.maximum(size[row], 1)
        count = np.bincount(part, minlength=int(parts.sum()))
        rank = np.arange(len(row)) - (np.cumsum(count) - count)[part]
        ascending = np.argsort(count, kind="stable")
        place = np.empty(len(count), np.int64)
        place[ascending] = np.arange(len(count))

        self.groups = []
        for start, stop in _groups(count[ascending]):
            most = int(count[ascending[stop - 1]])
            inside = (place[part] >= start) & (place[part] < stop)
            at = rank[inside], place[part[inside]] - start
            table = []
            for field, nothing in zip(fields, null, strict=True):
                index = np.full((most, stop - start), nothing, np.int32)
                index[at] = field[inside]
                table.append(index)
            weights = np.zeros((most, stop - start, 1))
            weights[at] = 1.0 if weight is None else weight[inside][:, None]
            plain = weight is None or bool(np.all(weights == 1.0))
            self.groups.append((stop - start, table, None if plain else weights))

        self.place = place[first].astype(np.int32)
        self.again = None
        long = np.flatnonzero(parts > 1)
        if len(long):
            members = np.concatenate([place[first[r] : first[r] + parts[r]] for r in long])
            owner = np.repeat(np.arange(len(long)), parts[long])
            # A null that is never used: parts are padded with weight zero.
            self.again = Sums(len(long), owner, [members], [0], np.ones(len(members)))
            self.place[long] = len(count) + self.again.place
        self.size = len(count) + (self.again.size if self.again else 0)

    def __call__(self, term: Callable, *operands: jax.Array) -> jax.Array:
        """The sums, (size, B): `term(*operands, *indices)` gives terms (k, B) of indices (k,)."""

        def first(*operands):
            rows = []
            for n, table, weights in self.groups:
                total = jnp.zeros((n, operands[0].shape[-1]), operands[0].dtype)
                for p in range(len(table[0])):
                    value = term(*operands, *(index[p] for index in table))
                    if weights is not None:
                        value = jnp.asarray(weights[p], value.dtype) * value
                    total = value if p == 0 else total + value
                rows.append(total)
            if not rows:
                return jnp.zeros((0, operands[0].shape[-1]), operands[0].dtype)
            return rows[0] if len(rows) == 1 else jnp.concatenate(rows)

        if self.again is None:
            return first(*operands)
        partial = fence(first, *operands)
        return jnp.concatenate([partial, self.again(gather, partial)])
