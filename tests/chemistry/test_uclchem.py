"""UCLCHEM's format: processes, charges of what freezes out, and bad lines."""

import pytest

from simulators.chemistry import (
    Arrhenius,
    CosmicRay,
    CosmicRayDesorption,
    CosmicRayPhoton,
    FreezeOut,
    GrainH2,
    IonPolar1,
    Network,
    Photo,
    ThermalDesorption,
)

pytestmark = pytest.mark.smoke

HEAD = (
    "REACTANT 1,REACTANT 2,REACTANT 3,PRODUCT 1,PRODUCT 2,PRODUCT 3,PRODUCT 4,ALPHA,BETA,GAMMA,"
    "T_MIN,T_MAX,REDUCED_MASS,EXTRAPOLATE"
)
MORE = "0.0,10000.0,0.0,False"
LINES = [
    "C,CRP,NAN,C+,E-,NAN,NAN,2.3e-17,0.0,0.0,10.0,41000.0,0.0,False",
    "#CO,CRPHOT,NAN,#C,#O,NAN,NAN,1.3e-17,1.17,105.0,10.0,41000.0,0.0,False",
    "HE,PHOTON,NAN,HE+,E-,NAN,NAN,1e-10,0.0,3.0,10.0,41000.0,0.0,False",
    "C,CO+,NAN,CO,C+,NAN,NAN,1.1e-10,0.0,0.0,10.0,300.0,0.0,False",
    "C+,NH3,NAN,HCNH+,H,NAN,NAN,1.0,1e-9,3.0,10.0,300.0,0.0,True".replace("NAN,HC", "IONOPOL1,HC"),
    f"CO,FREEZE,NAN,#CO,NAN,NAN,NAN,0.9,0.0,0.0,{MORE}",
    f"H3+,FREEZE,NAN,#H,#H2,NAN,NAN,1.0,1.0,0.0,{MORE}",
    f"H-,FREEZE,NAN,#H,NAN,NAN,NAN,1.0,0.0,0.0,{MORE}",
    f"E-,FREEZE,NAN,NAN,NAN,NAN,NAN,0.0,0.0,0.0,{MORE}",
    f"#CO,THERM,NAN,CO,NAN,NAN,NAN,1.0,0.0,1300.0,{MORE}",
    f"#CO,DESCR,NAN,CO,NAN,NAN,NAN,1.0,0.0,1300.0,{MORE}",
    f"H,H,H2FORM,H2,NAN,NAN,NAN,1.0,0.0,0.0,{MORE}",
    f"@CO,BULKSWAP,NAN,#CO,NAN,NAN,NAN,1.0,0.0,0.0,{MORE}",
    f"#CO,#OH,LH,#CO2,#H,NAN,NAN,1.0,0.0,0.0,{MORE}",
]


def read(tmp_path, *lines, **options):
    path = tmp_path / "reactions.csv"
    path.write_text("\n".join(lines))
    return Network.read(path, **options)


@pytest.mark.parametrize("head", [[HEAD], ["! a comment"]])
def test_processes(tmp_path, head):
    network = read(tmp_path, *head, *LINES)
    found = [r.law for r in network.reactions]
    mass = pytest.approx(28.01, abs=0.01)
    assert found[:5] == [
        CosmicRay(2.3e-17, 1.3e-17),
        CosmicRayPhoton(1.3e-17, 1.17, 105.0, 1.3e-17),
        Photo(1e-10, 3.0),
        Arrhenius(1.1e-10),
        IonPolar1(1.0, 1e-9, 3.0),
    ]
    assert (found[5].sticking, found[5].mass, found[5].charge) == (0.9, mass, 0.0)
    assert isinstance(found[6], FreezeOut) and found[6].charge == 1.0
    assert found[8:] == [
        ThermalDesorption(1300.0, found[5].mass),
        CosmicRayDesorption(1300.0, found[5].mass),
        GrainH2(3e-17),
    ]
    assert [r.outside for r in network.reactions[3:5]] == ["zero", "extrapolate"]
    ion, anion = network.reactions[6:8]
    assert (ion.reactants, ion.orders) == (("H3+", "e-"), ("H3+",))
    assert anion.products == ("#H", "e-")
    assert len(network.report.dropped) == 2 and len(network.report.notes) == 1
    assert "reactions.csv:14: left out, BULKSWAP is not read" in network.report.dropped[0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (LINES[0].replace("2.3e-17", "2.3e-x"), r"'2.3e-x' is no number"),
        (LINES[0].replace("C+", "CO+"), r"does not conserve O \(\+0 -> \+1\)"),
        (",".join(LINES[0].split(",")[:11]), r"11 fields where UCLCHEM has 12 or more"),
        (LINES[9].replace("#CO", "#Qq"), r"'#Qq' is no formula"),
        ("NAN,FREEZE" + LINES[5][9:], r"names no species that reacts"),
    ],
)
def test_malformed_lines_are_named(tmp_path, bad, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, *LINES[:4], bad)
    assert str(caught.value).startswith("reactions.csv:5: ") and "\n" not in str(caught.value)


def test_unbalanced_lines_may_be_left_out(tmp_path):
    bad = f"#HSIO,DESCR,NAN,SIOH+,NAN,NAN,NAN,1.0,0.0,3600.0,{MORE}"
    report = read(tmp_path, *LINES[:4], bad, unbalanced="drop").report
    assert "does not conserve charge (+0 -> +1)" in report.dropped[0]
