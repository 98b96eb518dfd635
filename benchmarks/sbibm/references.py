"""The published observations and reference posteriors, read out of the `sbibm` wheel.

The wheel is downloaded, never installed: its requirements are many and old, and only its tables
are of use here.
"""

import bz2
import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

REMEDY = "get it with `pip download --no-deps sbibm==1.1.0` and give the path of the .whl file"


class References:
    """Observations, true parameters and posterior samples of the benchmark's tasks.

    `path` is the wheel, the folder it lies in, or the folder it was unzipped to. Arrays are
    float64; observations are numbered from 1 to 10.

    Raises FileNotFoundError where there is no wheel, ValueError where it is another archive, lacks
    the task or the observation, or a table in it is damaged.
    """

    def __init__(self, path):
        self.path = Path(path).expanduser()
        self._root = _tasks_folder(self.path)

    def observation(self, name, number):
        """The observation, shape (data,)."""
        return self._table(name, number, "observation.csv")[0]

    def true_parameters(self, name, number):
        """The parameters that made the observation, shape (D,)."""
        return self._table(name, number, "true_parameters.csv")[0]

    def posterior_samples(self, name, number):
        """Draws of the reference posterior, shape (10000, D)."""
        return self._table(name, number, "reference_posterior_samples.csv.bz2")

    def _table(self, name, number, file):
        path = self._root / name / "files" / f"num_observation_{number}" / file
        what = f"{file} of task {name!r}, observation {number},"
        if not path.is_file():
            raise ValueError(f"{what} is not in {self.path}: tasks have observations 1 to 10.")
        try:
            text = path.read_bytes()
            if file.endswith(".bz2"):
                text = bz2.decompress(text)
            table = np.loadtxt(io.BytesIO(text), delimiter=",", skiprows=1, ndmin=2)
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise ValueError(f"{what} is damaged in {self.path}: {REMEDY}.") from error
        if not np.isfinite(table).all():
            raise ValueError(f"{what} holds non-finite values: {REMEDY}.")
        return table


def _tasks_folder(path):
    if path.is_dir():
        wheels = sorted(path.glob("sbibm-*.whl"))
        if not (path / "sbibm" / "tasks").is_dir() and wheels:
            path = wheels[-1]
    if not path.exists():
        raise FileNotFoundError(f"no sbibm wheel at {path}: {REMEDY}.")
    if path.is_file():
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path} is no wheel (a zip archive): {REMEDY}.")
        path = zipfile.Path(path)
    folder = path / "sbibm" / "tasks"
    if not folder.is_dir():
        raise FileNotFoundError(f"{path} holds no sbibm/tasks: {REMEDY}.")
    return folder
