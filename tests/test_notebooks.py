"""The notebooks: their imports exist; run from end to end at reduced size (`slow`).

`gd1`, `lens` and `cloud` are run beside their jobs, in `test_main_job`, `test_lens_job` and
`test_cloud_job`.
"""

import ast
import importlib
import json

import pytest

from tests.notebook import FOLDER, figures_of

FIGURES = {"gd1_sbi": 2}
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))


def test_every_notebook_is_run():
    assert set(NAMES) == {"gd1", "lens", "cloud", *FIGURES}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_notebook_imports_exists(name):
    cells = json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]
    found = 0
    for cell in cells:
        if cell["cell_type"] != "code":
            continue
        lines = [line for line in cell["source"] if not line.startswith("%")]
        for node in ast.walk(ast.parse("".join(lines))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith(("jaxastro", "simul")):
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names), ast.unparse(node)
                found += 1
    assert found > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_notebook_runs(name, monkeypatch):
    assert figures_of(name, monkeypatch) == FIGURES[name]
