"""UMIST's files: all of both databases, rates against lines worked out by hand, bad lines."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Conditions, CosmicRay, Network, RateTable
from tests.properties import QUICK

GOOD = (
    '1:NN:CH:O2:CO:OH:::2:7.60E-12:-0.48:0.0:10:300:M:C:"x:x":"y":'
    '7.60E-12:0.00:0.0:301:3000:M:D:"x":"y":'
)
ZETA, G0, A_V, N_H = 3e-17, 1.3, 2.5, 2e4


@pytest.fixture(scope="module")
def networks(shared_data):
    return {
        year: Network.read(shared_data / "chemistry" / f"umist_rate{year}.csv") for year in (12, 22)
    }


def by_hand(line, T):
    """Rate [1 / s] of a line, by the formulae of McElroy et al. 2013, for each of its ranges."""
    f = re.sub('"[^"]*"', "", line).split(":")
    kind, bodies = f[1], sum(bool(x) and x not in ("CRP", "CRPHOT", "PHOTON") for x in f[2:4])
    for at in range(9, 9 + 9 * int(f[8]), 9):
        a, b, c = (float(x) for x in f[at : at + 3])
        if kind == "CP":
            yield np.full_like(T, a * ZETA / 1.36e-17)
        elif kind == "PH":
            yield np.full_like(T, a * G0 * np.exp(-c * A_V))
        elif kind == "CR":
            yield a * (T / 300) ** b * c / (1 - 0.5) * ZETA / 1.36e-17
        else:
            yield a * (T / 300) ** b * np.exp(-c / T) * N_H ** (bodies - 1)


@pytest.mark.parametrize(
    ("year", "species", "reactions", "several", "summed"),
    [(12, 468, 6193, 20, 0), (22, 737, 8840, 74, 9)],
)
def test_whole_databases(networks, year, species, reactions, several, summed):
    report = networks[year].report
    assert (report.species, report.reactions, report.dropped) == (species, reactions, ())
    assert len(report.duplicates) == several
    assert sum(d.summed for d in report.duplicates) == summed
    # RATE22 has two lines that give the same range twice
    assert len(report.notes) == (2 if year == 22 else 0)


def test_electrons_and_two_letter_elements_are_one_species_in_both(networks):
    names = {year: set(network.species) for year, network in networks.items()}
    assert {"e-", "He+", "Cl", "Si", "Mg", "Fe", "Na+", "HNC", "HNSi"} <= names[12] & names[22]
    assert not {"E-", "HE", "CRP", "CRPHOT", "PHOTON"} & (names[12] | names[22])


@pytest.mark.parametrize("year", [12, 22])
def test_every_rate_against_the_lines(networks, shared_data, year):
    """All reactions, evaluated from the file by hand, where each is used."""
    T = np.array([10.0, 150.4, 1200.0])
    text = (shared_data / "chemistry" / f"umist_rate{year}.csv").read_text().splitlines()
    table = RateTable.of(networks[year])
    rates = jax.jit(lambda table, c: table(c), compiler_options=QUICK)
    k = rates(table, Conditions(N_H, jnp.asarray(T), zeta=ZETA, G0=G0, A_V=A_V))
    low, high = table._plan.windows
    rows = {}
    for row, reaction in enumerate(networks[year].reactions):
        rows.setdefault(int(reaction.where.split(":")[1]), []).append(row)
    tolerance = 1e-11 if k.dtype == jnp.float64 else 3e-5
    found = np.array(k)
    wanted = np.full_like(found, np.nan)
    for number, mine in rows.items():
        for row, expected in zip(mine, by_hand(text[number - 1], T), strict=False):
            used = (low[row] <= T) & (high[row] > T)
            expected = np.where(used & (expected > 1e-37), expected, 0.0)
            wanted[row] = expected
            found[row] = np.where(expected > 0, found[row], 0.0)
    assert not np.isnan(wanted).any()
    np.testing.assert_allclose(found, wanted, rtol=tolerance)


def test_one_entry_at_each_temperature(networks):
    network = networks[12]
    double = next(d for d in network.report.duplicates if d.reaction == "N2H+ + e- -> N2 + H")
    rates = jax.jit(lambda table, c: table(c), compiler_options=QUICK)
    k = rates(RateTable.of(network), Conditions(1.0, jnp.array([10.0, 150.0, 151.0, 9e3])))
    np.testing.assert_array_equal(
        np.asarray(k[np.array(double.entries)]) > 0,
        [[True, True, False, False], [False, False, True, True]],
    )


def read(tmp_path, *lines, **options):
    path = tmp_path / "rates.csv"
    path.write_text("\n".join(lines))
    return Network.read(path, **options)


def test_a_line_with_two_ranges(tmp_path):
    first, second = read(tmp_path, "# comment", GOOD).reactions
    assert (first.law.beta, first.t_max, second.law.beta, second.t_min) == (-0.48, 300, 0, 301)
    assert first.where == "rates.csv:2"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.replace("-0.48", "-0.4.8"), r"'-0.4.8' is no number"),
        (GOOD.replace("7.60E-12", "nan", 1), r"'nan' is not finite"),
        (GOOD.replace("::2:", "::3:"), r"3 temperature ranges do not fit 28 fields"),
        (GOOD[:30], r"11 fields between colons where UMIST has 18"),
        (GOOD.replace(":CO:", ":CO2:"), r"does not conserve O \(\+2 -> \+3\)"),
        (GOOD.replace(":CH:", ":Xy:"), r"'Xy' is no formula"),
        (GOOD.replace(":10:300:", ":310:300:"), r"temperatures 310 to 300 K"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, GOOD, line)
    assert "rates.csv:2: " in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_types_and_unbalanced_reactions_are_reported(tmp_path):
    unbalanced = GOOD.replace(":CO:", ":CO2:")
    network = read(tmp_path, GOOD, GOOD.replace(":NN:", ":QQ:"), unbalanced, unbalanced="drop")
    assert network.report.reactions == 2 and len(network.report.dropped) == 3
    assert "rates.csv:2: left out, type 'QQ' is unknown: '1:QQ:CH" in network.report.dropped[0]
    assert "does not conserve O (+2 -> +3)" in str(network.report)


def test_files_that_are_no_networks(tmp_path):
    with pytest.raises(ValueError, match=r"rates.csv: the file is empty"):
        read(tmp_path, "")
    with pytest.raises(ValueError, match=r"looks like none of the formats .* starts with 'Dear'"):
        read(tmp_path, "Dear", "reader,")
    with pytest.raises(ValueError, match=r"no reaction was found"):
        read(tmp_path, "# nothing but this", format="umist")
    with pytest.raises(ValueError, match=r"format='umst'"):
        read(tmp_path, GOOD, format="umst")
    with pytest.raises(ValueError, match=r"unbalanced='keep'"):
        read(tmp_path, GOOD, unbalanced="keep")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x9d\x9d")
    with pytest.raises(ValueError, match=r"binary.csv: not text"):
        Network.read(tmp_path / "binary.csv")


def test_the_ionisation_rate_is_that_of_h2(networks):
    """The channels of H2 and cosmic rays in RATE12 sum up to zeta."""
    law_of = {str(r): r.law for r in networks[12].reactions if isinstance(r.law, CosmicRay)}
    total = sum(law.alpha for name, law in law_of.items() if name.startswith("H2 ->"))
    assert total == pytest.approx(1.36e-17, rel=2e-3)


def test_rate12_as_a_table_is_quick(networks, trace_counter):
    table = RateTable.of(networks[12])
    counted = trace_counter(lambda table, c: table(c))
    rates = jax.jit(counted, compiler_options=QUICK)
    rates(table, Conditions(1e4, 10.0))
    rates(RateTable.of(networks[12]), Conditions(1e5, 20.0))
    assert counted.count == 1
