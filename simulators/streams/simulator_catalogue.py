"""A catalogue of stars as a simulator: a stream's stars and the field's, star by star."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from jaxastro.core import AbstractTractableSimulator
from simulators.streams.catalogue import (
    SmoothBackground,
    StarCatalogue,
    catalogue_log_likelihood,
)
from simulators.streams.simulator import StreamTrack
from simulators.streams.summaries import StreamSummary

# Fields of the background that parameters may replace; the windows are how the stars were chosen.
_SHAPE = ("phi1_coefficients", "phi2_coefficients", "log_weights", "means", "covariances")
# Grid on which the background's densities of phi1 and phi2 are drawn from.
_GRID = 1025


class StreamCatalogue(AbstractTractableSimulator):
    r"""Stars towards a stream, each of the stream or of the field.

    The parameters are those of `stream`, the share `fraction` of stars that belong to it, in
    [0, 1], and any of the background's `phi1_coefficients`, `phi2_coefficients`, `log_weights`,
    `means` and `covariances`, which replace the ones given here. The stars are independent:

    .. math:: \log L = \sum_i \log (f p_{stream}(x_i) + (1 - f) p_{field}(x_i))

    with the densities of `catalogue_log_likelihood`. The particles are quasi-random and the same in
    every evaluation, so that the likelihood is a smooth function, and `simulate` draws from its
    very density. Here the width and density of the stream count as much as its track: its
    particles need the scatter of their release, some hundred of them, and a bandwidth well below
    the length of the window.

    Attributes:
        stream: the stream; its `data` gives names only, which must include the catalogue's.
        stars: how many stars, which observables they have and with which errors; their positions
            and values are not used.
        background: the density of all other stars. Its windows of phi1 and phi2 are those in
            which the stars were chosen.
        n_positions: how many positions in the window of phi1 have a track, width and density;
            the likelihood is linear between them. Two or more a bandwidth are enough.
        seed: of the stream's particles.

    Raises:
        ValueError: if the stream has not all observables of the catalogue, the catalogue has no
            phi2, or the background is one of other observables.

    >>> from simulators.streams.observe import TrackMeasurements
    >>> from simulators.streams.potentials import MilkyWayPotential
    >>> names = TrackMeasurements([0.0], [[0.0]], [[1.0]], [[True]], ("phi2",))
    >>> stream = StreamTrack(
    ...     lambda params: MilkyWayPotential(), names, -10.0, n_particles=32, age=500.0, step=4.0
    ... )
    >>> stars = StarCatalogue.from_errors([0.0] * 50, {"phi2": [0.0] * 50}, {"phi2": 0.01})
    >>> field = SmoothBackground(
    ...     [-20.0, 0.0], [-5.0, 5.0], [], [], [0.0], jnp.zeros((1, 0)), jnp.zeros((1, 0, 0))
    ... )
    >>> simulator = StreamCatalogue(stream, stars, field)
    >>> params = dict(
    ...     phi2=0.0,
    ...     distance=9.0,
    ...     pm_phi1_cosphi2=-10.5,
    ...     pm_phi2=-2.5,
    ...     radial_velocity=-190.0,
    ...     fraction=0.5,
    ... )
    >>> eqx.filter_jit(simulator.simulate)(jax.random.key(0), params).values.shape
    (1, 50)
    """

    stream: StreamTrack
    stars: StarCatalogue
    background: SmoothBackground
    n_positions: int = eqx.field(static=True, default=81)
    seed: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        names, known = self.stars.names, self.stream.data.names
        if lacking := [name for name in names if name not in known]:
            raise ValueError(f"stars: the stream has no {lacking}, only {known}; leave them out")
        if "phi2" not in names:
            raise ValueError(f"stars: expected phi2 among the observables, got {names}")
        expected = (len(names) - 1,)
        if self.background.means.shape[1:] != expected:
            raise ValueError(
                f"background.means: expected shape (J, {expected[0]}), the observables {names} "
                f"without phi2, got {self.background.means.shape}"
            )
        if self.n_positions < 2:
            raise ValueError(f"n_positions: expected at least 2, got {self.n_positions}")

    def summary(self, params: dict) -> StreamSummary:
        """The stream's track, width and density of the catalogue's observables, at `positions`."""
        latents = self.stream.fixed_latents(self.seed)
        whole = self.stream.summary(params, latents, self.positions)
        rows = np.array([self.stream.data.names.index(n) for n in self.stars.names], dtype=int)
        own = {k: getattr(whole, k)[rows] for k in ("track", "slope", "width", "mc_variance")}
        return whole._replace(**own)

    @property
    def positions(self) -> jax.Array:
        """Where the summaries are taken [deg], shape (n_positions,)."""
        window = self.background.phi1_window
        return jnp.linspace(window[0], window[1], self.n_positions)

    def mixture(self, params: dict) -> tuple[SmoothBackground, jax.Array]:
        """The background and the stream's share of the stars.

        Raises:
            ValueError: if there is no `fraction`, or a parameter of the background has not the
                shape of what it replaces.
        """
        if "fraction" not in params:
            raise ValueError(
                f"params: no 'fraction', the stream's share of the stars, among {sorted(params)}"
            )
        given = {name: params[name] for name in _SHAPE if name in params}
        for name, value in given.items():
            wanted = getattr(self.background, name).shape
            if jnp.shape(value) != wanted:
                raise ValueError(
                    f"params[{name!r}]: expected the background's shape {wanted}, got "
                    f"{jnp.shape(value)}"
                )
        return dataclasses.replace(self.background, **given), jnp.asarray(params["fraction"])

    def log_likelihood(self, params, observation):
        """Log density of all stars of a catalogue [1/deg, 1/deg and the observables' units]."""
        background, fraction = self.mixture(params)
        each = catalogue_log_likelihood(
            observation, self.positions, self.summary(params), background, fraction
        )
        return jnp.sum(each)

    def simulate(self, key, params):
        """A catalogue with the errors and gaps of `stars`, its phi1 and values drawn anew."""
        member_key, stream_key, field_key = jax.random.split(key, 3)
        background, fraction = self.mixture(params)
        stars = self.stars
        member = jax.random.bernoulli(member_key, fraction, stars.phi1.shape)
        own = _draw_stream(stream_key, stars, self.positions, self.summary(params))
        other = _draw_field(field_key, stars, background)
        phi1 = jnp.where(member, own[0], other[0])
        values = jnp.where(stars.mask, jnp.where(member[None], own[1], other[1]), 0.0)
        return StarCatalogue(phi1, values, stars.covariance, stars.mask, stars.names)

    def validate_observation(self, observation):
        """Raises ValueError unless it is a catalogue of these observables in the windows."""
        if not isinstance(observation, StarCatalogue):
            raise ValueError(
                f"observation: expected a StarCatalogue, got {type(observation).__name__}"
            )
        if observation.names != self.stars.names:
            raise ValueError(
                f"observation: it has {observation.names}, but this simulator makes "
                f"{self.stars.names}; build it with `stars` of the observation's form"
            )
        phi2 = observation.names.index("phi2")
        seen = np.asarray(observation.mask)
        for name, values, window in (
            ("phi1", observation.phi1, self.background.phi1_window),
            ("phi2", observation.values[phi2][seen[phi2]], self.background.phi2_window),
        ):
            values, (low, high) = np.asarray(values), np.asarray(window)
            if outside := int(np.sum((values < low) | (values > high))):
                raise ValueError(
                    f"observation: {outside} stars have {name} outside the background's window "
                    f"[{low:g}, {high:g}] deg; leave them out, or widen background.{name}_window"
                )
        variances = np.stack([np.asarray(observation.covariance[i, i]) for i in range(len(seen))])
        if not np.all(variances[seen] > 0):
            raise ValueError("observation: covariance has variances <= 0 of measured values")


def _draw_stream(key, stars, at, summary):
    """Positions and values of as many stars as in the catalogue, all of the stream."""
    along, across = jax.random.split(key)
    phi1 = _draw_piecewise_linear(along, at, summary.density, stars.phi1.shape[0])
    interp = jax.vmap(lambda y: jnp.interp(phi1, at, y))
    eye = jnp.eye(len(stars.names), dtype=phi1.dtype)[:, :, None]
    covariance = stars.covariance + eye * (interp(summary.width) ** 2)[None]
    return phi1, _draw_normal(across, interp(summary.track), covariance, stars.mask)


def _draw_field(key, stars, background):
    """Positions and values of as many stars as in the catalogue, all of the background."""
    keys = jax.random.split(key, 4)
    n, row = stars.phi1.shape[0], stars.names.index("phi2")
    phi1, phi2 = (
        _draw_piecewise_linear(k, *_marginal(background, stars.names, name), n)
        for k, name in zip(keys, ("phi1", "phi2"), strict=False)
    )
    rest = np.array([i for i in range(len(stars.names)) if i != row], dtype=int)
    values = jnp.zeros_like(stars.values).at[row].set(phi2)
    if rest.size:
        which = jax.random.categorical(keys[2], background.log_weights, shape=(n,))
        mean = background.means[which].T
        covariance = jnp.moveaxis(background.covariances[which], 0, -1)
        covariance = covariance + stars.covariance[rest][:, rest]
        values = values.at[rest].set(_draw_normal(keys[3], mean, covariance, stars.mask[rest]))
    return phi1, values


def _marginal(background, names, which):
    """A grid over the window of phi1 or phi2 and the background's density on it, up to a factor."""
    window = background.phi1_window if which == "phi1" else background.phi2_window
    grid = jnp.linspace(window[0], window[1], _GRID)
    m, row = len(names), names.index("phi2")
    middle = jnp.full(_GRID, jnp.mean(background.phi1_window))
    # Stars of which nothing else is known: their density is the marginal one.
    probe = StarCatalogue(
        phi1=grid if which == "phi1" else middle,
        values=jnp.zeros((m, _GRID), grid.dtype).at[row].set(grid),
        covariance=jnp.broadcast_to(jnp.eye(m, dtype=grid.dtype)[:, :, None], (m, m, _GRID)),
        mask=jnp.zeros((m, _GRID), bool).at[row].set(which == "phi2"),
        names=names,
    )
    log_density = background.log_density(probe)
    return grid, jnp.exp(log_density - jnp.max(log_density))


def _draw_piecewise_linear(key, grid, density, n):
    """Draws from a density linear between the points of a grid, by its inverse distribution."""
    areas = 0.5 * (density[1:] + density[:-1]) * jnp.diff(grid)
    total = jnp.concatenate([jnp.zeros_like(areas[:1]), jnp.cumsum(areas)])
    u = jax.random.uniform(key, (n,), grid.dtype) * total[-1]
    cell = jnp.clip(jnp.searchsorted(total, u, side="right") - 1, 0, areas.shape[0] - 1)
    low, left = density[cell], u - total[cell]
    slope = (density[cell + 1] - low) / (grid[cell + 1] - grid[cell])
    # Root of low t + slope t^2 / 2 = left in the form that does not cancel for a small slope.
    root = low + jnp.sqrt(jnp.maximum(low * low + 2.0 * slope * left, 0.0))
    step = 2.0 * left / jnp.maximum(root, float(jnp.finfo(grid.dtype).tiny))
    return jnp.clip(grid[cell] + step, grid[cell], grid[cell + 1])


def _draw_normal(key, mean, covariance, mask):
    """Normal draws, shapes (M, n), (M, M, n); what is not measured may have any covariance."""
    eye = jnp.eye(mean.shape[0], dtype=mean.dtype)[:, :, None]
    known = jnp.where(mask[None] & mask[:, None], covariance, eye)
    root = jnp.linalg.cholesky(jnp.moveaxis(known, -1, 0))
    noise = jax.random.normal(key, mean.shape, mean.dtype)
    return mean + jnp.einsum("nij,jn->in", root, noise, precision="highest")
