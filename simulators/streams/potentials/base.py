"""The interface of a potential, and sums of them."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.elementwise import at_least
from simulators.shared.fields import as_float
from simulators.streams.units import G

#: One coordinate of any shape; the three coordinates of a call share it.
Coordinate = Float[Array, "*shape"]
Positions = Float[Array, "*shape 3"]


def _split(potential, q, t):
    """User-facing positions to coordinates and a time of the same dtype."""
    q = as_float(q)
    if q.ndim == 0 or q.shape[-1] != 3:
        raise ValueError(
            f"{type(potential).__name__}: argument `q` has shape {q.shape}; give positions of "
            "shape (..., 3), the last axis x, y, z in kpc."
        )
    t = jnp.asarray(t).astype(q.dtype)
    if t.ndim:
        t = jnp.broadcast_to(t, q.shape[:-1])
    return q[..., 0], q[..., 1], q[..., 2], t


class AbstractPotential(eqx.Module):
    """A gravitational potential: a pytree whose leaves are its parameters.

    A new potential gives `phi`; where a closed form pays it also gives `acc` and `rho`. These three
    are the kernels: they work elementwise on separate coordinate arrays of one common shape (the
    layout that integrators want, 4 times faster than stacked positions) at time `t` [Myr], a
    scalar or of that shape. The coordinates decide the dtype of the result.

    The other methods are for users and take positions `q` of shape (..., 3) [kpc].

    Potentials add up: `disc + halo` is a `Composite`.
    """

    @abc.abstractmethod
    def phi(self, x: Coordinate, y: Coordinate, z: Coordinate, t) -> Coordinate:
        """The potential [kpc^2/Myr^2]."""

    def acc(self, x, y, z, t):
        """The acceleration -grad phi [kpc/Myr^2] as a tuple; by default one reverse pass."""
        value, pullback = jax.vjp(lambda x, y, z: self.phi(x, y, z, t), x, y, z)
        gx, gy, gz = pullback(jnp.ones_like(value))
        return -gx, -gy, -gz

    def tidal(self, x, y, z, t):
        """The Hessian of phi [Myr^-2] as (xx, xy, xz, yy, yz, zz), from derivatives of `acc`."""
        zero, one = jnp.zeros_like(x), jnp.ones_like(x)
        _, push = jax.linearize(lambda x, y, z: self.acc(x, y, z, t), x, y, z)
        xx, xy, xz = push(one, zero, zero)
        _, yy, yz = push(zero, one, zero)
        _, _, zz = push(zero, zero, one)
        return -xx, -xy, -xz, -yy, -yz, -zz

    def rho(self, x, y, z, t):
        """The mass density [Msun/kpc^3]; by default the Laplacian over 4 pi G."""
        xx, _, _, yy, _, zz = self.tidal(x, y, z, t)
        return (xx + yy + zz) / (4.0 * math.pi * G)

    def potential(self, q: Positions, t=0.0):
        """Potential [kpc^2/Myr^2] at positions `q` [kpc] and times `t` [Myr]: shape (...).

        >>> from simulators.streams.potentials import Kepler
        >>> float(Kepler(1e10).potential([8.0, 0.0, 0.0])).__round__(8)
        -0.00562313
        """
        return self.phi(*_split(self, q, t))

    def acceleration(self, q: Positions, t=0.0):
        """Acceleration [kpc/Myr^2] at positions `q` [kpc] and times `t` [Myr]: shape (..., 3)."""
        return jnp.stack(self.acc(*_split(self, q, t)), axis=-1)

    def hessian(self, q: Positions, t=0.0):
        """Second derivatives of the potential [Myr^-2] at positions `q` [kpc]: (..., 3, 3)."""
        xx, xy, xz, yy, yz, zz = self.tidal(*_split(self, q, t))
        rows = ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))
        return jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)

    def density(self, q: Positions, t=0.0):
        """Mass density [Msun/kpc^3] at positions `q` [kpc]: shape (...)."""
        return self.rho(*_split(self, q, t))

    def circular_velocity(self, radius, t=0.0, azimuth=0.0):
        """sqrt(R dphi/dR) [kpc/Myr] in the plane z = 0 at cylindrical `radius` [kpc].

        Of the shape of `radius`; `azimuth` [rad] chooses the direction where there is no axial
        symmetry. Zero (to `tiny`) where the force points outwards.
        """
        radius = as_float(radius)
        azimuth = jnp.asarray(azimuth).astype(radius.dtype)
        x, y = radius * jnp.cos(azimuth), radius * jnp.sin(azimuth)
        t = jnp.asarray(t).astype(radius.dtype)
        ax, ay, _ = self.acc(x, y, jnp.zeros_like(x), t)
        # The guard keeps the gradient of the root finite at the centre.
        floor = float(jnp.finfo(radius.dtype).tiny) ** 0.5
        return jnp.sqrt(at_least(-(x * ax + y * ay), floor))

    def enclosed_mass(self, radius, t=0.0):
        """Mass [Msun] within spherical `radius` [kpc], from the flux of the force (Gauss).

        M(<r) = -r^2 / (4 pi G) times the integral of the outward acceleration over directions. The
        quadrature (2 x 48 Gauss-Legendre nodes in cos theta, crowded towards the plane for the sake
        of thin discs, times 32 in azimuth) holds 1e-8 for a disc of thickness r / 100.
        """
        radius = as_float(radius)
        (nx, ny, nz), weight = _sphere()
        out = (1,) * radius.ndim
        nx, ny, nz, weight = (
            jnp.asarray(v.reshape(-1, *out), radius.dtype) for v in (nx, ny, nz, weight)
        )
        shape = (weight.shape[0], *radius.shape)
        nx, ny, nz, weight = (jnp.broadcast_to(v, shape) for v in (nx, ny, nz, weight))
        r = jnp.broadcast_to(radius[None], shape)
        t = jnp.asarray(t).astype(radius.dtype)
        if t.ndim:
            t = jnp.broadcast_to(t[None], shape)
        ax, ay, az = self.acc(r * nx, r * ny, r * nz, t)
        flux = jnp.sum(weight * (nx * ax + ny * ay + nz * az), axis=0)
        return -radius * radius * flux / G

    def __add__(self, other):
        """A `Composite` of both; sums of sums are flat."""
        if not isinstance(other, AbstractPotential):
            return NotImplemented
        return Composite(*_parts(self), *_parts(other), names=_names(self) + _names(other))

    def __radd__(self, other):
        """`sum([disc, halo])` starts from the integer 0."""
        return self if isinstance(other, int) and other == 0 else NotImplemented


def _sphere(n=48, azimuths=32):
    """Directions on the sphere and weights that sum to one."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    s, ws = (nodes + 1.0) / 2.0, weights / 2.0
    mu = np.concatenate([s**3, -(s**3)])
    w = np.concatenate([3.0 * s**2 * ws, 3.0 * s**2 * ws]) / 2.0
    azimuth = (np.arange(azimuths) + 0.5) * (2.0 * np.pi / azimuths)
    sine = np.sqrt((1.0 - mu) * (1.0 + mu))
    nx = sine[:, None] * np.cos(azimuth)
    ny = sine[:, None] * np.sin(azimuth)
    nz = np.broadcast_to(mu[:, None], nx.shape)
    weight = np.broadcast_to(w[:, None] / azimuths, nx.shape)
    return tuple(v.reshape(-1) for v in (nx, ny, nz)), weight.reshape(-1)


def _parts(potential):
    return potential.parts if isinstance(potential, Composite) else (potential,)


def _names(potential):
    if isinstance(potential, Composite):
        return potential.names
    return (type(potential).__name__.lower(),)


def _unique(names):
    """Number repeated names: hernquist, hernquist2, ..."""
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}{seen[name]}")
    return tuple(unique)


class Composite(AbstractPotential):
    """A sum of potentials, with names to find the parts by.

    The sum is one elementwise expression, so that XLA fuses the parts into one loop and computes
    what they share (the radius, say) once.

    Args:
        parts: potentials, named after their class.
        named: potentials under names of your own.

    >>> from simulators.streams.potentials import Composite, Hernquist, NFW
    >>> galaxy = Composite(bulge=Hernquist(5e9, 1.0), halo=NFW(5.4e11, 15.62))
    >>> galaxy.names, float(galaxy["bulge"].a)
    (('bulge', 'halo'), 1.0)
    """

    parts: tuple[AbstractPotential, ...]
    names: tuple[str, ...] = eqx.field(static=True)

    def __init__(self, *parts, names=None, **named):
        for part in (*parts, *named.values()):
            if not isinstance(part, AbstractPotential):
                raise TypeError(f"Composite: a part is {part!r}; give potentials.")
        if not parts and not named:
            raise ValueError("Composite: no parts; give at least one potential.")
        names = tuple(type(p).__name__.lower() for p in parts) if names is None else tuple(names)
        self.parts = (*parts, *named.values())
        self.names = _unique((*names, *named))

    def __getitem__(self, key):
        """A part by name or by index."""
        if isinstance(key, str):
            if key not in self.names:
                raise KeyError(f"Composite: no part {key!r}; its parts are {self.names}.")
            key = self.names.index(key)
        return self.parts[key]

    def __len__(self):
        """The number of parts."""
        return len(self.parts)

    def phi(self, x, y, z, t):
        """Sum of the parts' potentials."""
        total = self.parts[0].phi(x, y, z, t)
        for part in self.parts[1:]:
            total = total + part.phi(x, y, z, t)
        return total

    def acc(self, x, y, z, t):
        """Sum of the parts' accelerations."""
        ax, ay, az = self.parts[0].acc(x, y, z, t)
        for part in self.parts[1:]:
            bx, by, bz = part.acc(x, y, z, t)
            ax, ay, az = ax + bx, ay + by, az + bz
        return ax, ay, az

    def tidal(self, x, y, z, t):
        """Sum of the parts' Hessians."""
        parts = [part.tidal(x, y, z, t) for part in self.parts]
        return tuple(sum(entries[1:], entries[0]) for entries in zip(*parts, strict=True))

    def rho(self, x, y, z, t):
        """Sum of the parts' densities."""
        total = self.parts[0].rho(x, y, z, t)
        for part in self.parts[1:]:
            total = total + part.rho(x, y, z, t)
        return total

    def enclosed_mass(self, radius, t=0.0):
        """Sum of the parts' masses, each by its own closed form where it has one."""
        return sum(part.enclosed_mass(radius, t) for part in self.parts)
