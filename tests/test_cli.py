"""The command line: what it says of bad input. What it does is in `test_main_job`."""

import pytest

from jaxastro.cli import main


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
