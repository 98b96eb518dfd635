"""The march of particles that join it one after the other, in chunks, with bounded memory."""

import math

import jax
import jax.numpy as jnp

from simulators.streams.integrate import CYCLE, Sums, finish, march

#: Steps between the moments at which particles join the march.
SEGMENT = 4 * CYCLE
#: Particles advanced together on a CPU: their state stays in the second-level cache. Fewer are as
#: fast where XLA writes loops as one piece of machine code (see the README) and slower where
#: it starts a kernel for every fusion.
CHUNK = 256


def march_all(force, state: Sums, entry, h, ks, chunk):
    """Positions and velocities at the end of the march, three arrays (N,) each.

    Args:
        force: the acceleration, as `march` takes it.
        state: the sums of each particle when it joins.
        entry: number of the segment before which it joins, from 1 to one beyond the last: then it
            does not march at all. Shape (N,).
        h: step [Myr].
        ks: what the force is to know of each step: (n_segments, SEGMENT / CYCLE, CYCLE, ...).
        chunk: particles advanced together; None for `CHUNK` on a CPU and all of them elsewhere.
    """
    n = entry.shape[0]
    if chunk is None:
        chunk = CHUNK if jax.default_backend() == "cpu" else n
    chunk = min(chunk, n)
    n_chunks = -(-n // chunk)
    # Sorted, so that a chunk idles until its first particle joins. The order is only a matter
    # of speed: it carries no gradient.
    order = jnp.argsort(entry)
    padded = jnp.concatenate([order, jnp.broadcast_to(order[-1], (n_chunks * chunk - n,))])

    def split(a):
        return jnp.moveaxis(a[..., padded].reshape(*a.shape[:-1], n_chunks, chunk), -2, 0)

    # The reverse pass keeps the states of all chunks at the start of every piece, and of one chunk
    # and piece at a time the positions of all steps. The sum is least for this number of pieces.
    n_segments = ks[1].shape[0]
    rows = sum(leaf[..., 0].size for leaf in jax.tree.leaves(state))
    n_pieces = max(1, round(math.sqrt(n_segments * 3 * SEGMENT / (rows * n_chunks))))
    size = -(-n_segments // n_pieces)
    n_pieces = -(-n_segments // size)
    numbers = jnp.arange(1, n_pieces * size + 1)

    def in_pieces(a):
        idle = jnp.broadcast_to(a[-1:], (n_pieces * size - a.shape[0], *a.shape[1:]))
        return jnp.concatenate([a, idle]).reshape(n_pieces, size, *a.shape[1:])

    pieces = jax.tree.map(in_pieces, (numbers, ks))

    def one_chunk(args):
        fresh, entry = args
        first = entry.min()

        def segment(state, k):
            number, k = k
            state = _select(entry == number, fresh, state)
            state = jax.lax.cond(
                (number >= first) & (number <= n_segments),
                lambda s: march(force, s, h, k),
                lambda s: s,
                state,
            )
            return state, None

        @jax.checkpoint
        def piece(state, k):
            return jax.lax.scan(segment, state, k)

        state, _ = jax.lax.scan(piece, fresh, pieces)
        return finish(_select(entry == n_segments + 1, fresh, state), h)

    x, v = jax.lax.map(one_chunk, (jax.tree.map(split, state), split(entry)))
    place = jnp.argsort(order)

    def join(a):
        return a.reshape(-1)[:n][place]

    return tuple(map(join, x)), tuple(map(join, v))


def _select(condition, yes, no):
    """Choose particle by particle; particles are along the last axis of every leaf."""

    def leaf(a, b):
        return jnp.where(condition.reshape((1,) * (a.ndim - 1) + (-1,)), a, b)

    return jax.tree.map(leaf, yes, no)
