"""Our own table of reactions: it is read as it was written, and lines that are not are named."""

import dataclasses

import pytest

from simulators.chemistry import (
    Arrhenius,
    CosmicRay,
    Expression,
    GrainH2,
    Network,
    Photo,
    Reaction,
    Troe,
)
from simulators.chemistry.laws import LAWS

pytestmark = pytest.mark.smoke

HEAD = "# jaxastro chemistry network 1\n"


def text(tmp_path, *lines):
    path = tmp_path / "network.txt"
    path.write_text(HEAD + "\n".join(lines))
    return path


def test_round_trip_of_every_law(tmp_path):
    numbers = iter(1.0 / (n + 3.0) * 1e-11 for n in range(1000))
    laws = [
        law(*(next(numbers) for _ in dataclasses.fields(law)))
        for law in LAWS.values()
        if law is not Expression
    ]
    laws += [Expression("x*f(tgas)/t4"), Expression("1e-17*nh", ("H",)), Expression("zeta", ())]
    reactions = [Reaction(("H", "H"), ("H2",), law, 10.0, 1e4 / 3.0, "clamp") for law in laws]
    reactions.append(Reaction(("#CO",), ("CO",), CosmicRay(1.0), where="a reference: 1 + 2 -> 3"))
    network = Network(
        reactions,
        definitions={"t4": "tgas/1e4", "x": "3d-9"},
        functions={"f": (("a", "b"), ("c = a*b", "return c**2"))},
    )
    network.write(tmp_path / "network.txt")
    again = Network.read(tmp_path / "network.txt")
    where = {r.where for r in again.reactions[:-1]}
    assert where == {f"network.txt:{i}" for i in range(6, 6 + len(laws))}
    same = [dataclasses.replace(r, where="") for r in again.reactions[:-1]]
    assert (*same, again.reactions[-1]) == network.reactions
    assert (again.definitions, again.functions) == (network.definitions, network.functions)
    again.write(tmp_path / "again.txt")
    assert Network.read(tmp_path / "again.txt") == again


@pytest.mark.parametrize(
    "name", ["umist_rate12.csv", "kida_uva_2024_reactions.in", "react_COthin.jet"]
)
def test_round_trip_of_databases(tmp_path, shared_data, name):
    network = Network.read(shared_data / "chemistry" / name)
    network.write(tmp_path / "network.txt")
    again = Network.read(tmp_path / "network.txt")
    assert again == network and again.species == network.species
    assert again.report.source == "network.txt (table)"


def test_short_forms(tmp_path):
    path = text(
        tmp_path,
        "# a comment",
        "#  and one more -> with an arrow",
        "",
        "H2 + CRP -> H2+ + e- | CosmicRay 0.9",
        "#CO + PHOTON -> CO | Photo 1e-10 gamma=2",
        "H + e- -> H- | Arrhenius 1d-16 | 10 inf | clamp | here",
        "H + H -> H2 | GrainH2",
    )
    found = Network.read(path).reactions
    assert [r.law for r in found] == [CosmicRay(0.9), Photo(1e-10, 2), Arrhenius(1e-16), GrainH2()]
    assert found[1].reactants == ("#CO",) and found[1].where == "network.txt:6"
    assert (found[2].t_min, found[2].t_max, found[2].outside) == (10.0, float("inf"), "clamp")
    assert found[2].where == "here"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("H + H -> H2 | Arhenius 1", r"'Arhenius' is no law; the laws are Arrhenius"),
        ("H + H -> H2 | Arrhenius", r"Arrhenius needs alpha, too"),
        ("H + H -> H2 | Arrhenius 1 2 3 4", r"takes alpha, beta, gamma once, and not 'one more'"),
        ("H + H -> H2 | Arrhenius 1 alpha=2", r"and not 'alpha'"),
        ("H + H -> H2 | Arrhenius 1 delta=2", r"and not 'delta'"),
        ("H + H -> H2 | Arrhenius one", r"alpha: 'one' is no number"),
        ("H + H -> H2 | Arrhenius 1 | 10", r"written 'T_min T_max'"),
        ("H + H -> H2 | Arrhenius 1 | 10 x", r"'x' is no number"),
        ("H + H -> H2 | Arrhenius 1 | 10 20 | never", r"outside='never'"),
        ("H + H -> H2 | Arrhenius 1 | | | a | b", r"6 fields where there are at most 5"),
        ("H + H = H2 | Arrhenius 1", r"a reaction is written"),
        ("H + H -> H3 | Arrhenius 1", r"does not conserve H \(\+2 -> \+3\)"),
        ("@var 2x = 3", r"a variable is written"),
        ("@function f x = 3", r"a function is written"),
    ],
)
def test_malformed_lines_are_named(tmp_path, line, message):
    with pytest.raises(ValueError, match=message) as caught:
        Network.read(text(tmp_path, "O + H -> OH | Arrhenius 1", line))
    assert str(caught.value).startswith("network.txt:3: ") and "\n" not in str(caught.value)
    assert repr(line) in str(caught.value)


def test_references_that_would_be_misread_are_refused(tmp_path):
    law = Troe(1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
    network = Network([Reaction(("H", "H"), ("H2",), law, where="a | b")])
    with pytest.raises(ValueError, match=r"where='a \| b'"):
        network.write(tmp_path / "network.txt")
