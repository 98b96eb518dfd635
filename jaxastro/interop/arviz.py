"""Posteriors to and from ArviZ, 0.x (`InferenceData`) and 1.x (`DataTree`)."""

import json
import os
from pathlib import Path

import numpy as np

from ..core import SamplePosterior


def to_arviz(posterior):
    """An ArviZ InferenceData (0.x) or an xarray DataTree (1.x), whichever is installed.

    Units and labels are attributes of the variables, the sampler's notes of the group.
    """
    import arviz

    groups = _groups(posterior)
    if int(arviz.__version__.split(".")[0]) == 0:
        return arviz.InferenceData(**groups)
    return _tree(groups)


def from_arviz(data):
    """A `SamplePosterior` from an InferenceData or DataTree with a posterior group."""
    present = data.groups() if callable(data.groups) else [g.strip("/") for g in data.groups]
    if "posterior" not in present:
        raise ValueError(f"no posterior group in this ArviZ data; it has {list(present)}.")
    group = data["posterior"]
    stats = data["sample_stats"].data_vars if "sample_stats" in present else {}
    variables = {name: _draws(v) for name, v in group.data_vars.items()}
    return SamplePosterior(
        variables,
        {name: _draws(v) for name, v in stats.items()},
        units={k: v.attrs["units"] for k, v in group.data_vars.items() if "units" in v.attrs},
        labels={k: v.attrs["label"] for k, v in group.data_vars.items() if "label" in v.attrs},
        attrs=json.loads(group.attrs.get("jaxastro", "{}")),
    )


def save_netcdf(posterior, path):
    """Write netCDF as ArviZ lays it out; a temporary file is renamed into place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # xarray alone writes the groups that both generations of ArviZ read: seconds of import
        # less than ArviZ.
        _tree(_groups(posterior)).to_netcdf(partial, engine="h5netcdf")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path


def load_netcdf(path):
    """Read a posterior from an ArviZ netCDF file."""
    import xarray

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no posterior file {str(path)!r}; check the path.")
    try:
        tree = xarray.open_datatree(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} is no ArviZ netCDF file, or is damaged: {error}"
        ) from error
    with tree:
        return from_arviz(tree.load())


def _draws(variable):
    return np.asarray(variable.transpose("chain", "draw", ...).values)


def _tree(groups):
    import xarray

    return xarray.DataTree.from_dict({f"/{name}": dataset for name, dataset in groups.items()})


def _groups(posterior):
    groups = {"posterior": _dataset(posterior.draws, posterior)}
    groups["posterior"].attrs["jaxastro"] = json.dumps(posterior.attrs)
    if posterior.sample_stats:
        groups["sample_stats"] = _dataset(posterior.sample_stats)
    for dataset in groups.values():
        dataset.attrs["inference_library"] = "jaxastro"
    return groups


def _dataset(arrays, posterior=None):
    import xarray

    variables = {}
    for name, value in arrays.items():
        dims = ["chain", "draw", *(f"{name}_dim_{i}" for i in range(value.ndim - 2))]
        attrs = {}
        if posterior is not None:
            attrs = {"units": posterior.units[name], "label": posterior.labels[name]}
        variables[name] = (dims, value, attrs)
    shape = next(iter(arrays.values())).shape
    coords = {"chain": np.arange(shape[0]), "draw": np.arange(shape[1])}
    return xarray.Dataset(variables, coords)
