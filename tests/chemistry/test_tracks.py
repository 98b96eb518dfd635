"""Conditions that change with time: against scipy, conservation laws and differences."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.interpolate import PchipInterpolator

from simulators.chemistry import Arrhenius, Conditions, CosmicRay, Network, RateTable, Reaction
from simulators.chemistry.evolve import YEAR, evolve, kinetics_of
from simulators.chemistry.gas import Gas, GasSystem
from simulators.chemistry.tabulated import Tabulated
from simulators.chemistry.tracks import FreeFall, JShock, WarmUp
from tests.properties import QUICK, assert_pytree

X64 = jax.config.jax_enable_x64
DOUBLE = pytest.mark.skipif(not X64, reason="stiff gas needs float64")
CORE = Conditions(n_H=1e4, temperature=10.0, A_V=2.0, T_dust=8.0)
FALL = FreeFall(CORE, n_final=1e8, shielded=True)
WARM = WarmUp(CORE, T_max=200.0, t_warm=2e5, t_0=1e4)
SHOCK = JShock(CORE, velocity=10.0, t_cool=100.0)
NODES = np.array([0.0, 1e3, 5e3, 2e4, 3e4, 1e5])
TABLE = Tabulated(
    NODES,
    Conditions(
        n_H=[1e3, 1e4, 1e4, 3e5, 1e5, 1e5],
        temperature=np.array([[10.0, 12.0, 20.0, 90.0, 50.0, 20.0], [10.0] * 5 + [11.0]]).T,
        A_V=[0.0, 0.5, 3.0, 4.0, 2.0, 2.5],
        extras={"N_H2": [0.0, 1e20, 2e20, 2e20, 5e20, 6e20]},
    ),
)
TRACKS = {"collapse": FALL, "warm-up": WARM, "shock": SHOCK, "table": TABLE}


@jax.jit
def at(track, t):
    return track(t)


def tolerance(double, single=1e-4):
    return double if X64 else single


@DOUBLE
def test_fall_is_that_of_the_equation_of_motion():
    """r'' = -G M / r^2, from rest."""
    G, u, mass = 6.6743e-8, 1.66053907e-24, 1.4
    pull = 4.0 / 3.0 * np.pi * G * mass * u * 1e4 * YEAR**2
    times = np.linspace(0.0, float(FALL.t_final), 9)[:-1]

    def slope(_, state):
        return [state[1], -pull / state[0] ** 2]

    found = solve_ivp(slope, (0.0, times[-1]), [1.0, 0.0], "DOP853", times, rtol=1e-13, atol=1e-13)
    gas = at(FALL, jnp.asarray(times))
    np.testing.assert_allclose(gas.n_H, 1e4 * found.y[0] ** -3.0, rtol=1e-8)
    np.testing.assert_allclose(gas.A_V, 2.0 * found.y[0] ** -2.0, rtol=1e-8)
    slowed = dataclasses.replace(FALL, slowed=0.5)
    np.testing.assert_allclose(slowed(jnp.asarray(2.0 * times)).n_H, gas.n_H, rtol=1e-10)


@DOUBLE
def test_fall_inverts_the_parametric_solution():
    eta = np.linspace(0.0, 1.52, 40)
    part = (eta + 0.5 * np.sin(2.0 * eta)) * 2.0 / np.pi
    deep = dataclasses.replace(FALL, n_final=1e16)
    n = at(deep, jnp.asarray(part) * deep.t_ff).n_H
    # Rounding of the time counts by n^(1/2) at the end.
    np.testing.assert_allclose(n[:30], 1e4 * np.cos(eta[:30]) ** -6.0, rtol=1e-12)
    np.testing.assert_allclose(n, 1e4 * np.cos(eta) ** -6.0, rtol=1e-9)


def test_fall_halts():
    end = FALL.t_final
    gas = at(FALL, jnp.stack([0.999999 * end, 1.000001 * end, FALL.t_ff, 10.0 * FALL.t_ff]))
    np.testing.assert_allclose(gas.n_H[0], 1e8, rtol=tolerance(2e-3, 2e-2))
    np.testing.assert_allclose(gas.n_H[1:], 1e8, rtol=1e-6)
    np.testing.assert_allclose(gas.A_V[1:], 2.0 * 1e4 ** (2 / 3), rtol=1e-5)
    assert gas.temperature == 10.0 and gas.T_dust == 8.0


def test_warm_up_heats_gas_and_dust():
    gas = at(WARM, jnp.array([0.0, 1e4, 1.1e5, 2.1e5, 1e6]))
    np.testing.assert_allclose(gas.temperature, [10.0, 10.0, 57.5, 200.0, 200.0], rtol=1e-5)
    np.testing.assert_allclose(gas.T_dust, [8.0, 8.0, 56.0, 200.0, 200.0], rtol=1e-5)
    follows = WarmUp(FALL, T_max=200.0, t_warm=5e4, t_0=FALL.t_final)
    gas = at(follows, jnp.stack([0.5 * FALL.t_ff, 1e6 * jnp.ones_like(FALL.t_ff)]))
    np.testing.assert_allclose(gas.n_H, at(FALL, jnp.stack([0.5 * FALL.t_ff, 2 * FALL.t_ff])).n_H)
    np.testing.assert_allclose(gas.temperature, [10.0, 200.0])


@pytest.mark.parametrize("velocity", [1.0, 10.0])
def test_shock_conserves(velocity):
    """Mass, momentum and, over the jump, energy, as fluxes in the frame of the shock."""
    shock = dataclasses.replace(SHOCK, velocity=velocity)
    gas = at(shock, jnp.array([0.0, 30.0, 60.0, 1e3]))
    mu, k, u = 1.4 / 0.6, 1.380649e-16, 1.66053907e-24
    n, T = (np.append(a, b) for a, b in ((1e4, gas.n_H), (10.0, gas.temperature)))
    v = velocity * 1e5 * n[0] / n
    momentum = n * (k * T / (mu * u) + v**2)
    np.testing.assert_allclose(momentum, momentum[0], rtol=tolerance(1e-12))
    energy = 2.5 * k * T / (mu * u) + 0.5 * v**2
    np.testing.assert_allclose(energy[1], energy[0], rtol=tolerance(1e-12))
    assert np.all(np.diff(T[1:]) < 0.0) and np.all(np.diff(n) > 0.0)
    np.testing.assert_allclose(T[-1], 10.0, rtol=1e-6)


def test_table_is_that_of_scipy():
    given = TABLE.conditions
    t = np.concatenate([NODES, np.linspace(0.0, 1e5, 30), [2e5]])
    held = np.minimum(t, 1e5)
    gas = jax.jit(jax.vmap(lambda x: TABLE(jnp.broadcast_to(x, (2,)))))(jnp.asarray(t))
    for found, table in ((gas.n_H, given.n_H), (gas.temperature, given.temperature)):
        expected = np.exp(PchipInterpolator(NODES, np.log(table))(held)).reshape(len(t), -1)
        np.testing.assert_allclose(found, expected + 0.0 * found, rtol=tolerance(1e-12))
    for found, table in ((gas.A_V, given.A_V), (gas.extras["N_H2"], given.extras["N_H2"])):
        expected = PchipInterpolator(NODES, table)(held)
        np.testing.assert_allclose(found[:, 0], expected, rtol=tolerance(1e-12), atol=1e-6)


def test_cells_of_a_table_have_their_times():
    apart = dataclasses.replace(TABLE, times=jnp.stack([NODES, 2.0 * NODES], axis=1))
    gas = at(apart, jnp.array([1.3e4, 2.6e4]))
    np.testing.assert_allclose(gas.n_H[0], gas.n_H[1], rtol=1e-6)
    first, second = at(TABLE, jnp.full(2, 1.3e4)).temperature
    np.testing.assert_allclose(gas.temperature, [first, second], rtol=1e-6)
    shared = dataclasses.replace(CORE, n_H=jnp.asarray(TABLE.conditions.n_H))
    assert at(Tabulated(NODES, shared), jnp.ones(5)).n_H.shape == (5,)


@pytest.mark.parametrize("name", TRACKS)
def test_derivatives(name):
    """Finite everywhere; in double precision those of differences, the second ones too."""
    track = TRACKS[name]
    assert_pytree(track)

    def log_state(track, t):
        gas = track(jnp.broadcast_to(t, (2,)))
        return jnp.sum(jnp.log(gas.n_H)) + jnp.sum(jnp.log(gas.temperature)) + jnp.sum(gas.A_V)

    def slope(track, t):
        return jax.grad(log_state, 1)(track, t)

    def value(*at):
        return log_state(*at) + 1e3 * slope(*at)

    both = jax.jit(jax.value_and_grad(value, (0, 1)), compiler_options=QUICK)
    special = {"collapse": FALL.t_final, "warm-up": 1e4, "shock": 100.0, "table": 1e3}[name]
    for t in (0.0, special, 1e7):
        found = jax.tree.leaves(both(track, jnp.asarray(t, float)))
        assert all(np.all(np.isfinite(leaf)) for leaf in found), t
    if not X64:
        return
    t = jnp.asarray({"collapse": 3e5, "warm-up": 7e4, "shock": 40.0, "table": 1.2e4}[name])
    _, (by_track, by_t) = both(track, t)
    step = 1e-5
    differs = (both(track, t * (1 + step))[0] - both(track, t * (1 - step))[0]) / (2 * step)
    np.testing.assert_allclose(by_t * t, differs, rtol=1e-6)
    leaves, treedef = jax.tree.flatten(track)
    for i, (leaf, slopes) in enumerate(zip(leaves, jax.tree.leaves(by_track), strict=True)):
        ends = (
            both(jax.tree.unflatten(treedef, [*leaves[:i], leaf * f, *leaves[i + 1 :]]), t)[0]
            for f in (1 + step, 1 - step)
        )
        high, low = ends
        along = jnp.sum(slopes * leaf)
        np.testing.assert_allclose(along, (high - low) / (2 * step), rtol=1e-6, atol=1e-6)


IONISES = RateTable.of(
    Network(
        [
            Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(1e4)),
            Reaction(("H+", "e-"), ("H",), Arrhenius(4e-12, -0.6)),
        ]
    )
)


@DOUBLE
def test_gas_on_a_track_is_that_of_scipy():
    """Through a collapse, its halt, and the warm-up that follows."""
    fall = FreeFall(CORE, n_final=1e6)
    track = WarmUp(fall, T_max=200.0, t_warm=1e5, t_0=fall.t_final)
    times = jnp.stack([fall.t_final, fall.t_final + 5e4, fall.t_final + 2e5])
    k = jax.jit(lambda t: IONISES(track(t[None]))[:, 0])

    def slope(t, x):
        gains, losses = np.asarray(k(jnp.asarray(t / YEAR)))
        return gains * (1.0 - x) - losses * x * x

    found = evolve(IONISES, track, {"H": 1.0}, times, rtol=1e-9)
    assert found.result == 0
    x, t = np.zeros(1), 0.0
    for ours, end in zip(found["e-"], YEAR * np.asarray(times), strict=True):
        x = solve_ivp(slope, (t, end), x, "LSODA", rtol=1e-11, atol=1e-16).y[:, -1]
        t = end
        assert float(ours) == pytest.approx(x[0], rel=1e-7)


@DOUBLE
@pytest.mark.slow
def test_derivatives_through_a_collapse_are_those_of_differences():
    @jax.jit
    def value(log):
        n, slowed, T_max = jnp.exp(log)
        fall = FreeFall(dataclasses.replace(CORE, n_H=n), n_final=1e6, slowed=slowed)
        track = WarmUp(fall, T_max=T_max, t_warm=4e5, t_0=1e5)
        found = evolve(IONISES, track, {"H": 1.0}, jnp.array([3e5]), rtol=1e-9)
        return jnp.log(found["e-"][0])

    point, ways = jnp.log(jnp.array([1e4, 0.9, 200.0])), jnp.eye(3)
    reverse = jax.jit(jax.grad(value))(point)
    push = jax.jit(lambda way: jax.jvp(value, (point,), (way,))[1])
    np.testing.assert_allclose([push(way) for way in ways], reverse, rtol=1e-8)
    step = 1e-3
    differs = [(value(point + step * w) - value(point - step * w)) / (2.0 * step) for w in ways]
    np.testing.assert_allclose(reverse, differs, rtol=1e-5)


class Cooling(eqx.Module):
    start: jax.Array

    def __call__(self, t):
        return Conditions(n_H=1e3, temperature=self.start / (1.0 + t / 300.0))


@DOUBLE
def test_jacobian_of_moving_coefficients_is_on_its_pattern():
    """Of coefficients that move with time alone: the pattern says where the values are."""
    system = GasSystem(kinetics_of(IONISES), IONISES.depends, True)
    args = Gas(IONISES, lambda t: Cooling(jnp.asarray(9e3))(t / YEAR))
    y, t = jnp.array([[0.7], [0.2], [0.1]]), jnp.array([1e9])
    dense = jax.jacfwd(lambda y: system.rhs(t, y[:, None], args)[:, 0])(y[:, 0])
    found = np.zeros((3, 3))
    found[system.pattern.rows, system.pattern.cols] = system.jacobian(t, y, args)[
        system.pattern.place, 0
    ]
    np.testing.assert_allclose(found, dense, rtol=1e-12)


@DOUBLE
def test_steps_are_those_of_a_fifth_order_method():
    """35, as for constant conditions; with a wrong Jacobian the order is lost, and thousands."""
    hot = Cooling(jnp.asarray(9e3))
    found = evolve(IONISES, hot, {"H": 1.0}, jnp.array([600.0]), rtol=1e-8)
    assert found.result == 0 and found.steps < 50


ERRORS = {
    "an end below the start": (
        lambda: FreeFall(CORE, n_final=1e3),
        "FreeFall: argument `n_final` = 1000.0 is not above",
    ),
    "no time": (
        lambda: WarmUp(CORE, T_max=200.0, t_warm=0.0),
        "WarmUp: argument `t_warm` = 0.0 is outside",
    ),
    "a sound wave": (
        lambda: JShock(CORE, velocity=0.2, t_cool=1e3),
        r"JShock: argument `velocity` = 0.2.* is too slow .* give more than 0.3",
    ),
    "falling times": (
        lambda: Tabulated(NODES[::-1], TABLE.conditions),
        "Tabulated: argument `times` = .* give finite, rising",
    ),
    "two times": (
        lambda: Tabulated(NODES[:2], CORE),
        r"Tabulated: argument `times` of shape \(2,\); give three or more",
    ),
    "another number of nodes": (
        lambda: Tabulated(NODES[1:], TABLE.conditions),
        r"Tabulated: `conditions.n_H` of shape \(6,\) does not fit times of shape \(5,\)",
    ),
    "another number of cells": (
        lambda: Tabulated(np.stack([NODES] * 3, axis=1), TABLE.conditions),
        r"Tabulated: `conditions.temperature` of shape \(6, 2\) does not fit",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()
