"""`tidal_acc`: the derivatives of `acc` of every order and in every mode, by way of the tide."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.potentials import (
    NFW,
    AbstractPotential,
    Hernquist,
    LinearGrowth,
    MilkyWayPotential,
    MiyamotoNagai,
    TimeScaled,
)
from simulators.streams.potentials.tide import tidal_acc

X = tuple(jnp.asarray(c) for c in ([8.0, -3.0, 15.0], [0.5, 4.0, -9.0], [1.0, -0.2, 6.0]))
T = jnp.asarray(30.0)


class Well(AbstractPotential):
    """A user's potential, which gives phi alone."""

    k: jax.Array

    def phi(self, x, y, z, t):
        return 0.5 * self.k * (x * x + 2.0 * y * y + 3.0 * z * z)


def disc_and_halo(p):
    return MiyamotoNagai(p[0] * 7e10, 3.0, 0.3) + NFW(p[1] * 5e11, 15.0, c=p[2])


def grown_and_own(p):
    """Closed forms of the tide, none, and one that depends on time."""
    return (
        Hernquist(5e9, p[0]) + Well(1e-5 * p[1]) + TimeScaled(NFW(5e11, 15.0), LinearGrowth(p[2]))
    )


def plain(potential, *args):
    return potential.acc(*args)


@pytest.mark.parametrize("make", [disc_and_halo, grown_and_own])
def test_derivatives_are_those_of_acc(make):
    p = jnp.asarray([1.0, 1.1, 0.9])

    @jax.jit
    def everything(p, x, t):
        def by(acc):
            def out(p, x, t):
                return jnp.stack(acc(make(p), *x, t))

            def number(p, x):
                return jnp.sum(jnp.sin(1e3 * out(p, x, t)))

            forward = jax.jacfwd(out, (0, 1, 2))(p, x, t)
            reverse = jax.jacrev(out, (0, 1, 2))(p, x, t)
            alone = jax.jacfwd(out, 0)(p, x, t), jax.jacfwd(out, 1)(p, x, t)
            second = jax.hessian(number, (0, 1))(p, x)
            return out(p, x, t), forward, reverse, alone, second

        return by(tidal_acc), by(plain)

    ours, wanted = everything(p, X, T)
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * (1.0 + np.abs(b).max()))


def test_times_and_parameters_in_a_batch():
    """A batch of times, galaxies and particles; float32 stays float32."""
    x = tuple(c.astype(jnp.float32) for c in X)

    def push(mass, t):
        galaxy = MilkyWayPotential() + Hernquist(mass, 1.0)
        return jax.jvp(lambda *x: tidal_acc(galaxy, *x, t), x, x)

    masses, times = jnp.asarray([1e9, 2e9], jnp.float32), jnp.zeros(2, jnp.float32)
    acc, change = jax.jit(jax.vmap(push))(masses, times)
    assert {a.dtype for a in (*acc, *change)} == {jnp.dtype("float32")}
    assert np.isfinite(np.stack(change)).all() and np.all(acc[0][0] != acc[0][1])
