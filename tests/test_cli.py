"""The command line: the main job at reduced size, and what it says of bad input."""

import json

import numpy as np
import pytest

from jaxastro.cli import main
from jaxastro.core import SamplePosterior

QUICK = [
    "--particles",
    "16",
    "--step",
    "16",
    "--age",
    "600",
    "--starts",
    "2",
    "--warmup",
    "5",
    "--draws",
    "10",
    "--chains",
    "2",
]


@pytest.fixture(autouse=True)
def _flags(monkeypatch):
    """Else the command's own option of XLA, which compiles longer, would stay for other tests."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")


def test_missing_table_is_one_line(tmp_path, capsys):
    assert main(["gd1", "--out", str(tmp_path), "--track", str(tmp_path / "none.csv")]) == 2
    said = capsys.readouterr().err.strip()
    assert "none.csv" in said and "\n" not in said


def test_table_without_errors_names_the_columns(tmp_path, capsys):
    table = tmp_path / "track.csv"
    table.write_text("phi1,phi2\n-20,0.1\n-10,0.2\n")
    assert main(["gd1", "--out", str(tmp_path), "--track", str(table)]) == 2
    said = capsys.readouterr().err.strip()
    assert "phi2_error" in said and "\n" not in said


@pytest.mark.parametrize("bad", [["--draws", "0"], ["--chains", "-1"], ["--draws", "many"]])
def test_bad_counts_are_refused(bad, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["gd1", *bad])
    assert stop.value.code == 2
    assert bad[0] in capsys.readouterr().err


def test_main_job_writes_everything_and_resumes(tmp_path, capsys):
    table = tmp_path / "track.csv"
    rows = [
        (p, 0.3 - 0.001 * (p + 40.0) ** 2, -13.2 + 0.001 * (p + 40.0) ** 2) for p in (-50, -40, -30)
    ]
    lines = [f"{p},{a},0.1,{b},0.1" for p, a, b in rows]
    header = "phi1,phi2,phi2_error,pm_phi1_cosphi2,pm_phi1_cosphi2_error"
    table.write_text("\n".join([header, *lines]) + "\n")
    out = tmp_path / "out"
    command = ["gd1", "--out", str(out), "--track", str(table), "--no-doubled", *QUICK]
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
    table.write_text("\n".join([header, *lines[:-1]]) + "\n")
    assert main(command) == 2
    assert "--fresh" in capsys.readouterr().err
