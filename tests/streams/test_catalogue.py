"""The catalogue's mixture likelihood against scipy star by star; missing values; recovery."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.catalogue import (
    SmoothBackground,
    StarCatalogue,
    catalogue_log_likelihood,
    stream_log_density,
)
from simulators.streams.summaries import summarize

x64 = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="tolerances are for float64")
NAMES = ("phi2", "pm1", "pm2", "vr")
AT = np.linspace(-60.0, 0.0, 25)


def stream_summary(shift=0.0):
    rng = np.random.default_rng(0)
    phi1 = rng.uniform(-70, 10, 4000)
    means = (-((phi1 / 40) ** 2) + shift, -10 + phi1 / 30, -2.5 + phi1 / 100, -4.0 * phi1)
    scatter = (0.2, 0.1, 0.1, 3.0)
    observables = [m + s * rng.normal(size=4000) for m, s in zip(means, scatter, strict=True)]
    return summarize(phi1, observables, AT, 3.0)


def sky():
    return SmoothBackground(
        [-60.0, 0.0],
        [-6.0, 6.0],
        [0.4],
        [0.1, -0.3],
        [0.0, 0.7],
        [[-4.0, -3.0, 0.0], [-9.0, -1.0, 40.0]],
        [np.diag([16.0, 9.0, 1e4]), [[4.0, 1.5, 0.0], [1.5, 2.0, 5.0], [0.0, 5.0, 9e3]]],
    )


def catalogue(n=60, seed=1):
    rng = np.random.default_rng(seed)
    phi1 = rng.uniform(-60, 0, n)
    values = np.stack(
        [
            rng.uniform(-3, 1, n),
            rng.normal(-10, 2, n),
            rng.normal(-2.5, 1, n),
            rng.normal(100, 80, n),
        ]
    )
    root = rng.normal(size=(n, 4, 4)) * np.array([0.01, 0.3, 0.3, 3.0])[None, :, None]
    covariance = root @ root.transpose(0, 2, 1) + 1e-3 * np.eye(4)
    mask = rng.uniform(size=(4, n)) < np.array([0.9, 0.8, 0.8, 0.3])[:, None]
    mask[:, 0] = False
    return StarCatalogue(phi1, values, covariance.transpose(1, 2, 0), mask, NAMES)


@x64
def test_agrees_with_scipy_star_by_star():
    stats = pytest.importorskip("scipy.stats")
    integrate = pytest.importorskip("scipy.integrate")
    stars, summary, background = catalogue(), stream_summary(), sky()
    got = jax.jit(catalogue_log_likelihood)(stars, AT, summary, background, 0.3)

    def poly(x, window, c):
        def density(x):
            t = (2 * x - window[0] - window[1]) / (window[1] - window[0])
            return np.exp(sum(a * t ** (k + 1) for k, a in enumerate(c)))

        return density(x) / integrate.quad(density, *window)[0]

    weights = np.exp([0.0, 0.7]) / np.sum(np.exp([0.0, 0.7]))
    for i in range(stars.phi1.size):
        seen = np.asarray(stars.mask[:, i])
        phi1, y = float(stars.phi1[i]), np.asarray(stars.values[:, i])
        cov = np.asarray(stars.covariance[:, :, i])
        track = np.array([np.interp(phi1, AT, row) for row in summary.track])
        width = np.array([np.interp(phi1, AT, row) for row in summary.width])
        member = np.interp(phi1, AT, summary.density) / np.trapezoid(summary.density, AT)
        if seen.any():
            total = (cov + np.diag(width**2))[np.ix_(seen, seen)]
            member *= stats.multivariate_normal.pdf(y[seen], track[seen], total)
        other = poly(phi1, [-60.0, 0.0], [0.4])
        if seen[0]:
            other *= poly(y[0], [-6.0, 6.0], [0.1, -0.3])
        rest = seen[1:]
        if rest.any():
            part = np.ix_(rest, rest)
            other *= sum(
                w
                * stats.multivariate_normal.pdf(
                    y[1:][rest], np.asarray(m)[rest], (np.asarray(c) + cov[1:, 1:])[part]
                )
                for w, m, c in zip(weights, background.means, background.covariances, strict=True)
            )
        np.testing.assert_allclose(got[i], np.log(0.3 * member + 0.7 * other), rtol=1e-10)


@x64
def test_gradients_are_finite_and_right():
    stars = catalogue()
    stars = eqx.tree_at(lambda s: s.values, stars, jnp.where(stars.mask, stars.values, jnp.nan))

    def total(shift, fraction, background):
        return jnp.sum(catalogue_log_likelihood(stars, AT, moved(shift), background, fraction))

    summary, background = stream_summary(), sky()

    def moved(shift):
        return summary._replace(track=summary.track.at[0].add(shift))

    value = jax.jit(total)
    grads = jax.jit(jax.grad(total, argnums=(0, 1, 2)))(0.1, 0.3, background)
    for leaf in jax.tree.leaves(grads):
        assert jnp.all(jnp.isfinite(leaf))
    for i, (a, b) in enumerate(
        [((0.1 + 1e-5, 0.3), (0.1 - 1e-5, 0.3)), ((0.1, 0.30001), (0.1, 0.29999))]
    ):
        numeric = (value(*a, background) - value(*b, background)) / 2e-5
        np.testing.assert_allclose(grads[i], numeric, rtol=1e-5)
    for fraction in (0.0, 1.0):
        leaves = jax.tree.leaves(
            jax.jit(jax.grad(total, argnums=(0, 1, 2)))(0.1, fraction, background)
        )
        assert all(bool(jnp.all(jnp.isfinite(leaf))) for leaf in leaves)


@pytest.mark.smoke
def test_missing_values_do_not_matter_whatever_they_hold():
    stars, summary = catalogue(), stream_summary()
    spoilt = eqx.tree_at(lambda s: s.values, stars, jnp.where(stars.mask, stars.values, jnp.nan))
    a = catalogue_log_likelihood(stars, AT, summary, sky(), 0.3)
    b = catalogue_log_likelihood(spoilt, AT, summary, sky(), 0.3)
    np.testing.assert_array_equal(a, b)
    assert jnp.all(jnp.isfinite(b))


@x64
def test_densities_integrate_to_one():
    summary, background = stream_summary(), sky()
    phi1, phi2 = np.meshgrid(np.linspace(-60, 0, 241), np.linspace(-6, 6, 481), indexing="ij")
    blank = np.full(phi1.size, np.nan)
    values = {"phi2": phi2.ravel(), "pm1": blank, "pm2": blank, "vr": blank}
    stars = StarCatalogue.from_errors(phi1.ravel(), values, dict.fromkeys(NAMES, 1e-3))
    for log_density in (stream_log_density(stars, AT, summary), background.log_density(stars)):
        grid = np.exp(log_density).reshape(phi1.shape)
        area = np.trapezoid(np.trapezoid(grid, phi2[0], axis=1), phi1[:, 0])
        np.testing.assert_allclose(area, 1.0, rtol=2e-3)


@x64
def test_the_true_fraction_and_track_are_found():
    rng = np.random.default_rng(4)
    n, f = 6000, 0.25
    member = rng.uniform(size=n) < f
    phi1 = rng.uniform(-60, 0, n)
    summary = stream_summary()
    lines = [np.interp(phi1, AT, row) for row in summary.track[:3]]
    widths = [np.interp(phi1, AT, row) for row in summary.width[:3]]
    errors = (0.001, 0.4, 0.4)
    own = [
        m + np.hypot(w, e) * rng.normal(size=n)
        for m, w, e in zip(lines, widths, errors, strict=True)
    ]
    field = [
        rng.uniform(-6, 6, n),
        rng.normal(-5, np.hypot(4, 0.4), n),
        rng.normal(-2, np.hypot(3, 0.4), n),
    ]
    values = {k: np.where(member, a, b) for k, a, b in zip(NAMES[:3], own, field, strict=True)}
    stars = StarCatalogue.from_errors(phi1, values, dict(zip(NAMES[:3], errors, strict=True)))
    background = SmoothBackground(
        [-60, 0], [-6, 6], [], [], [0.0], [[-5.0, -2.0]], [np.diag([16.0, 9.0])]
    )
    flat = summary._replace(
        track=summary.track[:3], width=summary.width[:3], density=jnp.ones_like(summary.density)
    )

    def total(p):
        moved = flat._replace(track=flat.track.at[0].add(p[1]))
        return jnp.sum(catalogue_log_likelihood(stars, AT, moved, background, p[0]))

    p, step = jnp.array([0.4, 0.1]), jax.jit(lambda p: (jax.grad(total)(p), jax.hessian(total)(p)))
    for _ in range(8):
        g, h = step(p)
        p = p - jnp.linalg.solve(h, g)
    sigma = jnp.sqrt(jnp.diag(jnp.linalg.inv(-h)))
    assert jnp.all(jnp.abs(p - jnp.array([np.mean(member), 0.0])) < 4 * sigma)
    assert sigma[0] < 0.01 and sigma[1] < 0.01


def test_bad_catalogues_are_refused():
    with pytest.raises(ValueError, match="covariance: expected shape"):
        StarCatalogue(
            np.zeros(3), np.zeros((1, 3)), np.zeros((1, 3)), np.ones((1, 3), bool), ("a",)
        )
    with pytest.raises(ValueError, match="no entry for"):
        StarCatalogue.from_errors([0.0], {"phi2": [0.0]}, {"pm": 1.0})
    with pytest.raises(ValueError, match=r"errors\['phi2'\]: expected > 0, got 0.0 at index 0"):
        StarCatalogue.from_errors([0.0], {"phi2": [0.0]}, {"phi2": 0.0})
    with pytest.raises(ValueError, match=r"summary\.track"):
        stream_log_density(catalogue(), AT[1:], stream_summary())
    with pytest.raises(ValueError, match="without phi2"):
        sky().log_density(StarCatalogue.from_errors([0.0], {"phi2": [0.0]}, {"phi2": 1.0}))
