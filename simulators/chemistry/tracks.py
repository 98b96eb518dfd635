"""Gas whose conditions change with time: collapse, warm-up and shocks; see `Tabulated` for others.

A track is a function from time [yr], an array (B,), to the `Conditions` of B cells, which `evolve`
takes in place of `Conditions`. Where a track has an end, its time is worth an output: steps of the
solver end at outputs, and so none goes over the kink.
"""

import dataclasses
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.conditions import PER_CELL, Conditions
from simulators.chemistry.laws import ATOMIC_MASS, BOLTZMANN
from simulators.shared.elementwise import at_least, horner
from simulators.shared.fields import as_float, cast, check, known

#: Julian year [s].
_YEAR = 365.25 * 86400.0
#: Newton's constant [cm^3 / g / s^2].
_GRAVITY = 6.6743e-8
#: c of E = c (1 + c^2 / 60 + ...), c = (6 M)^(1/3), which solves E - sin E = M.
_SERIES = (1.0, 1.0 / 60.0, 1.0 / 1400.0, 1.0 / 25200.0, 43.0 / 17248000.0)
#: (E - sin E) / E^3 in powers of E^2: without cancellation, to rounding up to E = pi.
_FALLEN = tuple((-1.0) ** k / math.factorial(2 * k + 3) for k in range(14))
#: Newton's steps from `_SERIES`, which is right to 1 per cent.
_STEPS = 3


class FreeFall(eqx.Module):
    r"""A homogeneous sphere that falls in from rest by its own gravity, at constant temperature.

    .. math:: n = n_0 \cos^{-6} \eta, \quad \eta + \tfrac12 \sin 2 \eta = \frac{\pi}{2}
        \frac{t}{t_{\rm ff}}, \quad t_{\rm ff} = \frac1b \sqrt{\frac{3 \pi}{32 G \mu m_u n_0}}

    (Spitzer 1978, Physical Processes in the Interstellar Medium, section 13.3), until the density
    is n_final, which then stays.

    Attributes:
        start: conditions at t = 0.
        n_final: density at the end [1 / cm^3], () or (B,).
        slowed: b, by what factor magnetic fields slow the collapse, 1 for none (Rawlings et al.
            1992, MNRAS 255, 471), () or (B,).
        mass: mu, of the gas per hydrogen nucleus [u].
        shielded: whether the extinction grows as the column of the sphere, A_V (n / n_0)^(2/3),
            else it stays (static).

    Raises:
        ValueError: for an n_final that is not above the density at the start; values not above 0.

    >>> fall = FreeFall(Conditions(n_H=1e4, temperature=10.0), n_final=1e6)
    >>> [f"{float(t):.3e}" for t in (fall.t_ff, fall.t_final)]
    ['4.366e+05', '4.167e+05']
    >>> [f"{float(n):.2e}" for n in fall(jnp.array([0.0, 2e5, 1e6])).n_H]
    ['1.00e+04', '1.55e+04', '1.00e+06']
    """

    start: Conditions
    n_final: PER_CELL = eqx.field(converter=as_float)
    slowed: PER_CELL = eqx.field(converter=as_float, default=1.0)
    mass: PER_CELL = eqx.field(converter=as_float, default=1.4)
    shielded: bool = eqx.field(static=True, default=False)

    def __check_init__(self):
        check(self, "n_final", "slowed", "mass")
        if known(self.n_final, self.start.n_H):
            first, last = np.asarray(self.start.n_H), np.asarray(self.n_final)
            if np.any(last <= first):
                raise ValueError(
                    f"FreeFall: argument `n_final` = {last} is not above the density at the "
                    f"start; give more than {first}."
                )

    @property
    def t_ff(self):
        """When the density would be infinite [yr], () or (B,)."""
        mass, slowed, n = cast(self.start.temperature, self.mass, self.slowed, self.start.n_H)
        # The unit is put apart: G m_u underflows in float32.
        unit = math.sqrt(3.0 * math.pi / (32.0 * _GRAVITY * ATOMIC_MASS)) / _YEAR
        return unit / (slowed * jnp.sqrt(mass * n))

    @property
    def t_final(self):
        """When the density is n_final [yr], () or (B,)."""
        n_0, n_1 = cast(self.start.temperature, self.start.n_H, self.n_final)
        E = 2.0 * jnp.arcsin((n_0 / n_1) ** (1.0 / 6.0))
        return self.t_ff * (1.0 - _fallen(E) / np.pi)

    def __call__(self, t: Float[Array, " B"]) -> Conditions:
        """The conditions at times t [yr]."""
        n_0, n_1, t_ff, t_final = cast(t, self.start.n_H, self.n_final, self.t_ff, self.t_final)
        falls = t < t_final
        # E = pi - 2 eta, so that a density near the end is as right as the time that is left.
        left = jnp.where(falls, jnp.pi * (1.0 - t / t_ff), jnp.ones_like(t))
        s = jnp.sin(0.5 * _radial(left))
        square = s * s
        n = jnp.where(falls, n_0 / (square * square * square), n_1)
        made = dataclasses.replace(self.start, n_H=n)
        if not self.shielded:
            return made
        (A_V,) = cast(t, self.start.A_V)
        growth = jnp.where(falls, 1.0 / (square * square), (n_1 / n_0) ** (2.0 / 3.0))
        return dataclasses.replace(made, A_V=A_V * growth)


def _fallen(E):
    """E - sin E for 0 <= E <= pi."""
    square = E * E
    return E * square * horner(_FALLEN, square)


@jax.custom_jvp
def _radial(M):
    """E of E - sin E = M, Kepler's equation of a radial orbit, for 0 < M <= pi."""
    c = jnp.cbrt(6.0 * M)
    E = c * horner(_SERIES, c * c)
    for _ in range(_STEPS):
        E = E - (_fallen(E) - M) / (2.0 * jnp.square(jnp.sin(0.5 * E)))
    return E


@_radial.defjvp
def _radial_jvp(primals, tangents):
    # In terms of `_radial` itself, so that derivatives of all orders are right.
    half = 0.5 * _radial(*primals)
    return 2.0 * half, tangents[0] / (2.0 * jnp.square(jnp.sin(half)))


class WarmUp(eqx.Module):
    r"""Gas and dust that are heated by a young star.

    .. math:: T = T_0 + (T_{\max} - T_0) \left(\frac{t - t_0}{t_{\rm warm}}\right)^p

    from t_0 to t_0 + t_warm, constant before and after (Garrod & Herbst 2006, A&A 457, 927, with
    p = 2 and T_max = 200 K after a collapse). The dust goes from its own temperature to T_max.

    Attributes:
        start: conditions without the star; or a track, such as a collapse.
        T_max: temperature at the end [K], () or (B,).
        t_warm: how long it takes [yr], () or (B,).
        power: p, () or (B,).
        t_0: when it begins [yr], () or (B,).

    Raises:
        ValueError: for values that are not above 0, a t_0 below.

    >>> warm = WarmUp(Conditions(n_H=1e7, temperature=10.0), T_max=200.0, t_warm=2e5)
    >>> warm(jnp.array([0.0, 1e5, 2e5, 1e6])).temperature.tolist()
    [10.0, 57.5, 200.0, 200.0]
    """

    start: Conditions | Callable
    T_max: PER_CELL = eqx.field(converter=as_float)
    t_warm: PER_CELL = eqx.field(converter=as_float)
    power: PER_CELL = eqx.field(converter=as_float, default=2.0)
    t_0: PER_CELL = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        check(self, "T_max", "t_warm", "power")
        check(self, "t_0", open_end=False)

    def __call__(self, t: Float[Array, " B"]) -> Conditions:
        """The conditions at times t [yr]."""
        start = self.start(t) if callable(self.start) else self.start
        T_max, t_warm, power, t_0 = cast(t, self.T_max, self.t_warm, self.power, self.t_0)
        u = within((t - t_0) / t_warm)
        # u^p by a base that is not zero, where its derivatives would not be finite.
        part = u * at_least(u, 1e-12) ** (power - 1.0)

        def warmed(T):
            (T,) = cast(t, T)
            return T + (T_max - T) * part

        dust = None if start.T_dust is None else warmed(start.T_dust)
        return dataclasses.replace(start, temperature=warmed(start.temperature), T_dust=dust)


def within(u):
    """u from 0 to 1; at both ends with the derivative of what follows."""
    u = jnp.where(u >= 0.0, u, jnp.zeros_like(u))
    return jnp.where(u < 1.0, u, jnp.ones_like(u))


class JShock(eqx.Module):
    r"""Gas behind a steady, plane shock without a magnetic field, from when it is struck.

    The jump is that of Rankine and Hugoniot: with the Mach number M of speed v in the gas ahead,

    .. math:: \frac{n_2}{n_0} = \frac{(\gamma + 1) M^2}{(\gamma - 1) M^2 + 2}, \quad
        \frac{T_2}{T_0} = \frac{(2 \gamma M^2 - \gamma + 1)((\gamma - 1) M^2 + 2)}
        {(\gamma + 1)^2 M^2}, \quad M^2 = \frac{\mu m_u v^2}{\gamma k T_0}

    (Landau & Lifshitz, Fluid Mechanics, section 89). Then the gas cools to T_0 as in the J-type
    shocks of UCLCHEM (after James et al. 2020, A&A 634, A17), T = T_2 (T_0 / T_2)^(t / t_cool), and
    is compressed such that mass and momentum are conserved, n v = const and P + rho v^2 = const,
    which ends at n_0 gamma M^2. Its fitted densities, and those of C-type shocks, come of a
    magnetic field: give such models as a `Tabulated`.

    Attributes:
        start: conditions ahead of the shock; their dust temperature, where given, stays.
        velocity: v, of the shock in the gas ahead [km / s], () or (B,).
        t_cool: when the gas has cooled [yr], () or (B,); 10^6 yr / n_0 in James et al.
        gamma: ratio of specific heats.
        mass: of the gas per hydrogen nucleus [u]; mu is that over `Conditions.particles`.

    Raises:
        ValueError: for a velocity that is not above some 1.3 times that of sound (behind weaker
            shocks gas that loses heat is compressed and heated first), a gamma outside 1 to 3, or
            values that are not above 0.

    >>> shock = JShock(Conditions(n_H=1e4, temperature=10.0), velocity=10.0, t_cool=100.0)
    >>> gas = shock(jnp.array([0.0, 50.0, 100.0]))
    >>> [f"{float(T):.1e}" for T in gas.temperature], [f"{float(n):.1e}" for n in gas.n_H]
    (['5.3e+03', '2.3e+02', '1.0e+01'], ['4.0e+04', '1.2e+06', '2.8e+07'])
    """

    start: Conditions
    velocity: PER_CELL = eqx.field(converter=as_float)
    t_cool: PER_CELL = eqx.field(converter=as_float)
    gamma: PER_CELL = eqx.field(converter=as_float, default=5.0 / 3.0)
    mass: PER_CELL = eqx.field(converter=as_float, default=1.4)

    def __check_init__(self):
        check(self, "velocity", "t_cool", "mass")
        check(self, "gamma", least=1.0, below=3.0)
        start = self.start
        if known(self.velocity, self.gamma, self.mass, start.temperature, start.particles):
            velocity, gamma = np.asarray(self.velocity), self.gamma
            weakest = (3.0 * gamma - 1.0) / (gamma * (3.0 - gamma))
            least = velocity * np.sqrt(np.asarray(weakest / self._mach_squared()))
            if np.any(velocity <= least):
                raise ValueError(
                    f"JShock: argument `velocity` = {velocity} is too slow for gas that loses heat "
                    f"to grow colder; give more than {least} km / s."
                )

    def _mach_squared(self):
        T = self.start.temperature
        given = self.velocity, self.gamma, self.mass, self.start.particles
        v, gamma, mass, particles = cast(T, *given)
        return (1e10 * ATOMIC_MASS / BOLTZMANN) * mass * v * v / (particles * gamma * T)

    def __call__(self, t: Float[Array, " B"]) -> Conditions:
        """The conditions at times t [yr] from when the gas is struck."""
        n, T, t_cool, gamma, square = cast(
            t, self.start.n_H, self.start.temperature, self.t_cool, self.gamma,
            self._mach_squared(),
        )  # fmt: skip
        slower = (gamma - 1.0) * square + 2.0
        jump = (2.0 * gamma * square - gamma + 1.0) * slower / ((gamma + 1.0) ** 2 * square)
        theta = jump ** (1.0 - within(t / t_cool))
        # x = n / n_0 of x theta + m / x = 1 + m, the denser of two.
        m = gamma * square
        x = (1.0 + m + jnp.sqrt((1.0 + m) ** 2 - 4.0 * m * theta)) / (2.0 * theta)
        return dataclasses.replace(self.start, n_H=n * x, temperature=T * theta)
