"""SIMBA's format: a small file with each type, its rates by SIMBA's formulae, bad files."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Conditions, Network, RateTable
from tests.properties import QUICK

N, T, T_DUST, A_V, G0, ZETA, X = 1e4, 55.0, 22.0, 1.2, 3.0, 2e-17, 3e-18
GRAINS, K_B, M_U = 1.2e-12, 1.380649e-16, 1.66053907e-24
ABUNDANCES = {
    "H": 0.2, "H2": 0.4, "H2*": 1e-6, "He": 0.1, "CO": 1e-4, "C": 1e-5, "O": 2e-4, "C+": 1e-6,
    "e-": 1e-6, "H+": 1e-7, "He+": 1e-8, "PAH": 1e-7, "PAH+": 1e-8, "PAH_H": 1e-9, "JCO": 1e-5,
    "JC": 3e-6, "JCH": 1e-7, "CO+": 1e-9, "OH": 1e-8, "CH": 1e-9, "N2": 1e-5, "N": 1e-5,
}  # fmt: skip
SECTION = np.pi * 1e-10 * GRAINS * N
SITES = 1e6 * GRAINS * N
SPEED = np.sqrt(8 * K_B * T / (np.pi * M_U))
FIELD = G0 * np.exp(-3.02 * A_V)
HYDRO = N * 3e-6
ICE = N * (1e-5 + 3e-6)


def collisions():
    t = T / 1000 + 1
    return N * (
        0.2 * 10 ** (-11.058 + 0.05554 / t - 2.39 / t**2)
        + 0.4 * 10 ** (-11.084 - 3.6706 / t - 2.023 / t**2)
    )


def formation():
    stick = 1 / (1 + 0.04 * np.sqrt(T + T_DUST) + 2e-3 * T + 8e-6 * T**2)
    flux = SPEED * N * 0.2 * np.pi * 1e-10 / 1e6 * stick
    root = (1 + np.sqrt((30000.0 - 200.0) / (600.0 - 200.0))) ** 2
    xi = 1 / (1 + 1.3e13 / (2 * flux) * np.exp(-1.5 * 30000 / T_DUST) * root)
    back = 0.005 * flux / (2 * 3e12 * np.exp(-320 / T_DUST)) + 0.25 * root * np.exp(-200 / T_DUST)
    return stick * xi / (1 + back) * 3e-18 * np.sqrt(T) * N * GRAINS / 1e-12


PUMPED = 10 * 5.18e-11 * G0 * np.exp(-3.02 * A_V) * 0.3
#: Reactants, products, type, a, b, c, T_max, and k [1 / s] with the powers of n_H.
ROWS = [
    ("H H", "H2", 10, 3e-18, 0.5, 0.0, 4e4, formation()),
    ("JC H", "JCH", 11, 1.0, 0.0, 0.0, 4e4, SECTION / max(HYDRO, SITES) * SPEED * N),
    (
        "JCO", "CO", 12, 2.7e-3, 0.0, 0.0, 4e4,
        SECTION / max(ICE, SITES) * 2.7e5 * (FIELD + 1e-4 * (ZETA + X) / 5e-17),
    ),
    ("C OH", "CO H", 20, 1e-10, 0.3, 20.0, 100.0, 1e-10 * (T / 300) ** 0.3 * np.exp(-20 / T) * N),
    ("C OH", "CO H", 20, 7e-10, 0.0, 0.0, 900.0, 0.0),
    ("CH O", "CO H", 20, 5e-11, 1.0, 0.0, 40.0, 5e-11 * 40 / 300 * N),
    ("CH O", "OH C", 21, 5e-11, 1.0, 0.0, 40.0, 5e-11 * 40 / 300 * N),
    ("CO PHOTON", "CO+ e-", 30, 1e-10, 2.0, 2.5, 4e4, 2e-10 * G0 * np.exp(-2.5 * A_V)),
    ("H2 PHOTON", "H H", 31, 5.18e-11, 1.0, 3.02, 4e4, PUMPED / 10),
    ("CO PHOTON", "C O", 32, 2.6e-10, 1.0, 3.24, 4e4, 2.6e-10 * G0 * np.exp(-3.24 * A_V)),
    ("H CRP", "H+ e-", 40, 5.98e-18, 0.0, 0.0, 4e4, 5.98e-18 * ZETA / 1.35e-17),
    ("He CRP", "He+ e-", 40, 6e-18, 0.0, 0.0, 4e4, 6e-18 * ZETA / 1.35e-17),
    (
        "C CRPHOT", "C+ e-", 41, 1.3e-17, 0.5, 255.0, 4e4,
        1.3e-17 * (ZETA + X) / 1.35e-17 * 255 / 0.5 * (T / 300) ** 0.5,
    ),
    (
        "CO CRPHOT", "C O", 42, 1.0, 0.0, 0.0, 4e4,
        (56.14 / (5.11e4 * 1e-4**0.792 + 1) + 4.3) * (ZETA + X),
    ),
    (
        "H CRPHOT", "H+ e-", 43, 2e-18, 7e-18, 2e-18, 4e4,
        2e-18 * (ZETA + X) * 0.0107 * 0.1 / (7e-18 * 0.4 + 2e-18 * 0.2),
    ),
    ("H XELECTRON", "H+ XELECTRON e-", 60, 1.0, 0.0, 0.0, 4e4, 0.56 * X),
    ("C XELECTRON", "C+ XELECTRON e-", 62, 4.4, 0.0, 0.0, 4e4, 4.4 * X),
    ("PAH0 PHOTON", "PAH+ e-", 70, 7e-9, 0.0, 0.0, 4e4, 7e-9 * (FIELD + 1e-4)),
    ("e- PAH+", "PAH0", 71, 3e-5, -0.5, 0.0, 4e4, 1.5e-5 * (T / 100) ** -0.5 * N),
    ("C+ PAH_H", "PAH+ CH", 72, 3e-8, 0.5, 0.0, 4e4, 1.5e-8 * (T / 100) ** 0.5 / 12**0.5 * N),
    (
        "JC", "C", 80, 1.59e27, 800.0, 0.0, 4e4,
        4 * SECTION / max(ICE, SITES) * 1.59e27 * np.exp(-800 / T_DUST),
    ),
    ("CO", "JCO", 81, 0.5, 0.0, 0.0, 4e4, 0.5 * SECTION * SPEED / 28**0.5),
    ("JCO", "CO", 80, 1e27, 960.0, 0.0, 4e4,
        4 * SECTION / max(ICE, SITES) * 1e27 * np.exp(-960 / T_DUST)),
    ("H2", "H2*", 90, 1.0, 0.0, 0.0, 4e4, PUMPED + collisions() * np.exp(-30163 / T)),
    ("H2*", "H2", 91, 1.0, 0.0, 0.0, 4e4, PUMPED + 2e-7 + collisions()),
    ("H2* C", "CH H", 92, 6e-10, 0.0, 11700.0, 4e4, 6e-10 * N),
]  # fmt: skip
MASSES = {"CO": 28, "JCO": 28, "C+": 12, "C": 12, "JC": 12}


def text():
    rows = []
    for i, (reactants, products, kind, a, b, c, t_max, _) in enumerate(ROWS):
        sides = [*reactants.split(), *[""] * 3][:3] + [*products.split(), *[""] * 5][:5]
        # of the two entries of C + OH the first goes up to 100 K, where the second begins
        low, high = (100.0, t_max) if i == 4 else (0.0, -t_max if i == 3 else t_max)
        numbers = "".join(f"{x:13.3e}" for x in (a, b, c, low, high))
        rows.append("".join(f"{n:14}" for n in sides) + f"{i:4d}{kind:4d}{numbers}  ------")
    species = [f"{n:12}{y:12.3e} {MASSES.get(n, 1):6d}  0" for n, y in ABUNDANCES.items()]
    species = [line.replace("PAH ", "PAH0") for line in species]
    head = ["! a description", "! n_elements", "1", "! LIST OF ELEMENTS", "H", "! n_species"]
    middle = [str(len(species)), "! LIST OF SPECIES", *species, "! n_reactions"]
    return "\n".join([*head, *middle, str(len(rows)), "! e1 e2", *rows, "! the end", "! 1 2"])


def read(tmp_path, content):
    path = tmp_path / "simba.dat"
    path.write_text(content)
    return Network.read(path)


def test_each_type(tmp_path):
    network = read(tmp_path, text())
    assert network.report.source == "simba.dat (simba)" and not network.report.dropped
    names = {n.replace("J", "#").replace("PAH_H", "PAHH"): y for n, y in ABUNDANCES.items()}
    y = jnp.array([names[n] for n in network.species])
    extras = {"zeta_x": X, "shielding_h2": 0.3}
    cell = Conditions(N, T, ZETA, G0, A_V, T_DUST, grain_abundance=GRAINS, extras=extras)
    rates = jax.jit(lambda table, c, y: table(c, y), compiler_options=QUICK)
    expected = np.array([row[-1] for row in ROWS])
    tolerance = 1e-5 if y.dtype == jnp.float64 else 1e-3
    k = np.asarray(rates(RateTable.of(network), cell, y))
    kept = (expected > 1e-33) | (expected == 0.0)
    np.testing.assert_allclose(k[kept], expected[kept], tolerance)
    assert kept.sum() > 20


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("! n_species", "! n_spices", r"there is no section 'n_species'"),
        ("! e1 e2", "! e1\n", None),
        ("\n26\n", "\n27\n", r"26 lines follow 'n_reactions' where 27 are announced"),
        ("OH            ", "OK            ", r"does not conserve"),
        ("CH            O ", "CQ            O ", r"'CQ' is not in the section of species"),
        ("3.000e-18", "3.0q0e-18", r"'3.0q0e-18' is no number"),
    ],
)
def test_bad_files_are_named(tmp_path, old, new, message):
    content = text().replace(old, new, 1 if old != "OH            " else -1)
    if message is None:
        assert read(tmp_path, content).report.reactions == len(ROWS)
        return
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, content)
    assert str(caught.value).startswith("simba.dat:") and "\n" not in str(caught.value)


def test_unknown_types_are_reported(tmp_path):
    report = read(tmp_path, text().replace("   5  20", "   5  99")).report
    assert "type 99 is unknown" in report.dropped[0] and report.reactions == len(ROWS) - 1
