"""Dark subhalos that fly by a stream: a potential that is added to the host's."""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.shared.elementwise import at_least
from simulators.shared.fields import as_float, cast, check, check_finite
from simulators.streams.potentials import AbstractPotential, physics
from simulators.streams.potentials.special import squared_radius
from simulators.streams.units import G


def _optional(value):
    return None if value is None else as_float(value)


class SubhaloFlybys(AbstractPotential):
    r"""Spheres on straight lines, x_i(t) = x_i + v_i (t - t_i), of which any may be absent.

    .. math:: \phi(x, t) = \sum_i w(t - t_i)\, \phi_\mathrm{sphere}(|x - x_i(t)|; m_i, r_i)

    with the Plummer sphere -G m / sqrt(r^2 + r_i^2) or the Hernquist sphere -G m / (r + r_i). The
    straight line stands for the part of the orbit near the stream, where the encounter happens
    (impulse picture: Erkal & Belokurov 2015a, MNRAS 450, 1136). Elsewhere it would be wrong: the
    window

        w(s) = (tanh((s + window) / taper) - tanh((s - window) / taper)) / 2

    switches a subhalo on and off, smoothly, as the integrators want it.

    The number of subhalos M is the static maximum: those of mass zero are absent, so that one
    compiled program serves any number up to it, and a number can be inferred.

    Args:
        m: masses [Msun], shape (M,), at least 0.
        scale: scale radii [kpc], (M,), above 0, also where the mass is zero.
        position: positions at `time` [kpc], (M, 3).
        velocity: velocities [kpc/Myr], (M, 3).
        time: times of the encounters [Myr], (M,).
        window: half the time for which each acts [Myr], above 0, a scalar or (M,); always if None.
        taper: over which it is switched [Myr], above 0, a scalar.
        profile: "plummer" or "hernquist" (static).

    Raises:
        ValueError: for shapes that do not match, an unknown profile, or concrete parameters outside
            their support.

    >>> from simulators.streams.potentials import MilkyWayPotential
    >>> one = SubhaloFlybys([1e7], [0.5], [[8.0, 0, 0]], [[0.0, 0, 0.2]], [-100.0])
    >>> host = MilkyWayPotential() + one
    >>> round(float(one.potential([8.0, 0.0, 1.2], t=-100.0)) * 1e5, 4)
    -3.4604
    """

    m: jax.Array = eqx.field(converter=as_float)
    scale: jax.Array = eqx.field(converter=as_float)
    position: jax.Array = eqx.field(converter=as_float)
    velocity: jax.Array = eqx.field(converter=as_float)
    time: jax.Array = eqx.field(converter=as_float)
    window: jax.Array | None = eqx.field(converter=_optional, default=None)
    taper: jax.Array = eqx.field(converter=as_float, default=20.0)
    profile: str = eqx.field(static=True, default="plummer")

    def __check_init__(self):
        if self.profile not in ("plummer", "hernquist"):
            raise ValueError(
                f"SubhaloFlybys: profile = {self.profile!r}; give 'plummer' or 'hernquist'."
            )
        count = self.m.shape
        vectors = (*count, 3)
        wanted = {"scale": count, "time": count, "position": vectors, "velocity": vectors}
        for name, shape in wanted.items():
            if len(count) != 1 or getattr(self, name).shape != shape:
                raise ValueError(
                    f"SubhaloFlybys: argument `{name}` has shape {getattr(self, name).shape} and "
                    f"`m` {count}; give m, scale, time (M,) and position, velocity (M, 3)."
                )
        check(self, "m", open_end=False)
        check(self, "scale", "taper")
        check_finite(self, "position", "velocity", "time")
        if self.window is not None:
            check(self, "window")

    @classmethod
    def encounter(
        cls,
        q,
        v,
        *,
        time,
        m,
        scale,
        impact_parameter,
        angle,
        v_perpendicular,
        v_parallel=0.0,
        **options,
    ) -> "SubhaloFlybys":
        r"""Subhalos given by how they pass points of a stream.

        At `time` a star of the stream is at `q` with velocity `v`. With e_y along v, e_z along the
        angular momentum q x v, and e_x = e_y x e_z, which points away from the Galactic centre,
        the subhalo is then closest to it, in the geometry of Erkal & Belokurov (2015a, MNRAS 450,
        1136), where the star moves along y:

            x_i = q + b (cos(a) e_x + sin(a) e_z),
            v_i = v + w_perp (-sin(a) e_x + cos(a) e_z) + w_par e_y.

        Velocities are relative to the star. Both offsets are perpendicular to the relative
        velocity, so that b is the closest approach to the star as long as it moves straight.

        Args:
            q, v: points of the stream [kpc, kpc/Myr], shape (M, 3).
            time: times of closest approach [Myr], (M,).
            m, scale: masses [Msun] and scale radii [kpc], (M,).
            impact_parameter: b [kpc], (M,).
            angle: a [rad], (M,).
            v_perpendicular: w_perp, across the stream [kpc/Myr], (M,).
            v_parallel: w_par, along the stream, positive if the subhalo is faster [kpc/Myr].
            options: `window`, `taper`, `profile`.

        >>> hit = SubhaloFlybys.encounter(
        ...     [[15.0, 0, 0]],
        ...     [[0.0, 0.2, 0]],
        ...     time=[-500.0],
        ...     m=[1e7],
        ...     scale=[0.4],
        ...     impact_parameter=[0.1],
        ...     angle=[0.0],
        ...     v_perpendicular=[0.15],
        ... )
        >>> [round(float(c), 6) for c in (*hit.position[0], *hit.velocity[0])]
        [15.1, 0.0, 0.0, 0.0, 0.2, 0.15]
        """
        q, v = as_float(q), as_float(v)
        if q.ndim != 2 or q.shape[-1] != 3 or q.shape != v.shape:
            raise ValueError(
                f"encounter: q and v have shapes {q.shape} and {v.shape}; give (M, 3) for both."
            )
        values = (impact_parameter, angle, v_perpendicular, v_parallel)
        b, a, across, along = (
            jnp.broadcast_to(as_float(c).astype(q.dtype), q.shape[:1])[:, None] for c in values
        )
        e_y = _unit(v)
        e_z = _unit(jnp.cross(q, v))
        e_x = jnp.cross(e_y, e_z)
        cos, sin = jnp.cos(a), jnp.sin(a)
        return cls(
            m,
            scale,
            q + b * (cos * e_x + sin * e_z),
            v + across * (cos * e_z - sin * e_x) + along * e_y,
            time,
            **options,
        )

    def _relative(self, x, y, z, t):
        """Subhalos first: offsets (M, ...), and columns of G m w and the scale radii."""
        column = (-1, *(1 for _ in x.shape))
        m, scale, place, speed, time = cast(
            x, self.m, self.scale, self.position, self.velocity, self.time
        )
        (t,) = cast(x, t)
        since = (t[None] if t.ndim else t) - time.reshape(column if t.ndim else (-1,))
        gm = G * m.reshape(since.shape[:1] + (1,) * (since.ndim - 1))
        if self.window is not None:
            window, taper = cast(x, self.window, self.taper)
            if window.ndim:
                window = window.reshape(since.shape[:1] + (1,) * (since.ndim - 1))
            gm = gm * (
                0.5 * (jnp.tanh((since + window) / taper) - jnp.tanh((since - window) / taper))
            )
        if not t.ndim:
            since, gm = since.reshape(column), gm.reshape(column)
        offsets = tuple(
            c[None] - (place[:, i].reshape(column) + speed[:, i].reshape(column) * since)
            for i, c in enumerate((x, y, z))
        )
        return offsets, gm, scale.reshape(column)

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        offsets, gm, scale = self._relative(x, y, z, t)
        r2 = squared_radius(*offsets)
        form = physics.plummer_phi if self.profile == "plummer" else physics.hernquist_phi
        return jnp.sum(form(r2, gm, scale), axis=0)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        offsets, gm, scale = self._relative(x, y, z, t)
        r2 = squared_radius(*offsets)
        form = physics.plummer_pull if self.profile == "plummer" else physics.hernquist_pull
        pull = form(r2, gm, scale)
        return tuple(-jnp.sum(pull * d, axis=0) for d in offsets)

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        offsets, gm, scale = self._relative(x, y, z, t)
        r2 = squared_radius(*offsets)
        form = physics.plummer_rho if self.profile == "plummer" else physics.hernquist_rho
        return jnp.sum(form(r2, gm / G, scale), axis=0)


def _unit(a):
    least = float(jnp.finfo(a.dtype).tiny) ** 0.5
    return a / jnp.sqrt(at_least(jnp.sum(a * a, axis=-1, keepdims=True), least))
