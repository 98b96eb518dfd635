"""Rate laws: values by hand, gradients, cells, precision, what is done outside of ranges."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import (
    Arrhenius,
    Conditions,
    CosmicRay,
    CosmicRayDesorption,
    CosmicRayPhoton,
    FreezeOut,
    GrainCollision,
    GrainH2,
    IonPolar1,
    IonPolar2,
    Network,
    Photo,
    RateTable,
    Reaction,
    ThermalDesorption,
    ThirdBody,
    Troe,
)
from tests.properties import QUICK, assert_compiles_nothing, assert_pytree

T, T_DUST, N_H, ZETA, G0, A_V = 47.0, 12.0, 3e5, 2.1e-17, 1.7, 0.8
K_B, M_U = 1.380649e-16, 1.66053907e-24


def troe():
    low = 6e-29 * (T / 300) ** -1.5 * np.exp(-20 / T) * 0.6 * N_H
    high = 2e-10 * (T / 300) ** 0.2 * np.exp(-3 / T)
    log_F = np.log10(0.5) / (1 + (np.log10(low / high) / (0.75 - 1.27 * np.log10(0.5))) ** 2)
    return low / (1 + low / high) * 10**log_F * N_H


def attempts(binding, mass):
    return np.sqrt(2 * 1.5e15 * K_B * binding / (np.pi**2 * mass * M_U))


TWO, ONE = (("C", "O"), ("CO",)), (("CO",), ("C", "O"))
CASES = [
    (TWO, Arrhenius(4e-11, -0.4, 23.0), 4e-11 * (T / 300) ** -0.4 * np.exp(-23 / T) * N_H),
    (
        (("H", "H", "H"), ("H2", "H")),
        Arrhenius(9e-33, -0.6, 0.0),
        9e-33 * (T / 300) ** -0.6 * N_H**2,
    ),
    (TWO, IonPolar1(0.4, 1e-9, 3.0), 0.4e-9 * (0.62 + 0.4767 * 3 * np.sqrt(300 / T)) * N_H),
    (
        TWO,
        IonPolar2(0.4, 1e-9, 3.0),
        0.4e-9 * (1 + 0.0967 * 3 * np.sqrt(300 / T) + 9 / 10.526 * 300 / T) * N_H,
    ),
    (ONE, CosmicRay(5.0), 5.0 * ZETA),
    (ONE, CosmicRay(5e-17, 1.36e-17), 5e-17 * ZETA / 1.36e-17),
    (
        ONE,
        CosmicRayPhoton(1.3e-17, 1.17, 105.0, 1.36e-17),
        1.3e-17 * (T / 300) ** 1.17 * 105 / 0.5 * ZETA / 1.36e-17,
    ),
    (ONE, Photo(2e-10, 3.5), 2e-10 * G0 * np.exp(-3.5 * A_V)),
    (ONE, Photo(2e-10, 3.5, 1.7), 2e-10 * np.exp(-3.5 * A_V)),
    (TWO, ThirdBody(5e-32, -1.0, 0.0), 5e-32 * (T / 300) ** -1 * 0.6 * N_H**2),
    (TWO, Troe(6e-29, -1.5, 20.0, 2e-10, 0.2, 3.0, 0.5), troe()),
    ((("H", "H"), ("H2",)), GrainCollision(5e-17, 0.5), 5e-17 * (T / 300) ** 0.5 * N_H),
    (
        (("H", "H"), ("H2",)),
        GrainH2(3e-17),
        3e-17
        * N_H
        * np.sqrt(T / 100)
        / (1 + 0.4 * np.sqrt((T + T_DUST) / 100) + 0.2 * T / 100 + 0.08 * (T / 100) ** 2)
        / (1 + 1e4 * np.exp(-600 / T_DUST)),
    ),
    (
        (("CO",), ("#CO",)),
        FreezeOut(0.7, 28.0),
        0.7 * np.pi * 1e-10 * 1.8e-12 * N_H * np.sqrt(8 * K_B * T / (np.pi * 28 * M_U)),
    ),
    (
        (("#CO",), ("CO",)),
        ThermalDesorption(1150.0, 28.0),
        attempts(1150, 28) * np.exp(-1150 / T_DUST),
    ),
    (
        (("#CO",), ("CO",)),
        CosmicRayDesorption(1150.0, 28.0),
        3.16e-19 * ZETA / 1.3e-17 * attempts(1150, 28) * np.exp(-1150 / 70),
    ),
]
NAMES = [f"{i}-{type(law).__name__}" for i, (_, law, _) in enumerate(CASES)]


def conditions(**given):
    here = {"temperature": T, "T_dust": T_DUST, "zeta": ZETA, "G0": G0, "A_V": A_V}
    return Conditions(**{"n_H": N_H, **here, **given})


@pytest.fixture(scope="module")
def every():
    """All laws in one network, its rows in another order than its laws."""
    reactions = [Reaction(*sides, law) for sides, law, _ in CASES]
    return RateTable.of(Network(reactions[::2] + reactions[1::2]))


@pytest.fixture(scope="module")
def expected():
    values = np.array([value for *_, value in CASES])
    return np.concatenate([values[::2], values[1::2]])


rates = jax.jit(lambda table, c: table(c), compiler_options=QUICK)


def tolerance(dtype):
    return 1e-12 if dtype == jnp.float64 else 2e-5


@pytest.mark.smoke
def test_values_by_hand(every, expected):
    k = rates(every, conditions())
    assert k.shape == expected.shape
    found = np.where(expected > 1e-37, k, 0.0)
    np.testing.assert_allclose(found, np.where(expected > 1e-37, expected, 0), tolerance(k.dtype))


def test_an_ion_freezes_faster():
    sides = ("HCO+", "e-"), ("#HCO",)
    ion, neutral = (
        rates(RateTable.of(Network([Reaction(*sides, FreezeOut(1.0, 29.0, z))])), conditions())
        for z in (1.0, 0.0)
    )
    assert float(ion[0] / neutral[0]) == pytest.approx(1 + 1.671e-3 / (1e-5 * T), rel=1e-5)


def test_cells_are_independent(every):
    scale = np.array([1.0, 0.5, 3.0])
    many = conditions(temperature=T * scale, n_H=N_H * scale)
    k = np.asarray(rates(every, many))
    assert k.shape == (len(CASES), 3)
    for cell in range(3):
        alone = conditions(temperature=T * scale[cell], n_H=N_H * scale[cell])
        np.testing.assert_allclose(k[:, cell], rates(every, alone), tolerance(k.dtype), atol=1e-37)
    varying = jax.tree.map(lambda x: 0 if x.ndim else None, many)
    mapped = jax.jit(jax.vmap(every, (varying,), 1), compiler_options=QUICK)
    np.testing.assert_allclose(k, mapped(many), 1e-5, atol=1e-37)


def test_shapes_of_cells(every):
    for n_H, shape in ((N_H, ()), (jnp.array([N_H]), (1,)), (N_H * jnp.ones(3), (3,))):
        assert jax.eval_shape(every, conditions(n_H=n_H)).shape == (len(CASES), *shape)


@pytest.mark.smoke
def test_leaves_are_coefficients(every):
    assert_pytree(every)
    assert every.coefficients["Photo"].keys() == {"alpha", "gamma"}
    assert [every.network.reactions[r].law.gamma for r in every.rows("Photo")] == [3.5, 3.5]


def test_gradients_against_differences(every):
    if jnp.zeros(()).dtype != jnp.float64:
        pytest.skip("differences of rates need float64")
    cell = conditions()

    def log_sum(scales, logs):
        """A sum over reactions that all count alike, of scaled coefficients and conditions."""
        table = jax.tree.map(lambda x: x * scales[0], every)
        scaled = jax.tree.map(lambda x, s: x * s, cell, scales[1])
        table = eqx.tree_at(lambda t: t.log_factor, table, logs)
        return jnp.sum(table(scaled) / k0)

    k0 = rates(every, cell)
    at = (jnp.asarray(1.0), jax.tree.map(jnp.ones_like, cell)), jnp.zeros_like(every.log_factor)
    value = jax.jit(log_sum, compiler_options=QUICK)
    gradient = jax.jit(jax.grad(log_sum, (0, 1)), compiler_options=QUICK)(*at)
    np.testing.assert_allclose(gradient[1], 1.0, 1e-12)
    leaves, tree = jax.tree.flatten(at[0])
    for i, found in enumerate(jax.tree.leaves(gradient[0])):
        up, down = (
            value(jax.tree.unflatten(tree, [*leaves[:i], leaves[i] + h, *leaves[i + 1 :]]), at[1])
            for h in (1e-5, -1e-5)
        )
        np.testing.assert_allclose(found, (up - down) / 2e-5, 1e-6, atol=1e-6)


def extremes():
    """Cold, hot, thin, dense and dark cells, all at once."""
    grid = np.meshgrid([3.0, 10.0, 1e4, 3e7], [1e-3, 1e12], [0.0, 50.0], indexing="ij")
    temperature, n_H, A_V = (jnp.asarray(g.ravel(), float) for g in grid)
    return Conditions(n_H, temperature, zeta=1e-19, G0=0.0, A_V=A_V)


@pytest.mark.parametrize("outside", ["extrapolate", "clamp", "zero"])
def test_rates_and_gradients_stay_finite(outside):
    reactions = [Reaction(*sides, law, 10.0, 300.0) for sides, law, _ in CASES]
    reactions.append(Reaction(*TWO, Arrhenius(1e-10, 20.0, -1e4), 300.0, 3000.0))
    reactions.append(Reaction(*TWO, Arrhenius(0.0, 0.0, 0.0), 10.0, 3000.0))
    table = RateTable.of(Network(reactions), outside)

    def total(both):
        return jnp.sum(jnp.arctan(both[0](both[1])))

    gradient = jax.jit(jax.grad(total), compiler_options=QUICK)
    k = np.asarray(rates(table, extremes()))
    assert np.all(np.isfinite(k) & (k >= 0))
    for leaf in jax.tree.leaves(gradient((table, extremes()))):
        assert np.all(np.isfinite(leaf))


@pytest.mark.parametrize(
    ("outside", "cold", "hot"),
    [
        ("extrapolate", 0.1, 4.0),
        ("clamp", 1.0, 3.0),
        ("zero", 0.0, 0.0),
        ("zero below", 0.0, 3.0),
    ],
)
def test_outside_the_range(outside, cold, hot):
    law = Arrhenius(1e-10, 1.0)
    network = Network([Reaction(*TWO, law, 300.0, 900.0, outside=outside)])
    at = Conditions(1.0, jnp.array([30.0, 600.0, 1200.0]))
    expected = np.array([cold, 2.0, hot]) * 1e-10
    np.testing.assert_allclose(rates(RateTable.of(network), at)[0], expected, 1e-5)
    np.testing.assert_allclose(rates(RateTable.of(network, outside), at)[0], expected, 1e-5)
    with pytest.warns(UserWarning, match=rf"30 to 1200 K .* 1 of 1 .* 1 by '{outside}'"):
        assert RateTable.of(network).warn_outside(at) == 1


def test_nothing_is_said_within_the_ranges(recwarn):
    network = Network([Reaction(*TWO, Arrhenius(1e-10), *r) for r in ((10, 300), (300, 900))])
    assert RateTable.of(network).warn_outside(Conditions(1.0, 500.0)) == 0
    assert not recwarn.list
    with pytest.raises(ValueError, match="outside='ignore'"):
        RateTable.of(network, "ignore")


def test_new_numbers_compile_nothing(every, compilations):
    other = jax.tree.map(lambda x: x * 1.01, every)
    old, new = conditions(), conditions(n_H=10.0, temperature=99.0)
    assert_compiles_nothing(compilations, rates, (every, old), (other, new))


def test_indices(every):
    names = every.species
    for i, reaction in enumerate(every.network.reactions):
        for side in ("reactants", "products", "orders"):
            got = tuple(names[j] for j in getattr(every, side)[i])
            assert got == getattr(reaction, side)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_H", 0.0),
        ("n_H", -1.0),
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("zeta", -1e-17),
        ("A_V", float("inf")),
        ("T_dust", -3.0),
        ("albedo", 1.0),
    ],
)
def test_bad_conditions_are_named(name, value):
    with pytest.raises(ValueError, match=rf"Conditions: argument `{name}` = ") as caught:
        conditions(**{name: value})
    assert "\n" not in str(caught.value)
