"""Sparse direct solves with the matrices d I - J of many cells at once.

The pattern of J is that of a network, so everything but the numbers is planned once on the host:
the order of elimination, the fill, and for every entry of the factors the list of products that
make it. All arrays have the cells as their last axis, over which the compiled code is vectorised.

With the species that are eliminated sparsely (1) before those of the dense rest (2),

    A = [[A11, A12], [A21, A22]],    A11 = L1 U1,    S = A22 - A21 A11^-1 A12,

`factor` gives U12 = L1^-1 A12, L21 = A21 U1^-1, the inverses of L1 and U1, which have hardly more
entries than L1 and U1 themselves because few rounds of elimination are deep, and factors of S. A
solution is then a handful of products and no long chain of dependent steps. There is no pivoting:
in W = 1 / (gamma h) - J of kinetics the diagonal, 1 / (gamma h) and the loss rates, carries what
the off-diagonals of its column, the products of the species, can add up to.
"""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.dense import (
    WIDTH,
    Part,
    dense_factor,
    dense_solve,
    dense_transposed,
)
from simulators.chemistry.plan import elimination_rounds
from simulators.chemistry.sums import Sums, fence, gather


class Pattern:
    """Where the entries of a sparse (n, n) matrix are; equal patterns compare and hash as equal.

    Args:
        n: number of rows.
        rows, cols: of the entries, without duplicates.
        place: where the entries are in an array of their values, in which there may be more; in
            the order given when left out.
    """

    def __init__(self, n: int, rows, cols, place=None):
        self.n = int(n)
        self.rows = np.asarray(rows, np.int32)
        self.cols = np.asarray(cols, np.int32)
        place = np.arange(len(self.rows)) if place is None else place
        self.place = np.asarray(place, np.int32)
        arrays = (self.rows, self.cols, self.place)
        self._key = (self.n, *(a.tobytes() for a in arrays))
        self._hash = hash(self._key)

    def __hash__(self):
        return self._hash

    def __eq__(self, other):
        return isinstance(other, Pattern) and self._key == other._key

    def __repr__(self):
        return f"Pattern({self.n} rows, {len(self.rows)} entries)"


class Factors(NamedTuple):
    """`sparse`: entries of L21, U12, L1^-1 and U1^-1, (N, B); `dense`: the factors of S."""

    sparse: Float[Array, "N B"]
    dense: list[Part]


def _product(values, a, b):
    return gather(values, a) * gather(values, b)


def _apply(values, x, entry, col):
    return gather(values, entry) * gather(x, col)


class SparseLU:
    """The planned factorisation of d I - J for one pattern of J.

    `factor` and `solve` are pure functions of arrays; `transposed` solves with the transpose.

    Args:
        pattern: of J; the diagonal may be left out.
    """

    def __init__(self, pattern: Pattern):
        self.pattern = pattern
        n = pattern.n
        full = np.eye(n, dtype=bool)
        full[pattern.rows, pattern.cols] = True
        rounds, rest, full = elimination_rounds(full)
        eliminated = [k for chosen in rounds for k in chosen]
        self.order = np.array(eliminated + rest, np.int32)
        self.n1 = len(eliminated)
        self.m = -(-len(rest) // WIDTH) * WIDTH
        of = np.empty(n, np.int64)
        of[self.order] = np.arange(n)
        # Everything below is in the order of elimination.
        full = full[np.ix_(self.order, self.order)]
        # Zero is put before the values of J, for entries that only fill makes.
        self._base = np.zeros((n, n), np.int32)
        self._base[of[pattern.rows], of[pattern.cols]] = 1 + pattern.place
        # Places in `Factors.sparse`: a zero, a one, then the entries as they are made.
        self._place = np.zeros((n, n), np.int32)
        self.size = 2
        self._plan_elimination(full, [len(chosen) for chosen in rounds])
        self._plan_inverses(full)
        self._plan_products(full)

    def bytes(self, dtype) -> int:
        """What the factors of one cell take."""
        return (self.size + self.m**2) * np.dtype(dtype).itemsize

    def _plan_elimination(self, full, sizes):
        n1, rounds = self.n1, []
        row, a, b = [], [], []
        n = len(full)
        for p in range(n1):
            i, j = (
                np.flatnonzero(full[p + 1 :, p]) + p + 1,
                np.flatnonzero(full[p, p + 1 :]) + p + 1,
            )
            row.append((i[:, None] * n + j[None]).ravel())
            a.append(np.repeat(i * n + p, len(j)))
            b.append(np.tile(p * n + j, len(i)))
        none = np.zeros(0, np.int64)
        target, left, right = (np.concatenate([none, *x]) for x in (row, a, b))
        start = 0
        round_of = np.append(np.repeat(np.arange(len(sizes)), sizes), np.full(n - n1, len(sizes)))
        of_target = np.minimum(round_of[target // n], round_of[target % n])
        for number, size in enumerate([*sizes, n - n1]):
            pivots = np.arange(start, start + size)
            start += size
            i, j = np.nonzero(full)
            mine = np.minimum(round_of[i], round_of[j]) == number
            if number == len(sizes):
                i, j = (x.ravel() for x in np.meshgrid(pivots, pivots, indexing="ij"))
            else:
                i, j = i[mine], j[mine]
            local = np.full((n, n), -1, np.int64)
            local[i, j] = np.arange(len(i))
            here = of_target == number
            place = self._place.ravel()
            sums = Sums(
                len(i),
                local.ravel()[target[here]],
                (place[left[here]], place[right[here]]),
                (0, 0),
            )
            base = np.zeros(sums.size, np.int32)
            base[sums.place] = self._base[i, j]
            diagonal = np.zeros((sums.size, 1))
            diagonal[sums.place] = (i == j)[:, None]
            if number == len(sizes):
                m = self.m
                places = np.full((m, m), sums.size, np.int32)
                places[: n - n1, : n - n1] = sums.place.reshape(n - n1, n - n1)
                extra = np.arange(n - n1, m)
                places[extra, extra] = sums.size + 1
                self._schur = sums, base, diagonal, places.ravel()
                break
            # Entries of L are divided by the pivot; scale 0 is one, k + 1 the inverse pivot k.
            scale = np.zeros(sums.size, np.int32)
            lower = i > j
            scale[sums.place[lower]] = 1 + j[lower] - pivots[0]
            rounds.append(
                (sums, base, diagonal, sums.place[local[pivots, pivots]], scale, self.size)
            )
            self._place[i, j] = self.size + sums.place
            self._place[pivots, pivots] = self.size + sums.size + np.arange(size)
            self.size += sums.size + size
        self._rounds = rounds

    def _plan_inverses(self, full):
        """Strict L1^-1 and full U1^-1 by levels, from the rows that depend on no other."""
        n1, place = self.n1, self._place
        diagonal = place[np.arange(n1), np.arange(n1)]
        lower, upper = np.tril(full[:n1, :n1], -1), np.triu(full[:n1, :n1], 1)
        level = {"lower": np.zeros(n1, int), "upper": np.zeros(n1, int)}
        inverse = {"lower": np.zeros((n1, n1), np.int32), "upper": np.zeros((n1, n1), np.int32)}
        np.fill_diagonal(inverse["lower"], 1)
        np.fill_diagonal(inverse["upper"], diagonal)
        for i in range(n1):
            before = np.flatnonzero(lower[i])
            level["lower"][i] = 1 + max(level["lower"][before]) if len(before) else 0
        for i in reversed(range(n1)):
            after = np.flatnonzero(upper[i])
            level["upper"][i] = 1 + max(level["upper"][after]) if len(after) else 0
        self._levels = []
        deepest = max([0, *level["lower"], *level["upper"]])
        for number in range(1, deepest + 1):
            entries, row, a, b, scale = [], [], [], [], []
            for kind, matrix in (("lower", lower), ("upper", upper)):
                for i in np.flatnonzero(level[kind] == number):
                    through = np.flatnonzero(matrix[i])
                    for j in np.flatnonzero(inverse[kind][through].any(0)):
                        k = through[inverse[kind][through, j] > 0]
                        row += [len(entries)] * len(k)
                        a += list(place[i, k])
                        b += list(inverse[kind][k, j])
                        scale.append(1 if kind == "lower" else diagonal[i])
                        entries.append((kind, i, j))
            sums = Sums(len(entries), row, (a, b), (0, 0))
            scales = np.zeros(sums.size, np.int32)
            scales[sums.place] = scale
            self._levels.append((sums, scales, self.size))
            for (kind, i, j), at in zip(entries, sums.place, strict=True):
                inverse[kind][i, j] = self.size + at
            self.size += sums.size
        np.fill_diagonal(inverse["lower"], 0)
        self._inverse = inverse

    def _plan_products(self, full):
        n1, place = self.n1, self._place
        blocks = {
            "L1": self._inverse["lower"],
            "U1": self._inverse["upper"],
            "L21": np.where(full[n1:, :n1], place[n1:, :n1], 0),
            "U12": np.where(full[:n1, n1:], place[:n1, n1:], 0),
        }
        self._products = {}
        for name, block in blocks.items():
            for suffix, matrix in (("", block), ("T", block.T)):
                row, col = np.nonzero(matrix)
                sums = Sums(len(matrix), row, (matrix[row, col], col), (0, 0))
                self._products[name + suffix] = sums

    def factor(self, d: Float[Array, " B"], jacobian: Float[Array, "nnz B"]) -> Factors:
        """Factors of d I - J for the values of J on the pattern."""
        cells = jacobian.shape[-1]
        zero = jnp.zeros((1, cells), jacobian.dtype)
        jacobian = jnp.concatenate([zero, jacobian])
        d = jnp.broadcast_to(d, (1, cells))

        def entries(values, jacobian, d, plan):
            sums, base, diagonal = plan[:3]
            made = jnp.asarray(diagonal, d.dtype) * d - gather(jacobian, base)
            return made - sums(_product, values)

        def eliminate(values, jacobian, d, plan):
            _, _, _, pivots, scale, _ = plan
            made = fence(lambda *x: entries(*x, plan), values, jacobian, d)
            inverse = 1.0 / gather(made, pivots)
            scales = jnp.concatenate([jnp.ones_like(d), inverse])
            return jnp.concatenate([made * gather(scales, scale), inverse])

        def invert(values, plan):
            sums, scales, _ = plan
            return -gather(values, scales) * sums(_product, values)

        values = jnp.zeros((self.size, cells), jacobian.dtype).at[1].set(1.0)
        for plan in self._rounds:
            made = fence(lambda *x, plan=plan: eliminate(*x, plan), values, jacobian, d)
            values = jax.lax.dynamic_update_slice(values, made, (plan[-1], 0))
        for plan in self._levels:
            made = fence(lambda v, plan=plan: invert(v, plan), values)
            values = jax.lax.dynamic_update_slice(values, made, (plan[-1], 0))
        schur = fence(lambda *x: entries(*x, self._schur), values, jacobian, d)
        schur = jnp.concatenate([schur, zero, jnp.ones_like(zero)])
        square = gather(schur, self._schur[3]).reshape(self.m, self.m, cells)
        return Factors(values, dense_factor(square))

    def solve(self, factors: Factors, b: Float[Array, "n B"]) -> Float[Array, "n B"]:
        """x of (d I - J) x = b."""
        return self._solve(factors, b, ("L1", "L21", "U12", "U1"), 1)

    def transposed(self, factors: Factors, b: Float[Array, "n B"]) -> Float[Array, "n B"]:
        """x of (d I - J)^T x = b."""
        return self._solve(factors, b, ("U1T", "U12T", "L21T", "L1T"), 0)

    def _solve(self, factors, b, names, axis):
        n1, rest = self.n1, self.pattern.n - self.n1
        values, dense = factors

        def times(name, values, x):
            sums = self._products[name]
            return gather(sums(_apply, values, x), sums.place)

        def first(values, b):
            b1 = gather(b, self.order[:n1])
            made = times(names[0], values, b1)
            return made + b1 if axis else made

        b1 = fence(first, values, b)
        b2 = fence(
            lambda values, b1, b: gather(b, self.order[n1:]) - times(names[1], values, b1),
            values, b1, b,
        )  # fmt: skip
        b2 = jnp.pad(b2, ((0, self.m - rest), (0, 0)))
        x2 = dense_solve(dense, b2) if axis else dense_transposed(dense, b2)
        b1 = fence(lambda values, b1, x2: b1 - times(names[2], values, x2), values, b1, x2)

        def last(values, b1):
            made = times(names[3], values, b1)
            return made if axis else made + b1

        x1 = fence(last, values, b1)
        return gather(jnp.concatenate([x1, x2]), np.argsort(self.order).astype(np.int32))


@lru_cache(maxsize=32)
def planned(pattern: Pattern) -> SparseLU:
    """The factorisation of a pattern, planned once."""
    return SparseLU(pattern)
