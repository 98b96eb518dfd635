"""Orbits of test particles, for users: any times, any number of orbits, differentiable.

Which integrator? `Stormer()`, the default, for everything in a galaxy's disc and halo; smaller
steps for more digits. `Adaptive()` for orbits that pass a nucleus or a cluster core. `Nystrom()`
where the map has to be symplectic. `orbit_error` tells whether the choice was good enough.
"""

import warnings
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from simulators.shared.fields import as_float
from simulators.streams.potentials import AbstractPotential
from simulators.streams.potentials.base import Positions
from simulators.streams.solvers import AbstractIntegrator, Adaptive, Nystrom, Stormer

__all__ = ["Adaptive", "Nystrom", "OrbitSolution", "Stormer", "advance", "orbit", "orbit_error"]

Samples = Float[Array, "*batch K 3"]
Distances = Float[Array, "*batch K"]

#: Orbits integrated together on a CPU: their state stays in the second-level cache.
CHUNK = 512
#: Span beyond which float32 is warned of [Myr].
_FLOAT32_SPAN = 1e3


class OrbitSolution(NamedTuple):
    """Orbits at K times.

    Attributes:
        q: positions [kpc], shape (..., K, 3).
        v: velocities [kpc/Myr], shape (..., K, 3).
        valid: whether an orbit was found at all times, shape (...).
    """

    q: Samples
    v: Samples
    valid: Bool[Array, "..."]


def orbit(
    potential: AbstractPotential,
    q,
    v,
    ts,
    integrator: AbstractIntegrator | None = None,
    *,
    n_steps: int | None = None,
    chunk: int | None = None,
) -> OrbitSolution:
    """Orbits from `q`, `v` at the time `ts[0]`, at all times `ts`.

    x'' = a(x, t). Differentiable in the potential, `q`, `v` and `ts`, in forward mode and in
    reverse mode, whose memory grows as the square root of the number of steps. The program is
    compiled once for its shapes and number of steps.

    Args:
        potential: any potential; it may depend on time.
        q, v: positions [kpc] and velocities [kpc/Myr], shape (..., 3).
        ts: times [Myr], shape (K,), K >= 2, all increasing or all decreasing.
        integrator: `Stormer()` when left out.
        n_steps: number of steps from `ts[0]` to `ts[-1]`, at least; needed when `ts` is traced.
        chunk: orbits integrated together; by default `CHUNK` on a CPU, all of them elsewhere.

    Raises:
        ValueError: for shapes that do not match, times that are not strictly monotonic, concrete
            values that are not finite, or traced times without `n_steps`.

    >>> from simulators.streams.potentials import Kepler
    >>> circle = orbit(Kepler(1e10), [8.0, 0.0, 0.0], [0.0, 0.07498752, 0.0], [0.0, 335.16, 670.32])
    >>> [round(float(c), 2) for c in circle.q[-1]], bool(circle.valid)
    ([8.0, -0.0, 0.0], True)
    """
    return _run(potential, q, v, ts, integrator, n_steps, chunk, dense=True)


def advance(
    potential: AbstractPotential,
    q,
    v,
    t0,
    t1,
    integrator: AbstractIntegrator | None = None,
    *,
    n_steps: int | None = None,
    chunk: int | None = None,
) -> tuple[Positions, Positions]:
    """Positions and velocities at `t1` of what is at `q`, `v` at `t0`; `t1` may be earlier.

    As `orbit` at two times, and faster: nothing is kept on the way. A failed orbit is NaN.

    >>> from simulators.streams.potentials import Kepler
    >>> q, v = advance(Kepler(1e10), [8.0, 0.0, 0.0], [0.0, 0.07498752, 0.0], 0.0, -335.16)
    >>> round(float(q[0]), 2)
    -8.0
    """
    if jnp.ndim(t0) or jnp.ndim(t1):
        raise ValueError("t0 and t1: give numbers; for several times use `orbit`.")
    traced = isinstance(t0, jax.core.Tracer) or isinstance(t1, jax.core.Tracer)
    ts = jnp.stack([as_float(t0), as_float(t1).astype(as_float(t0).dtype)]) if traced else (t0, t1)
    solution = _run(potential, q, v, ts, integrator, n_steps, chunk, dense=False)
    return solution.q[..., 0, :], solution.v[..., 0, :]


def orbit_error(
    potential: AbstractPotential, q, v, ts, integrator: AbstractIntegrator | None = None
) -> Distances:
    """Distances [kpc] between the orbits by `integrator` and by its refinement, shape (..., K).

    At half the step (`Stormer`, `Nystrom`) or a hundredth of the tolerances (`Adaptive`), where the
    error is far smaller: so they are the errors of `integrator`, down to rounding.

    >>> from simulators.streams.potentials import MilkyWayPotential
    >>> error = orbit_error(MilkyWayPotential(), [8.0, 0, 0], [0.0, 0.2, 0.05], [0.0, 100.0])
    >>> bool(error[-1] < 1e-4)
    True
    """
    integrator = Stormer() if integrator is None else integrator
    coarse = orbit(potential, q, v, ts, integrator)
    fine = orbit(potential, q, v, ts, integrator.refined())
    return jnp.sqrt(jnp.sum((coarse.q - fine.q) ** 2, axis=-1))


def _run(potential, q, v, ts, integrator, n_steps, chunk, dense):
    integrator = Stormer() if integrator is None else integrator
    q, v, ts = _check(q, v, ts, n_steps, chunk)
    if n_steps is None:
        n_steps = integrator.count(ts)
    plan = integrator.plan(ts, n_steps)
    plan = jax.tree.map(
        lambda a: jnp.asarray(a, int if jnp.issubdtype(a.dtype, jnp.integer) else q.dtype), plan
    )
    if chunk is None:
        chunk = CHUNK if jax.default_backend() == "cpu" else None
    return _solve(potential, q, v, plan, integrator, n_steps, chunk, dense)


# An edge of the library: called from a script it would otherwise be compiled afresh every time.
@eqx.filter_jit
def _solve(potential, q, v, plan, integrator, n_steps, chunk, dense):
    batch = q.shape[:-1]
    n = int(np.prod(batch))
    flat = jnp.concatenate([q, v], axis=-1).reshape(n, 6).T
    chunk = n if chunk is None else min(chunk, n)
    n_chunks = -(-n // chunk)
    padding = jnp.broadcast_to(flat[:, -1:], (6, n_chunks * chunk - n))
    flat = jnp.concatenate([flat, padding], axis=1).reshape(6, n_chunks, chunk)

    def one_chunk(y):
        x, v = tuple(y[:3]), tuple(y[3:])
        if dense:
            found = integrator.sample(potential.acc, x, v, plan, n_steps)
        else:
            found = integrator.end(potential.acc, x, v, plan, n_steps)
            found = jax.tree.map(lambda a: a[None], found)
        return jnp.stack([*found[0], *found[1]])

    y = jax.lax.map(one_chunk, jnp.moveaxis(flat, 1, 0))  # (chunks, 6, K, chunk)
    y = jnp.moveaxis(y, 3, 1).reshape(-1, *y.shape[1:3])[:n]
    y = jnp.swapaxes(y, 1, 2).reshape(*batch, y.shape[2], 6)
    return OrbitSolution(y[..., :3], y[..., 3:], jnp.isfinite(y).all(axis=(-2, -1)))


def _known(value):
    return not isinstance(value, jax.core.Tracer)


def _check(q, v, ts, n_steps, chunk):
    q, v = as_float(q), as_float(v)
    v = v.astype(q.dtype)
    if q.ndim == 0 or q.shape[-1] != 3 or q.size == 0 or q.shape != v.shape:
        raise ValueError(
            f"q and v: got shapes {q.shape} and {v.shape}; give positions and velocities of one "
            "shape (..., 3)."
        )
    for name, value in (("n_steps", n_steps), ("chunk", chunk)):
        if value is not None and not (isinstance(value, int) and value > 0):
            raise ValueError(f"{name} = {value!r}: give a positive whole number.")
    for name, value in (("q", q), ("v", v)):
        if _known(value) and not np.isfinite(np.asarray(value)).all():
            raise ValueError(f"{name}: {value} is not finite; give finite numbers.")
    if not _known(ts):
        if n_steps is None:
            raise ValueError("ts is traced, so the number of steps is unknown: give n_steps.")
        if ts.ndim != 1 or len(ts) < 2:
            raise ValueError(f"ts: got shape {ts.shape}; give at least two times, shape (K,).")
        return q, v, ts.astype(q.dtype)
    ts = np.asarray(ts, dtype=float)
    if ts.ndim != 1 or len(ts) < 2:
        raise ValueError(f"ts: got shape {ts.shape}; give at least two times, shape (K,).")
    if not np.isfinite(ts).all():
        raise ValueError(f"ts: {ts} is not finite; give finite times in Myr.")
    gaps = np.diff(ts) * np.sign(ts[-1] - ts[0])
    if not (gaps > 0).all():
        k = int(np.argmin(gaps))
        raise ValueError(
            f"ts: not strictly monotonic, {ts[k]} is followed by {ts[k + 1]}; sort the times."
        )
    if q.dtype == jnp.float32 and abs(ts[-1] - ts[0]) > _FLOAT32_SPAN:
        warnings.warn(
            f"An orbit of {abs(ts[-1] - ts[0]):g} Myr in float32 loses accuracy (1e-3 kpc and more "
            "after 3 Gyr); set JAX_ENABLE_X64=1 and give float64 arrays.",
            stacklevel=4,
        )
    return q, v, ts
