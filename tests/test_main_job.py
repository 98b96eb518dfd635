"""The main job at reduced size, from the command line and from its notebook.

In one file, so in one process after the other: what the first compiles, half a minute of it, the
second finds in the cache. For that sizes, XLA's options and JAX's settings are the same in both.
"""

import json

import numpy as np
import pytest

from jaxastro.cli import main
from jaxastro.core import SamplePosterior
from simulators.streams.gd1 import GD1_PHI1, GD1_SIGMA
from simulators.streams.observe import OBSERVABLES
from tests.notebook import DATA, figures_of

pytestmark = pytest.mark.usefixtures("a_users_settings")
QUICK = (
    "--particles 16 --step 16 --age 600 --starts 2 --warmup 5 --draws 10 --chains 2 --no-doubled"
)


def test_command_writes_everything_and_resumes(tmp_path, capsys):
    x = np.asarray(GD1_PHI1) + 40.0
    middle = {
        "phi2": 0.3 - 1e-3 * x**2,
        "distance": 7.7 + 1e-3 * x**2,
        "pm_phi1_cosphi2": -13.2 + 2.5e-3 * x**2,
        "pm_phi2": -3.4 + 0.025 * x,
        "radial_velocity": -10.0 - 6.5 * x,
    }
    columns = {"phi1": np.asarray(GD1_PHI1)}
    for name in OBSERVABLES:
        columns |= {name: middle[name], f"{name}_error": np.full(x.size, GD1_SIGMA[name])}
    rows, header = np.stack(list(columns.values()), axis=1), ",".join(columns)
    table, out = tmp_path / "track.csv", tmp_path / "out"
    np.savetxt(table, rows, delimiter=",", header=header, comments="")
    command = ["gd1", "--out", str(out), "--track", str(table), *QUICK.split()]
    # Ten draws cannot have converged: the job says so and returns 1.
    assert main(command) == 1
    said = capsys.readouterr()
    assert "NOT converged" in said.out and "Malhan & Ibata 2019" in said.out
    names = ("posterior.nc", "summary.txt", "corner.png", "corner.pdf", "stream.png", "stream.pdf")
    assert all((out / name).stat().st_size > 0 for name in names)
    assert json.loads((out / "summary.json").read_text())["converged"] is False

    first = SamplePosterior.load(out / "posterior.nc")
    assert main(command) == 1
    assert "taken from the earlier run" in capsys.readouterr().err
    again = SamplePosterior.load(out / "posterior.nc")
    for name in first.names:
        np.testing.assert_array_equal(first.draws[name], again.draws[name])

    # Other data must not be mixed with what an earlier run left.
    np.savetxt(table, rows[:-1], delimiter=",", header=header, comments="")
    assert main(command) == 2
    assert "--fresh" in capsys.readouterr().err


@pytest.mark.slow
def test_notebook(monkeypatch):
    # Two figures are of measurements that the notebook finds, or says that it lacks.
    assert figures_of("gd1", monkeypatch) == (4 if DATA.is_dir() else 2)
