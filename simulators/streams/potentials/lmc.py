"""The Large Magellanic Cloud on its own orbit, and the Milky Way's reflex."""

import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.fields import as_float
from simulators.streams.potentials.base import AbstractPotential, Composite
from simulators.streams.potentials.curves import HermiteCurve
from simulators.streams.potentials.frames import Moving, Reflex
from simulators.streams.potentials.spherical import Hernquist
from simulators.streams.units import KMS

#: Galactocentric position [kpc] and velocity [km/s] of the LMC today, Vasiliev, Belokurov & Erkal
#: (2021, MNRAS 501, 2279); x points from the Sun to the centre, y along the rotation.
LMC_POSITION = (-0.6, -41.3, -27.1)
LMC_VELOCITY_KMS = (-63.9, -213.8, 206.6)
#: Total mass [Msun] from the Orphan stream, Erkal et al. (2019, MNRAS 487, 2685).
LMC_MASS = 1.38e11
#: Mass [Msun] within a radius [kpc], van der Marel & Kallivayalil (2014, ApJ 781, 121).
LMC_INNER_MASS, LMC_INNER_RADIUS = 1.7e10, 8.7

# Fourth-order composition of leapfrog steps (Yoshida 1990).
_W1 = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
_YOSHIDA = (_W1, 1.0 - 2.0 * _W1, _W1)


def lmc_potential(m=LMC_MASS) -> Hernquist:
    """Hernquist sphere of mass `m` [Msun] that holds the measured mass within 8.7 kpc.

    M(<r) = m r^2 / (r + a)^2 gives a = r (sqrt(m / M(<r)) - 1), so `m` must exceed 1.7e10 Msun.

    >>> round(float(lmc_potential().a), 2)
    16.09
    """
    m = as_float(m)
    return Hernquist(m, LMC_INNER_RADIUS * (jnp.sqrt(m / LMC_INNER_MASS) - 1.0))


def two_body_track(host, satellite, position, velocity, duration, knots=257, substeps=4):
    """Orbit of a rigid `satellite` about a rigid `host`, each pulling the other, up to t = 0.

    The separation r obeys r'' = a_host(r) - a_satellite(-r); dynamical friction is left out. Steps
    of duration / ((knots - 1) substeps), 5 Myr by default, by Yoshida's fourth-order leapfrog.

    Args:
        host, satellite: potentials around their own centres.
        position: of the satellite from the host at t = 0 [kpc], (3,).
        velocity: likewise [kpc/Myr].
        duration: time covered before t = 0 [Myr], above 0.
        knots, substeps: numbers of stored points and of steps between two of them (static).

    Returns:
        A quintic `HermiteCurve` from t = -duration to 0; on it goes straight.

    Raises:
        ValueError: for a concrete duration that is not above 0.
    """
    if not isinstance(duration, jax.core.Tracer) and not np.all(np.asarray(duration) > 0.0):
        raise ValueError(
            f"two_body_track: argument `duration` = {duration} must be above 0 Myr: the time "
            "before the present that the track covers."
        )
    q, v = as_float(position), as_float(velocity)
    duration = jnp.asarray(duration).astype(q.dtype)
    h = -duration / ((knots - 1) * substeps)

    def acceleration(q, t):
        x, y, z = q
        pull = jnp.stack(host.acc(x, y, z, t))
        back = jnp.stack(satellite.acc(-x, -y, -z, t))
        return pull - back

    def step(state, _):
        q, v, t = state
        for weight in _YOSHIDA:
            q, t = q + (0.5 * weight * h) * v, t + 0.5 * weight * h
            v = v + (weight * h) * acceleration(q, t)
            q, t = q + (0.5 * weight * h) * v, t + 0.5 * weight * h
        return (q, v, t), None

    def knot(state, _):
        q, v, t = state
        return jax.lax.scan(step, state, None, length=substeps)[0], (q, v, acceleration(q, t))

    start = (q, v, jnp.zeros_like(duration))
    (q, v, t), stored = jax.lax.scan(knot, start, None, length=knots - 1)
    last = (q, v, acceleration(q, t))
    columns = [jnp.concatenate([s, e[None]])[::-1] for s, e in zip(stored, last, strict=True)]
    times = duration * jnp.asarray(np.linspace(-1.0, 0.0, knots), q.dtype)
    return HermiteCurve(times, *columns)


def with_lmc(
    host: AbstractPotential,
    satellite: AbstractPotential | None = None,
    track=None,
    reflex: bool = True,
    duration: float = 5000.0,
) -> Composite:
    """A Milky Way model with an LMC that moves on its own orbit, in Galactocentric coordinates.

    Args:
        host: the Milky Way.
        satellite: the LMC around its own centre; by default `lmc_potential()`.
        track: its orbit; by default `two_body_track` back from its measured place at t = 0.
        reflex: whether the coordinates follow the Galaxy's centre as the LMC pulls it. Without,
            the Galaxy is nailed down (the track then too should be one about a fixed host).
        duration: time before the present that the default track covers [Myr].

    Returns:
        A `Composite` with the parts of `host`, then `lmc` and, with reflex, `reflex`.

    >>> from simulators.streams.potentials import MilkyWayPotential
    >>> with_lmc(MilkyWayPotential(), duration=100.0).names[-2:]
    ('lmc', 'reflex')
    """
    satellite = lmc_potential() if satellite is None else satellite
    if track is None:
        velocity = as_float(LMC_VELOCITY_KMS) * KMS
        track = two_body_track(host, satellite, LMC_POSITION, velocity, duration)
    moving = Moving(satellite, track)
    extra = Composite(lmc=moving, reflex=Reflex(moving)) if reflex else Composite(lmc=moving)
    return host + extra
