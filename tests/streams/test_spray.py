"""The spray: exact special cases, step and chunk, release times, mass loss, order, zero mass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.flyby import SubhaloFlybys
from simulators.streams.orbit import Adaptive, orbit
from simulators.streams.potentials import (
    HermiteCurve,
    Logarithmic,
    LongMuraliBar,
    Moving,
    Plummer,
    Rotating,
    TimeScaled,
)
from simulators.streams.release import Chen2024, Fardal2015, release
from simulators.streams.spray import Latents, release_times, spray

HOST = Logarithmic(0.2, 0.5, q3=0.9)
Q, V = jnp.array([12.0, 1.0, 3.0]), jnp.array([0.02, 0.17, 0.08])
AGE, MASS, N = 400.0, 1e5, 32
LATENTS = Latents.quasi(N)
TIMES = release_times(LATENTS, AGE)
BALL = Plummer(MASS, 0.02)


def positions(stream):
    return np.stack(stream.x, -1)


@jax.jit
def _plain(host, q, v, mass, times, latents):
    return spray(latents, host, q, v, mass=mass, age=AGE, times=times, convention=Fardal2015())


@jax.jit
def _heavy(host, satellite, mass_final):
    return spray(
        LATENTS, host, Q, V, mass=MASS, age=AGE, satellite=satellite, mass_final=mass_final,
        step=0.25,
    )  # fmt: skip


# All arguments are given in every call: what is left out is another program to compile.
def plain(host, q=Q, v=V, mass=MASS, times=TIMES, latents=LATENTS):
    """No satellite."""
    return _plain(host, q, v, jnp.asarray(mass), times, latents)


def heavy(host, satellite=BALL, mass_final=MASS):
    """With a satellite, and a step at which nothing but rounding is left of the error."""
    return _heavy(host, satellite, jnp.asarray(mass_final))


def star_by_star(stream, host, field, masses, which):
    """Release and orbit of the stars `which` by other means: dense output and Dopri8."""
    times = np.asarray(stream.release_time)
    path = orbit(host, Q, V, np.concatenate([[0.0], np.sort(times)[::-1]]))
    rank = np.argsort(np.argsort(-times)) + 1
    xs, vs = (tuple(a[rank][:, i] for i in range(3)) for a in (path.q, path.v))
    args = (stream.release_time, masses, LATENTS.normals, stream.arm)
    start = jax.jit(lambda *a: release(Chen2024(), host, *a))(xs, vs, *args)
    ends = []
    for i in which:
        q, v = (jnp.stack([c[i] for c in part]) for part in start)
        ends.append(orbit(field, q, v, [times[i], 0.0], Adaptive(1e-11, 1e-13)).q[-1])
    return np.stack(ends)


def test_satellite_that_loses_mass_star_by_star():
    """The satellite moves along the progenitor's orbit, its mass falls linearly: 3e-8 kpc."""
    final = 0.3
    stream = heavy(HOST, mass_final=final * MASS)
    np.testing.assert_allclose(stream.release_time, TIMES)
    knots = -np.linspace(0.0, AGE + 2.0, 806)
    path = orbit(HOST, Q, V, knots)
    track = HermiteCurve(knots[::-1], path.q[::-1], path.v[::-1], HOST.acceleration(path.q[::-1]))
    growth = HermiteCurve([-AGE, 0.0], [1.0, final], [(final - 1.0) / AGE] * 2)
    field = HOST + Moving(TimeScaled(BALL, growth), track)
    masses = MASS * (1.0 + (final - 1.0) * (stream.release_time + AGE) / AGE)
    which = [0, 7, 29]
    wanted = star_by_star(stream, HOST, field, masses, which)
    np.testing.assert_allclose(positions(stream)[which], wanted, atol=3e-8)


def test_satellite_and_mass_loss_matter():
    """Each moves the stars; a satellite without mass is as none, and is differentiable."""
    with_it = positions(heavy(HOST))
    losing = positions(heavy(HOST, mass_final=0.0))
    without = positions(heavy(HOST, Plummer(0.0, 0.02)))
    assert np.abs(with_it - without).max() > 1e-2
    assert np.abs(with_it - losing).max() > 1e-3
    none = jax.jit(lambda host: spray(LATENTS, host, Q, V, mass=MASS, age=AGE, step=0.25))(HOST)
    np.testing.assert_allclose(positions(none), without, atol=1e-10)


def test_gradients_without_mass():
    """Finite in the mass at zero: of the satellite, and of the progenitor that sets the tide."""

    def total(own, mass):
        stream = spray(
            LATENTS, HOST, Q, V, mass=mass, age=AGE, satellite=Plummer(own, 0.02), step=2.0
        )
        return sum(jnp.sum(c) for c in stream.x)

    slope = jax.jit(jax.grad(total, (0, 1)))
    for own, mass in ((0.0, MASS), (0.0, 0.0)):
        grads = slope(jnp.asarray(own), jnp.asarray(mass))
        assert np.isfinite(grads).all() and abs(float(grads[0])) > 0.0


def test_order_and_chunks():
    """Particles come in the order of the latents, whatever their times and the chunk."""
    stream = plain(HOST)
    np.testing.assert_allclose(stream.release_time, TIMES)
    np.testing.assert_array_equal(stream.arm, np.tile([1.0, -1.0], N // 2))
    # Trailing stars fall behind: their angular momentum is larger.
    spin = np.cross(positions(stream), np.stack(stream.v, -1))[:, 2]
    assert np.mean(spin[::2]) > np.mean(spin[1::2])
    shuffled = np.random.default_rng(0).permutation(N // 2)
    order = np.stack([2 * shuffled, 2 * shuffled + 1], 1).ravel()
    mixed = Latents(LATENTS.normals[order], LATENTS.uniforms[order])
    other = plain(HOST, times=TIMES[order], latents=mixed)
    np.testing.assert_allclose(positions(other), positions(stream)[order], atol=1e-11)
    small = spray(
        LATENTS,
        HOST,
        Q,
        V,
        mass=MASS,
        age=AGE,
        times=TIMES[order],
        convention=Fardal2015(),
        chunk=5,
    )
    whole = plain(HOST, times=TIMES[order])
    np.testing.assert_allclose(positions(small), positions(whole), atol=1e-11)


def test_release_times_are_differentiable():
    """Across the points of the grid: derivatives in the times against central differences."""
    times = jnp.linspace(-AGE, 0.0, N).at[1].set(-AGE + 8.0).at[2].set(-AGE + 16.0)

    def place(times):
        return jnp.stack(plain(HOST, times=times).x)

    slope = jax.jit(lambda t: jax.jvp(place, (t,), (jnp.ones(N),))[1])(times)
    inside = jnp.clip(times, -AGE + 1e-3, -1e-3)
    eps = 1e-3
    found = (place(inside + eps) - place(inside - eps)) / (2 * eps)
    np.testing.assert_allclose(slope, found, rtol=1e-4, atol=1e-6)
    # A star released just now is where the tide left it.
    assert np.linalg.norm(positions(plain(HOST, times=times))[-1] - Q) < 0.5


def test_no_retrace_for_new_values(compilations):
    plain(HOST)
    new = Logarithmic(0.21, 0.6, q3=0.8)
    q, v, mass = Q * 1.01, V * 0.99, jnp.asarray(2e5)
    plain(new, q, v, mass)
    args = Logarithmic(0.22, 0.6, q3=0.8), q + 0.0, v + 0.0, mass + 1.0
    with compilations() as made:
        plain(*args)
    assert made.count == 0


def test_time_dependent_host_and_flybys():
    """A bar and a subhalo act at the right times: against adaptive orbits, 3e-8 kpc."""
    fly = SubhaloFlybys.encounter(
        Q[None], V[None], time=[-30.0], m=[1e8], scale=[0.5], impact_parameter=0.2, angle=0.3,
        v_perpendicular=0.15,
    )  # fmt: skip
    host = HOST + Rotating(LongMuraliBar(1e10, 3.0, 0.5, 0.6), omega=0.04) + fly
    stream = jax.jit(lambda host: spray(LATENTS, host, Q, V, mass=MASS, age=AGE, step=0.25))(host)
    wanted = star_by_star(stream, host, host, jnp.full(N, MASS), [0, 15])
    np.testing.assert_allclose(positions(stream)[[0, 15]], wanted, atol=3e-8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mass": -1.0}, "mass"),
        ({"age": 0.0}, "age"),
        ({"step": 0.0}, "step"),
        ({"n_steps": 17}, "n_steps"),
        ({"times": np.zeros(3)}, "times"),
        ({"position": np.zeros((2, 3))}, "position"),
    ],
)
def test_bad_input(change, message):
    good = {"position": Q, "velocity": V, "mass": MASS, "age": AGE}
    with pytest.raises(ValueError, match=message):
        spray(LATENTS, HOST, **{**good, **change})
    with pytest.raises(ValueError, match="even number"):
        Latents.draw(jax.random.key(0), 3)
