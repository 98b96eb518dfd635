"""The networks that come with the package, against databases and published solutions."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simulators.chemistry import (
    Arrhenius,
    Conditions,
    Expression,
    Network,
    Photo,
    RateTable,
    networks,
)
from simulators.chemistry import shielding as factors
from simulators.chemistry.species import species
from tests.properties import QUICK

COMPACT = networks.compact()
PRIMORDIAL = networks.primordial(deuterium=True)
YEAR = 3.156e7
DOUBLE = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="tight solves need float64")


@pytest.fixture(scope="module")
def rates():
    return jax.jit(lambda table, c, y: table(c, y), compiler_options=QUICK)


def like(n):
    return jnp.asarray(np.geomspace(1e-4, 1e-2, n))


def rows(network, text):
    found = [i for i, r in enumerate(network.reactions) if str(r) == text]
    assert found, text
    return found


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("network", "size", "elements"),
    [
        (COMPACT, (29, 259), {"H", "He", "C", "O"}),
        (networks.primordial(), (9, 33), {"H", "He"}),
        (PRIMORDIAL, (12, 44), {"H", "He", "D"}),
    ],
    ids=["compact", "primordial", "deuterium"],
)
def test_sizes_elements_and_references(network, size, elements):
    assert (len(network.species), len(network.reactions)) == size
    assert {x for name in network.species for x, _ in species(name).elements} == elements
    for reaction in network.reactions:
        assert re.search(r"\b(19|20)\d\d\b|doi:", reaction.where), reaction
    # each species is made and destroyed
    for name in set(network.species) - {"He"}:
        assert network.making(name) and network.destroying(name), name


def test_the_files_are_read_back(tmp_path):
    PRIMORDIAL.write(tmp_path / "primordial.txt")
    assert Network.read(tmp_path / "primordial.txt") == PRIMORDIAL


# Ours is newer or goes to higher temperatures than RATE12's entry, or it has another meaning.
NEWER = {
    "H+ + e- -> H", "He+ + e- -> He", "C+ + e- -> C", "H+ + H -> H2+", "H2 + e- -> H + H + e-",
    "H2 + H -> H + H + H", "H2 + H2 -> H2 + H + H", "H3+ + C -> CH+ + H2",
}  # fmt: skip


def test_compact_against_the_database(shared_data, rates):
    """Each reaction of RATE12 that is in the network has its rate, to the digits printed."""
    database = Network.read(shared_data / "chemistry" / "umist_rate12.csv")
    database = database.sub(species=COMPACT.species)
    cells = Conditions(1.0, jnp.asarray([10.0, 80.0, 500.0, 3000.0]), A_V=1.0, T_dust=10.0)
    theirs = rates(RateTable.of(database), cells, None)
    ours = rates(RateTable.of(COMPACT), cells, like(29))
    compared, newer = 0, set()
    for kind in ("thermal", "cosmic ray"):
        sums = [{}, {}]
        for total, network, k in ((sums[0], COMPACT, ours), (sums[1], database, theirs)):
            for reaction, row in zip(network.reactions, k, strict=True):
                if reaction.law.process == kind:
                    total[reaction.same] = total.get(reaction.same, 0.0) + np.asarray(row)
        for same in sums[0].keys() & sums[1].keys():
            text = next(str(r) for r in COMPACT.reactions if r.same == same)
            if text in NEWER:
                newer.add(text)
            else:
                np.testing.assert_allclose(sums[0][same], sums[1][same], 1e-3, err_msg=text)
                compared += 1
    assert compared == 191 and newer == NEWER


def test_photoreactions_against_the_database(shared_data):
    database = Network.read(shared_data / "chemistry" / "umist_rate22.csv", unbalanced="drop").sub(
        species=COMPACT.species
    )
    found = {(r.same, type(r.law)): r.law for r in database.reactions}
    bare = networks._read("compact").reactions
    ours = [r for r in bare if r.law.process in ("photo", "cosmic-ray photon")]
    assert len(ours) == 43
    for reaction in ours:
        if reaction.reactants == ("H2",):
            # RATE22 leaves it out; Heays et al. 2017, table 18 and 20
            assert reaction.law == Photo(5.7e-11, 4.18)
        else:
            assert found[reaction.same, type(reaction.law)] == reaction.law, reaction


def test_expressions_against_another_network(shared_data, rates):
    """The same fits as another network writes them (KROME's for CO, after Glover et al. 2010)."""
    other = Network.read(shared_data / "chemistry" / "react_COthin.jet")
    cells = Conditions(10.0, jnp.asarray([30.0, 900.0, 5e3, 2e4]), A_V=1.0, T_dust=10.0)
    theirs, mine = (
        rates(RateTable.of(n), cells, like(len(n.species))) for n in (other, PRIMORDIAL)
    )
    # The other's recombination of He+ lacks its second term below 9280 K.
    for text, cut in [
        ("H + e- -> H+ + e- + e-", 0), ("He + e- -> He+ + e- + e-", 0),
        ("He+ + e- -> He++ + e- + e-", 0), ("He+ + e- -> He", 3), ("H- + e- -> H + e- + e-", 0),
        ("H- + H -> H + H + e-", 0), ("He + H+ -> He+ + H", 0), ("H2+ + e- -> H + H", 0),
    ]:  # fmt: skip
        value = sum(mine[i] for i in rows(PRIMORDIAL, text))
        expected = sum(theirs[i] for i in rows(other, text))
        np.testing.assert_allclose(value[cut:], expected[cut:], 3e-3, 1e-60, err_msg=text)


def test_primordial_rates_against_known_values(rates):
    T = np.array([100.0, 1e3, 1e4])
    k = rates(RateTable.of(PRIMORDIAL), Conditions(1.0, jnp.asarray(T)), like(12))
    one = lambda text: np.asarray(sum(k[i] for i in rows(PRIMORDIAL, text)))  # noqa: E731
    # Osterbrock & Ferland 2006, tables 2.1 and 2.4: case B at 1e4 K
    np.testing.assert_allclose(one("H+ + e- -> H")[2], 2.59e-13, rtol=0.02)
    np.testing.assert_allclose(one("He++ + e- -> He+")[2], 1.55e-12, rtol=0.03)
    # Detailed balance: D lies 43 K below H.
    ratio = one("D + H+ -> D+ + H") / one("D+ + H -> D + H+")
    np.testing.assert_allclose(ratio, np.exp(-43.0 / T), rtol=0.06)
    # Dissociation of H2 at high density is that of its levels' Boltzmann populations.
    dense = rates(RateTable.of(PRIMORDIAL), Conditions(1e16, jnp.asarray([3e3])), like(12))
    (row,) = rows(PRIMORDIAL, "H2 + H -> H + H + H")
    np.testing.assert_allclose(dense[row, 0] / 1e16, 3.52e-9 * np.exp(-43900 / 3e3), rtol=1e-6)
    thin = rates(RateTable.of(PRIMORDIAL), Conditions(1e-6, jnp.asarray([3e3])), like(12))
    low = 6.67e-12 * np.sqrt(3e3) * np.exp(-1 - 63593 / 3e3)
    np.testing.assert_allclose(thin[row, 0] / 1e-6, low, rtol=1e-6)


def test_rates_on_grains(rates):
    T, n, chi, a_v = 60.0, 300.0, 2.0, 0.7
    cell = Conditions(n, jnp.full(4, T), G0=chi, A_V=a_v, T_dust=15.0)
    k = rates(RateTable.of(COMPACT), cell, like(29))[:, 0]
    (row,) = rows(COMPACT, "H + H -> H2")
    sticking = 1.0 + 0.4 * np.sqrt(0.75) + 0.2 * 0.6 + 0.08 * 0.36
    np.testing.assert_allclose(k[row], 3e-17 * n * np.sqrt(0.6) / sticking, rtol=1e-5)
    assert RateTable.of(COMPACT).orders[row] == (COMPACT.index("H"),)
    psi = 1.7 * chi * np.exp(-1.87 * a_v) * np.sqrt(T) / (n * like(29)[COMPACT.index("e-")]) + 1e-3
    inner = 1 + 433.1 * T**4.845e-2 * psi ** (-0.812 - 1.333e-4 * np.log(T))
    expected = 45.58e-14 * n / (1 + 6.089e-3 * psi**1.128 * inner)
    np.testing.assert_allclose(k[rows(COMPACT, "C+ + e- -> C")[1]], expected, rtol=1e-5)


def test_shielded_photoreactions(rates):
    given = networks.compact(columns="given")
    y, a_v = like(29), 0.4
    slab = {x: 1.87e21 * a_v * y[COMPACT.index(x)] for x in ("H2", "CO", "C")}
    extras = {f"column_{x.lower()}": value for x, value in slab.items()}
    cell = Conditions(1e3, jnp.full(4, 20.0), A_V=a_v, G0=3.0, T_dust=12.0)
    k = rates(RateTable.of(COMPACT), cell, y)[:, 0]
    told = rates(RateTable.of(given), dataclasses.replace(cell, extras=extras), y)[:, 0]
    np.testing.assert_allclose(told, k, rtol=1e-5)
    for text, alpha, gamma, f in [
        ("H2 -> H + H", 5.7e-11, 4.18, factors.h2(slab["H2"], 3.0)),
        ("CO -> O + C", 2.4e-10, 3.88, factors.co(slab["CO"], slab["H2"])),
        ("C -> C+ + e-", 3.5e-10, 3.76, factors.c(slab["C"], slab["H2"])),
    ]:
        (row,) = (
            i for i in rows(COMPACT, text) if isinstance(COMPACT.reactions[i].law, Expression)
        )
        np.testing.assert_allclose(k[row], alpha * 3 * np.exp(-gamma * a_v) * f, rtol=1e-5)
    with pytest.raises(ValueError, match="column_h2"):
        RateTable.of(given)(cell, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": "none"}, "give 'slab' or 'given'"),
        ({"doppler": 0.0}, "above zero"),
        ({"network": networks.primordial()}, "no photoreaction"),
        ({"network": COMPACT.sub(species=["C", "C+", "e-"])}, "no photoreaction"),
        ({"network": networks._read("compact").sub(species=["C", "C+", "e-"])}, "columns='given'"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        networks.shielded(**{"network": networks._read("compact"), **arguments})


def right_hand_side(table, cell):
    """dy/dt in NumPy's order of things, from the lists of the table, and its Jacobian."""
    n = len(table.species)
    net = np.zeros((n, len(table.orders)))
    factors = np.full((len(table.orders), 3), n)
    for r, (lost, made) in enumerate(zip(table.reactants, table.products, strict=True)):
        np.add.at(net[:, r], list(lost), -1)
        np.add.at(net[:, r], list(made), 1)
        factors[r, : len(table.orders[r])] = table.orders[r]

    def f(y):
        with_one = jnp.concatenate([y, jnp.ones(1)])
        return jnp.asarray(net) @ (table(cell, y) * jnp.prod(with_one[factors], axis=1))

    jitted, jacobian = map(jax.jit, (f, jax.jacfwd(f)))
    return lambda t, y: np.asarray(jitted(y)), lambda t, y: np.asarray(jacobian(y))


def evolved(network, cell, initial, time, rtol):
    f, jacobian = right_hand_side(RateTable.of(network), cell)
    y0 = np.zeros(len(network.species))
    for name, value in initial.items():
        y0[network.index(name)] = value
    done = solve_ivp(f, (0.0, time), y0, "BDF" if rtol > 1e-9 else "Radau", jac=jacobian,
                     rtol=rtol, atol=1e-20)  # fmt: skip
    assert done.success
    return dict(zip(network.species, done.y[:, -1], strict=True))


@DOUBLE
@pytest.mark.parametrize("problem", [networks.robertson(), networks.hires()], ids=["rob", "hires"])
def test_problems_for_solvers(problem):
    y = evolved(problem.network, Conditions(1.0, 300.0), problem.initial, problem.time, 1e-10)
    for name, value in problem.solution.items():
        np.testing.assert_allclose(y[name], value, rtol=1e-6, err_msg=name)


@DOUBLE
def test_a_dark_cloud_makes_carbon_monoxide():
    cell = Conditions(2e4, 10.0, A_V=10.0)
    y = evolved(COMPACT, cell, networks.MOLECULAR, 1e7 * YEAR, 1e-6)
    for element, total in (("H", 1.0), ("He", 0.1), ("C", 1.6e-4), ("O", 3.2e-4)):
        held = sum(dict(species(s).elements).get(element, 0) * v for s, v in y.items())
        np.testing.assert_allclose(held, total, rtol=1e-9)
    assert abs(sum(species(s).charge * v for s, v in y.items())) < 1e-13
    assert y["CO"] > 0.98 * 1.6e-4
    # Without metals HCO+ takes up nearly all electrons that cosmic rays set free.
    freed = 0.9 * 1.3e-17 * y["H2"] / (2e4 * 2.4e-7 * (10 / 300) ** -0.69)
    np.testing.assert_allclose(y["e-"], freed**0.5, rtol=0.3)
    assert 1e-10 < y["H3+"] < 1e-8 and 1e-9 < y["HCO+"] < 1e-7
    # H atoms: made at the rate of ionisation of H2, 2.3 times (Glassgold & Langer 1974), lost to
    # grains; known to some 2 per cm^3 in dark clouds (Goldsmith & Li 2005)
    assert 0.3 < y["H"] * 2e4 < 3.0


@DOUBLE
def test_hydrogen_shields_itself():
    """A_V = 0.5, 1000 / cm^3: H2 holds, though its rate is 7e-12 / s without shielding."""
    cell = Conditions(1e3, 50.0, A_V=0.5, T_dust=17.0)
    y = evolved(COMPACT, cell, networks.ATOMIC, 1e7 * YEAR, 1e-5)
    assert y["H2"] > 0.49 and y["C+"] + y["C"] > 0.95 * 1.6e-4


def test_laws_of_the_file_are_of_few_kinds():
    """What is a law of its own form stays one, with coefficients to differentiate in."""
    laws = [type(r.law) for r in networks._read("compact").reactions]
    assert sum(law is Arrhenius for law in laws) > 180
    assert sum(law is Photo for law in laws) == 27
