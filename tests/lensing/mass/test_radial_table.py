"""Many rays take a halo's deflection from a table: it is the closed form to rounding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass.nfw import NFW, TNFW, NFWEllipsePotential
from simulators.lensing.mass.population import Population
from simulators.lensing.mass.radial_table import WORTH, tabulate

LENSES = {
    "NFW": NFW(0.3, 0.1, 0.4, -0.2),
    "TNFW": TNFW(0.05, 0.02, 0.3, 0.4, -0.2),
    "NFW_ELLIPSE_POTENTIAL": NFWEllipsePotential(2.0, 0.9, 0.1, -0.2, 0.4, -0.2),
}


def _rays(lens):
    """A grid, the halo's centre, and rays close to it and at Rs."""
    line = np.linspace(-3.0, 3.0, 101)
    x, y = (c.ravel() for c in np.meshgrid(line, line))
    near = 10.0 ** np.linspace(-5.0, -1.0, 40)
    x[1:41], y[1:41] = 0.4 + 0.6 * near, -0.2 + 0.8 * near
    x[0], y[0] = 0.4, -0.2
    x[41], y[41] = 0.4 + float(lens.Rs), -0.2
    assert x.size >= WORTH
    return jnp.asarray(x), jnp.asarray(y)


def _pair(lens, x, y):
    """The deflection of all rays at once, and of a part of them, which is exact."""
    few = x.shape[0] // 40
    return lens.alpha(x, y), lens.alpha(x[:few], y[:few])


def _close(found, expected, tolerance):
    size = float(jnp.abs(expected).max())
    np.testing.assert_allclose(found[: expected.shape[0]], expected, rtol=0, atol=tolerance * size)


def _loss(lens, x, y, few):
    ax, ay = (a[:few] for a in lens.alpha(x, y))
    return jnp.sum(jnp.cos(3.0 * ax) + ax * ay)


@pytest.mark.parametrize("name", LENSES)
def test_table_is_the_closed_form(name):
    x, y = _rays(LENSES[name])
    for found, expected in zip(*_pair(LENSES[name], x, y), strict=True):
        _close(found, expected, 1e-12 if jax.config.jax_enable_x64 else 2e-6)


def test_its_gradient_is_that_of_the_closed_form():
    lens = LENSES["TNFW"]
    x, y = _rays(lens)
    few = x.shape[0] // 40
    assert few > 42
    gradient = jax.jit(jax.grad(_loss, (0, 1, 2)), static_argnums=3)
    found = gradient(lens, x, y, few)
    expected = gradient(lens, x[:few], y[:few], few)
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        tolerance = 1e-11 if jax.config.jax_enable_x64 else 1e-4
        _close(jnp.atleast_1d(one), jnp.atleast_1d(two), tolerance)


def _bend(theta, r2):
    return (theta["a"] * jnp.log1p(r2 / theta["b"]) / r2, jnp.sqrt(r2 + theta["b"]))


def test_second_derivatives_forward_and_reverse():
    if not jax.config.jax_enable_x64:
        pytest.skip("an accuracy of float64")
    r2 = jnp.asarray(np.random.default_rng(1).uniform(1e-4, 9.0, 500))
    theta = {"a": jnp.asarray(1.3), "b": jnp.asarray(0.2)}

    def loss(evaluate, theta, r2):
        one, two = evaluate(theta, r2)
        return jnp.sum(one * jnp.sin(two))

    def derivatives(evaluate):
        gradient = jax.grad(lambda theta, r2: loss(evaluate, theta, r2), (0, 1))
        along = ({"a": 0.3, "b": -0.1}, jnp.cos(r2))
        forward = jax.jvp(gradient, (theta, r2), along)
        reverse = jax.grad(lambda t: jnp.sum(jnp.sin(r2) * gradient(t, r2)[1]))(theta)
        return forward, reverse

    found = jax.jit(lambda: derivatives(lambda t, r: tabulate(_bend, t, r)))()
    expected = jax.jit(lambda: derivatives(_bend))()
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        _close(jnp.atleast_1d(one), jnp.atleast_1d(two), 1e-11)


def test_a_bad_ray_harms_no_other():
    theta = {"a": jnp.asarray(1.0), "b": jnp.asarray(2.0)}
    r2 = jnp.linspace(0.1, 2.0, 900)
    bad = r2.at[3].set(jnp.nan).at[7].set(jnp.inf)
    found, expected = tabulate(_bend, theta, bad)[0], tabulate(_bend, theta, r2)[0]
    assert jnp.isnan(found[jnp.asarray([3, 7])]).all()
    kept = np.setdiff1d(np.arange(900), [3, 7])
    np.testing.assert_array_equal(found[kept], expected[kept])


def test_batches_and_populations():
    x, y = _rays(LENSES["TNFW"])
    few = x.shape[0] // 40
    one = jnp.linspace(1.0, 2.0, 3)
    halos = TNFW(0.05 * one, 0.02 * one, 0.3 * one, 0.2 * one, -0.1 * one)
    batch = jax.jit(jax.vmap(lambda halo: jnp.stack(_pair(halo, x, y)[0])))(halos)
    exact = jax.jit(jax.vmap(lambda halo: jnp.stack(halo.alpha(x[:few], y[:few]))))(halos)
    tolerance = 1e-12 if jax.config.jax_enable_x64 else 2e-6
    size = float(jnp.abs(exact).max())
    np.testing.assert_allclose(batch[..., :few], exact, rtol=0, atol=tolerance * size)
    total = jnp.stack(jax.jit(lambda p: p.alpha(x, y))(Population(halos)))
    np.testing.assert_allclose(total, batch.sum(0), rtol=0, atol=tolerance * size)
