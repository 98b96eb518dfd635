"""The notebooks run from end to end at reduced size.

`gd1`, `lens` and `cloud` do so beside their jobs, in `test_main_job`, `test_lens_job` and
`test_cloud_job`.
"""

import pytest

from tests.notebook import FOLDER, figures_of

FIGURES = {"gd1_sbi": 2}


def test_every_notebook_is_run():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {"gd1", "lens", "cloud", *FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_notebook_runs(name, monkeypatch):
    assert figures_of(name, monkeypatch) == FIGURES[name]
