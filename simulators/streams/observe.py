"""A file -> an observation of a stream; never a download.

`read_track` and `sample_track` make an observation from a fitted curve, `read_measurements` from a
table of binned measurements.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from simulators.shared.fields import as_float
from simulators.streams.frames import GD1, GreatCircleFrame, icrs_to_stream
from simulators.streams.tables import (
    galstreams_track,
    load_table,
    pick_columns,
    read_columns,
)

OBSERVABLES = ("phi2", "distance", "pm_phi1_cosphi2", "pm_phi2", "radial_velocity")
_ICRS = ("ra", "dec", "distance", "pm_ra_cosdec", "pm_dec", "radial_velocity")


class Track(eqx.Module):
    """A curve fitted to a stream, without uncertainties.

    Attributes:
        phi1: increasing positions [deg], shape (n,).
        values: observables along them, shape (M, n), in deg, kpc, mas/yr, km/s.
        names: the observables' names (static).
    """

    phi1: Float[Array, " n"] = eqx.field(converter=as_float)
    values: Float[Array, "M n"] = eqx.field(converter=as_float)
    names: tuple[str, ...] = eqx.field(static=True)


class TrackMeasurements(eqx.Module):
    """Measured track of a stream: what a simulator of tracks is compared with.

    Attributes:
        phi1: positions [deg], increasing, shape (K,).
        value: measured observables, shape (M, K), in deg, kpc, mas/yr, km/s.
        sigma: their standard errors, shape (M, K); 1 where missing.
        mask: True where measured, shape (M, K).
        names: the observables' names (static).
    """

    phi1: Float[Array, " K"] = eqx.field(converter=as_float)
    value: Float[Array, "M K"] = eqx.field(converter=as_float)
    sigma: Float[Array, "M K"] = eqx.field(converter=as_float)
    mask: Bool[Array, "M K"] = eqx.field(converter=jnp.asarray)
    names: tuple[str, ...] = eqx.field(static=True)

    def scaled(self, factor: float) -> "TrackMeasurements":
        """The same measurements with every standard error multiplied by `factor`."""
        return TrackMeasurements(self.phi1, self.value, self.sigma * factor, self.mask, self.names)

    def select(self, names: Sequence[str]) -> "TrackMeasurements":
        """Only the named observables, in that order."""
        rows = [_index(self.names, name) for name in names]
        take = np.array(rows, dtype=int)
        return TrackMeasurements(
            self.phi1, self.value[take], self.sigma[take], self.mask[take], tuple(names)
        )


def read_track(
    source: str | Path,
    frame: GreatCircleFrame = GD1,
    columns: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
) -> Track:
    """Read a fitted stream track from a table or from galstreams.

    Args:
        source: a file, or the name of a track of galstreams as "GD-1-I24".
        frame: the stream's frame, for tables in ICRS; all of galstreams' are.
        columns: our names -> column names, either `ra`, `dec` and any of distance, pm_ra_cosdec
            with pm_dec, radial_velocity, or `phi1` and any of `OBSERVABLES`. Left out, columns
            of these very names are looked for, ICRS first.
        units: our name -> unit, where the file states none or a wrong one.

    Observables that galstreams flags as unavailable, or fills with one number along the whole
    track (as the distance of "GD-1-I24", 1 kpc), are left out.

    Raises:
        FileNotFoundError: if there is neither such a file nor such a track.
        ValueError: if a column is missing, has a wrong unit or non-finite numbers, or phi1 is not
            monotonic.

    >>> import tempfile, pathlib
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "track.csv"
    >>> _ = file.write_text("phi1,phi2,radial_velocity\\n-10,0.1,50\\n0,0.2,10\\n")
    >>> read_track(file).names
    ('phi2', 'radial_velocity')
    """
    path = Path(source)
    if not path.is_file():
        if path.suffix in (".ecsv", ".fits", ".csv", ".dat", ".txt") or path.parent != Path("."):
            raise FileNotFoundError(
                f"source: no file {str(source)!r}; give an existing one or a galstreams name"
            )
        path = galstreams_track(str(source))
    table = load_table(path)
    if columns is None:
        columns = _own_columns(table)
    data = pick_columns(table, path.name, columns, units)
    for name, values in data.items():
        _finite(values, columns[name], path)
    if "ra" in data:
        data = _to_stream(data, frame, _flags(path))
    elif "phi1" not in data:
        raise ValueError(
            f"columns: expected 'phi1', or 'ra' and 'dec', got {sorted(columns)}; {path.name} has "
            f"{sorted(table)}"
        )
    names = tuple(n for n in OBSERVABLES if n in data)
    if not names:
        raise ValueError(f"columns: no observable; add one of {OBSERVABLES} to {sorted(columns)}")
    phi1 = data["phi1"]
    order = slice(None, None, -1) if phi1[0] > phi1[-1] else slice(None)
    _increasing(phi1[order], f"phi1 of {path.name}")
    return Track(phi1[order], np.stack([data[n][order] for n in names]), names)


def sample_track(
    track: Track, phi1: Sequence[float], sigma: Mapping[str, float | Sequence[float]]
) -> TrackMeasurements:
    """Choose positions along a fitted curve and give them stated uncertainties.

    Args:
        track: the curve; it is interpolated linearly.
        phi1: increasing positions within its range [deg], shape (K,).
        sigma: observable -> standard error, one number or shape (K,), > 0. Observables of the
            track without an entry are left out.

    Raises:
        ValueError: if a position is outside the track, the positions do not increase, or an
            uncertainty is not positive or belongs to no observable of the track.

    >>> track = Track([-10.0, 0.0], [[1.0, 2.0]], ("phi2",))
    >>> sample_track(track, [-5.0], {"phi2": 0.1}).value.tolist()
    [[1.5]]
    """
    phi1 = np.asarray(phi1, dtype=float)
    _increasing(phi1, "phi1")
    grid = np.asarray(track.phi1, dtype=float)
    if phi1[0] < grid[0] or phi1[-1] > grid[-1]:
        raise ValueError(
            f"phi1: [{phi1[0]:g}, {phi1[-1]:g}] leaves the track's range [{grid[0]:.2f}, "
            f"{grid[-1]:.2f}] deg; choose positions inside"
        )
    values, errors = [], []
    for name, error in sigma.items():
        row = np.asarray(track.values[_index(track.names, name)], dtype=float)
        values.append(np.interp(phi1, grid, row))
        errors.append(_positive(np.broadcast_to(np.asarray(error, float), phi1.shape), name))
    return _measurements(phi1, values, errors, tuple(sigma))


def read_measurements(
    path: str | Path,
    columns: Mapping[str, str],
    errors: Mapping[str, str],
    units: Mapping[str, str] | None = None,
    counts: str | None = None,
    allow_missing: bool = False,
) -> TrackMeasurements:
    """Read binned measurements of a track.

    Args:
        path: the table.
        columns: `phi1` and observables -> column names.
        errors: observables -> columns of their standard errors.
        units: our name -> unit, where the file states none or a wrong one; an error has its
            observable's.
        counts: column with the number of stars in each bin, if the file's errors are the scatter
            of single stars: the standard error is then the scatter / sqrt(counts). The binned
            track of Price-Whelan & Bonaca (2018), column n, is such a file.
        allow_missing: take a value that is NaN, or whose error is, as missing instead of raising.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a column is missing, in a wrong unit, non-finite, or an error or a count is
            not positive, or phi1 does not increase.
    """
    names = tuple(n for n in columns if n != "phi1")
    if "phi1" not in columns or not names or set(errors) != set(names):
        raise ValueError(
            "columns and errors: expected 'phi1' and the same observables in both, got "
            f"{sorted(columns)} and {sorted(errors)}"
        )
    all_columns = dict(columns) | {f"error of {n}": errors[n] for n in names}
    quantities = {f"error of {n}": n for n in names}
    stated = dict(units or {})
    stated |= {f"error of {n}": stated[n] for n in names if n in stated}
    if counts is not None:
        all_columns["counts"] = counts
    data = read_columns(path, all_columns, stated, quantities)
    path = Path(path)
    for name, values in data.items():
        if not allow_missing or name in ("phi1", "counts"):
            _finite(values, all_columns[name], path)
        elif np.any(np.isinf(values)):
            raise ValueError(f"column {all_columns[name]!r} of {path.name}: infinite; use NaN")
    _increasing(data["phi1"], f"column {columns['phi1']!r} of {path.name}")
    scale = 1.0 if counts is None else np.sqrt(_positive(data["counts"], counts))
    sigma = [
        _positive(data[f"error of {n}"] / scale, f"error of {n} (column {errors[n]!r})")
        for n in names
    ]
    return _measurements(data["phi1"], [data[n] for n in names], sigma, names)


def _own_columns(present):
    """The columns of a table that carry our own names."""
    wanted = _ICRS if {"ra", "dec"} <= set(present) else ("phi1", *OBSERVABLES)
    return {n: n for n in wanted if n in present}


def _to_stream(data, frame, flags):
    """ICRS columns to the stream's frame, without observables that only hold a placeholder."""
    blank = np.zeros_like(data["ra"])
    sky = icrs_to_stream(*(data.get(n, blank) for n in _ICRS), frame=frame)
    there = {
        "distance": flags[1] != "0" and _varies(data.get("distance", blank)),
        "proper motion": flags[2] != "0" and {"pm_ra_cosdec", "pm_dec"} <= set(data),
        "radial_velocity": flags[3] != "0" and _varies(data.get("radial_velocity", blank)),
    }
    out = {"phi1": sky.phi1, "phi2": sky.phi2}
    if there["distance"]:
        out["distance"] = sky.distance
    if there["proper motion"]:
        out |= {"pm_phi1_cosphi2": sky.pm_phi1_cosphi2, "pm_phi2": sky.pm_phi2}
    if there["radial_velocity"]:
        out["radial_velocity"] = sky.radial_velocity
    return {n: np.asarray(v, dtype=float) for n, v in out.items()}


def _varies(values):
    return np.ptp(values) > 1e-6 * max(1.0, np.max(np.abs(values)))


def _flags(path):
    """galstreams' flags for sky, distance, proper motion, radial velocity: 0 is unavailable."""
    summary = path.with_name(path.name.removesuffix(".ecsv") + ".summary.ecsv")
    if not summary.is_file():
        return "1111"
    lines = [x for x in summary.read_text().splitlines() if x and not x.startswith("#")]
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=False))
    return row.get("InfoFlags", "1111").strip('"').zfill(4)


def _measurements(phi1, values, sigma, names):
    value, sigma = np.stack(values), np.stack(sigma)
    mask = np.isfinite(value) & np.isfinite(sigma)
    value, sigma = np.where(mask, value, 0.0), np.where(mask, sigma, 1.0)
    return TrackMeasurements(phi1, value, sigma, mask, names)


def _index(names, name):
    if name not in names:
        raise ValueError(f"observable {name!r}: not among those measured, {names}")
    return names.index(name)


def _positive(values, name):
    # NaN passes: whether one may be missing is decided elsewhere.
    if np.any(values <= 0):
        i = int(np.argmax(values <= 0))
        raise ValueError(f"{name}: expected > 0, got {values[i]:g} at index {i}")
    return values


def _finite(values, column, path):
    if not np.all(np.isfinite(values)):
        i = int(np.argmin(np.isfinite(values)))
        raise ValueError(
            f"column {column!r} of {path.name}: {values[i]} in row {i}; remove such rows, or read "
            "measurements with allow_missing=True"
        )


def _increasing(phi1, name):
    if phi1.ndim != 1 or phi1.size == 0:
        raise ValueError(f"{name}: expected at least one position, got shape {phi1.shape}")
    if not np.all(np.diff(phi1) > 0):
        i = int(np.argmin(np.diff(phi1) > 0))
        raise ValueError(
            f"{name}: expected increasing positions, got {phi1[i]:g} before {phi1[i + 1]:g} at "
            f"index {i}; sort them and drop repeats"
        )
