"""The steps that were taken, again: their cotangents backward.

A step is differentiated as the map that it is, with its length held fixed, so both modes give the
derivatives of the same numbers and agree to rounding; they are those of the exact solution as
nearly as the steps resolve it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.chemistry import rodas


class Bound:
    """A system whose arguments are the inexact arrays of the user's alone, `theta`.

    Args:
        system: the system.
        static: what is left of the user's arguments without their inexact arrays.
    """

    def __init__(self, system, static):
        self.system, self.static = system, static
        self.autonomous = system.autonomous

    def args(self, theta):
        """The user's arguments."""
        return eqx.combine(theta, self.static)

    def rhs(self, t, y, theta):
        """See `AbstractSystem.rhs`."""
        return self.system.rhs(t, y, self.args(theta))

    def jacobian(self, t, y, theta):
        """See `AbstractSystem.jacobian`."""
        return self.system.jacobian(t, y, self.args(theta))

    def stage(self, t, t1, y, k, u, theta):
        """See `AbstractSystem.stage`."""
        return self.system.stage(t, t1, y, k, u, self.args(theta))

    def stage_back(self, t, t1, y, k, u, theta, b):
        """See `AbstractSystem.stage_back`."""
        *bars, args_bar = self.system.stage_back(t, t1, y, k, u, self.args(theta), b)
        differentiable = jax.tree.map(eqx.is_inexact_array, self.args(theta))
        return *bars, eqx.filter(args_bar, differentiable)


class Replay:
    """The steps of a log as a function of the first state and of theta.

    Args:
        lu: the planned factorisation.
        system: a `Bound` system.
        times: of the outputs, (T, B).
        every: the log keeps the state at every so many attempts.
        log: a `march.Log`.
        attempts: how many there were.
    """

    def __init__(self, lu, system, times, every, log, attempts):
        self.lu, self.system, self.times, self.every = lu, system, times, every
        self.log, self.attempts = log, attempts

    def step(self, i, y, theta):
        """Attempt i again: times before and after, step, who accepted it; factors; `rodas.Step`."""
        rows = (self.log.t, i), (self.log.t, i + 1), (self.log.h, i), (self.log.accepted, i)
        t, after, h, accepted = (
            jax.lax.dynamic_index_in_dim(a, j, keepdims=False) for a, j in rows
        )
        # A step that is not taken is made short, so that nothing overflows in it.
        h = jnp.where(accepted, h, 1e-6 * h)
        factors = self.lu.factor(1.0 / (rodas.GAMMA * h), self.system.jacobian(t, y, theta))
        made = rodas.step(self.system, lambda b: self.lu.solve(factors, b), t, y, h, theta)
        return (t, after, h, accepted), factors, made

    def pull(self, theta, ys_bar):
        """Cotangents of the first state and of theta from those of the outputs."""
        every, zero = self.every, jnp.zeros(ys_bar.shape[1:], ys_bar.dtype)

        def back(i, y, carry):
            y_bar, theta_bar = carry
            (t, after, h, accepted), factors, made = self.step(i, y, theta)
            keep = accepted[None]
            start_bar, end_bar, inner_bar = self._outputs_back(ys_bar, t, after, h)
            more, d_theta = rodas.pull(
                self.system, lambda b: self.lu.transposed(factors, b),
                t, y, h, theta, made.ks, end_bar + jnp.where(keep, y_bar, zero), inner_bar,
            )  # fmt: skip
            y_bar = jnp.where(keep, more + start_bar, y_bar)
            return y_bar, jax.tree.map(jnp.add, theta_bar, d_theta)

        def segment(m, carry):
            first = m * every
            size = jnp.minimum(every, self.attempts - first)
            y = jax.lax.dynamic_index_in_dim(self.log.y, m, keepdims=False)
            if every == 1:
                return back(first, y, carry)

            def again(k, states):
                y = jax.lax.dynamic_index_in_dim(states, k, keepdims=False)
                (*_, accepted), _, made = self.step(first + k, y, theta)
                return states.at[k + 1].set(jnp.where(accepted[None], made.end, y))

            states = jnp.zeros((every, *y.shape), y.dtype).at[0].set(y)
            states = jax.lax.fori_loop(0, size - 1, again, states)

            def one(k, carry):
                k = size - 1 - k
                y = jax.lax.dynamic_index_in_dim(states, k, keepdims=False)
                return back(first + k, y, carry)

            return jax.lax.fori_loop(0, size, one, carry)

        segments = -(-self.attempts // every)
        y_bar, theta_bar = jax.lax.fori_loop(
            0,
            segments,
            lambda k, carry: segment(segments - 1 - k, carry),
            (zero, jax.tree.map(jnp.zeros_like, theta)),
        )
        early = (self.times <= self.log.t[0][None])[:, None]
        return y_bar + jnp.sum(jnp.where(early, ys_bar, zero[None]), axis=0), theta_bar

    def _outputs_back(self, ys_bar, t, after, h):
        """Cotangents of the start, the end and `inner` of a step from those of its outputs."""
        times, zero = self.times, jnp.zeros(ys_bar.shape[1:], ys_bar.dtype)
        done, upto = (jnp.sum(times <= x[None], axis=0) for x in (t, after))

        def one(carry):
            o, bars = carry
            mine = (o >= done) & (o < upto)
            time = jax.lax.dynamic_index_in_dim(times, o, keepdims=False)
            bar = jax.lax.dynamic_index_in_dim(ys_bar, o, keepdims=False)
            bar = jnp.where(mine[None], bar, zero)
            u = jnp.where(mine, (time - t) / h, jnp.zeros_like(t))[None]
            v = u * (1.0 - u)
            weights = 1.0 - u, u, v, u * v, u * u * v
            return o + 1, tuple(b + w * bar for b, w in zip(bars, weights, strict=True))

        first = jnp.min(jnp.where(upto > done, done, len(times)))
        _, (start, end, *inner) = jax.lax.while_loop(
            lambda c: c[0] < jnp.max(upto), one, (first, (zero,) * 5)
        )
        return start, end, jnp.stack(inner)
