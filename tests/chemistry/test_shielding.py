"""Shielding factors: published tables and formulae, limits, derivatives, precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import lookup, shielding

# Visser, van Dishoeck & Black 2009, table 5, first part, as printed: N(CO) = 0, 1e13, ... 1e19 by
# N(H2) = 0, 1e19, ... 1e23.
PRINTED = np.array([
    [1.000, 8.080e-1, 5.250e-1, 2.434e-1, 5.467e-2, 1.362e-2, 3.378e-3, 5.240e-4],
    [8.176e-1, 6.347e-1, 3.891e-1, 1.787e-1, 4.297e-2, 1.152e-2, 2.922e-3, 4.662e-4],
    [7.223e-1, 5.624e-1, 3.434e-1, 1.540e-1, 3.515e-2, 9.231e-3, 2.388e-3, 3.899e-4],
    [3.260e-1, 2.810e-1, 1.953e-1, 8.726e-2, 1.907e-2, 4.768e-3, 1.150e-3, 1.941e-4],
    [1.108e-2, 1.081e-2, 9.033e-3, 4.441e-3, 1.102e-3, 2.644e-4, 7.329e-5, 1.437e-5],
    [3.938e-7, 3.938e-7, 3.936e-7, 3.923e-7, 3.901e-7, 3.893e-7, 3.890e-7, 3.875e-7],
])  # fmt: skip
CO = np.r_[0.0, 10.0 ** np.arange(13, 20)]
H2 = np.r_[0.0, 10.0 ** np.arange(19, 24)]
FACTORS = {
    "h2": lambda N: shielding.h2(N, 2.0),
    "h2 warm": lambda N: shielding.h2(N, 2.0, exponent=1.1),
    "h2 by h": shielding.h2_by_h,
    "hd": lambda N: shielding.hd(1e-5 * N, N),
    "c": lambda N: shielding.c(1e-4 * N, N),
    "co": lambda N: shielding.co(1e-4 * N, N),
    "n2": lambda N: shielding.n2(3e-5 * N, N),
}
EACH = pytest.mark.parametrize("factor", FACTORS.values(), ids=list(FACTORS))


def test_co_against_the_printed_table():
    f = shielding.co(jnp.asarray(CO)[None, :], jnp.asarray(H2)[:, None])
    np.testing.assert_allclose(f, PRINTED, rtol=5e-4)


def test_tables_are_exact_at_their_nodes():
    values = lookup.read("li2013_n2.txt")
    f = shielding.n2(
        jnp.asarray(10.0 ** values[0, 20::5] - 1e10)[None, :],
        jnp.asarray(10.0 ** values[1::9, 0] - 1e14)[:, None],
    )
    np.testing.assert_allclose(f, values[1::9, 20::5], rtol=1e-6 if f.dtype == "float64" else 1e-3)


def test_bicubic_is_smooth_and_clamped():
    nodes = np.arange(6.0)
    table = lookup.padded(np.exp(-0.3 * nodes[:, None] - 0.1 * nodes) * [1.0])
    along = lambda x: lookup.bicubic(table, x, jnp.asarray(2.5, x.dtype))  # noqa: E731
    slope = jax.vmap(jax.grad(along))(jnp.asarray([3.0 - 1e-6, 3.0 + 1e-6]))
    np.testing.assert_allclose(slope[0], slope[1], rtol=1e-4)
    inside = lookup.bicubic(table, jnp.asarray(2.4), jnp.asarray(1.7))
    np.testing.assert_allclose(inside, np.exp(-0.3 * 2.4 - 0.17), rtol=2e-3)
    np.testing.assert_allclose(along(jnp.asarray(9.0)), along(jnp.asarray(5.0)), rtol=1e-3)


@pytest.mark.parametrize("b", [1.0, 5.0])
def test_h2_by_hand(b):
    """Draine & Bertoldi 1996, equation 37; their figure 5 has f = 1e-4 near N = 3e19 for b = 3."""
    N = np.array([1e13, 3e15, 1e18, 1e21])
    x = N / 5e14
    by_hand = 0.965 / (1 + x / b) ** 2 + 0.035 * (1 + x) ** -0.5 * np.exp(-8.5e-4 * (1 + x) ** 0.5)
    np.testing.assert_allclose(shielding.h2(jnp.asarray(N), b), by_hand, rtol=1e-4)
    assert 7e-5 < shielding.h2(3e19) < 1.5e-4


@pytest.mark.smoke
@EACH
def test_factors_fall_from_one_to_zero(factor):
    f = factor(jnp.asarray(np.r_[-1e15, 0.0, 10.0 ** np.arange(10, 25)], float))
    f = np.asarray(f)
    assert np.all(np.isfinite(f)) and np.all(f >= 0.0) and np.all(np.diff(f) <= 0.0)
    assert f[0] == f[1] and 0.7 < f[1] <= 1.0 and f[-1] < 0.1


@EACH
def test_derivatives(factor):
    slope = jax.vmap(jax.grad(factor))
    N = jnp.asarray(10.0 ** np.array([13.3, 15.1, 17.7, 20.3, 21.9]))
    step = N * 1e-5
    middle = (factor(N + step) - factor(N - step)) / (2.0 * step)
    if N.dtype == "float64":
        # differences of f are good to some 1e-16 / 2e-5
        np.testing.assert_allclose(slope(N) * N, middle * N, rtol=1e-5, atol=3e-11)
    ends = slope(jnp.asarray([0.0, 1e30]))
    assert np.all(np.isfinite(ends)) and ends[0] < 0.0


@EACH
def test_precision_follows_the_columns(factor):
    f = factor(jnp.asarray([0.0, 1e16, 1e22], "float32"))
    assert f.dtype == "float32"
    if jax.config.jax_enable_x64:
        np.testing.assert_allclose(f, factor(jnp.asarray([0.0, 1e16, 1e22])), rtol=2e-4)
