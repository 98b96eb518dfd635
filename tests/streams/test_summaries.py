"""Stream summaries: against brute force, known truth, empty neighbourhoods, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.summaries import summarize

x64 = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="tolerances are for float64")
AT = np.linspace(-50.0, 10.0, 13)
fast = jax.jit(summarize)


def stream(n=3000, seed=0, lo=-60.0, hi=20.0):
    """A curved stream of known width with an uneven density; columns phi1, phi2, vr, weights."""
    rng = np.random.default_rng(seed)
    phi1 = lo + (hi - lo) * rng.beta(1.5, 1.0, n)
    phi2 = truth(phi1) + 0.2 * rng.normal(size=n)
    return phi1, phi2, -4.0 * phi1 + 3.0 * rng.normal(size=n), rng.uniform(0.5, 1.5, n)


def truth(phi1):
    return 0.3 - ((phi1 + 30.0) / 30.0) ** 2


@x64
def test_agrees_with_weighted_least_squares():
    phi1, phi2, vr, w = stream()
    got = fast(phi1, [phi2, vr], AT, 2.0, w)
    for k, at in enumerate(AT):
        u = (phi1 - at) / 2.0
        kernel = w * np.exp(-0.5 * u * u)
        design = np.stack([np.ones_like(u), u], 1)
        hat = np.linalg.solve(design.T @ (kernel[:, None] * design), design.T * kernel)
        for m, y in enumerate([phi2, vr]):
            a, b = hat @ y
            var = np.average((y - a - b * u) ** 2, weights=kernel)
            # the priors' pseudo-particles enter at 1/n_eff of the Monte-Carlo error
            sem = np.sqrt(var * np.sum(hat[0] ** 2))
            assert abs(got.track[m, k] - a) < 0.02 * sem
            np.testing.assert_allclose(got.slope[m, k] * 2.0, b, atol=0.05 * np.sqrt(var))
            np.testing.assert_allclose(got.width[m, k], np.sqrt(var), rtol=1e-2)
            np.testing.assert_allclose(got.mc_variance[m, k], sem**2, rtol=2e-2)
        w_mean = w / np.mean(w)
        expected = np.sum(w_mean * np.exp(-0.5 * u * u)) / (2.0 * np.sqrt(2 * np.pi) * phi1.size)
        np.testing.assert_allclose(got.density[k], expected, rtol=1e-12)
        n_eff = np.sum(kernel) ** 2 / np.sum(kernel**2)
        np.testing.assert_allclose(got.n_eff[k], n_eff, rtol=1e-4)


@x64
def test_recovers_the_track_with_honest_errors():
    pulls = []
    for seed in range(40):
        phi1, phi2, vr, w = stream(seed=seed)
        got = fast(phi1, [phi2, vr], AT, 2.0, w)
        bias = 0.5 * 2.0**2 * (-2.0 / 900.0)
        pulls.append((got.track[0] - truth(AT) - bias) / jnp.sqrt(got.mc_variance[0]))
        np.testing.assert_allclose(got.width[0], 0.2, rtol=0.25)
    pulls = np.stack(pulls)
    assert abs(np.mean(pulls)) < 0.15
    assert 0.85 < np.std(pulls) < 1.15


@x64
def test_density_integrates_to_one():
    phi1, phi2, _, w = stream()
    grid = np.linspace(-80.0, 40.0, 601)
    density = summarize(phi1, [phi2], grid, 1.0, w).density
    np.testing.assert_allclose(np.trapezoid(density, grid), 1.0, rtol=1e-6)


def test_a_stream_across_the_seam_is_in_one_piece():
    phi1, phi2, vr, w = stream()
    shifted = (phi1 + 200.0 + 180.0) % 360.0 - 180.0
    at = (AT + 200.0 + 180.0) % 360.0 - 180.0
    ours, moved = fast(phi1, [phi2, vr], AT, 2.0, w), fast(shifted, [phi2, vr], at, 2.0, w)
    tolerance = 1e-9 if jax.config.jax_enable_x64 else 2e-3
    for a, b in zip(ours, moved, strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_empty_neighbourhoods_are_finite_and_say_so(dtype):
    if dtype == "float64" and not jax.config.jax_enable_x64:
        pytest.skip("float64 needs x64")
    phi1, phi2, vr, w = (jnp.asarray(c, dtype) for c in stream(200))
    at = jnp.asarray([-170.0, -66.0, -20.0, 60.0, 170.0], dtype)

    def run(phi1, phi2, vr, w):
        return summarize(phi1, [phi2, vr], at, 1.0, w)

    got = run(phi1, phi2, vr, w)
    assert {leaf.dtype for leaf in got} == {jnp.dtype(dtype)}
    assert got.validity[2] > 0.5 and jnp.all(got.validity[jnp.array([0, 3, 4])] < 1e-6)
    scatter = jnp.std(phi2)
    assert jnp.all(jnp.sqrt(got.mc_variance[0, jnp.array([0, 3, 4])]) > 10 * scatter)
    cases = {
        "usual": (phi1, phi2, vr, w),
        "one particle": (phi1 * 0 - 20.0, phi2 * 0, vr * 0, w),
        "no weight": (phi1, phi2, vr, w * 0),
        "one weight": (phi1, phi2, vr, jnp.zeros_like(w).at[3].set(1.0)),
    }
    grad = jax.jit(jax.grad(lambda *a: sum(jnp.sum(x) for x in run(*a)), argnums=(0, 1, 2, 3)))
    for name, args in cases.items():
        for leaf in jax.tree.leaves((run(*args), grad(*args))):
            assert jnp.all(jnp.isfinite(leaf)), name


@pytest.mark.smoke
def test_particles_without_weight_count_for_nothing():
    phi1, phi2, vr, w = stream(300)
    gone = np.arange(300) % 3 == 0
    w = np.where(gone, 0.0, w)
    spoilt = [np.where(gone, np.nan, c) for c in (phi1, phi2, vr)]
    a = summarize(phi1[~gone], [phi2[~gone], vr[~gone]], AT, 2.0, w[~gone])
    b = summarize(spoilt[0], spoilt[1:], AT, 2.0, w)
    for x, y in zip(a, b, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9 if jax.config.jax_enable_x64 else 1e-3)


@x64
def test_gradients_match_finite_differences():
    phi1, phi2, vr, w = stream(300)
    at = jnp.array([-70.0, -30.0, 5.0, 40.0])

    def run(t):
        moved = jnp.asarray(phi1) + t[0] * jnp.cos(phi2)
        got = summarize(moved, [phi2 + t[1] * phi1, vr], at, 2.0 + t[2], w * jnp.exp(t[3] * phi2))
        return jnp.concatenate([jnp.ravel(x) for x in got])

    zero = jnp.zeros(4)
    forward, reverse = jax.jit(jax.jacfwd(run))(zero), jax.jit(jax.jacrev(run))(zero)
    run = jax.jit(run)
    steps = 1e-5 * np.eye(4)
    numeric = np.stack([(run(s) - run(-s)) / 2e-5 for s in steps], axis=1)
    np.testing.assert_allclose(forward, reverse, rtol=1e-8, atol=1e-8)
    scale = np.abs(numeric) + np.abs(run(zero))[:, None] + 1e-6
    assert np.max(np.abs(forward - numeric) / scale) < 2e-5


def test_bad_shapes_are_refused():
    x = np.zeros(5)
    with pytest.raises(ValueError, match=r"observables\[0\]: expected the shape \(5,\)"):
        summarize(x, [np.zeros(4)], AT, 1.0)
    with pytest.raises(ValueError, match="weights"):
        summarize(x, [x], AT, 1.0, np.zeros((5, 1)))
    with pytest.raises(ValueError, match="at least one array"):
        summarize(x, [], AT, 1.0)
    with pytest.raises(ValueError, match="vmap"):
        summarize(np.zeros((5, 2)), [x], AT, 1.0)
    with pytest.raises(ValueError, match="bandwidth: expected a width > 0"):
        summarize(x, [x], AT, 0.0)
