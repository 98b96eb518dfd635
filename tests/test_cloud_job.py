"""`jaxastro cloud` at reduced size: a network and abundances to a posterior; bad input."""

import json

import numpy as np
import pytest

from jaxastro.cli import main
from jaxastro.core import SamplePosterior
from tests.notebook import figures_of

pytestmark = pytest.mark.usefixtures("a_users_settings")
# As the notebook's, which then finds the job's compiled programs.
SPECIES = "H,H2,H+,H2+,H3+,C,C+,CO,HCO+,O,OH,OH+,H2O+,H3O+,H2O,e-"
QUICK = [
    *("--chains", "2", "--warmup", "20", "--draws", "20"),
    *("--simulations", "100", "--follow", "HCO+", "--age", "3e5", "--species", SPECIES),
]


@pytest.fixture
def network(shared_data):
    return shared_data / "chemistry" / "umist_rate12.csv"


@pytest.fixture
def observed(tmp_path):
    path = tmp_path / "observed.csv"
    values = {"CO": -5.0, "HCO+": -8.7, "OH": -7.0, "C": -4.3, "C+": -7.0, "H3+": -8.2}
    rows = [f"{name},{value},0.2,False" for name, value in values.items()] + ["H2O,-6.5,0.2,True"]
    path.write_text("species,log10_x,sigma,upper\n" + "\n".join(rows) + "\n")
    return path


def test_command_makes_a_posterior_and_resumes(network, observed, tmp_path, capsys):
    command = ["cloud", str(network), "--observed", str(observed), "--out", str(tmp_path)]
    # Twenty draws cannot have converged: the job says so and returns 1.
    assert main([*command, *QUICK]) == 1
    said = capsys.readouterr()
    assert "NOT converged" in said.out and "NPE against NUTS" in said.out
    names = ("posterior.nc", "npe_draws.npz", "abundances.ecsv", "chemistry.txt", "summary.txt")
    figures = [f"{name}.{end}" for name in ("corner", "abundances") for end in ("png", "pdf")]
    assert all((tmp_path / name).stat().st_size > 0 for name in (*names, *figures))
    chemistry = (tmp_path / "chemistry.txt").read_text()
    assert "%  H3+ + CO -> HCO+ + H2" in chemistry and "%  HCO+ + e- -> CO + H" in chemistry
    assert "d ln HCO+ / d ln k" in chemistry
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert 0.4 <= summary["c2st_npe_nuts"] <= 1.0
    first = SamplePosterior.load(tmp_path / "posterior.nc").draws["log10_zeta"]
    assert first.shape == (2, 20) and -18.5 < first.mean() < -15.0

    assert main([*command, *QUICK]) == 1
    again = SamplePosterior.load(tmp_path / "posterior.nc").draws["log10_zeta"]
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--observed", "none.csv"], "none.csv: no such file"),
        (["--n-H", "-1"], "`n_H` = -1.0"),
        (["--follow", "HCO"], "'HCO' is not in the network"),
        (["--observed", "ammonia.csv"], "'NH3' is not in the network"),
        (["--species", "H2,XY7"], "XY7"),
    ],
)
def test_bad_input_is_one_line(network, tmp_path, monkeypatch, capsys, options, said):
    """Before anything is computed or written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ammonia.csv").write_text("species,log10_x,sigma\nNH3,-8.0,0.2\n")
    command = ["cloud", str(network), "--species", SPECIES, "--out", str(tmp_path / "out")]
    assert main([*command, *options]) == 2
    assert not (tmp_path / "out").exists()
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in error


def test_no_network(tmp_path, capsys):
    assert main(["cloud", str(tmp_path / "none.csv"), "--out", str(tmp_path)]) == 2
    assert "no such file, and not 'compact'" in capsys.readouterr().err


@pytest.mark.slow
def test_notebook(monkeypatch):
    """After the command, whose compiled programs it finds in the cache."""
    assert figures_of("cloud", monkeypatch) == 4
