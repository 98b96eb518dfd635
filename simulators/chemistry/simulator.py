"""A cloud as a simulator: from its conditions and its age to observed abundances."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxastro.core import AbstractTractableSimulator
from simulators.chemistry.conditions import Conditions
from simulators.chemistry.evolve import evolve, index_of
from simulators.chemistry.march import SUCCESS
from simulators.chemistry.observe import ObservedAbundances
from simulators.chemistry.rates import RateTable

#: Abundances below are no different from it [dex].
FLOOR = -30.0
_FIELDS = {f.name for f in dataclasses.fields(Conditions)} - {"extras"}


def _linear(params):
    """Parameters by their names without "log10_"."""
    values = {}
    for name, value in params.items():
        plain = name.removeprefix("log10_")
        if plain not in _FIELDS | {"age", "error"}:
            known = ", ".join(sorted(_FIELDS | {"age", "error"}))
            raise ValueError(f"Cloud: parameter {name!r}; give (log10_ and) one of {known}.")
        value = jnp.asarray(value)
        values[plain] = 10.0**value if plain != name else value
    return values


class Cloud(AbstractTractableSimulator):
    r"""Abundances of a cloud of one density that forms its molecules from its first moment on.

    With x the abundances of `evolve`, observed in decades with normal errors,

    .. math:: d_i = \log_{10} x_i(\theta) + \sigma_i \epsilon_i

    and for an upper limit L_i the observation is L_i where that is below it, so that its likelihood
    is :math:`\Phi([L_i - \log_{10} x_i] / \sigma_i)`.

    Parameters are those of `Conditions` by their names, or "log10_" before them, and the "age" [yr]
    or "log10_age"; what is no parameter is as in `conditions`. "error" is an error of the model
    [dex], added in quadrature to all errors.

    Attributes:
        table: the network's coefficients.
        conditions: of one cell.
        initial: abundances at age zero, in the order of the table's species, (S,): `initial_of`.
        observed: which species, their errors and limits.
        rtol: of the integration; with 1e-4 the abundances of RATE12 are right to 1e-4 dex.

    >>> import jax, jax.numpy as jnp
    >>> from simulators.chemistry import CosmicRay, Arrhenius, Network, Reaction
    >>> ionised = Reaction(("H", "CRP"), ("H+", "e-"), CosmicRay(0.5))
    >>> recombined = Reaction(("H+", "e-"), ("H",), Arrhenius(4e-12, -0.6))
    >>> table = RateTable.of(Network([ionised, recombined]))
    >>> seen = ObservedAbundances([-4.0], [0.1], [False], ("e-",))
    >>> cloud = Cloud(table, Conditions(100.0, 300.0), jnp.array([1.0, 0.0, 0.0]), seen)
    >>> params = {"log10_zeta": jnp.asarray(-16.7), "log10_age": jnp.asarray(7.0)}
    >>> round(float(cloud.predict(params)[0]), 2)
    -3.8
    """

    table: RateTable
    conditions: Conditions
    initial: Float[Array, " S"]
    observed: ObservedAbundances
    rtol: float = eqx.field(static=True, default=1e-4)

    def __check_init__(self):
        for name in self.observed.names:
            index_of(self.table.species, name)
        if self.conditions.cells != ():
            raise ValueError(
                f"Cloud: conditions of {self.conditions.cells} cells; give those of one."
            )

    def predict(self, params) -> Float[Array, " N"]:
        """log10 of the abundances of the observed species; NaN where the integration failed."""
        return self._predict(params)[0]

    def at(self, params) -> Conditions:
        """The conditions that parameters name."""
        values = _linear(params)
        return dataclasses.replace(
            self.conditions, **{name: v for name, v in values.items() if name in _FIELDS}
        )

    def _predict(self, params):
        age = _linear(params).get("age")
        if age is None:
            raise ValueError("Cloud: no parameter `age` or `log10_age`; give it [yr].")
        history = evolve(self.table, self.at(params), self.initial, age[None], rtol=self.rtol)
        at = np.array([index_of(self.table.species, name) for name in self.observed.names])
        good = history.result == SUCCESS
        x = jnp.where(good, history.y[0, at], 1.0)
        floor = 10.0**FLOOR
        log10_x = jnp.log10(jnp.where(x > floor, x, floor))
        return jnp.where(good, log10_x, jnp.nan), good

    def _sigma(self, params):
        sigma = self.observed.sigma
        return jnp.sqrt(sigma**2 + params["error"] ** 2) if "error" in params else sigma

    def log_likelihood(self, params, observation):
        """log p(observation | params); minus infinity where the integration failed."""
        predicted, good = self._predict(params)
        sigma, limit = self._sigma(params), self.observed.log10_x
        pull = (observation - jnp.where(good, predicted, 0.0)) / sigma
        measured = -0.5 * pull**2 - jnp.log(sigma) - 0.5 * jnp.log(2.0 * jnp.pi)
        below = self.observed.upper & (observation <= limit)
        terms = jnp.where(below, jax.scipy.stats.norm.logcdf(pull), measured)
        return jnp.where(good, jnp.sum(terms), -jnp.inf)

    def simulate(self, key, params):
        """Observed logarithms, (N,); upper limits hold the limit where nothing is seen."""
        predicted = self.predict(params)
        seen = predicted + self._sigma(params) * jax.random.normal(
            key, predicted.shape, predicted.dtype
        )
        limit = self.observed.log10_x.astype(seen.dtype)
        return jnp.where(self.observed.upper, jnp.maximum(seen, limit), seen)

    def validate_observation(self, observation):
        """Raise ValueError for another number of species."""
        if np.shape(observation) != (len(self.observed.names),):
            raise ValueError(
                f"observation: shape {np.shape(observation)}; give {len(self.observed.names)} "
                "logarithms, one for each observed species."
            )
