"""The symplectic Runge-Kutta-Nystrom method of order 6 of Blanes & Moan (2002).

One step is a palindrome of 12 kicks and 11 drifts,

    v <- v + b_j h a(x, t),    x <- x + a_j h v,    t <- t + a_j h,

so it is explicit, symplectic and time symmetric, and may have its own step for
each particle. It starts the multistep method of `stormer`, and is the choice where
the step has to differ from particle to particle or a symplectic map is wanted.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from simulators.streams.integrate.fence import fenced

Triple = tuple[jax.Array, jax.Array, jax.Array]

# Blanes & Moan (2002), J. Comput. Appl. Math. 142, 313, table 3: SRKN^b_11, order 6.
_B = (
    0.0414649985182624,
    0.198128671918067,
    -0.0400061921041533,
    0.0752539843015807,
    -0.0115113874206879,
)
_A = (
    0.123229775946271,
    0.290553797799558,
    -0.127049212625417,
    -0.246331761062075,
    0.357208872795928,
)
_B6 = 0.5 - sum(_B)
_A6 = 1.0 - 2.0 * sum(_A)
KICKS = np.array([*_B, _B6, _B6, *_B[::-1]])
DRIFTS = np.array([*_A, _A6, *_A[::-1]])


def _sequence(n_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Kick and drift coefficients of `n_steps` steps, neighbouring kicks merged.

    The last kick of a step and the first of the next see the same position, so a
    step costs 11 accelerations instead of 12. The last kick of all has no drift.
    """
    kicks = np.append(np.tile(KICKS[:-1], n_steps), KICKS[-1])
    kicks[len(DRIFTS) : -1 : len(DRIFTS)] += KICKS[-1]
    return kicks, np.append(np.tile(DRIFTS, n_steps), 0.0)


def nystrom(
    acceleration: Callable, x: Triple, v: Triple, t: jax.Array, h: jax.Array, n_steps: int
) -> tuple[Triple, Triple]:
    """Advance test particles by `n_steps` steps of size `h`.

    Args:
        acceleration: `(x, y, z, t) -> (ax, ay, az)`, elementwise, kpc/Myr^2.
        x: three coordinate arrays of one shape, kpc.
        v: three velocity arrays of that shape, kpc/Myr.
        t: start time, scalar or of that shape, Myr.
        h: step, scalar or of that shape, Myr; negative steps go back in time.
        n_steps: number of steps (static).

    Returns:
        Positions and velocities at `t + n_steps * h`.

    >>> import jax.numpy as jnp
    >>> one, zero = jnp.array(1.0), jnp.array(0.0)
    >>> spring = lambda x, y, z, t: (-x, -y, -z)
    >>> x, v = nystrom(spring, (one, zero, zero), (zero, one, zero), zero, 2 * jnp.pi / 50, 50)
    >>> bool(jnp.abs(x[0] - 1.0) < 1e-5)
    True
    """
    dtype = jnp.result_type(x[0])
    t, h = _clock(t, h, dtype)
    (x, v, _), _ = _stages(acceleration, (tuple(x), tuple(v), t), h, *_sequence(n_steps))
    return x, v


def nystrom_path(
    acceleration: Callable, x: Triple, v: Triple, t: jax.Array, steps: jax.Array
) -> tuple[Triple, Triple, Triple]:
    """As `nystrom` by steps of any sizes, and everything after each of them.

    Args:
        acceleration, x, v, t: as there.
        steps: one size [Myr] for each step, shape (n, ...) with that of x behind n.

    Returns:
        Positions, velocities and accelerations: three triples of arrays (n, ...).
    """
    dtype = jnp.result_type(x[0])
    t, _ = _clock(t, steps[0], dtype)

    def one(carry, h):
        (x, v, t), acc = _stages(acceleration, carry, h, KICKS, np.append(DRIFTS, 0.0))
        return (x, v, t), (x, v, acc)

    return jax.lax.scan(one, (tuple(x), tuple(v), t), steps.astype(dtype))[1]


def _clock(t, h, dtype):
    # The time stays a scalar if it can: what depends on it alone is then computed once.
    t, h = jnp.asarray(t, dtype), jnp.asarray(h, dtype)
    return jnp.broadcast_to(t, jnp.broadcast_shapes(t.shape, h.shape)), h


def _stages(acceleration, state, h, kicks, drifts):
    """The state after these kicks and drifts, and the acceleration that the last kick took."""
    dtype = state[0][0].dtype

    def stage(carry, coefficients):
        x, v, t = carry[0]
        b, a = coefficients
        acc = fenced(acceleration, b)(*x, t)
        v = tuple(vi + (b * h) * ai for vi, ai in zip(v, acc, strict=True))
        x = tuple(xi + (a * h) * vi for xi, vi in zip(x, v, strict=True))
        return ((x, v, t + a * h), acc), None

    begin = state, jax.tree.map(jnp.zeros_like, state[1])
    return jax.lax.scan(stage, begin, (jnp.asarray(kicks, dtype), jnp.asarray(drifts, dtype)))[0]
