"""The notebooks run from end to end at reduced size."""

from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data" / "streams"
# Without the shared data and with them: two figures are of measurements that a notebook finds, or
# says that it lacks.
FIGURES = {"gd1": (2, 4), "gd1_sbi": (2, 2)}
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, monkeypatch):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("galstreams", reason="its tracks are the notebook's data")
    pytest.importorskip("h5py", reason="the candidate stars are HDF5")
    monkeypatch.setenv("JAXASTRO_QUICK", "1")
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3")
    client.execute()
    figures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(figures) == FIGURES[path.stem][DATA.is_dir()]
