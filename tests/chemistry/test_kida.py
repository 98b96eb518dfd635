"""KIDA's file: all of it, rates of each formula by hand, bad lines."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Arrhenius, Conditions, CosmicRayYield, Network, Photo, RateTable
from tests.properties import QUICK

ZETA, G0, A_V, N_H, T = 3e-17, 1.3, 2.5, 2e4, np.array([8.0, 25.0, 200.0, 5000.0])
GOOD = (
    f"{'C':11}{'CH':23}{'C2':11}{'H':45} 6.590e-11  0.000e+00  0.000e+00 2.00e+00 0.00e+00 "
    "logn  4     10    300  3  4500 1  1"
)


@pytest.fixture(scope="module")
def kida(shared_data):
    path = shared_data / "chemistry" / "kida_uva_2024_reactions.in"
    return Network.read(path), path.read_text().splitlines()


@pytest.fixture(scope="module")
def k(kida):
    rates = jax.jit(lambda table, c: table(c), compiler_options=QUICK)
    return np.array(rates(RateTable.of(kida[0]), Conditions(N_H, jnp.asarray(T), ZETA, G0, A_V)))


def test_whole_database(kida):
    report = kida[0].report
    assert (report.species, report.reactions, report.dropped) == (578, 8274, ())
    assert len(report.notes) == 35 and all("formula" in note for note in report.notes)
    assert len(report.duplicates) == 603
    assert report.outside == (("clamp", 7424),) and "7424 by 'clamp'" in str(report)
    # the reactions of CS2 are there twice, and so are two of NH2CH2OH; CNCN + H3+ has two channels
    assert [sum(getattr(d, x) for d in report.duplicates) for x in ("summed", "alike")] == [21, 20]
    assert len(kida[0].distinct().reactions) == 8254
    assert {"GRAIN", "GRAIN-", "#H", "c-C3H2", "l-C3H2", "t-C3H2"} <= set(kida[0].species)
    assert not {"CR", "CRP", "Photon", "XH"} & set(kida[0].species)


def by_hand(line):
    """Rate of a line [1 / s] by its formula, and the temperatures [K] of its range."""
    reactants, f = line[:34].split(), line[91:].split()
    a, b, c = map(float, f[:3])
    low, high = map(float, f[7:9])
    low, high = (1e-9, 1e9) if low == -9999 else (low, high)
    x = np.clip(T, low, high)
    if "CR" in reactants or "CRP" in reactants:
        return np.full(T.shape, a * ZETA), (low, high)
    if "Photon" in reactants:
        return np.full(T.shape, a * G0 * np.exp(-c * A_V)), (low, high)
    grain = {"10": a * 1.186e7 * np.exp(-225 / x) / 1.8e-12, "11": a * (x / 300) ** b * 1.8e-12}
    if f[9] in grain:
        return grain[f[9]] * (1 if f[9] == "10" else N_H), (low, high)
    if f[9] == "4" and b > 0:
        rate = a * b * (0.62 + 0.4767 * c * np.sqrt(300 / x))
    elif f[9] == "5" and b > 0:
        rate = a * b * (1 + 0.0967 * c * np.sqrt(300 / x) + c * c / 10.526 * 300 / x)
    else:
        assert f[9] in ("0", "3") or b < 0
        rate = a * (x / 300) ** b * np.exp(-c / x)
    return rate * N_H ** (len(reactants) - 1), (low, high)


def test_every_rate_against_the_lines(kida, k):
    network, text = kida
    several = {i for d in network.report.duplicates for i in d.entries}
    single = [i for i in range(len(network.reactions)) if i not in several]
    lines = [text[int(network.reactions[i].where.split(":")[1]) - 1] for i in single]
    expected = np.array([by_hand(line)[0] for line in lines])
    expected = np.where(expected > 1e-33, expected, 0.0)
    assert np.all(k >= 0.0)
    found = np.where(expected > 0, k[single], 0.0)
    np.testing.assert_allclose(found, expected, 1e-11 if jnp.zeros(()).dtype == "float64" else 3e-5)
    assert {line[91:].split()[9] for line in lines} >= {*"012345", "10", "11"}


def test_entries_within_their_ranges(kida, k):
    """Where the temperature is in the range of one entry alone, that one is used, clamped not."""
    network, text = kida
    for double in network.report.duplicates:
        lines = [text[int(network.reactions[i].where.split(":")[1]) - 1] for i in double.entries]
        rates, ranges = zip(*map(by_hand, lines), strict=True)
        within = np.array([(low <= T) & (high >= T) for low, high in ranges])
        expected = np.sum(np.where(within, rates, 0.0), 0)
        certain = (within.sum(0) == 1) & (expected > 1e-37)
        found = k[list(double.entries)].sum(0)
        np.testing.assert_allclose(found[certain], expected[certain], 3e-5)


def test_the_partner_decides_between_formulae(kida):
    laws = {r.where.split(":")[1]: r.law for r in kida[0].reactions}
    assert laws["8203"] == Photo(1.9e-9, 1.7)
    assert laws["248"] == CosmicRayYield(4000.0)
    assert laws["8033"] == Arrhenius(1e-10, -0.5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (GOOD.replace("6.590e-11", "6.590x-11"), r"'6.590x-11' is no number"),
        (GOOD.replace("C2    ", "C3    "), r"does not conserve C \(\+2 -> \+3\)"),
        (GOOD[:130], r"4 fields from column 91 on where KIDA has 13"),
        (GOOD.replace("CH ", "CX "), r"'CX' is no formula"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    path = tmp_path / "kida.in"
    path.write_text("\n".join(["! a comment", *[GOOD] * 3, line]))
    with pytest.raises(ValueError, match=message) as caught:
        Network.read(path)
    assert "kida.in:5: " in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_formulae_are_reported(tmp_path):
    path = tmp_path / "kida.in"
    lines = [GOOD, GOOD.replace("300  3", "300  6"), GOOD.replace("300  3", "300  9")]
    path.write_text("\n".join(lines))
    report = Network.read(path).report
    assert report.reactions == 1 and len(report.dropped) == 2
    assert "kida.in:2: left out, formula 6 (fall-off)" in report.dropped[0]
    assert "formula 9 is unknown" in str(report)
