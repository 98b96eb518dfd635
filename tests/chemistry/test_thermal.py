"""Heating and cooling: limits, another code's values, derivatives, and temperatures in balance."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import (
    Arrhenius,
    Conditions,
    Network,
    RateTable,
    Reaction,
    cooling,
    fine_structure,
    networks,
)
from simulators.chemistry.thermal import Thermal, h2_energy
from simulators.chemistry.thermal_system import Heated, ThermalSystem, evolve_temperature
from tests.properties import QUICK, assert_pytree

K_B = 1.380649e-16
COMPACT = networks.compact()
GAS = {"T": [15.0, 60.0, 300.0, 2000.0, 7000.0], "n_H": [1.0, 50.0, 30.0, 10.0, 0.3],
       "n_H2": [5e3, 20.0, 0.5, 1e-2, 1e-8], "n_e": [1e-4, 5e-3, 2e-2, 0.1, 0.02]}  # fmt: skip
T, N_H, N_H2, N_E = (jnp.asarray(x) for x in GAS.values())
DENSE = (jnp.asarray(1e-30), jnp.asarray(1e12), jnp.asarray(1e-30))
LINES = {"C+": (fine_structure.c_plus, fine_structure.C_PLUS),
         "C": (fine_structure.c, fine_structure.C),
         "O": (fine_structure.o, fine_structure.O)}  # fmt: skip


DOUBLE = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="needs float64")


def tolerance(double, single=1e-3):
    return double if jax.config.jax_enable_x64 else single


# What `Thermo` of Athena++ (Gong, Ostriker & Wolfire 2017) gives for the same gas [erg / s].
OTHERS = {
    "C+": [6.947842e-23, 2.613196e-22, 5.744487e-22, 5.190850e-22, 3.826349e-23],
    "C": [1.372440e-22, 1.041022e-22, 1.337250e-22, 1.245039e-22, 1.404718e-23],
    "O": [2.232719e-27, 7.804728e-24, 1.938964e-22, 2.759826e-22, 1.469388e-23],
}


@pytest.mark.parametrize("name", LINES)
def test_fine_structure_against_another_code(name):
    ours = LINES[name][0](T, N_H, N_H2, N_E)
    # 1e-3: its constants are rounded, and it has other collisions of C+ with hot H2
    np.testing.assert_allclose(ours, OTHERS[name], rtol=2e-3)


def test_molecular_lines_against_another_code():
    he = 0.1 * (N_H + 2 * N_H2)
    ours = cooling.h2(T, N_H, N_H2, he, 0.5 * N_E, N_E)
    theirs = [5.141725e-39, 3.031441e-28, 4.362518e-25, 9.924443e-23, 7.985773e-23]
    # not the second, where it lets electrons excite H2 below 100 K
    use = [2, 3, 4]
    np.testing.assert_allclose(ours[jnp.asarray(use)], np.array(theirs)[use], rtol=1e-3)
    n = jnp.asarray([1e2, 1e4, 1e6])
    zero, warm = jnp.zeros(3), jnp.full(3, 50.0)
    ours = cooling.co(warm, zero, n, zero, jnp.full(3, 1e15))
    np.testing.assert_allclose(ours, [8.090991e-23, 4.498163e-21, 2.896062e-20], rtol=0.01)
    ours = cooling.co(warm, zero, n, zero, jnp.full(3, 1e17))
    np.testing.assert_allclose(ours, [6.517131e-23, 2.366610e-21, 1.136544e-20], rtol=0.01)


@pytest.mark.parametrize("name", LINES)
def test_levels_are_in_balance(name):
    """Populations solve the equations of balance, and are Boltzmann's if collisions rule."""
    lines, atom = LINES[name]
    down = jnp.asarray([3e-8, 5e-9, 2e-7][: len(atom.lines)])
    levels = np.asarray(fine_structure.populations(atom, jnp.asarray(80.0), down))
    n = len(atom.weights)
    matrix = np.zeros((n, n))
    for (u, low), q, A, E in zip(atom.lines, down, atom.spontaneous, atom.energies, strict=True):
        up = q * atom.weights[u] / atom.weights[low] * np.exp(-E / 80.0)
        for i, j, rate in ((u, low, q + A), (low, u, up)):
            matrix[j, i] += rate
            matrix[i, i] -= rate
    matrix[-1] = 1.0
    solved = np.linalg.solve(matrix, np.eye(n)[-1])
    np.testing.assert_allclose(levels, solved, rtol=tolerance(1e-10))
    # local thermodynamic balance
    energies = [0.0] + [
        dict(zip(atom.lines, atom.energies, strict=True))[u, 0] for u in range(1, n)
    ]
    boltzmann = np.array(atom.weights) * np.exp(-np.array(energies) / 80.0)
    boltzmann /= boltzmann.sum()
    emitted = sum(
        boltzmann[u] * A * E * K_B
        for (u, _), A, E in zip(atom.lines, atom.spontaneous, atom.energies, strict=True)
    )
    np.testing.assert_allclose(lines(jnp.asarray(80.0), *DENSE), emitted, rtol=1e-3)
    # thin: every excitation is radiated away, so power goes with density
    thin = [
        lines(jnp.asarray(80.0), jnp.asarray(n), *(jnp.asarray(0.0),) * 2) for n in (1e-3, 2e-3)
    ]
    np.testing.assert_allclose(thin[1] / thin[0], 2.0, rtol=1e-3)


def test_molecular_lines_in_their_limits():
    one = jnp.asarray
    thin = cooling.co(one(30.0), one(0.0), one(1e-3), one(0.0), one(1e14)) / 1e-3
    np.testing.assert_allclose(thin, 10**-24.21, rtol=0.02)
    thick = cooling.co(one(30.0), one(0.0), one(1e14), one(0.0), one(1e16))
    np.testing.assert_allclose(thick, 10**-20.05, rtol=0.02)
    # H2: the rotation and vibration of Hollenbach & McKee 1979
    for n, expected in ((1e14, 9.5e-22 / 1.12 * np.exp(-(0.13**3)) + 3e-24 * np.exp(-0.51)
                         + 6.7e-19 * np.exp(-5.86) + 1.6e-18 * np.exp(-11.7)),
                        (1e-4, 1e-4 * 10**-24.311209)):  # fmt: skip
        got = cooling.h2(one(1e3), one(n), *(one(0.0),) * 4)
        np.testing.assert_allclose(got, expected, rtol=1e-3)
    dense = cooling.hd(one(100.0), one(1e14))
    # the two lowest lines, J = 1-0 at 128.4 K with A = 5.1e-8 / s and J = 2-1, give 1.9e-21
    np.testing.assert_allclose(dense, 1.9e-21, rtol=0.3)


def test_hot_gas_by_hand():
    one = jnp.asarray
    h, he, he2 = cooling.recombination(one(1e4))
    # case B takes 0.7 to 0.8 k T at 1e4 K with 2.59e-13 cm^3 / s (Osterbrock & Ferland 2006)
    assert 0.65 < h / (2.59e-13 * K_B * 1e4) < 0.8
    np.testing.assert_allclose(he2, 8 * cooling.recombination(one(2500.0))[0], rtol=1e-5)
    assert h < he < 2 * h
    assert cooling.compton(one(10.0), one(10.0)) == 0.0
    assert cooling.compton(one(5.0), one(10.0)) < 0.0 < cooling.compton(one(20.0), one(10.0))
    sigma, a, mc = 6.6524587e-25, 7.565733e-15, 9.1093837e-28 * 2.99792458e10
    expected = 4 * sigma * a * K_B * 2.725**4 * (1e4 - 2.725) / mc
    np.testing.assert_allclose(cooling.compton(one(1e4), one(2.725)), expected, rtol=1e-3)
    assert cooling.dust(one(8.0), one(10.0), one(1e5)) < 0.0
    gaunt = 1.1 + 0.34 * np.exp(-(1.5**2) / 3)
    np.testing.assert_allclose(cooling.bremsstrahlung(one(1e4)), 1.42e-25 * gaunt, rtol=1e-4)
    by_h, _ = cooling.excitation(one(1e4))
    np.testing.assert_allclose(by_h, 7.5e-19 * np.exp(-11.8348) / (1 + 10**-0.5), rtol=1e-4)


def test_energy_of_h2():
    u, slope = h2_energy(jnp.asarray([5.0, 120.0, 600.0, 6000.0]))
    exact = jax.vmap(jax.jacfwd(lambda T: h2_energy(T)[0]))(
        jnp.asarray([5.0, 120.0, 600.0, 6000.0])
    )
    np.testing.assert_allclose(slope, exact, rtol=tolerance(1e-10, 1e-2), atol=1e-6)
    assert abs(u[0]) < 1e-6 and abs(slope[0]) < 1e-6
    # rotation alone has 1, with vibration half excited at some 2000 K
    np.testing.assert_allclose(slope[2], 1.0, rtol=0.05)
    np.testing.assert_allclose(slope[3], 1.93, rtol=0.1)


CELLS = Conditions(
    n_H=jnp.asarray([0.3, 30.0, 1e3, 1e5]),
    temperature=jnp.asarray([7000.0, 90.0, 40.0, 12.0]),
    G0=2.0,
    A_V=jnp.asarray([0.01, 0.1, 1.0, 8.0]),
    zeta=1e-16,
    T_dust=jnp.asarray([20.0, 18.0, 15.0, 9.0]),
)


def mixture(network):
    rng = np.random.default_rng(5)
    y = 10.0 ** rng.uniform(-9, -6, (len(network.species), 4))
    for name, values in (("H", [0.97, 0.9, 0.2, 1e-4]), ("H2", [1e-8, 0.05, 0.4, 0.5]),
                         ("He", 0.1), ("e-", [2e-2, 3e-4, 1e-4, 1e-7]),
                         ("C+", [1.6e-4, 1.6e-4, 1e-4, 1e-8]), ("CO", [1e-16, 1e-9, 1e-6, 1.5e-4]),
                         ("O", 3e-4), ("C", [1e-9, 1e-7, 6e-5, 1e-8]),
                         ("H+", [2e-2, 1e-4, 1e-6, 1e-9])):  # fmt: skip
        if name in network.species:
            y[network.index(name)] = values
    return jnp.asarray(y)


def prepared(network):
    """The system, its arguments, a state of four cells, and functions of state and arguments."""
    system = ThermalSystem.of(network)
    args = Heated(RateTable.of(network), CELLS, Thermal.of(network))
    state = jnp.concatenate([mixture(network), CELLS.temperature[None]])

    def rhs(state, args):
        return system.rhs(jnp.zeros(4, state.dtype), state, args)

    def terms(state, args):
        y, conditions = state[:-1], dataclasses.replace(args.conditions, temperature=state[-1])
        v = system.kinetics.rates(y, args.table(conditions, y))
        return args.thermal.terms(v, y, conditions)

    return system, args, state, *(jax.jit(f, compiler_options=QUICK) for f in (rhs, terms))


@pytest.fixture(scope="module")
def compact():
    return prepared(COMPACT)


def test_terms_have_their_sign_and_size(compact):
    _, args, state, _, terms = compact
    found = terms(state, args)
    heat = {"photoelectric", "H2 on dust", "H2 and starlight", "C and starlight", "H2 in gas",
            "cosmic rays, atoms", "cosmic rays, H2"}  # fmt: skip
    assert heat < found.keys() and len(found) == 19
    for name, power in found.items():
        assert np.all(np.isfinite(power)), name
        if name in heat:
            assert np.all(power >= 0.0), name
        elif name not in ("dust", "Compton"):
            assert np.all(power <= 0.0), name
    size = {name: np.abs(np.asarray(power)) for name, power in found.items()}
    # warm neutral gas; cold neutral gas; a dark cloud
    assert max(size, key=lambda name: size[name][0]) == "photoelectric"
    assert size["C+ lines"][1] == max(p[1] for n, p in size.items() if n not in heat)
    assert size["CO lines"][3] == max(p[3] for n, p in size.items() if n not in heat | {"dust"})
    assert size["cosmic rays, H2"][3] == max(size[n][3] for n in heat)
    # Each ionisation of H2 in the dark cloud gives 13 eV + 4 / 3 eV.
    rate = 1e-16 * (1.2e-17 + 2.86e-19 + 3.9e-21 * 0) / 1.36e-17 * 0.5
    expected = rate * (13 + 4 / 3) * 1.602e-12
    np.testing.assert_allclose(found["cosmic rays, H2"][3], expected, rtol=1e-3)


def test_temperature_follows_from_the_energy(compact):
    """d/dt of k (1.5 T sum y + y_H2 u) along the flow is the sum of all terms."""
    _, args, state, rhs, terms = compact
    change = np.asarray(rhs(state, args))
    h2 = COMPACT.index("H2")
    u, slope = (np.asarray(x) for x in h2_energy(state[-1]))
    y, T = np.asarray(state[:-1]), np.asarray(state[-1])
    energy = 1.5 * (change[-1] * y.sum(0) + T * change[:-1].sum(0))
    energy += change[h2] * u + y[h2] * slope * change[-1]
    total = sum(np.asarray(x) for x in terms(state, args).values())
    np.testing.assert_allclose(K_B * energy, total, rtol=tolerance(1e-9, 0.05))


@DOUBLE
@pytest.mark.parametrize(
    "network",
    [networks.primordial(), pytest.param(COMPACT, marks=pytest.mark.slow)],
    ids=["primordial", "compact"],
)
def test_derivatives(network):
    """The Jacobian is that of JAX for the right-hand side, and dT / dt's that of differences."""
    system, args, state, rhs, _ = prepared(network)
    made = jax.jit(lambda s: system.jacobian(jnp.zeros(4), s, args), compiler_options=QUICK)
    n, pattern = len(state), system.pattern
    jacobian = np.zeros((n, n, 4))
    jacobian[pattern.rows, pattern.cols] = made(state)
    whole = rhs.__wrapped__
    tangent = jax.jit(
        lambda s, d: jax.jvp(lambda s: whole(s, args), (s,), (d,))[1], compiler_options=QUICK
    )
    rate = np.abs(rhs(state, args)[-1])
    for j in range(n):
        step = jnp.zeros_like(state).at[j].set(state[j])
        by_jacobian = jacobian[:, j] * np.asarray(state[j])
        off = np.abs(tangent(state, step) - by_jacobian)
        scale = np.abs(by_jacobian).max(axis=0, keepdims=True)
        assert np.all(off < 1e-7 * np.abs(by_jacobian) + 1e-9 * scale + 1e-300), j
        middle = (rhs(state + 1e-5 * step, args) - rhs(state - 1e-5 * step, args))[-1] / 2e-5
        assert np.all(np.abs(by_jacobian[-1] - middle) < 1e-5 * np.abs(middle) + 1e-8 * rate), j


def test_module_and_bad_input():
    thermal = Thermal.of(COMPACT, T_cmb=3.0)
    assert_pytree(thermal)
    assert Thermal.of(networks.compact(), T_cmb=3.0)._plan == thermal._plan
    with pytest.raises(ValueError, match="T_cmb"):
        Thermal.of(COMPACT, T_cmb=-1.0)
    bare = dataclasses.replace(CELLS, T_dust=None)
    with pytest.raises(ValueError, match="T_dust"):
        thermal.terms(jnp.zeros((259, 4)), mixture(COMPACT), bare)


def test_precision_follows_the_state(compact):
    _, args, state, rhs, _ = compact
    low = jax.tree.map(lambda x: x.astype("float32") if eqx.is_inexact_array(x) else x, args)
    change = rhs(state.astype("float32"), low)
    assert change.dtype == "float32" and np.all(np.isfinite(change))
    if jax.config.jax_enable_x64:
        exact = np.asarray(rhs(state, args))
        np.testing.assert_allclose(change[-1], exact[-1], rtol=0.02)


@DOUBLE
def test_hot_gas_recombines_and_cools():
    """Gas without metals and radiation recombines out of balance and makes some 1e-3 of H2 by its
    electrons (Oh & Haiman 2002, ApJ 569, 558), which cools it below 1000 K."""
    network = networks.primordial()
    initial = {"H+": 1.0, "He+": 0.08, "e-": 1.08}
    times = jnp.asarray([1e3, 1e5, 1e7])

    def temperatures(n_H):
        gas = Conditions(n_H=n_H, temperature=jnp.full(2, 3e4))
        history, T = evolve_temperature(network, gas, initial, times, rtol=1e-5)
        return T, history.y, history.result

    T, y, result = jax.jit(temperatures, compiler_options=QUICK)(jnp.asarray([1.0, 100.0]))
    assert np.all(result == 0)
    hydrogen = (("H", 1), ("H+", 1), ("H-", 1), ("H2", 2), ("H2+", 2))
    total = sum(m * y[:, network.index(s)] for s, m in hydrogen)
    np.testing.assert_allclose(total, 1.0, rtol=tolerance(1e-9, 1e-4))
    assert np.all(np.diff(T, axis=0) < 0.0) and 2e4 < T[0, 0] < 3e4
    assert np.all((T[-1] > 80.0) & (T[-1] < 1e3)) and np.all(T[:, 1] < T[:, 0])
    h2 = y[-1, network.index("H2")]
    assert np.all((h2 > 3e-4) & (h2 < 6e-3)), h2


@DOUBLE
@pytest.mark.slow
def test_gradients_of_the_temperature():
    network = RateTable.of(networks.primordial())
    initial = {"H+": 1.0, "He+": 0.08, "e-": 1.08}

    def log_T(log_n):
        gas = Conditions(n_H=jnp.exp(log_n), temperature=3e4)
        _, T = evolve_temperature(network, gas, initial, jnp.asarray([1e5]), rtol=1e-8)
        return jnp.log(T[0])

    at = jnp.asarray(1.0)
    _, forward = jax.jvp(log_T, (at,), (jnp.ones(()),))
    np.testing.assert_allclose(jax.grad(log_T)(at), forward, rtol=1e-8)
    middle = (log_T(at + 1e-3) - log_T(at - 1e-3)) / 2e-3
    np.testing.assert_allclose(forward, middle, rtol=1e-4)


@DOUBLE
@pytest.mark.slow
def test_neutral_gas_has_two_phases():
    """Wolfire et al. 2003, ApJ 587, 278: warm gas of some 8000 K up to 1 / cm^3, cold of some 85 K
    at 30 / cm^3, and pressures P / k of the cold gas from some 2000 K / cm^3."""
    n = jnp.asarray([0.3, 10.0, 30.0, 100.0])
    gas = Conditions(n_H=n, temperature=jnp.full(4, 2000.0), A_V=0.05, zeta=2e-16, T_dust=17.0)
    initial = {name: jnp.full(4, value) for name, value in networks.ATOMIC.items()}
    history, T = evolve_temperature(COMPACT, gas, initial, jnp.asarray([1e8]), rtol=1e-4)
    assert np.all(history.result == 0)
    warm, unsettled, cold, dense = np.asarray(T[0])
    assert 6000 < warm < 1e4 and 60 < cold < 120 and 35 < dense < cold
    assert 1500 < 1.1 * 10 * unsettled < 3000
    assert 0.01 < history["e-"][0, 0] < 0.05 and 1.5e-4 < history["e-"][0, 2] < 5e-4


RECOMBINES = Network([Reaction(("H+", "e-"), ("H",), Arrhenius(4.1e-12, -0.72))])


@DOUBLE
def test_cells_in_blocks_are_those_at_once():
    gas = Conditions(n_H=jnp.asarray([1.0, 2.0, 5.0]), temperature=2e4)
    initial, times = {"H+": 1.0, "e-": 1.0}, jnp.asarray([1e4, 1e5])
    (apart, T_apart), (whole, T) = (
        evolve_temperature(RECOMBINES, gas, initial, times, block=block) for block in (2, 3)
    )
    assert T.shape == (2, 3) and whole.n_failed == 0
    np.testing.assert_allclose(T_apart, T, rtol=1e-10)
    np.testing.assert_allclose(apart.y, whole.y, rtol=1e-10)


@pytest.mark.parametrize(
    ("initial", "times", "message"),
    [
        ({"H+": 0.1, "H": 0.9}, [1e4], r"a charge of \+0.1 per hydrogen nucleus; give e- = 0.1"),
        ({"H": -1.0}, [1e4], "the abundance of H is -1; give a finite value"),
        ({"H": 1.0}, [1e4, 1e3], "give finite, rising times"),
    ],
)
def test_errors(initial, times, message):
    with pytest.raises(ValueError, match=message):
        evolve_temperature(RECOMBINES, CELLS, initial, jnp.asarray(times))
