"""How orbits are integrated: the choices that `simulators.streams.orbit` takes.

All integrators work on separate coordinates, three arrays of one shape (N,). A `Plan` says which
steps are taken; it is made outside of the compiled program where the times are known.
"""

import abc
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.elementwise import at_least, at_most
from simulators.streams.integrate import CYCLE, MARGIN, Trajectory, Triple, begin, finish, march
from simulators.streams.integrate import nystrom as nystrom_steps
from simulators.streams.integrate.stormer import record
from simulators.streams.integrate.trajectory import grid_rows


class Plan(NamedTuple):
    """The steps of an integration.

    Attributes:
        ts: times of the output [Myr], (K,), the first one that of the initial conditions.
        h: step [Myr], a scalar, or (K - 1,) for steps of their own between outputs.
        u: for dense output, the places of the outputs in their blocks, in steps, (blocks, P).
        where: for dense output, the place in blocks x P of each output, (K,).
    """

    ts: Any
    h: Any
    u: Any = None
    where: Any = None


def _blocks(n: int) -> tuple[int, int]:
    """n units as (blocks, units in a block), about sqrt(n) each, which costs least memory."""
    blocks = max(1, round(math.sqrt(n)))
    return blocks, -(-n // blocks)


class AbstractIntegrator(eqx.Module):
    """An integrator of orbits. `n_steps` is found by `count`, or by the user for traced times."""

    @abc.abstractmethod
    def count(self, ts) -> int:
        """Number of steps for the concrete times `ts`."""

    @abc.abstractmethod
    def plan(self, ts, n_steps: int) -> Plan:
        """The steps between the times `ts`, NumPy or traced."""

    @abc.abstractmethod
    def sample(
        self, acceleration: Callable, x: Triple, v: Triple, plan: Plan, n_steps: int
    ) -> tuple[Triple, Triple]:
        """Positions and velocities at the times of the plan, three arrays (K, N) each."""

    @abc.abstractmethod
    def end(
        self, acceleration: Callable, x: Triple, v: Triple, plan: Plan, n_steps: int
    ) -> tuple[Triple, Triple]:
        """Positions and velocities at the last time of the plan, three arrays (N,) each."""

    @abc.abstractmethod
    def refined(self) -> "AbstractIntegrator":
        """The next finer one, by which an error is estimated."""


def _positive(name, value, least=0.0):
    if not (isinstance(value, int | float) and least < value < math.inf):
        raise ValueError(f"{name} = {value!r}: give a finite number above {least:g}.")


class Stormer(AbstractIntegrator):
    r"""Stormer's multistep method of order 8 at a fixed step: the default.

    One acceleration a step, equally spaced, which is what the crossing of a thin disc wants (the
    reason is in `simulators.streams.integrate.stormer`). Output between the steps is quintic
    Hermite interpolation. Stable for frequencies up to 0.46 / step: an orbit through a nucleus or a
    cluster core of frequency sqrt(G rho) near that needs `Adaptive`.

    Median position errors [kpc] of GD-1-like orbits in `MilkyWayPotential` after 3 Gyr, against
    SciPy's DOP853 at rtol = 1e-13 (`tests/streams/test_orbit.py` repeats three of them):

        step [Myr]  0.125   0.25    0.375   0.5     0.75    1.0
        error [kpc] 2e-10   1.3e-9  2.5e-8  1.1e-7  1.9e-6  2.5e-5

    Attributes:
        step: longest step [Myr] (static); whole blocks of steps of at most this length are taken.
    """

    step: float = eqx.field(static=True, default=0.25)

    def __check_init__(self):
        _positive("Stormer: step", self.step)

    def count(self, ts) -> int:
        """Span over step, in whole cycles."""
        return CYCLE * math.ceil(abs(float(ts[-1]) - float(ts[0])) / (self.step * CYCLE) - 1e-9)

    def plan(self, ts, n_steps):
        """See `AbstractIntegrator.plan`."""
        blocks, cycles = _blocks(-(-n_steps // CYCLE))
        size = cycles * CYCLE
        xp = np if isinstance(ts, np.ndarray) else jnp
        h = (ts[-1] - ts[0]) / (blocks * size)
        place = (ts - ts[0]) / h
        block = xp.clip(xp.floor(place / size), 0, blocks - 1).astype(int)
        if xp is np:
            first = np.searchsorted(block, np.arange(blocks))
            rank = np.arange(len(ts)) - first[block]
            most = int(rank.max()) + 1
            u = np.zeros((blocks, most))
            u[block, rank] = place - block * size
        else:
            # Which output is in which block is not known: each block serves all of them.
            rank, most = jnp.arange(len(ts)), len(ts)
            corner = jnp.arange(blocks).astype(place.dtype)[:, None] * size
            u = at_most(at_least(place[None, :] - corner, 0.0), float(size))
        return Plan(ts, h, u, block * most + rank)

    def sample(self, acceleration, x, v, plan, n_steps):
        """See `AbstractIntegrator.sample`."""
        t0, h = plan.ts[0], jnp.asarray(plan.h, jnp.result_type(x[0]))
        zero = jnp.zeros_like(h)

        @jax.checkpoint
        def block(state, k):
            clock, u = k
            after, s, a = record(acceleration, state, h, clock)
            rows = grid_rows(state, s, a, h, clock.size)
            return after, tuple(map(jnp.stack, Trajectory(zero, h, rows).at(u * h)))

        first = begin(acceleration, x, v, t0, h)
        _, found = jax.lax.scan(block, first, (self._clock(t0, h, n_steps), plan.u))

        def ordered(a):  # (blocks, 3, P, N) -> 3 x (K, N)
            return tuple(jnp.moveaxis(a, 1, 0).reshape(3, -1, a.shape[-1])[:, plan.where])

        return ordered(found[0]), ordered(found[1])

    def end(self, acceleration, x, v, plan, n_steps):
        """See `AbstractIntegrator.end`."""
        t0, h = plan.ts[0], jnp.asarray(plan.h, jnp.result_type(x[0]))

        @jax.checkpoint
        def block(state, clock):
            return march(acceleration, state, h, clock), None

        first = begin(acceleration, x, v, t0, h)
        last, _ = jax.lax.scan(block, first, self._clock(t0, h, n_steps))
        return finish(last, h)

    def refined(self):
        """Half the step."""
        return Stormer(0.5 * self.step)

    @staticmethod
    def _clock(t0, h, n_steps):
        blocks, cycles = _blocks(-(-n_steps // CYCLE))
        n = np.arange(blocks * cycles * CYCLE).reshape(blocks, cycles, CYCLE) + (MARGIN + 1)
        return t0 + jnp.asarray(n, h.dtype) * h


class Nystrom(AbstractIntegrator):
    """Blanes & Moan's symplectic Runge-Kutta-Nystrom method of order 6, 11 accelerations a step.

    It lands on every output, with steps of its own in between: equal steps, and so a symplectic
    map, for equally spaced times. An error of energy stays bounded. At equal error it costs
    two to three times as much as `Stormer`.

    Attributes:
        step: longest step [Myr] (static); the widest gap between outputs sets the number of steps
            of all of them.
    """

    step: float = eqx.field(static=True, default=2.0)

    def __check_init__(self):
        _positive("Nystrom: step", self.step)

    def count(self, ts) -> int:
        """Widest gap over step, times the number of gaps."""
        gap = np.abs(np.diff(np.asarray(ts, float))).max()
        return (len(ts) - 1) * max(1, math.ceil(gap / self.step - 1e-9))

    def plan(self, ts, n_steps):
        """See `AbstractIntegrator.plan`."""
        xp = np if isinstance(ts, np.ndarray) else jnp
        blocks, size = _blocks(-(-n_steps // (len(ts) - 1)))
        return Plan(ts, xp.diff(ts) / (blocks * size))

    def sample(self, acceleration, x, v, plan, n_steps):
        """See `AbstractIntegrator.sample`."""
        blocks, size = _blocks(-(-n_steps // (len(plan.ts) - 1)))

        def gap(state, k):
            t, h = k

            @jax.checkpoint
            def block(state, n):
                return nystrom_steps(acceleration, *state, t + n * size * h, h, size), None

            state, _ = jax.lax.scan(block, state, jnp.arange(blocks).astype(h.dtype))
            return state, tuple(map(jnp.stack, state))

        steps = (plan.ts[:-1], jnp.asarray(plan.h, jnp.result_type(x[0])))
        _, found = jax.lax.scan(gap, (tuple(x), tuple(v)), steps)
        return tuple(
            tuple(jnp.concatenate([s[None], f[:, i]]) for i, s in enumerate(start))
            for start, f in zip((x, v), found, strict=True)
        )

    def end(self, acceleration, x, v, plan, n_steps):
        """See `AbstractIntegrator.end`."""
        x, v = self.sample(acceleration, x, v, plan, n_steps)
        return tuple(xi[-1] for xi in x), tuple(vi[-1] for vi in v)

    def refined(self):
        """Half the step."""
        return Nystrom(0.5 * self.step)


class Adaptive(AbstractIntegrator):
    """A Runge-Kutta method of diffrax with error control, each orbit with steps of its own.

    For orbits that pass a nucleus or a cluster core, where the frequency goes far above that of
    the rest of the orbit. An orbit that needs more than `max_steps` is returned as NaN and
    marked as not valid. Steps end on every output. Derivatives are those of the steps taken.

    Attributes:
        rtol, atol: tolerances a step, atol in kpc and kpc/Myr (static).
        max_steps: of one orbit (static).
        solver: a diffrax solver; `Dopri8()` when left out.
        adjoint: a diffrax adjoint. When left out, the recursive checkpoints that only reverse mode
            can pass; give `diffrax.ForwardMode()` for `jax.jvp` and `jax.jacfwd`.
    """

    rtol: float = eqx.field(static=True, default=1e-10)
    atol: float = eqx.field(static=True, default=1e-12)
    max_steps: int = eqx.field(static=True, default=100_000)
    solver: Any = None
    adjoint: Any = None

    def __check_init__(self):
        for name in ("rtol", "atol", "max_steps"):
            _positive(f"Adaptive: {name}", getattr(self, name))

    def count(self, ts) -> int:
        """One: the solver finds its own steps."""
        return 1

    def plan(self, ts, n_steps):
        """See `AbstractIntegrator.plan`."""
        return Plan(ts, ts[-1] - ts[0])

    def sample(self, acceleration, x, v, plan, n_steps):
        """See `AbstractIntegrator.sample`."""
        # Here, so that those who do not use it need not load it.
        import diffrax

        ts = plan.ts

        def rates(t, y, _):
            return y[3:] + tuple(acceleration(*y[:3], t))

        control = diffrax.ClipStepSizeController(
            diffrax.PIDController(rtol=self.rtol, atol=self.atol), step_ts=ts
        )

        def one(*y):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(rates),
                diffrax.Dopri8() if self.solver is None else self.solver,
                t0=ts[0],
                t1=ts[-1],
                dt0=None,
                y0=y,
                saveat=diffrax.SaveAt(ts=ts),
                stepsize_controller=control,
                max_steps=self.max_steps,
                throw=False,
                **({} if self.adjoint is None else {"adjoint": self.adjoint}),
            )
            failed = solution.result != diffrax.RESULTS.successful
            return tuple(jnp.where(failed, jnp.nan, yi) for yi in solution.ys)

        found = jax.vmap(one, out_axes=1)(*x, *v)
        return found[:3], found[3:]

    def end(self, acceleration, x, v, plan, n_steps):
        """See `AbstractIntegrator.end`."""
        x, v = self.sample(acceleration, x, v, plan, n_steps)
        return tuple(xi[-1] for xi in x), tuple(vi[-1] for vi in v)

    def refined(self):
        """Tolerances a hundred times smaller."""
        return Adaptive(
            0.01 * self.rtol, 0.01 * self.atol, self.max_steps, self.solver, self.adjoint
        )
