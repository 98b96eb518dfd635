"""Direct N-body of a small star cluster in the field of a galaxy: what a spray stands for.

Some hundred to a few thousand particles, softened, all pairs. It costs N^2 forces a step, 4 ns each
on one CPU core: with 1000 particles about 4 ms a step. Differentiable like the rest, but a cluster
is chaotic: derivatives over more than a few crossing times mean nothing.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from simulators.shared.elementwise import at_least, inverse_root
from simulators.shared.fields import as_float
from simulators.streams.integrate import Triple, nystrom
from simulators.streams.potentials import AbstractPotential
from simulators.streams.units import G

#: Rows of the matrix of pairs that are in memory at a time, per method `_pairs`.
BLOCK = 64


class Cluster(NamedTuple):
    """N particles.

    Attributes:
        x, v: positions [kpc] and velocities [kpc/Myr], three arrays (N,) each.
        m: masses [Msun], (N,).
    """

    x: Triple
    v: Triple
    m: Float[Array, " N"]


class Energies(NamedTuple):
    """Total energies [Msun kpc^2/Myr^2], scalars: kinetic, of the pairs, in the host."""

    kinetic: Float[Array, ""]
    pairs: Float[Array, ""]
    host: Float[Array, ""]

    @property
    def total(self) -> Float[Array, ""]:
        """The sum, which is conserved in a host that does not depend on time."""
        return self.kinetic + self.pairs + self.host

    @property
    def virial_ratio(self) -> Float[Array, ""]:
        """-2 kinetic / pairs: one in equilibrium, for a cluster at rest."""
        return -2.0 * self.kinetic / self.pairs


def plummer_sphere(key, n: int, m, b, position=None, velocity=None) -> Cluster:
    r"""Draw `n` particles of equal mass from the isotropic Plummer sphere.

    Aarseth, Henon & Wielen (1974, A&A 37, 183, appendix): the radius from the mass within,
    r = b (u^{-2/3} - 1)^{-1/2}, and the speed v = q v_esc from the distribution of q in [0, 1],
    g(q) = q^2 (1 - q^2)^{7/2}, here by inverting its integral in a table. The cluster's centre of
    mass is then set to rest, and to `position` and `velocity`.

    Args:
        key: typed PRNG key.
        n: number of particles (static), at least 2.
        m: mass of the cluster [Msun].
        b: scale radius [kpc]; radii are cut at 20 b, where 0.4 per cent of the mass is outside.
        position, velocity: of the centre, shape (3,) [kpc, kpc/Myr]; the origin when left out.

    Raises:
        ValueError: for fewer than two particles, or a mass or radius that is not positive.

    >>> ball = plummer_sphere(jax.random.key(0), 256, 1e5, 0.01)
    >>> round(float(energies(ball).virial_ratio), 1)
    1.0
    """
    if n < 2:
        raise ValueError(f"n = {n}: give at least two particles.")
    for name, value in (("m", m), ("b", b)):
        if not isinstance(value, jax.core.Tracer) and not np.all(np.asarray(value) > 0):
            raise ValueError(f"{name} = {value}: give a positive number.")
    m, b = as_float(m), as_float(b)
    dtype = b.dtype
    keys = jax.random.split(key, 4)
    within = (1.0 + 1.0 / 400.0) ** -1.5
    u = jax.random.uniform(keys[0], (n,), dtype, 1e-6, within)
    r = b / jnp.sqrt(u ** (-2.0 / 3.0) - 1.0)
    q = np.linspace(0.0, 1.0, 2049)
    share = np.concatenate([[0.0], np.cumsum(_speeds(0.5 * (q[1:] + q[:-1])))])
    share = jnp.asarray(share / share[-1], dtype)
    chosen = jnp.interp(jax.random.uniform(keys[1], (n,), dtype), share, jnp.asarray(q, dtype))
    speed = chosen * jnp.sqrt(2.0 * G * m / jnp.sqrt(r * r + b * b))

    def directed(key, length, centre):
        direction = jax.random.normal(key, (3, n), dtype)
        a = length[None] * direction / jnp.sqrt(jnp.sum(direction**2, axis=0, keepdims=True))
        a = a - jnp.mean(a, axis=1, keepdims=True)
        return tuple(a if centre is None else a + as_float(centre).astype(dtype)[:, None])

    masses = jnp.broadcast_to(m.astype(dtype) / n, (n,))
    return Cluster(directed(keys[2], r, position), directed(keys[3], speed, velocity), masses)


def _speeds(q):
    return q**2 * (1.0 - q**2) ** 3.5


def self_acceleration(x: Triple, m: Float[Array, " N"], softening) -> Triple:
    """Accelerations of N particles by each other [kpc/Myr^2], Plummer-softened.

    a_i = sum_j G m_j (x_j - x_i) / (|x_j - x_i|^2 + eps^2)^(3/2).
    """

    def row(rows, offsets, inverse):
        pull = (G * m)[None, :] * inverse * inverse * inverse
        return tuple(jnp.sum(pull * d, axis=1) for d in offsets)

    return _pairs(x, softening, row)


def self_potential(x: Triple, m: Float[Array, " N"], softening) -> Float[Array, " N"]:
    """Potentials at N particles of all the others [kpc^2/Myr^2], Plummer-softened."""

    def row(rows, offsets, inverse):
        others = rows[:, None] != jnp.arange(len(m))[None, :]
        return -jnp.sum(jnp.where(others, (G * m)[None, :] * inverse, 0.0), axis=1)

    return _pairs(x, softening, row)


def _pairs(x, softening, row):
    """`row(i, x_j - x_i, 1 / softened distance)` for blocks of rows i, one after the other."""
    n = x[0].shape[0]
    block = min(BLOCK, n)
    n_blocks = -(-n // block)
    rows = jnp.minimum(jnp.arange(n_blocks * block), n - 1).reshape(n_blocks, block)
    # Two particles in one place, and a softening of zero, stay finite.
    eps2 = at_least(jnp.asarray(softening, x[0].dtype) ** 2, 1e-24)

    @jax.checkpoint
    def one(rows):
        offsets = tuple(c[None, :] - c[rows][:, None] for c in x)
        r2 = offsets[0] ** 2 + offsets[1] ** 2 + offsets[2] ** 2 + eps2
        return row(rows, offsets, inverse_root(r2))

    return jax.tree.map(lambda a: a.reshape(-1)[:n], jax.lax.map(one, rows))


def energies(
    cluster: Cluster, softening=0.0, host: AbstractPotential | None = None, t=0.0
) -> Energies:
    """Kinetic energy, energy of the pairs and energy in the host, at time `t` [Myr]."""
    x, v, m = cluster
    t = jnp.asarray(t, x[0].dtype)
    kinetic = 0.5 * jnp.sum(m * (v[0] ** 2 + v[1] ** 2 + v[2] ** 2))
    pairs = 0.5 * jnp.sum(m * self_potential(x, m, softening))
    outside = jnp.zeros_like(kinetic) if host is None else jnp.sum(m * host.phi(*x, t))
    return Energies(kinetic, pairs, outside)


def evolve(
    cluster: Cluster,
    host: AbstractPotential | None,
    t0,
    t1,
    *,
    softening,
    step: float = 0.1,
    n_steps: int | None = None,
    method: str = "leapfrog",
) -> Cluster:
    """The cluster at time `t1`, from the cluster at `t0`.

    Leapfrog (kick-drift-kick, order 2, symplectic) needs a step of about a 20th of
    sqrt(b^3 / G m) and one force a step; "nystrom", the order 6 of `integrate.nystrom`, takes 11
    forces a step and ten times the step, and conserves energy far better.

    Args:
        cluster: positions, velocities, masses.
        host: the galaxy's potential, or None.
        t0, t1: times [Myr], t1 before or after t0.
        softening: Plummer softening [kpc]; about b n^(-1/3) suppresses two-body scattering.
        step: longest step [Myr].
        n_steps: number of steps instead (static); needed for traced times.
        method: "leapfrog" or "nystrom".

    Raises:
        ValueError: for an unknown method, a step that is not positive, or traced times without
            `n_steps`.

    >>> ball = plummer_sphere(jax.random.key(0), 16, 1e5, 0.01)
    >>> later = evolve(ball, None, 0.0, 1.0, softening=0.005)
    >>> bool(abs(energies(later, 0.005).total / energies(ball, 0.005).total - 1.0) < 1e-3)
    True
    """
    if method not in ("leapfrog", "nystrom"):
        raise ValueError(f"method = {method!r}: give 'leapfrog' or 'nystrom'.")
    if not step > 0:
        raise ValueError(f"step = {step}: give a positive number of Myr.")
    if n_steps is None:
        if isinstance(t0, jax.core.Tracer) or isinstance(t1, jax.core.Tracer):
            raise ValueError("t0 or t1 is traced: give n_steps.")
        n_steps = max(1, math.ceil(abs(float(t1) - float(t0)) / step - 1e-9))
    x, v, m = cluster
    dtype = x[0].dtype
    t0, t1 = jnp.asarray(t0, dtype), jnp.asarray(t1, dtype)
    h = (t1 - t0) / n_steps

    def acceleration(x, y, z, t):
        own = self_acceleration((x, y, z), m, softening)
        if host is None:
            return own
        return tuple(a + b for a, b in zip(own, host.acc(x, y, z, t), strict=True))

    if method == "nystrom":
        x, v = nystrom(acceleration, x, v, t0, h, n_steps)
        return Cluster(x, v, m)

    def kdk(state, n):
        x, v, a = state
        v = tuple(vi + 0.5 * h * ai for vi, ai in zip(v, a, strict=True))
        x = tuple(xi + h * vi for xi, vi in zip(x, v, strict=True))
        a = tuple(acceleration(*x, t0 + n * h))
        v = tuple(vi + 0.5 * h * ai for vi, ai in zip(v, a, strict=True))
        return (x, v, a), None

    numbers = jnp.arange(1, n_steps + 1).astype(dtype)
    first = (tuple(x), tuple(v), tuple(acceleration(*x, t0)))
    (x, v, _), _ = jax.lax.scan(kdk, first, numbers)
    return Cluster(x, v, m)


def bound(cluster: Cluster, softening=0.0, iterations: int = 10) -> Bool[Array, " N"]:
    """Which particles are bound to the cluster by their own gravity alone.

    Those of negative energy in the frame of the bound ones, |v - v_c|^2 / 2 + phi < 0, with v_c and
    phi from the particles that were bound in the iteration before. The first iteration starts from
    the half that is nearest to the median position, and may take others back.

    >>> ball = plummer_sphere(jax.random.key(0), 64, 1e5, 0.01)
    >>> int(bound(ball).sum()) >= 62
    True
    """
    x, v, m = cluster
    r2 = sum((c - jnp.median(c)) ** 2 for c in x)
    near = r2 <= jnp.median(r2)

    def again(member, _):
        weight = jnp.where(member, m, 0.0)
        total = jnp.maximum(jnp.sum(weight), jnp.finfo(m.dtype).tiny)
        speed2 = sum((c - jnp.sum(weight * c) / total) ** 2 for c in v)
        return 0.5 * speed2 + self_potential(x, weight, softening) < 0.0, None

    return jax.lax.scan(again, near, length=iterations)[0]
