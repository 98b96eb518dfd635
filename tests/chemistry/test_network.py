"""Networks: what a reaction must conserve, entries of one reaction, parts of a network."""

import math
from itertools import pairwise

import pytest

from simulators.chemistry import Arrhenius, CosmicRay, GrainH2, Network, Photo, Reaction
from simulators.chemistry.report import beside

pytestmark = pytest.mark.smoke

LAW = Arrhenius(1e-10)


def entry(t_min, t_max, alpha=1e-10, **more):
    return Reaction(("H", "CH"), ("C", "H2"), Arrhenius(alpha), t_min, t_max, **more)


def test_names_become_canonical_and_pseudo_species_go():
    reaction = Reaction(("HE", "CRP"), ("HE+", "E-"), CosmicRay(0.5))
    assert (reaction.reactants, reaction.products) == (("He",), ("He+", "e-"))


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ((("C", "O"), ("CO", "H")), r"H \(\+0 -> \+1\)"),
        ((("C+", "O"), ("CO",)), r"charge \(\+1 -> \+0\)"),
        ((("H2", "e-"), ("H", "H-", "H")), r"H \(\+2 -> \+3\)"),
        (((), ("CO",)), "no reactant"),
    ],
)
def test_what_is_not_conserved_is_named(sides, message):
    with pytest.raises(ValueError, match=message) as caught:
        Reaction(*sides, LAW, where="file:7")
    assert str(caught.value).startswith("file:7: ") and "\n" not in str(caught.value)


def test_bad_ranges_and_policies_are_named():
    with pytest.raises(ValueError, match=r"300 to 10 K; give t_min <= t_max"):
        entry(300.0, 10.0)
    with pytest.raises(ValueError, match=r"outside='guess'"):
        entry(10.0, 300.0, outside="guess")


@pytest.mark.parametrize(
    ("ranges", "used"),
    [
        # gaps and what is outside go to the nearest
        ([(10, 300), (301, 1000)], [(0, 300.5), (300.5, float("inf"))]),
        ([(300, 1000), (10, 300)], [(300, float("inf")), (0, 300)]),
        # the terms of a sum
        ([(10, 300), (10, 300)], [(0, float("inf"))] * 2),
        ([(10, 50), (10, 50), (50, 90)], [(0, 50), (0, 50), (50, float("inf"))]),
        # where ranges overlap both count
        ([(10, 300), (200, 1000)], [(0, 300), (200, float("inf"))]),
        ([(10, 300), (20, 200), (500, 900)], [(0, 400), (20, 200), (400, float("inf"))]),
    ],
)
def test_entries_share_the_temperatures_out(ranges, used):
    network = Network([entry(*r, alpha=i + 1.0) for i, r in enumerate(ranges)])
    (found,) = network.report.duplicates
    assert found.used == tuple(used) and found.entries == tuple(range(len(ranges)))
    spans = sorted(used)
    assert found.summed == any(a[1] > b[0] for a, b in pairwise(spans)) and not found.alike


def test_entries_that_end_with_their_range():
    only = Network([entry(10.0, 300.0, outside="zero"), entry(300.0, 900.0, outside="zero below")])
    assert only.report.duplicates[0].used == ((10.0, 300.0), (300.0, float("inf")))
    (table,) = Network([entry(10.0, 300.0, outside="zero")] * 2).report.duplicates
    assert table.used[0] == (10.0, beside(300.0, math.inf))


def test_processes_are_told_apart_and_alike_entries_found():
    ionised = [Reaction(("C",), ("C+", "e-"), law) for law in (CosmicRay(1.0), Photo(3e-10, 3.0))]
    assert not Network(ionised).report.duplicates
    (found,) = Network([entry(10, 300), entry(10, 300)]).report.duplicates
    assert found.alike and "added up 0: 0-inf K, 1: 0-inf K; two are alike" in str(found)


@pytest.fixture
def small():
    return Network(
        [
            Reaction(("H", "H"), ("H2",), GrainH2()),
            Reaction(("H2",), ("H2+", "e-"), CosmicRay(0.9)),
            Reaction(("H2+", "e-"), ("H", "H"), LAW),
            Reaction(("C", "O"), ("CO",), LAW),
            Reaction(("C", "H2"), ("CH", "H"), LAW),
        ]
    )


def test_parts_of_a_network(small):
    assert small.species == ("H", "H2", "H2+", "e-", "C", "O", "CO", "CH")
    assert small.sub(elements=["H"]).species == ("H", "H2", "H2+", "e-")
    assert len(small.sub(species=["C", "O", "CO", "H2"]).reactions) == 1
    assert len(small.sub(species=["H", "H2"]).reactions) == 1
    assert len(small.sub(species=["C", "O", "CO", "H"], elements=["C", "O"]).reactions) == 1
    assert small.making("H") == [2, 4] and small.destroying("H2") == [1, 4]
    assert small.reactions[0].orders == ("H",) and small.reactions[2].orders == ("H2+", "e-")
    with pytest.raises(ValueError, match=r"no species 'N2' among its 8"):
        small.sub(species=["N2"])
    with pytest.raises(ValueError, match=r"no species holds elements \['N'\]"):
        small.sub(elements=["H", "N"])
    with pytest.raises(ValueError, match="no reaction"):
        small.sub(species=["C"])


def test_networks_add_up(small):
    reactions = [Reaction(("CH", "O"), ("CO", "H"), LAW)]
    more = small + reactions
    assert more.reactions[:-1] == small.reactions and more.report.reactions == 6
    assert (small + small.sub(elements=["C", "O"])).report.duplicates[0].alike
    clash = Network(small.reactions, definitions={"a": "1"})
    with pytest.raises(ValueError, match=r"both define \['a'\]"):
        clash + Network(small.reactions, definitions={"a": "2"})
