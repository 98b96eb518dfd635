"""The Ohio State format: columns, types, and bad lines."""

import jax
import numpy as np
import pytest

from simulators.chemistry import (
    Arrhenius,
    Conditions,
    CosmicRay,
    Expression,
    GrainCollision,
    Network,
    Photo,
    RateTable,
)

pytestmark = pytest.mark.smoke


def line(reactants, products, alpha, beta, gamma, kind, number=1):
    names = [*reactants, *[""] * (3 - len(reactants)), *products, *[""] * (5 - len(products))]
    numbers = "".join(f"{x:9.2e}" for x in (alpha, beta, gamma))
    text = "".join(f"{n:8}" for n in names)
    return f"{text}{numbers}{kind:2d}{number:4d}         *{number:4d}*  2.00"


LINES = [
    line(["H", "H"], ["H2"], 4.95e-17, 0.5, 0.0, 0),
    line(["C+", "GRAIN-"], ["C", "GRAIN0"], 4.9e-17, 0.5, 0.0, 0),
    line(["CH3OCH3+", "E"], ["CH3OCH3"], 1e-7, -0.5, 0.0, 9),
    line(["C"], ["C+", "E"], 1.02e3, 0.0, 0.0, 1),
    line(["HE"], ["HE+", "E"], 2.16e-10, 0.0, 2.61, 13),
    line(["OCS+", "H2"], ["OCS+H2"], 6.1e-20, -1.5, 10.0, 4),
]


def read(tmp_path, *lines):
    path = tmp_path / "network.osu"
    path.write_text("\n".join(lines))
    return Network.read(path)


def test_types_and_names(tmp_path):
    table = "C          0  0  0  1  0  0  0  0  0  0        *    1*"
    network = read(tmp_path, table, "", *LINES)
    assert [r.law for r in network.reactions] == [
        GrainCollision(4.95e-17, 0.5),
        Expression("4.9e-17*(tgas/300)**0.5/grain_abundance"),
        Arrhenius(1e-7, -0.5),
        CosmicRay(1.02e3),
        Photo(2.16e-10, 2.61),
        Arrhenius(6.1e-20, -1.5, 10.0),
    ]
    assert network.reactions[-1].products == ("OCSH2+",)
    assert network.reactions[2].reactants == ("CH3OCH3+", "e-")
    assert network.report.source == "network.osu (osu)" and not network.report.dropped
    k = jax.jit(RateTable.of(network).__call__)(Conditions(1e4, 75.0, grain_abundance=2e-12))
    np.testing.assert_allclose(k[:2], [4.95e-17 * 0.5 * 1e4, 4.9e-17 * 0.5 / 2e-12 * 1e4], 1e-5)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (LINES[2].replace("1.00e-07", "1.0xe-07"), r"'1.0xe-07' is no number"),
        (LINES[0].replace("H2", "H3"), r"does not conserve H \(\+2 -> \+3\)"),
        (LINES[0][:91], r"type of reaction: '' is no number"),
    ],
)
def test_malformed_lines_are_named(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, *LINES, bad)
    assert str(caught.value).startswith("network.osu:7: ") and "\n" not in str(caught.value)


def test_unknown_types_are_reported(tmp_path):
    report = read(tmp_path, *LINES, LINES[2].replace(" 9   1", "99   1")).report
    assert "network.osu:7: left out, type 99 is unknown" in report.dropped[0]
