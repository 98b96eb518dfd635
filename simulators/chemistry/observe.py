"""A file -> observed abundances: a table of species with errors and upper limits."""

from pathlib import Path

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from simulators.chemistry.species import species
from simulators.shared.fields import as_float


class ObservedAbundances(eqx.Module):
    """Abundances per hydrogen nucleus, in decades: what a `Cloud` is compared with.

    Attributes:
        log10_x: measured logarithms, or where `upper` is true the upper limits, (N,).
        sigma: their standard errors [dex], (N,).
        upper: whether each is an upper limit, (N,).
        names: the species (static).

    Raises:
        ValueError: for shapes that differ, values that are not finite, errors that are not above
            zero, or a species that is named twice.

    >>> cloud = ObservedAbundances([-4.1, -8.0], [0.1, 0.3], [False, True], ("CO", "HCO+"))
    >>> cloud.log10_x.shape
    (2,)
    """

    log10_x: Float[Array, " N"] = eqx.field(converter=as_float)
    sigma: Float[Array, " N"] = eqx.field(converter=as_float)
    upper: Bool[Array, " N"] = eqx.field(converter=jnp.asarray)
    names: tuple[str, ...] = eqx.field(static=True, converter=tuple)

    def __check_init__(self):
        n = len(self.names)
        for name in ("log10_x", "sigma", "upper"):
            shape = jnp.shape(getattr(self, name))
            if shape != (n,):
                raise ValueError(
                    f"ObservedAbundances: {name} has shape {shape}; give ({n},), a value for each "
                    "of `names`."
                )
        if n == 0:
            raise ValueError("ObservedAbundances: no species; give one at least.")
        if len(set(self.names)) < n:
            twice = sorted({x for x in self.names if self.names.count(x) > 1})
            raise ValueError(f"ObservedAbundances: {', '.join(twice)} twice; combine them to one.")
        x, sigma = np.asarray(self.log10_x), np.asarray(self.sigma)
        for i, name in enumerate(self.names):
            if not np.isfinite(x[i]):
                raise ValueError(f"ObservedAbundances: log10_x of {name} is {x[i]}; leave it out.")
            if not (np.isfinite(sigma[i]) and sigma[i] > 0.0):
                raise ValueError(
                    f"ObservedAbundances: sigma of {name} is {sigma[i]} dex; give one above 0."
                )


def read_abundances(path: str | Path, per: str = "H") -> ObservedAbundances:
    """Read abundances from a table: ECSV, CSV, FITS or what else astropy reads.

    Columns `species`; `log10_x` and `sigma` [dex], or `x` and `x_err`, linear; and, where there
    are upper limits, `upper`, true or false. An error of a limit is how softly it cuts.

    Args:
        path: the table.
        per: what abundances are relative to, "H", the number of hydrogen nuclei, or "H2", which is
            half of it in a dark cloud.

    Raises:
        FileNotFoundError: for no such file.
        ValueError: for a table without rows or one of these columns, an unknown species, values
            that are not positive and finite; it names file, column, row and value.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cloud.csv"
    >>> _ = path.write_text("species,x,x_err,upper\\nCO,8e-5,2e-5,False\\nO2,1e-7,5e-8,True\\n")
    >>> cloud = read_abundances(path, per="H2")
    >>> cloud.names, cloud.upper.tolist(), round(float(cloud.log10_x[0]), 3)
    (('CO', 'O2'), [False, True], -4.398)
    """
    from astropy.table import Table

    if per not in ("H", "H2"):
        raise ValueError(f"read_abundances: per={per!r}; give 'H' or 'H2'.")
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        table = Table.read(path)
    except Exception as error:  # astropy's readers raise of all kinds
        raise ValueError(f"{path}: not a table that astropy can read: {error}") from None
    if len(table) == 0:
        raise ValueError(f"{path}: the table has no rows.")
    names = []
    for row, text in enumerate(_column(path, table, "species")):
        try:
            names.append(species(str(text).strip()).name)
        except ValueError as error:
            raise ValueError(f"{path}: species of row {row + 1}: {error}") from None
    if "log10_x" in table.colnames:
        x = _numbers(path, table, "log10_x", -np.inf)
        sigma = _numbers(path, table, "sigma", 0.0)
    else:
        linear = _numbers(path, table, "x", 0.0)
        sigma = _numbers(path, table, "x_err", 0.0) / linear / np.log(10.0)
        x = np.log10(linear)
    if per == "H2":
        x = x - np.log10(2.0)
    upper = np.zeros(len(table), bool)
    if "upper" in table.colnames:
        upper = np.array([_truth(path, row, v) for row, v in enumerate(table["upper"])])
    return ObservedAbundances(x, sigma, upper, tuple(names))


def _column(path, table, name):
    if name not in table.colnames:
        raise ValueError(f"{path}: no column {name!r}; it has {', '.join(table.colnames)}.")
    return table[name]


def _numbers(path, table, name, above):
    column = _column(path, table, name)
    values = []
    for row, value in enumerate(column):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = np.nan
        if not (np.isfinite(number) and number > above):
            bound = "" if above == -np.inf else f" above {above:g}"
            raise ValueError(
                f"{path}: {name} of row {row + 1} is {value}; give a finite number{bound}."
            )
        values.append(number)
    return np.array(values)


def _truth(path, row, value):
    text = str(value).strip().lower()
    if text in ("true", "1", "yes"):
        return True
    if text in ("false", "0", "no", ""):
        return False
    raise ValueError(f"{path}: upper of row {row + 1} is {text!r}; give true or false.")
