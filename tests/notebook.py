"""A notebook run from end to end at reduced size."""

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
DATA = Path(__file__).parents[2] / "shared" / "data" / "streams"


def figures_of(name, monkeypatch):
    """Run a notebook, and count its figures; an error in a cell is raised."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("galstreams", reason="its tracks are the notebook's data")
    pytest.importorskip("h5py", reason="the candidate stars are HDF5")
    monkeypatch.setenv("JAXASTRO_QUICK", "1")
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    return sum("image/png" in output.get("data", {}) for output in outputs)
