"""Likelihood of a catalogue of stars: a stream on a background, star by star.

Each star is a draw from f p_stream + (1 - f) p_background. Both densities are over phi1 and the
same M observables, of which any may be missing for any star, and both are normalised over the
window of phi1 (and, for the background, of phi2) that the catalogue covers.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from simulators.shared.elementwise import at_least
from simulators.shared.fields import as_float
from simulators.streams.summaries import StreamSummary

_LOG_2PI = math.log(2.0 * math.pi)


class StarCatalogue(eqx.Module):
    """Stars seen towards a stream.

    Attributes:
        phi1: positions along the stream [deg], shape (n,).
        values: the M observables, shape (M, n); what a missing one holds does not matter.
        covariance: covariances of the stars' errors, shape (M, M, n).
        mask: True where an observable was measured, shape (M, n).
        names: the observables' names, in order (static).

    Raises:
        ValueError: if the shapes do not match.
    """

    phi1: Float[Array, " n"] = eqx.field(converter=as_float)
    values: Float[Array, "M n"] = eqx.field(converter=as_float)
    covariance: Float[Array, "M M n"] = eqx.field(converter=as_float)
    mask: Bool[Array, "M n"] = eqx.field(converter=jnp.asarray)
    names: tuple[str, ...] = eqx.field(static=True)

    def __check_init__(self):
        m, n = len(self.names), self.phi1.shape[0] if self.phi1.ndim == 1 else -1
        wanted = {"phi1": (n,), "values": (m, n), "covariance": (m, m, n), "mask": (m, n)}
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name}: expected shape {shape} for observables {self.names}, got "
                    f"{getattr(self, name).shape}"
                )

    @staticmethod
    def from_errors(phi1, values: dict, errors: dict) -> "StarCatalogue":
        """Catalogue with independent errors; an observable is missing where it is not finite.

        Args:
            phi1: positions along the stream [deg], shape (n,).
            values: name -> array of shape (n,).
            errors: name -> standard error, an array of shape (n,) or one number.

        Raises:
            ValueError: if an observable has no errors, or a measured one a non-positive error.

        >>> stars = StarCatalogue.from_errors(
        ...     [0.0, 1.0], {"phi2": [0.1, float("nan")]}, {"phi2": 0.01}
        ... )
        >>> stars.mask.tolist()
        [[True, False]]
        """
        names = tuple(values)
        if lacking := [name for name in names if name not in errors]:
            raise ValueError(f"errors: no entry for {lacking}; it has {sorted(errors)}")
        v = np.stack([np.asarray(values[k], float) for k in names])
        e = np.stack([np.broadcast_to(np.asarray(errors[k], float), v.shape[1:]) for k in names])
        mask = np.isfinite(v) & np.isfinite(e)
        if np.any(mask & (e <= 0)):
            i, j = np.argwhere(mask & (e <= 0))[0]
            raise ValueError(f"errors[{names[i]!r}]: expected > 0, got {e[i, j]} at index {j}")
        v, e = np.where(mask, v, 0.0), np.where(mask, e, 1.0)
        covariance = np.eye(len(names))[:, :, None] * e[None, :, :] ** 2
        return StarCatalogue(phi1, v, covariance, mask, names)


class Background(eqx.Module):
    """Interface: the density of stars that do not belong to the stream."""

    @abc.abstractmethod
    def log_density(self, stars: StarCatalogue) -> Float[Array, " n"]:
        """Log of p(phi1, observables) of each star, missing observables integrated out."""


class SmoothBackground(Background):
    """exp(polynomial) on the sky times a Gaussian mixture in the other observables.

    p(phi1) p(phi2) sum_j w_j N(y | mean_j, cov_j + C), with C a star's error covariance, p(phi1)
    and p(phi2) proportional to exp(sum_k c_k t^k), k >= 1, t the coordinate scaled to [-1, 1] in
    its window. No coefficients give a uniform density. Errors of phi2 itself are neglected: they
    are far smaller than any structure of the background.

    Attributes:
        phi1_window, phi2_window: lower and upper limits [deg], shape (2,).
        phi1_coefficients, phi2_coefficients: c_1, c_2, ..., any number of them.
        log_weights: logs of the mixture's weights, shape (J,); normalised here.
        means: shape (J, M - 1), in the order of the catalogue's observables without phi2.
        covariances: shape (J, M - 1, M - 1).
    """

    phi1_window: Float[Array, "2"] = eqx.field(converter=as_float)
    phi2_window: Float[Array, "2"] = eqx.field(converter=as_float)
    phi1_coefficients: Float[Array, " p"] = eqx.field(converter=as_float)
    phi2_coefficients: Float[Array, " q"] = eqx.field(converter=as_float)
    log_weights: Float[Array, " J"] = eqx.field(converter=as_float)
    means: Float[Array, "J R"] = eqx.field(converter=as_float)
    covariances: Float[Array, "J R R"] = eqx.field(converter=as_float)

    def log_density(self, stars: StarCatalogue) -> Float[Array, " n"]:
        """Log density of each star [1/deg, 1/deg and the observables' units]."""
        if "phi2" not in stars.names or self.means.shape[1:] != (len(stars.names) - 1,):
            raise ValueError(
                f"means: expected {len(stars.names) - 1} entries for the observables "
                f"{stars.names} without phi2, got shape {self.means.shape}"
            )
        where = stars.names.index("phi2")
        rest = np.array([i for i in range(len(stars.names)) if i != where], dtype=int)
        on_sky = _log_polynomial(stars.phi1, self.phi1_window, self.phi1_coefficients)
        middle = 0.5 * (self.phi2_window[0] + self.phi2_window[1])
        # A missing phi2 may be NaN, which would reach the gradient through the outer where alone.
        phi2 = jnp.where(stars.mask[where], stars.values[where], middle)
        across = _log_polynomial(phi2, self.phi2_window, self.phi2_coefficients)
        on_sky = on_sky + jnp.where(stars.mask[where], across, 0.0)
        if rest.size == 0:
            return on_sky
        values, mask = stars.values[rest], stars.mask[rest]
        errors = stars.covariance[rest][:, rest]
        parts = [
            _log_normal(values - mean[:, None], cov[:, :, None] + errors, mask)
            for mean, cov in zip(self.means, self.covariances, strict=True)
        ]
        log_weights = jax.nn.log_softmax(self.log_weights)
        return on_sky + jax.nn.logsumexp(jnp.stack(parts) + log_weights[:, None], axis=0)


def stream_log_density(
    stars: StarCatalogue, at: Float[Array, " K"], summary: StreamSummary
) -> Float[Array, " n"]:
    """Log density of stars that belong to the stream.

    p(phi1) N(y | track(phi1), diag(width(phi1)^2) + C), with everything interpolated linearly
    between the positions of the summary.

    Args:
        stars: the catalogue; its observables in the order of the summary's.
        at: the summary's positions, increasing and covering the catalogue's phi1 [deg]. The
            density is normalised over their range.
        summary: track, width and density there.

    Raises:
        ValueError: if the summary does not have the catalogue's number of observables.
    """
    if summary.track.shape != (len(stars.names), at.shape[0]):
        raise ValueError(
            f"summary.track: expected shape {(len(stars.names), at.shape[0])} for the observables "
            f"{stars.names} at {at.shape[0]} positions, got {summary.track.shape}"
        )
    at = jnp.asarray(at, stars.phi1.dtype)
    interp = jax.vmap(lambda y: jnp.interp(stars.phi1, at, y))
    track, width = interp(summary.track), interp(summary.width)
    tiny = float(jnp.finfo(at.dtype).tiny)
    area = jnp.sum(0.5 * (summary.density[1:] + summary.density[:-1]) * jnp.diff(at))
    density = jnp.interp(stars.phi1, at, summary.density)
    eye = jnp.eye(len(stars.names), dtype=track.dtype)
    covariance = stars.covariance + eye[:, :, None] * (width * width)[None, :, :]
    along = jnp.log(at_least(density, tiny)) - jnp.log(at_least(area, tiny))
    return along + _log_normal(stars.values - track, covariance, stars.mask)


def catalogue_log_likelihood(
    stars: StarCatalogue,
    at: Float[Array, " K"],
    summary: StreamSummary,
    background: Background,
    fraction: float | Float[Array, ""],
) -> Float[Array, " n"]:
    """Each star's log likelihood under stream plus background; their sum is the catalogue's.

    log(f p_stream + (1 - f) p_background), the mixture of Hogg, Bovy & Lang (2010,
    arXiv:1008.4686, sec. 3) with the stream in the place of their line.

    Args:
        stars: the catalogue.
        at: positions of the summary, increasing, covering the catalogue [deg], shape (K,).
        summary: the stream's track, width and density there, as from `summarize`.
        background: the density of all other stars.
        fraction: the share f of stars that belong to the stream, in [0, 1].

    Raises:
        ValueError: if the shapes do not match.

    >>> at = jnp.linspace(-1.0, 1.0, 3)
    >>> flat = jnp.ones((1, 3))
    >>> stream = StreamSummary(0 * flat, 0 * flat, 0.1 * flat, flat, flat[0], flat[0], flat[0])
    >>> sky = SmoothBackground(
    ...     [-1.0, 1.0], [-5.0, 5.0], [], [], [0.0], jnp.zeros((1, 0)), jnp.zeros((1, 0, 0))
    ... )
    >>> stars = StarCatalogue.from_errors([0.0, 0.0], {"phi2": [0.0, 3.0]}, {"phi2": 1e-3})
    >>> [round(float(x), 3) for x in catalogue_log_likelihood(stars, at, stream, sky, 0.5)]
    [0.022, -3.689]
    """
    dtype = stars.phi1.dtype
    # A share of exactly 0 or 1 would put log 0 = -inf, and its gradient, into the sum.
    edge = float(jnp.finfo(dtype).eps)
    f = edge + (1.0 - 2.0 * edge) * jnp.asarray(fraction, dtype)
    member = stream_log_density(stars, at, summary)
    other = background.log_density(stars)
    return jnp.logaddexp(jnp.log(f) + member, jnp.log1p(-f) + other)


def _log_normal(residual, covariance, mask):
    """log N(residual | 0, covariance) of the measured components; shapes (M, n), (M, M, n).

    A missing component is replaced by a standard normal at zero, independent of the rest, whose
    log density is taken off again. The Cholesky factorisation is written out over the few
    components, so that all of it is elementwise over the stars.
    """
    size = residual.shape[0]
    r = [jnp.where(mask[i], residual[i], 0.0) for i in range(size)]
    c = [
        [
            jnp.where(mask[i] & mask[j], covariance[i, j], 1.0 if i == j else 0.0)
            for j in range(size)
        ]
        for i in range(size)
    ]
    tiny = float(jnp.finfo(residual.dtype).tiny)
    low, z, total = [], [], jnp.zeros_like(residual[0])
    for i in range(size):
        row = []
        for j in range(i):
            row.append((c[i][j] - sum(row[k] * low[j][k] for k in range(j))) / low[j][j])
        pivot = at_least(c[i][i] - sum(x * x for x in row), tiny)
        row.append(jnp.sqrt(pivot))
        low.append(row)
        z.append((r[i] - sum(row[k] * z[k] for k in range(i))) / row[i])
        norm = jnp.log(pivot) + jnp.where(mask[i], _LOG_2PI, 0.0)
        total = total - 0.5 * (z[i] * z[i] + norm)
    return total


def _log_polynomial(x, window, coefficients):
    """Log of exp(sum_k c_k t^k), k >= 1, normalised over the window of x."""
    low, high = window[0], window[1]

    def exponent(t):
        value = jnp.zeros_like(t)
        for c in coefficients[::-1]:
            value = (value + c) * t
        return value

    nodes, weights = (jnp.asarray(a, x.dtype) for a in np.polynomial.legendre.leggauss(48))
    log_norm = jax.nn.logsumexp(exponent(nodes), b=weights) + jnp.log(0.5 * (high - low))
    return exponent((2.0 * x - low - high) / (high - low)) - log_norm
