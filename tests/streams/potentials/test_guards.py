"""A fault of JAX that the guards of the potentials are built around, kept from coming back."""

import jax
import jax.numpy as jnp
import numpy as np

from simulators.shared.elementwise import at_least, at_most
from simulators.streams.potentials import Hernquist, Kepler


def test_batched_forward_mode_through_an_orbit():
    """`vmap` of `jvp` through a scan agrees with reverse mode.

    With `jnp.maximum` as the guard of the radius this was wrong by 23 per cent on JAX 0.10.2.
    """
    host = Kepler(1e12)

    def end(m):
        satellite = Hernquist(m, 16.0)

        def step(state, _):
            q, v = state
            for weight in (1.3512071919596578, -1.7024143839193155, 1.3512071919596578):
                h = -9.375 * weight
                q = q + 0.5 * h * v
                pull = jnp.stack(host.acc(*q, 0.0)) - jnp.stack(satellite.acc(*-q, 0.0))
                v = v + h * pull
                q = q + 0.5 * h * v
            return (q, v), None

        start = (jnp.asarray([-0.6, -41.3, -27.1]), jnp.asarray([-0.065, -0.219, 0.211]))
        return jax.lax.scan(step, start, None, length=32)[0][0]

    forward, reverse = jax.jacfwd(end)(1.4e11), jax.jacrev(end)(1.4e11)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)


def test_bounds():
    x = jnp.asarray([-1.0, 0.5, 3.0])
    np.testing.assert_array_equal(at_least(x, 0.5), [0.5, 0.5, 3.0])
    np.testing.assert_array_equal(at_most(x, 0.5), [-1.0, 0.5, 0.5])
    slope = jax.vmap(jax.grad(lambda x: at_most(at_least(x, 0.0), 1.0)))(x)
    np.testing.assert_array_equal(slope, [0.0, 1.0, 0.0])
