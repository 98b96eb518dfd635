"""Potentials in motion: rotating, carried along, accelerated, growing."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.shared.fields import as_float, cast, check_finite
from simulators.streams.potentials.base import AbstractPotential


class Rotating(AbstractPotential):
    """A potential that turns rigidly about the z axis, seen from the inertial frame.

    Args:
        base: the potential in its own frame.
        omega: angular speed [rad/Myr], positive from x to y.
        angle: of the frame's x axis at t = 0 [rad].

    Raises:
        ValueError: for concrete values that are not finite.

    >>> from simulators.streams.potentials import LongMuraliBar
    >>> bar = Rotating(LongMuraliBar(1e10, 4.0, 0.5, 1.0), omega=0.04)
    >>> bar.acceleration([8.0, 0.0, 0.0], t=10.0).shape
    (3,)
    """

    base: AbstractPotential
    omega: jax.Array = eqx.field(converter=as_float)
    angle: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check_finite(self, "omega", "angle")

    def _turn(self, x, y, t):
        t, omega, angle = cast(x, t, self.omega, self.angle)
        turned = angle + omega * t
        cos, sin = jnp.cos(turned), jnp.sin(turned)
        return cos, sin, cos * x + sin * y, cos * y - sin * x

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        _, _, x, y = self._turn(x, y, t)
        return self.base.phi(x, y, z, t)

    def acc(self, x, y, z, t):
        """The acceleration along the inertial axes [kpc/Myr^2]."""
        cos, sin, x, y = self._turn(x, y, t)
        ax, ay, az = self.base.acc(x, y, z, t)
        return cos * ax - sin * ay, sin * ax + cos * ay, az

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        _, _, x, y = self._turn(x, y, t)
        return self.base.rho(x, y, z, t)


class Moving(AbstractPotential):
    """A potential carried along a trajectory, without turning.

    Args:
        base: the potential around its own centre.
        track: the centre's position [kpc] as a function of time [Myr], t.shape + (3,): a
            `HermiteCurve` or any Equinox module.

    >>> from simulators.streams.potentials import HermiteCurve, Plummer
    >>> track = HermiteCurve([0.0, 100.0], [[0.0, 0, 0], [20.0, 0, 0]], [[0.2, 0, 0], [0.2, 0, 0]])
    >>> cloud = Moving(Plummer(1e10, 2.0), track)
    >>> bool(abs(cloud.acceleration([10.0, 0.0, 0.0], t=50.0)[0]) < 1e-9)
    True
    """

    base: AbstractPotential
    track: Callable

    def _shift(self, x, y, z, t):
        (t,) = cast(x, t)
        centre = self.track(t).astype(x.dtype)
        return x - centre[..., 0], y - centre[..., 1], z - centre[..., 2]

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        return self.base.phi(*self._shift(x, y, z, t), t)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        return self.base.acc(*self._shift(x, y, z, t), t)

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        return self.base.rho(*self._shift(x, y, z, t), t)


def _constant_or_curve(value):
    return value if isinstance(value, eqx.Module) else as_float(value)


class UniformAcceleration(AbstractPotential):
    """A field that is the same everywhere, phi = -a(t) . x.

    Args:
        a: (3,) [kpc/Myr^2], or an Equinox module that maps time to t.shape + (3,), such
            as a `HermiteCurve`.

    Raises:
        ValueError: for an array of another shape, or not finite.

    >>> pot = UniformAcceleration([0.0, 0.0, 1e-3])
    >>> [float(a) for a in pot.acceleration([8.0, 0.0, 0.0]).round(6)][:2]
    [0.0, 0.0]
    """

    a: jax.Array | eqx.Module = eqx.field(converter=_constant_or_curve)

    def __check_init__(self):
        if isinstance(self.a, jax.Array):
            if self.a.shape[-1:] != (3,):
                raise ValueError(
                    "UniformAcceleration: argument `a` has shape "
                    f"{self.a.shape}; give (3,) or a function of time."
                )
            check_finite(self, "a")

    def _field(self, x, t):
        if isinstance(self.a, eqx.Module):
            (t,) = cast(x, t)
            field = self.a(t)
        else:
            field = self.a
        (field,) = cast(x, field)
        return tuple(jnp.broadcast_to(field[..., k], x.shape) for k in range(3))

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        ax, ay, az = self._field(x, t)
        return -(ax * x + ay * y + az * z)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        return self._field(x, t)

    def rho(self, x, y, z, t):
        """Zero."""
        return jnp.zeros_like(x)


class Reflex(AbstractPotential):
    """The inertial force in a frame whose origin `source` pulls: minus its force at the origin.

    In coordinates that follow the Milky Way's centre, `galaxy + cloud + Reflex(cloud)` gives the
    motion under a `cloud` that also pulls the Galaxy itself, taken as rigid.

    Args:
        source: a potential that does not include the body at the origin.

    >>> from simulators.streams.potentials import HermiteCurve, Moving, Plummer
    >>> track = HermiteCurve([0.0, 1.0], [[50.0, 0, 0], [50.0, 0, 0]], [[0.0, 0, 0], [0.0, 0, 0]])
    >>> cloud = Moving(Plummer(1e11, 10.0), track)
    >>> pair = cloud + Reflex(cloud)
    >>> bool(abs(pair.acceleration([0.0, 0.0, 0.0])).max() < 1e-9)
    True
    """

    source: AbstractPotential

    def _field(self, x, t):
        (t,) = cast(x, t)
        origin = jnp.zeros_like(t)
        return tuple(
            jnp.broadcast_to(-a, x.shape) for a in self.source.acc(origin, origin, origin, t)
        )

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        ax, ay, az = self._field(x, t)
        return -(ax * x + ay * y + az * z)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        return self._field(x, t)

    def rho(self, x, y, z, t):
        """Zero: an inertial force has no sources."""
        return jnp.zeros_like(x)


class TimeScaled(AbstractPotential):
    """A potential whose mass changes, phi(x, t) = factor(t) base(x, t).

    Args:
        base: the potential where the factor is one.
        factor: function of time [Myr] that returns an array of the shape of t: `LinearGrowth`,
            `ExponentialGrowth`, a `HermiteCurve` of scalars, or any Equinox module.

    >>> from simulators.streams.potentials import ExponentialGrowth, NFW
    >>> halo = TimeScaled(NFW(1e12, 15.0), ExponentialGrowth(1e4))
    >>> bool(halo.circular_velocity(8.0, t=-1e3) < halo.circular_velocity(8.0))
    True
    """

    base: AbstractPotential
    factor: Callable

    def _factor(self, x, t):
        (t,) = cast(x, t)
        return self.factor(t).astype(x.dtype)

    def phi(self, x, y, z, t):
        """The potential [kpc^2/Myr^2]."""
        return self._factor(x, t) * self.base.phi(x, y, z, t)

    def acc(self, x, y, z, t):
        """The acceleration [kpc/Myr^2]."""
        factor = self._factor(x, t)
        ax, ay, az = self.base.acc(x, y, z, t)
        return factor * ax, factor * ay, factor * az

    def rho(self, x, y, z, t):
        """The density [Msun/kpc^3]."""
        return self._factor(x, t) * self.base.rho(x, y, z, t)
