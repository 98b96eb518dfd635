"""Networks over time, against scipy with a right-hand side of its own."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simulators.chemistry import (
    Arrhenius,
    Conditions,
    CosmicRay,
    Network,
    RateTable,
    Reaction,
    networks,
)
from simulators.chemistry.analysis import budget, log_sensitivities, ranked
from simulators.chemistry.evolve import YEAR, History, evolve, kinetics_of
from simulators.chemistry.gas import Gas, GasSystem
from simulators.chemistry.march import MAX_STEPS, SUCCESS

pytestmark = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="stiff gas needs float64")
PRIMORDIAL = RateTable.of(networks.primordial())
WARM = Conditions(n_H=1e3, temperature=jnp.array([9000.0, 3000.0]))
IONISED = {"H": 0.99, "H+": 0.01, "He": 0.08, "e-": 0.01}
TIMES = jnp.array([1e1, 1e3, 1e5])


def reference(table, conditions, initial, times):
    """scipy's LSODA with rates of change summed reaction by reaction."""
    names = table.species
    y0 = np.zeros(len(names))
    for name, value in initial.items():
        y0[names.index(name)] = value
    rates = jax.jit(lambda y: table(conditions, y))
    sides = list(zip(table.orders, table.reactants, table.products, strict=True))

    def slope(_, y):
        change = np.zeros_like(y)
        for k, (orders, lost, made) in zip(np.asarray(rates(y)), sides, strict=True):
            rate = k * np.prod(y[list(orders)])
            np.subtract.at(change, list(lost), rate)
            np.add.at(change, list(made), rate)
        return change

    span = (0.0, YEAR * float(times[-1]))
    found = solve_ivp(slope, span, y0, "LSODA", YEAR * np.asarray(times), rtol=1e-10, atol=1e-26)
    return found.y.T


@pytest.fixture(scope="module")
def history():
    return evolve(PRIMORDIAL, WARM, IONISED, TIMES, rtol=1e-8)


@pytest.mark.parametrize("cell", [0, 1])
def test_primordial_gas_is_that_of_scipy(history, cell):
    gas = dataclasses.replace(WARM, temperature=WARM.temperature[cell])
    expected = reference(PRIMORDIAL, gas, IONISED, TIMES)
    found = np.asarray(history.y[..., cell])
    seen = expected > 1e-15
    assert seen.sum() > 15
    assert np.max(np.abs(found / expected - 1.0)[seen]) < 1e-6
    assert history.result.tolist() == [SUCCESS, SUCCESS] and history.n_failed == 0


def test_many_times_by_interpolation():
    gas, times = Conditions(n_H=1e3, temperature=1e3), jnp.linspace(1e2, 1e4, 50)
    ends, between = (
        evolve(IONISES, gas, {"H": 1.0}, times, rtol=1e-5, interpolate=yes) for yes in (False, True)
    )
    assert ends.steps > 50 > between.steps
    np.testing.assert_allclose(between["e-"], ends["e-"], rtol=1e-3)


def test_elements_and_charge_are_conserved(history):
    hydrogen = {"H": 1, "H+": 1, "H-": 1, "H2": 2, "H2+": 2}
    helium = {"He": 1, "He+": 1, "He++": 1}
    charge = {"H+": 1, "H-": -1, "H2+": 1, "He+": 1, "He++": 2, "e-": -1}
    for members, total in ((hydrogen, 1.0), (helium, 0.08), (charge, 0.0)):
        sums = sum(n * history[name] for name, n in members.items())
        np.testing.assert_allclose(sums, total, atol=1e-10)


def test_jacobian_has_the_derivatives_of_coefficients():
    kinetics = kinetics_of(PRIMORDIAL)
    system = GasSystem(kinetics, PRIMORDIAL.depends, False)
    assert PRIMORDIAL.depends
    y = jnp.asarray(np.random.default_rng(0).uniform(0.01, 1.0, (9, 2)))
    args = Gas(PRIMORDIAL, WARM, PRIMORDIAL(WARM, y))
    zero = jnp.zeros(2)
    values = jax.jit(system.jacobian)(zero, y, args)

    @jax.jit
    def dense(y):
        return jax.jacfwd(lambda y: system.rhs(zero, y, args))(y)

    expected = np.einsum("sbtb->stb", np.asarray(dense(y)))
    found = np.zeros_like(expected)
    pattern = system.pattern
    found[pattern.rows, pattern.cols] = np.asarray(values)[pattern.place]
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.slow
def test_cells_in_blocks_are_those_at_once(history):
    apart = evolve(PRIMORDIAL, WARM, IONISED, TIMES, rtol=1e-8, block=1)
    np.testing.assert_allclose(apart.y, history.y, rtol=1e-6, atol=1e-20)


@pytest.mark.slow
def test_derivatives_are_those_of_differences():
    @jax.jit
    def value(n_H, log_factor, age):
        table = eqx.tree_at(lambda t: t.log_factor, PRIMORDIAL, log_factor)
        gas = Conditions(n_H=n_H, temperature=3000.0)
        return jnp.log(evolve(table, gas, IONISED, age[None], rtol=1e-8)["H2"][0])

    at = jnp.asarray(1e3), jnp.zeros(len(PRIMORDIAL.orders)), jnp.asarray(1e4)
    slopes = jax.jit(jax.grad(value, (0, 1, 2)))(*at)
    forward = jax.jit(lambda *d: jax.jvp(value, at, d)[1])
    along = 1.0, jnp.linspace(-1.0, 1.0, len(at[1])), 10.0
    along = jax.tree.map(jnp.asarray, along)
    both = sum(jnp.vdot(s, d) for s, d in zip(slopes, along, strict=True))
    assert float(forward(*along)) == pytest.approx(float(both), rel=1e-8)
    step = 1e-3
    ends = (value(*(a + h * d for a, d in zip(at, along, strict=True))) for h in (step, -step))
    high, low = ends
    assert float(high - low) / (2.0 * step) == pytest.approx(float(both), rel=1e-5)


def test_gas_that_cools_is_that_of_scipy():
    class Cooling(eqx.Module):
        start: jax.Array

        def __call__(self, t):
            return Conditions(n_H=1e3, temperature=self.start / (1.0 + t / 300.0))

    k = jax.jit(lambda T: IONISES(Conditions(1e3, T)))

    def slope(t, x):
        gains, losses = np.asarray(k(9000.0 / (1.0 + t / YEAR / 300.0)))
        return gains * (1.0 - x) - losses * x * x

    found = solve_ivp(slope, (0.0, 600.0 * YEAR), [0.0], "LSODA", rtol=1e-10, atol=1e-14)
    moving = evolve(IONISES, Cooling(jnp.asarray(9000.0)), {"H": 1.0}, jnp.array([600.0]))
    assert float(moving["e-"][0]) == pytest.approx(found.y[0, -1], rel=1e-5)


IONISES = RateTable.of(
    Network(
        [
            Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(1e6)),
            Reaction(("H+", "e-"), ("H",), Arrhenius(4e-12, -0.6)),
        ]
    )
)


def test_a_cell_that_fails_is_marked_and_harms_none():
    gas = Conditions(n_H=jnp.array([1e2, 1e3]), temperature=300.0, zeta=jnp.array([0.0, 1e-16]))
    fine = evolve(IONISES, gas, {"H": 1.0}, TIMES)
    stopped = evolve(IONISES, gas, {"H": 1.0}, TIMES, max_steps=int(fine.steps.min()) + 2)
    assert fine.n_failed == 0
    assert stopped.result.tolist() == [SUCCESS, MAX_STEPS] and stopped.n_failed == 1
    np.testing.assert_allclose(stopped.y[..., 0], fine.y[..., 0], rtol=1e-12)


def test_what_makes_and_what_matters(history):
    """In steady state an ionisation rate and a recombination rate count a half each."""
    gas = Conditions(n_H=100.0, temperature=300.0, zeta=2e-23)
    late = jnp.asarray(1e9)
    y = evolve(IONISES, gas, {"H": 1.0}, late[None]).y[0]
    shares = budget(IONISES, gas, y, "H+")
    assert [str(s.reaction) for s in shares] != [] and len(shares) == 2
    assert sum(s.rate for s in shares) == pytest.approx(0.0, abs=1e-6 * abs(shares[0].rate))
    slopes = log_sensitivities(IONISES, gas, {"H": 1.0}, late, "e-")
    x = float(y[IONISES.species.index("e-")])
    np.testing.assert_allclose(slopes, np.array([1.0, -1.0]) * (1 - x) / (2 - x), rtol=1e-4)
    assert abs(ranked(IONISES, slopes, 1)[0].value) == pytest.approx(float(slopes.max()))


ERRORS = {
    "an unknown species": (
        lambda: evolve(PRIMORDIAL, WARM, {"CO": 1.0}, TIMES),
        "'CO' is not in the network of 9 species",
    ),
    "a species twice": (
        lambda: evolve(PRIMORDIAL, WARM, {"e-": 0.0, "E-": 0.0}, TIMES),
        "name one species twice",
    ),
    "a charge": (
        lambda: evolve(PRIMORDIAL, WARM, {"H+": 0.1, "H": 0.9}, TIMES),
        r"carry a charge of \+0.1 per hydrogen nucleus; give e- = 0.1",
    ),
    "a negative abundance": (
        lambda: evolve(PRIMORDIAL, WARM, {"H": -0.1}, TIMES),
        "the abundance of H is -0.1; give a finite value",
    ),
    "another number of species": (
        lambda: evolve(PRIMORDIAL, WARM, jnp.ones(3), TIMES),
        r"initial: shape \(3,\); give \(9,\)",
    ),
    "falling times": (
        lambda: evolve(PRIMORDIAL, WARM, IONISED, TIMES[::-1]),
        "give finite, rising times",
    ),
    "a species of the history": (
        lambda: History(TIMES, jnp.ones((3, 1)), 0, 0, ("HCO+",))["HCO"],
        r"did you mean HCO\+",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case):
    call, message = ERRORS[case]
    with pytest.raises(ValueError, match=message):
        call()
