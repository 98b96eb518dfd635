"""The physical conditions of the gas, and what rate laws see of them."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.elementwise import at_least, at_most
from simulators.shared.fields import as_float, check

PER_CELL = Float[Array, ""] | Float[Array, " B"]


class Conditions(eqx.Module):
    """Physical conditions of one cell, or of B cells: each field a number or an array (B,).

    Attributes:
        n_H: density of hydrogen nuclei [1 / cm^3].
        temperature: of the gas [K].
        zeta: cosmic-ray ionisation rate of H2 [1 / s].
        G0: field of starlight, in units of the standard interstellar field of Draine (1978, ApJS
            36, 595), for which UMIST and KIDA tabulate. (Often called chi; 1.7 in Habing's units.)
        A_V: visual extinction towards it [mag].
        T_dust: temperature of the dust [K]; without it the gas's.
        albedo: omega, of the dust in the ultraviolet.
        grain_radius: of the dust [cm].
        grain_abundance: grains per hydrogen nucleus.
        particles: particles of the gas per hydrogen nucleus, for third bodies; 0.6 where hydrogen
            is molecular and He / H = 0.1.
        extras: what else a network's expressions ask for by name, such as column densities.

    Raises:
        ValueError: for a value that is known and not finite, negative, or zero where it must not
            be: the argument and its value.

    >>> cloud = Conditions(n_H=2e4, temperature=10.0, A_V=jnp.array([1.0, 10.0]))
    >>> cloud.cells, float(cloud.dust_temperature)
    ((2,), 10.0)
    """

    n_H: PER_CELL = eqx.field(converter=as_float)
    temperature: PER_CELL = eqx.field(converter=as_float)
    zeta: PER_CELL = eqx.field(converter=as_float, default=1.3e-17)
    G0: PER_CELL = eqx.field(converter=as_float, default=1.0)
    A_V: PER_CELL = eqx.field(converter=as_float, default=10.0)
    T_dust: PER_CELL | None = eqx.field(
        converter=lambda value: None if value is None else as_float(value), default=None
    )
    albedo: PER_CELL = eqx.field(converter=as_float, default=0.5)
    grain_radius: PER_CELL = eqx.field(converter=as_float, default=1e-5)
    grain_abundance: PER_CELL = eqx.field(converter=as_float, default=1.8e-12)
    particles: PER_CELL = eqx.field(converter=as_float, default=0.6)
    extras: dict[str, PER_CELL] = eqx.field(
        converter=lambda given: {name: as_float(value) for name, value in given.items()},
        default_factory=dict,
    )

    def __check_init__(self):
        check(self, "n_H", "temperature", "grain_radius")
        check(self, "zeta", "G0", "A_V", "grain_abundance", "particles", open_end=False)
        check(self, "albedo", open_end=False, below=1.0)
        if self.T_dust is not None:
            check(self, "T_dust")

    @property
    def dust_temperature(self):
        """T_dust, or the gas's temperature where none is given."""
        return self.temperature if self.T_dust is None else self.T_dust

    @property
    def cells(self):
        """The shape of one value for each cell: () or (B,).

        >>> Conditions(n_H=jnp.ones(3), temperature=10.0).cells
        (3,)
        """
        values = [getattr(self, name) for name in _NAMES] + list(self.extras.values())
        return jnp.broadcast_shapes(self.dust_temperature.shape, *(v.shape for v in values))


_NAMES = (
    "n_H", "temperature", "zeta", "G0", "A_V", "albedo", "grain_radius", "grain_abundance",
    "particles",
)  # fmt: skip


class Local:
    """Conditions as rate laws see them: shape (1, B), or (n, B) where `limits` differ by reaction.

    Args:
        conditions: the conditions.
        limits: lowest and highest temperature [K] at which each of n laws is evaluated, two numpy
            arrays (n,), or None for as it is.
        bodies: by how many powers of n_H each rate goes up, an integer array (n,).

    Attributes:
        density: those powers; beside it all of `Conditions`, with `particles` [1 / cm^3] and
            `grain_area`, the cross-section of the grains per hydrogen nucleus [cm^2].
    """

    def __init__(self, conditions, limits=None, bodies=None):
        dtype = jnp.result_type(conditions.temperature)
        for name in _NAMES:
            setattr(self, name, _row(getattr(conditions, name), dtype))
        self.T_dust = _row(conditions.dust_temperature, dtype)
        self.extras = {name: _row(value, dtype) for name, value in conditions.extras.items()}
        self.particles = self.particles * self.n_H
        self.grain_area = np.pi * self.grain_radius**2 * self.grain_abundance
        self.density = 1.0 if bodies is None or not bodies.any() else _powers(self.n_H, bodies)
        self._limits = limits

    def _within(self, value, low, high):
        """`value` of the temperature, within its values at the limits; rising if low < high."""
        if self._limits is None:
            return value
        low, high = (jnp.asarray(x[:, None], value.dtype) for x in (low, high))
        return at_most(at_least(value, low), high)

    def _at_limits(self, function):
        if self._limits is None:
            return None, None
        with np.errstate(divide="ignore"):
            return tuple(function(x) for x in self._limits)

    @property
    def T(self):
        """Temperature [K]."""
        return self._within(self.temperature, *self._at_limits(np.asarray))

    @property
    def log_T300(self):
        """ln(T / 300 K)."""
        ends = self._at_limits(lambda x: np.log(x / 300.0))
        return self._within(jnp.log(self.temperature / 300.0), *ends)

    @property
    def inverse_T(self):
        """1 / T [1 / K]."""
        high, low = self._at_limits(lambda x: 1.0 / x)
        return self._within(1.0 / self.temperature, low, high)

    @property
    def root_300T(self):
        """sqrt(300 K / T)."""
        high, low = self._at_limits(lambda x: np.sqrt(300.0 / x))
        return self._within(jnp.sqrt(300.0 / self.temperature), low, high)


def _powers(n_H, bodies):
    """n_H^bodies, shape (n, B)."""
    log = jnp.log(n_H)
    powers = jnp.concatenate([jnp.exp(log * float(m)) for m in range(int(bodies.max()) + 1)])
    return powers[bodies]


def _row(value, dtype):
    value = value.astype(dtype)
    return value[None, None] if value.ndim == 0 else value[None, :]
