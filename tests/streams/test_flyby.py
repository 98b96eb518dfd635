"""Subhalo fly-bys: sums of spheres on straight lines, absent ones, gradients, the impulse."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.flyby import SubhaloFlybys
from simulators.streams.orbit import Stormer, advance
from simulators.streams.potentials import HermiteCurve, Hernquist, Moving, Plummer
from simulators.streams.units import G

TIMES = np.array([-300.0, -120.0])
PLACES = np.array([[8.0, 0.5, 1.0], [10.0, -2.0, 0.3]])
SPEEDS = np.array([[0.1, -0.05, 0.2], [-0.1, 0.02, 0.15]])
Q = np.array([[8.1, 0.2, 0.9], [9.0, 1.0, 0.0], [12.0, -3.0, 2.0]])


@pytest.mark.parametrize(("profile", "sphere"), [("plummer", Plummer), ("hernquist", Hernquist)])
def test_sum_of_moving_spheres(profile, sphere):
    """Equal to the library's spheres on straight tracks, at a time of one's own for each point."""
    fly = SubhaloFlybys([1e7, 3e6], [0.5, 0.2], PLACES, SPEEDS, TIMES, profile=profile)
    knots = np.array([-1000.0, 1000.0])
    parts = []
    for i, (mass, scale) in enumerate(((1e7, 0.5), (3e6, 0.2))):
        track = PLACES[i] + SPEEDS[i] * (knots - TIMES[i])[:, None]
        line = HermiteCurve(knots, track, np.stack([SPEEDS[i]] * 2))
        parts.append(Moving(sphere(mass, scale), line))
    both = sum(parts)
    for t in (-250.0, np.array([-300.0, -110.0, 0.0])):
        for name in ("potential", "acceleration", "density"):
            got, wanted = getattr(fly, name)(Q, t), getattr(both, name)(Q, t)
            np.testing.assert_allclose(got, wanted, rtol=1e-10, err_msg=name)


def test_absent_subhalos_change_nothing_and_compile_nothing(compilations):
    def field(fly):
        return fly.acceleration(Q, -200.0)

    run = jax.jit(field)
    one = SubhaloFlybys([1e7, 0.0], [0.5, 0.1], PLACES, SPEEDS, TIMES)
    two = SubhaloFlybys([1e7, 2e6], [0.5, 0.1], PLACES, SPEEDS, TIMES)
    alone = SubhaloFlybys([1e7], [0.5], PLACES[:1], SPEEDS[:1], TIMES[:1])
    first = run(one)
    with compilations() as made:
        second = run(two)
    assert made.count == 0
    np.testing.assert_allclose(first, field(alone), rtol=1e-12)
    assert np.abs(np.asarray(second) - first).max() > 1e-12


@pytest.mark.parametrize("profile", ["plummer", "hernquist"])
def test_gradients_finite_for_no_mass_and_on_top_of_each_other(profile):
    """All subhalos, and the star, at one place at that time."""
    fly = SubhaloFlybys(
        [0.0, 1e7], [0.5, 0.1], [[8.0, 0, 0]] * 2, SPEEDS, [-100.0, -100.0], window=50.0,
        profile=profile,
    )  # fmt: skip

    def total(fly, q):
        return jnp.sum(fly.acceleration(q, -100.0) * jnp.array([1.0, 2.0, 3.0]))

    grads = jax.grad(total, argnums=(0, 1))(fly, jnp.array([8.0, 0.0, 0.0]))
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(grads))
    away = jax.grad(total)(fly, jnp.array([8.0, 0.3, 0.0]))
    assert abs(float(away.m[0])) > 1e-14


def test_window():
    """The full force at the encounter, and none long after."""
    always = SubhaloFlybys([1e7], [0.5], PLACES[:1], SPEEDS[:1], TIMES[:1])
    short = dataclasses.replace(always, window=jnp.asarray(100.0), taper=jnp.asarray(10.0))
    near, far = TIMES[0], TIMES[0] + 400.0
    np.testing.assert_allclose(short.acceleration(Q, near), always.acceleration(Q, near), rtol=1e-7)
    assert (
        np.abs(short.acceleration(Q, far)).max() < 1e-12 * np.abs(always.acceleration(Q, far)).max()
    )


def test_impulse_of_an_encounter():
    """The kick of a fast fly-by on a free star is 2 G m b / (w (b^2 + r^2)), towards the subhalo.

    Erkal & Belokurov (2015a), from the integral of the Plummer force along the straight line; a
    star moves 2e-4 of b meanwhile.
    """
    m, scale, b, across, along = 1e5, 0.2, 0.3, 0.3, 0.1
    q, v = np.array([[15.0, 0.0, 0.0]]), np.array([[0.0, 0.2, 0.0]])
    angle = 0.7
    fly = SubhaloFlybys.encounter(
        q, v, time=[0.0], m=[m], scale=[scale], impact_parameter=b, angle=angle,
        v_perpendicular=across, v_parallel=along,
    )  # fmt: skip
    t = 1000.0
    _, after = advance(fly, q[0] - t * v[0], v[0], -t, t, Stormer(0.1))
    kick = np.asarray(after) - v[0]
    size = 2.0 * G * m * b / (np.hypot(across, along) * (b * b + scale * scale))
    wanted = size * np.array([np.cos(angle), 0.0, np.sin(angle)])
    np.testing.assert_allclose(kick, wanted, atol=3e-3 * size)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"m": [1e7]}, "scale"),
        ({"m": [-1.0, 1.0]}, "`m`"),
        ({"scale": [0.0, 1.0]}, "`scale`"),
        ({"position": PLACES[0]}, "position"),
        ({"profile": "nfw"}, "profile"),
        ({"window": -1.0}, "window"),
    ],
)
def test_bad_input(change, message):
    good = {"m": [1e7, 1e7], "scale": [0.5, 0.2], "position": PLACES, "velocity": SPEEDS}
    with pytest.raises(ValueError, match=message):
        SubhaloFlybys(**{**good, "time": TIMES, **change})
