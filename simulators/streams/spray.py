"""A stellar stream by particle spray: release, then test-particle orbits to the present.

All particles and the progenitor share one time grid, so that whatever moves (the progenitor, a
satellite, a bar) is evaluated once a step and not once a particle and step. A particle released at
any time t_i is brought to the next multiple of `SEGMENT` steps by Nystrom steps of its own size,
through which the stream is differentiable in the release times; from there Stormer's method
carries it, at one acceleration a step.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.fields import as_float
from simulators.streams.integrate import (
    CYCLE,
    MARGIN,
    Trajectory,
    Triple,
    nystrom_path,
    sums,
    trajectory_from,
)
from simulators.streams.joining import SEGMENT, march_all
from simulators.streams.latents import Latents, release_times
from simulators.streams.potentials import AbstractPotential
from simulators.streams.potentials.tide import tidal_acc
from simulators.streams.release import AbstractRelease, Chen2024, release

#: Nystrom steps of a particle's own size, at most 2 (SEGMENT - MARGIN) / SEGMENT of the grid's.
OWN_STEPS = SEGMENT // 2
#: Default step [Myr].
STEP = 0.5


class Stream(NamedTuple):
    """Particles of a stream at the present, and where each came from.

    Attributes:
        x, v: Galactocentric positions [kpc] and velocities [kpc/Myr], three arrays (N,) each.
        release_time: times of release [Myr], shape (N,), negative: the present is 0.
        arm: +1 for the trailing and -1 for the leading arm, shape (N,).
    """

    x: Triple
    v: Triple
    release_time: Float[Array, " N"]
    arm: Float[Array, " N"]


def spray(
    latents: Latents,
    host: AbstractPotential,
    position,
    velocity,
    *,
    mass,
    age,
    satellite: AbstractPotential | None = None,
    convention: AbstractRelease | None = None,
    mass_final=None,
    times=None,
    step: float = STEP,
    n_steps: int | None = None,
    chunk: int | None = None,
) -> Stream:
    r"""The stream that a cluster has left by now, as a pure function of everything.

    The progenitor is followed back from where it is now, in the host alone; stars leave it
    after `convention`, two at a time, one to each arm, and move in the host and the satellite.

    Args:
        latents: the random numbers of N particles; even ones go to the trailing arm.
        host: potential of the galaxy.
        position, velocity: the progenitor at the present, shape (3,) [kpc, kpc/Myr].
        mass: mass of the progenitor at -age [Msun].
        age: how long it has been losing stars [Myr].
        satellite: potential of the progenitor in its own frame, of mass `mass`, which acts on
            the released stars; `None` for stars that do not feel it.
        convention: `Chen2024()` when left out.
        mass_final: mass at the present; the mass is linear in time between, and the satellite's
            potential scales with it. Constant when left out.
        times: times of release, shape (N,) in [-age, 0] [Myr]; stratified uniform ones
            when left out. The stream is differentiable in them.
        step: longest time step [Myr]. The default holds the gradient of a GD-1-like stream to
            1e-3 (`tests/streams/test_gradients.py` measures it against a fine solution).
        n_steps: number of steps instead, a multiple of `SEGMENT`; needed when `age` is traced.
        chunk: particles advanced together; by default `CHUNK` on a CPU, all of them elsewhere.

    Returns:
        The stream at the present, in the order of the latents.

    Raises:
        ValueError: for an age, step or mass that is not positive, or arrays of the wrong shape.

    >>> from simulators.streams.potentials import MilkyWayPotential
    >>> stream = spray(
    ...     Latents.quasi(8),
    ...     MilkyWayPotential(),
    ...     [-11.5, 2.7, 7.7],
    ...     [-0.1, -0.22, -0.09],
    ...     mass=2e4,
    ...     age=300.0,
    ...     step=2.0,
    ... )
    >>> stream.x[0].shape
    (8,)
    """
    convention = Chen2024() if convention is None else convention
    position, velocity = as_float(position), as_float(velocity)
    n = latents.uniforms.shape[0]
    n_steps = _check(position, velocity, mass, age, times, n, step, n_steps)
    age, mass, mass_final, times = (
        None if a is None else as_float(a).astype(position.dtype)
        for a in (age, mass, mass_final, times)
    )
    return _spray(
        latents,
        host,
        position,
        velocity,
        mass,
        age,
        satellite,
        convention,
        mass_final,
        times,
        n_steps,
        chunk,
    )


# An edge of the library: called from a script it would otherwise be compiled piece by piece, and
# its loops afresh every time.
@eqx.filter_jit
def _spray(
    latents,
    host,
    position,
    velocity,
    mass,
    age,
    satellite,
    convention,
    mass_final,
    times,
    n_steps,
    chunk,
):
    dtype = position.dtype
    n = latents.uniforms.shape[0]
    constant = mass_final is None
    mass_final = mass if constant else mass_final
    normals = latents.normals.astype(dtype)
    times = release_times(latents, age).astype(dtype) if times is None else times
    arm = jnp.asarray(1.0 - 2.0 * (np.arange(n) % 2), dtype)
    h = age / n_steps

    def mass_at(t):
        return mass + (mass_final - mass) * (t + age) / age

    def share(t):
        # Without a division where none is needed: the mass may be zero.
        return 1.0 if constant else mass_at(t) / mass

    path = progenitor_path(host, tuple(position), tuple(velocity), h, n_steps)
    released = release(convention, host, *path.at(times), times, mass_at(times), normals, arm)

    def pull(x, y, z, t, place):
        acc = tidal_acc(host, x, y, z, t)
        if satellite is None:
            return acc
        offset = tuple(c - p for c, p in zip((x, y, z), place, strict=True))
        own = tidal_acc(satellite, *offset, t)
        return tuple(a + share(t) * p for a, p in zip(acc, own, strict=True))

    def force(x, y, z, t):
        return pull(x, y, z, t, None if satellite is None else path.at(t)[0])

    segment = jnp.clip(jnp.ceil(jax.lax.stop_gradient((times + age) / (SEGMENT * h))), 1.0, None)
    entry = jnp.minimum(segment.astype(int), n_steps // SEGMENT)
    start = entry.astype(dtype) * (SEGMENT * h) - age
    # By steps of its own to `MARGIN` steps before the march, then by those of the grid to as many
    # after it: what Stormer's sums need.
    own_step = (start - MARGIN * h - times) / OWN_STEPS
    steps = [own_step] * OWN_STEPS + [jnp.full_like(own_step, h)] * 2 * MARGIN
    x, v, acc = nystrom_path(force, *released, times, jnp.stack(steps))
    x, v = (tuple(c[OWN_STEPS - 1 + MARGIN] for c in y) for y in (x, v))
    state = sums(x, v, tuple(c[OWN_STEPS - 1 :] for c in acc), h)

    # What a step of the march needs to know: the time and the place of the satellite then.
    grid = path.rows[SEGMENT + 2 * (MARGIN + 1) : n_steps + 2 * (MARGIN + 1), :3]
    clock = (jnp.arange(SEGMENT, n_steps).astype(dtype) + (MARGIN + 1)) * h - age
    grid, clock = (a.reshape(-1, SEGMENT // CYCLE, CYCLE, *a.shape[1:]) for a in (grid, clock))

    def force_on_grid(x, y, z, k):
        place, t = k
        return pull(x, y, z, t, tuple(place))

    x, v = march_all(force_on_grid, state, entry, h, (grid, clock), chunk)
    return Stream(x, v, times, arm)


def progenitor_path(host, x: Triple, v: Triple, h, n_steps: int) -> Trajectory:
    """The progenitor's orbit on the stream's grid, `MARGIN` + 1 steps longer at both ends.

    Grid point MARGIN + 1 is at the time -n_steps h, and MARGIN + 1 + n_steps at the present.
    """
    beyond = 2 * MARGIN + 1
    h = jnp.asarray(h, jnp.result_type(x[0]))
    x, v, acc = nystrom_path(host.acc, x, v, jnp.zeros_like(h), jnp.broadcast_to(h, (beyond,)))
    # The orbit goes back in time: what comes first in it is the last of these.
    x, v = (tuple(c[MARGIN] for c in y) for y in (x, v))
    first = sums(x, v, tuple(c[::-1] for c in acc), -h)
    length = n_steps + 2 * (MARGIN + 1)
    # Single steps: one orbit costs little beside the stars, and compiles soonest so.
    path = trajectory_from(host.acc, first, (MARGIN + 1) * h, -h, length, cycle=1)
    return path.reversed()


def _check(position, velocity, mass, age, times, n, step, n_steps) -> int:
    for name, value in (("position", position), ("velocity", velocity)):
        if value.shape != (3,):
            raise ValueError(
                f"{name}: expected shape (3,), got {value.shape}; vmap over progenitors."
            )
    for name, value in (("mass", mass), ("age", age), ("step", step)):
        if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
            raise ValueError(f"{name} = {value}: give a positive number.")
    if times is not None and jnp.shape(times) != (n,):
        raise ValueError(f"times: expected shape ({n},), one a particle, got {jnp.shape(times)}.")
    if n_steps is None:
        if isinstance(age, jax.core.Tracer):
            raise ValueError("age is traced, so the number of steps is unknown: give n_steps.")
        n_steps = SEGMENT * max(1, int(np.ceil(float(age) / (step * SEGMENT) - 1e-9)))
    if n_steps < SEGMENT or n_steps % SEGMENT:
        raise ValueError(f"n_steps = {n_steps}: give a positive multiple of {SEGMENT}.")
    return n_steps
