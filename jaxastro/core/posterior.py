"""What inference returns."""

import abc
import json

import equinox as eqx
import jax
import numpy as np


class AbstractPosterior(eqx.Module):
    """Something that can be sampled, and handed to ArviZ.

    A posterior whose density is known also has `log_prob(params)`.
    """

    @abc.abstractmethod
    def sample(self, key, n):
        """n draws: a dict of arrays with leading axis n."""

    @abc.abstractmethod
    def to_arviz(self):
        """An ArviZ InferenceData (0.x) or DataTree (1.x)."""


class SamplePosterior(AbstractPosterior):
    """Draws of several chains, with the sampler's statistics.

    `draws[name]` has shape (chain, draw, ...) and `sample_stats[name]` (chain, draw); `attrs` is
    whatever JSON holds (sampler, settings, versions). There is no `log_prob`: draws define no
    density. The file format is ArviZ netCDF.

    >>> import numpy as np
    >>> posterior = SamplePosterior({"x": np.zeros((2, 5))}, units={"x": "kpc"})
    >>> posterior.n_chains, posterior.n_draws, posterior.units["x"]
    (2, 5, 'kpc')
    """

    draws: dict[str, np.ndarray]
    sample_stats: dict[str, np.ndarray]
    _units: tuple[str, ...] = eqx.field(static=True)
    _labels: tuple[str, ...] = eqx.field(static=True)
    _attrs: str = eqx.field(static=True)

    def __init__(self, draws, sample_stats=None, *, units=None, labels=None, attrs=None):
        self.draws = {name: np.asarray(value) for name, value in draws.items()}
        self.sample_stats = {k: np.asarray(v) for k, v in (sample_stats or {}).items()}
        leading = {value.shape[:2] for value in [*self.draws.values(), *self.sample_stats.values()]}
        if len(leading) != 1 or len(next(iter(leading))) != 2:
            raise ValueError(
                "every array of a posterior needs the same leading (chain, draw); got "
                f"{ {k: v.shape for k, v in (self.draws | self.sample_stats).items()} }."
            )
        self._units = tuple((units or {}).get(name, "") for name in self.draws)
        self._labels = tuple((labels or {}).get(name, name) for name in self.draws)
        self._attrs = json.dumps(attrs or {})

    @property
    def names(self):
        """The parameters' names, in order."""
        return tuple(self.draws)

    @property
    def units(self):
        """Name -> unit string."""
        return dict(zip(self.draws, self._units, strict=True))

    @property
    def labels(self):
        """Name -> label string."""
        return dict(zip(self.draws, self._labels, strict=True))

    @property
    def attrs(self):
        """What the sampler noted: a dict."""
        return json.loads(self._attrs)

    @property
    def n_chains(self):
        """Number of chains."""
        return next(iter(self.draws.values())).shape[0]

    @property
    def n_draws(self):
        """Number of draws of each chain."""
        return next(iter(self.draws.values())).shape[1]

    @property
    def n_divergent(self):
        """Divergent transitions after warm-up, all chains together."""
        return int(np.sum(self.sample_stats.get("diverging", 0)))

    def flat(self):
        """The draws of all chains one after another: name -> (chain * draw, ...)."""
        return {k: v.reshape(-1, *v.shape[2:]) for k, v in self.draws.items()}

    def sample(self, key, n):
        """n draws with replacement, joint over the parameters."""
        total = self.n_chains * self.n_draws
        index = np.asarray(jax.random.randint(key, (n,), 0, total))
        return {name: value[index] for name, value in self.flat().items()}

    def to_arviz(self):
        """An ArviZ InferenceData (0.x) or DataTree (1.x)."""
        from ..interop.arviz import to_arviz

        return to_arviz(self)

    def save(self, path):
        """Write ArviZ netCDF; the file appears whole or not at all."""
        from ..interop.arviz import save_netcdf

        return save_netcdf(self, path)

    @classmethod
    def load(cls, path):
        """Read what `save` wrote (or any ArviZ netCDF with a posterior group)."""
        from ..interop.arviz import load_netcdf

        return load_netcdf(path)

    def summary(self):
        """The table of `jaxastro.diagnose.summary`."""
        from ..diagnose import summary

        return summary(self)
