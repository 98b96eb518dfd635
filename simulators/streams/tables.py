"""Columns of a file as plain arrays in the units of observers; nothing is ever downloaded.

astropy and h5py are imported when a file is read, not before.
"""

import importlib.util
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

import numpy as np

#: The unit that each observable is turned into, and taken to be in where a file states none.
UNITS = {
    "ra": "deg",
    "dec": "deg",
    "phi1": "deg",
    "phi2": "deg",
    "distance": "kpc",
    "pm_ra_cosdec": "mas / yr",
    "pm_dec": "mas / yr",
    "pm_phi1_cosphi2": "mas / yr",
    "pm_phi2": "mas / yr",
    "radial_velocity": "km / s",
}
_FORMATS = {
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".fit": "fits",
    ".csv": "ascii.csv",
    ".vot": "votable",
}


def read_columns(
    path: str | Path,
    columns: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    quantities: Mapping[str, str] | None = None,
) -> dict[str, np.ndarray]:
    """Read columns of a table: ECSV, FITS, CSV, VOTable, plain text with a header, pandas HDF5.

    Args:
        path: the file; its ending chooses the format, any other ending is read as text.
        columns: our name -> column name in the file.
        units: our name -> unit of the file, in place of the one that the file states. Without
            either, the column is taken to be in the unit of `UNITS`.
        quantities: our name -> entry of `UNITS` that says which unit to turn it into, where it
            differs from the name; names without an entry in either come back as they are.

    Returns:
        our name -> array of floats; masked entries are NaN.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read, is empty, lacks a column, or has one that is not
            numeric or in an incompatible unit.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "stars.csv"
    >>> _ = file.write_text("phi,d\\n1.0,8000\\n2.0,8100\\n")
    >>> read_columns(file, {"phi1": "phi", "distance": "d"}, units={"distance": "pc"})["distance"]
    array([8. , 8.1])
    """
    return pick_columns(load_table(path), Path(path).name, columns, units, quantities)


def load_table(path: str | Path) -> dict:
    """All columns of a file: name -> (array, unit or None). Raises as `read_columns` does."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"path: no file {str(path)!r}; give the path of an existing table")
    return _read_hdf5(path) if path.suffix in (".h5", ".hdf5", ".hdf") else _read_astropy(path)


def pick_columns(table, file, columns, units=None, quantities=None) -> dict[str, np.ndarray]:
    """Columns of a loaded table in our units; arguments and errors as for `read_columns`."""
    units, quantities = units or {}, quantities or {}
    out = {}
    for name, column in columns.items():
        if column not in table:
            close = get_close_matches(column, table, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(
                f"columns[{name!r}]={column!r}: not in {file}, which has {sorted(table)}{hint}"
            )
        data, stated = table[column]
        if data.size == 0:
            raise ValueError(f"{file}: the table has no rows; give one with data")
        wanted = UNITS.get(quantities.get(name, name))
        out[name] = _convert(data, units.get(name, stated), wanted, column, file)
    return out


def galstreams_track(name: str) -> Path:
    """The file of a stream track that the installed package `galstreams` ships.

    Args:
        name: galstreams' name of the track, as "GD-1-I24", or its file's, as "GD-1.ibata2024".

    Raises:
        FileNotFoundError: if galstreams is not installed or has no such track.

    >>> galstreams_track("GD-1-I24").name  # doctest: +SKIP
    'track.st.GD-1.ibata2024.ecsv'
    """
    # Importing galstreams would import gala and more; only its data files are needed.
    spec = importlib.util.find_spec("galstreams")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(
            f"track {name!r}: the package galstreams is not installed; pip install galstreams, or "
            "give the path of a table"
        )
    root = Path(spec.submodule_search_locations[0])
    files = {}
    for file in (root / "tracks").glob("track.*.ecsv"):
        if not file.name.endswith(".summary.ecsv"):
            files[file.name.split(".", 2)[2].removesuffix(".ecsv")] = file
    by_name = dict(files)
    for line in (root / "lib" / "master_log.txt").read_text().splitlines():
        # Columns: kind, on, track name, stream, reference, ...
        words = line.split()
        if len(words) > 4 and f"{words[3]}.{words[4]}" in files:
            by_name[words[2]] = files[f"{words[3]}.{words[4]}"]
    if name not in by_name:
        stem = name.split("-")[0].split(".")[0]
        close = [k for k in sorted(by_name) if k.startswith(stem)] or get_close_matches(
            name, by_name, n=5, cutoff=0.4
        )
        raise FileNotFoundError(
            f"track {name!r}: galstreams has no such track; near it are {close}"
        )
    return by_name[name]


def _read_astropy(path):
    try:
        from astropy.table import Table
    except ImportError as error:
        raise ImportError("reading tables needs astropy: pip install astropy") from error
    try:
        table = Table.read(path, format=_FORMATS.get(path.suffix, "ascii"))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"path={str(path)!r}: cannot be read as a table: {reason}") from error
    out = {}
    for name in table.colnames:
        column = table[name]
        data = np.ma.asarray(getattr(column, "value", column))
        if data.dtype.kind in "fiub" and data.ndim == 1:
            data = np.ma.filled(data.astype(float), np.nan)
        out[name] = data, getattr(column, "unit", None)
    return out


def _read_hdf5(path):
    """The numeric blocks of pandas' "fixed" layout, by h5py: pandas itself may unpickle objects."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("reading HDF5 needs h5py: pip install h5py") from error
    out = {}
    try:
        with h5py.File(path) as file:
            for group in file.values():
                index = 0
                while isinstance(group, h5py.Group) and f"block{index}_values" in group:
                    block = group[f"block{index}_values"]
                    items = group[f"block{index}_items"][:]
                    if block.dtype.kind in "fiu":
                        for j, item in enumerate(items):
                            out[item.decode() if isinstance(item, bytes) else str(item)] = (
                                block[:, j].astype(float),
                                None,
                            )
                    index += 1
    except OSError as error:
        raise ValueError(f"path={str(path)!r}: cannot be read as HDF5: {error}") from error
    if not out:
        raise ValueError(
            f"path={str(path)!r}: no numeric table in pandas' 'fixed' layout; write the frame with "
            "DataFrame.to_hdf(..., format='fixed'), or as CSV"
        )
    return out


def _convert(data, stated, wanted, column, file):
    if data.dtype.kind != "f":
        raise ValueError(f"column {column!r} of {file}: expected numbers, got {data.dtype}")
    if wanted is None or stated is None or str(stated) == "":
        return data
    from astropy import units

    try:
        return np.asarray(units.Unit(stated).to(units.Unit(wanted), data))
    except (units.UnitConversionError, ValueError, TypeError) as error:
        raise ValueError(
            f"column {column!r} of {file}: unit {str(stated)!r} cannot be turned into {wanted!r}; "
            "give the right column, or its unit by the argument units"
        ) from error
