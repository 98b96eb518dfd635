"""Values with gradients: forward mode for few parameters, reverse for many."""

import os
from concurrent.futures import ThreadPoolExecutor

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

FORWARD_MAX_DIM = 8
"""Up to this many parameters "auto" takes forward mode.

On the GD-1 likelihood with 9 parameters forward mode took 36 ms and reverse 31 (the value 5.0); on
200 orbits of 600 leapfrog steps with 8 parameters 8.8 and 8.0 ms (the value 1.5). Forward mode has
the shorter compilation and keeps no tape, so ties go to it.
"""


def resolve_mode(dim, mode):
    """ "forward" or "reverse"; ValueError for anything but these and "auto"."""
    if mode == "auto":
        return "forward" if dim <= FORWARD_MAX_DIM else "reverse"
    if mode not in ("forward", "reverse"):
        raise ValueError(f"gradient={mode!r}; choose 'auto', 'forward' or 'reverse'.")
    return mode


def value_and_grad(f, dim, mode="auto"):
    """`u -> (f(u), gradient)` for a scalar function of a vector of shape (dim,).

    Forward mode pushes all `dim` basis vectors along one evaluation, with no tape: memory does
    not grow with the steps of a solver. Reverse mode costs a few evaluations whatever `dim`. A
    non-finite value (a failed simulation) becomes -inf with zero gradient.

    >>> import jax.numpy as jnp
    >>> value, gradient = value_and_grad(lambda u: -jnp.sum(u**2), 2)(jnp.array([1.0, 2.0]))
    >>> float(value), gradient.tolist()
    (-5.0, [-2.0, -4.0])
    """
    mode = resolve_mode(dim, mode)

    def forward(u):
        def push(tangent):
            return jax.jvp(f, (u,), (tangent,))

        # The primal does not depend on the mapped tangent, so vmap leaves it unbatched: it is
        # computed once.
        return jax.vmap(push, out_axes=(None, 0))(jnp.eye(dim, dtype=u.dtype))

    plain = forward if mode == "forward" else jax.value_and_grad(f)

    def safe(u):
        value, gradient = plain(u)
        valid = jnp.isfinite(value)
        return (
            jnp.where(valid, value, -jnp.inf),
            jnp.where(valid, gradient, jnp.zeros_like(gradient)),
        )

    return safe


def with_gradient(f, dim, mode="auto"):
    """`f` such that `jax.grad` of it uses the chosen mode, for samplers that call `jax.grad`."""
    both = value_and_grad(f, dim, mode)

    @jax.custom_vjp
    def density(u):
        return both(u)[0]

    def forward(u):
        return both(u)

    def backward(gradient, cotangent):
        return (cotangent * gradient,)

    density.defvjp(forward, backward)
    return density


@eqx.filter_jit
def _value(target, u):
    return target.unguarded(u)


@eqx.filter_jit
def _value_and_grad(target, u, mode):
    return value_and_grad(target.unguarded, target.dim, mode)(u)


def evaluate(target, points):
    """Log density at each row of `points` (n, D): a NumPy array."""
    return np.array(on_threads(lambda u: float(_value(target, u)), list(points)))


def evaluate_gradient(target, u, mode="auto"):
    """Log density and gradient at one point, by one compiled program whoever asks."""
    u = jnp.asarray(u)
    value, gradient = _value_and_grad(target, u, resolve_mode(u.size, mode))
    return float(value), np.asarray(gradient)


def on_threads(function, items):
    """`[function(item) ...]` with a thread a core.

    XLA frees the interpreter lock while it runs. Measured on two cores, four separate runs of
    one compiled function on two threads took 0.54 (1e3 elements) and 0.51 (2e4) of the time of
    a loop; one vmapped call took 1.01 and 0.61. NUTS, four chains, 8 ms a gradient: 34 s on
    threads, 75 s in lockstep.
    """
    if not items:
        return []
    first = function(items[0])  # compiles once, before the threads race to do it
    with ThreadPoolExecutor(worker_count()) as pool:
        return [first, *pool.map(function, items[1:])]


def worker_count():
    """Threads worth starting: one a usable core."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1
