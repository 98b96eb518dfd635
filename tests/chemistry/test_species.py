"""Names of species: what they are made of, in every spelling of the databases."""

import pytest

from simulators.chemistry.species import pseudo, species, totals

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("name", "canonical", "elements", "charge"),
    [
        ("HCO+", "HCO+", {"H": 1, "C": 1, "O": 1}, 1),
        ("C10H2+", "C10H2+", {"C": 10, "H": 2}, 1),
        ("HE+", "He+", {"He": 1}, 1),
        ("SIC2H3+", "SiC2H3+", {"Si": 1, "C": 2, "H": 3}, 1),
        ("CCL", "CCl", {"C": 1, "Cl": 1}, 0),
        ("CO", "CO", {"C": 1, "O": 1}, 0),
        ("Co", "Co", {"Co": 1}, 0),
        ("CS", "CS", {"C": 1, "S": 1}, 0),
        ("HNSI", "HNSi", {"H": 1, "N": 1, "Si": 1}, 0),
        ("HNC", "HNC", {"H": 1, "N": 1, "C": 1}, 0),
        ("NaCl", "NaCl", {"Na": 1, "Cl": 1}, 0),
        ("AlCl2", "AlCl2", {"Al": 1, "Cl": 2}, 0),
        ("CH3OCH3", "CH3OCH3", {"C": 2, "H": 6, "O": 1}, 0),
        ("(CH3)2CO", "(CH3)2CO", {"C": 3, "H": 6, "O": 1}, 0),
        ("c-C3H2+", "c-C3H2+", {"C": 3, "H": 2}, 1),
        ("H2D+", "H2D+", {"H": 2, "D": 1}, 1),
        ("[13C]O", "[13C]O", {"13C": 1, "O": 1}, 0),
        ("Si++", "Si++", {"Si": 1}, 2),
        ("H2*", "H2*", {"H": 2}, 0),
        ("E-", "e-", {}, -1),
        ("E", "e-", {}, -1),
        ("GRAIN0", "GRAIN", {"GRAIN": 1}, 0),
        ("GRAIN-", "GRAIN-", {"GRAIN": 1}, -1),
        ("PAHH", "PAHH", {"PAH": 1, "H": 1}, 0),
    ],
)
def test_elements_and_charge(name, canonical, elements, charge):
    found = species(name)
    assert (found.name, dict(found.elements), found.charge) == (canonical, elements, charge)
    assert found.phase == "gas"
    assert species(found.name) == found


@pytest.mark.parametrize(
    ("name", "canonical", "phase"),
    [
        ("#CO", "#CO", "surface"),
        ("JCO", "#CO", "surface"),
        ("gCO", "#CO", "surface"),
        ("CO_ice", "#CO", "surface"),
        ("@CO", "@CO", "bulk"),
        ("#HCO", "#HCO", "surface"),
    ],
)
def test_ices(name, canonical, phase):
    found = species(name)
    assert (found.name, found.phase, found.mass) == (
        canonical,
        phase,
        species(canonical[1:]).mass,
    )


def test_pseudo_species_are_none():
    assert [pseudo(n) for n in ("CRP", "CR", "CRPHOT", "PHOTON", "Photon", "g", "M")] == [
        "cosmic ray",
        "cosmic ray",
        "cosmic-ray photon",
        "photon",
        "photon",
        "photon",
        "third body",
    ]
    assert not any(map(pseudo, ("C", "Mg", "H", "GRAIN0", "e-", "G")))


@pytest.mark.parametrize("name", ["XH", "C(H", "CH)", "H2o", "C?", "+", "", "2C", "nonsense"])
def test_what_is_no_formula_is_named(name):
    with pytest.raises(ValueError, match=r"^species: .*(no formula|has no formula)") as caught:
        species(name)
    assert repr(name) in str(caught.value)


def test_totals_and_masses():
    assert totals(["H3+", "CO"]) == {"H": 3, "C": 1, "O": 1, "charge": 1}
    assert species("H2O").mass == pytest.approx(18.015, abs=1e-3)
    assert species("e-").mass == pytest.approx(1 / 1822.888, rel=1e-4)
