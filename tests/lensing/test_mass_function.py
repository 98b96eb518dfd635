"""Draws of subhaloes against their mass function, and halo masses against lenstronomy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from simulators.lensing.cosmology import Cosmology
from simulators.lensing.halo_conversion import (
    concentration,
    half_mode_mass,
    nfw_angles,
    truncation_radius,
    warm_concentration,
)
from simulators.lensing.mass import NFW
from simulators.lensing.mass_function import (
    SubhaloMassFunction,
    disc_quantile,
    nfw_quantile,
    sample_subhalos,
)
from tests.properties import QUICK

DRAWS = 20000
#: Seeds are fixed, and a correct sampler would fail a test with one seed in so many.
ONE_IN = 1e5
WARM = SubhaloMassFunction(0.02, m_hm=3e7)
X, Y = np.array([0.3, -1.0, 0.2]), np.array([0.8, 0.1, -0.6])


def _chi_square(counts, expected):
    """Refuse counts that independent draws give less often than once in `ONE_IN`."""
    value = np.sum((counts - expected) ** 2 / expected)
    assert stats.chi2.sf(value, len(counts) - 1) > 1.0 / ONE_IN


def _distribution(function, edges):
    """Probability of the bins between mass `edges`, by the midpoint rule of the density."""
    grid = np.linspace(np.log(1e6), np.log(1e10), 40001)
    centre = 0.5 * (grid[1:] + grid[:-1])
    x = np.exp(centre)
    density = x**-0.9 * (1.0 + (4.2 * float(function.m_hm) / x) ** 2.5) ** -0.2
    total = np.concatenate([[0.0], np.cumsum(density)])
    return np.diff(np.interp(np.log(edges), grid, total)) / total[-1], density * (grid[1] - grid[0])


UNIFORM = np.random.default_rng(1).uniform(size=DRAWS)


@pytest.mark.parametrize("m_hm", [0.0, 3e7])
def test_masses_follow_the_mass_function(m_hm):
    function = SubhaloMassFunction(0.02, m_hm=m_hm)
    edges = np.concatenate([np.geomspace(1e6, 1e9, 16), [1e10]])
    probability, density = _distribution(function, edges)
    masses = np.asarray(jax.jit(SubhaloMassFunction.mass_quantile)(function, UNIFORM))
    assert masses.min() >= 1e6 * (1 - 1e-5) and masses.max() <= 1e10 * (1 + 1e-5)
    _chi_square(np.histogram(masses, edges)[0], DRAWS * probability)
    # in units of Sigma_sub (1e8)^0.9
    expected = 0.02 * 50.0 * 1e8**0.9 * density.sum()
    np.testing.assert_allclose(function.mean_count(50.0), expected, rtol=1e-4)
    numerical = np.trapezoid(
        function.density(np.geomspace(1e6, 1e10, 4001)), np.geomspace(1e6, 1e10, 4001)
    )
    np.testing.assert_allclose(50.0 * numerical, expected, rtol=1e-4)


def test_counts_are_poisson():
    mean = float(WARM.mean_count(100.0))
    keys = jax.random.split(jax.random.key(2), 4000)
    counts = np.asarray(jax.jit(jax.vmap(lambda k: WARM.sample_count(k, 100.0, 80).sum()))(keys))
    assert 10.0 < mean < 40.0
    edges = stats.poisson.ppf(np.linspace(0.0, 1.0, 13)[1:-1], mean)
    edges = np.concatenate([[-1.0], np.unique(edges), [79.0]])
    probability = np.diff(stats.poisson.cdf(edges, mean))
    found = np.histogram(counts, edges + 0.5)[0]
    assert found.sum() == 4000
    _chi_square(found, 4000 * probability)


def test_radii():
    edges = np.linspace(0.0, 1.0, 13)
    deflection, _ = NFW(0.6, 1.0).alpha(jnp.asarray(edges[1:]), jnp.zeros(12))
    mass = np.concatenate([[0.0], edges[1:] * np.asarray(deflection)])
    u = jnp.asarray(UNIFORM)
    for radius, total in ((disc_quantile(u), edges**2), (nfw_quantile(u, 0.6), mass)):
        found = np.histogram(np.asarray(radius), edges)[0]
        _chi_square(found, DRAWS * np.diff(total) / total[-1])


def test_fraction_of_the_surface_density():
    function = SubhaloMassFunction.from_fraction(0.01, 2e9, m_hm=1e7, slope=-1.8)
    np.testing.assert_allclose(function.mean_mass(7.0), 0.01 * 2e9 * 7.0, rtol=1e-5)
    masses = np.geomspace(1e6, 1e10, 8001)
    held = np.trapezoid(masses * np.asarray(function.density(masses)), masses)
    np.testing.assert_allclose(held, 0.01 * 2e9, rtol=1e-4)


TRACES = []


def _loss(function, key, host_scale):
    TRACES.append(1)
    x, y = jnp.asarray(X), jnp.asarray(Y)
    settings = {"radius": 1.5, "size": 64, "host_scale": host_scale}
    haloes = sample_subhalos(key, function, 0.5, 2.0, **settings)
    ax, ay = haloes.alpha(x, y)
    return jnp.sum(jnp.sin(x) * ax + jnp.cos(y) * ay), (haloes, ax)


@pytest.fixture(scope="module")
def draw():
    """The one program of the tests below: a loss of a population, and its gradient."""
    return jax.jit(jax.value_and_grad(_loss, has_aux=True), compiler_options=QUICK)


def test_any_normalisation_compiles_once_and_none_has_no_mass(draw):
    key, scale = jax.random.key(4, impl="rbg"), jnp.asarray(40.0)
    TRACES.clear()
    for number in (0.0, 1e-3, 4e-3):
        function = SubhaloMassFunction(number, m_hm=0.0 if number == 0.0 else 1e7)
        (_, (haloes, ax)), gradient = draw(function, key, scale)
        assert bool(jnp.any(haloes.mask)) == bool(jnp.any(ax)) == (number > 0.0)
        assert all(np.all(np.isfinite(v)) for v in jax.tree.leaves((haloes, gradient)))
        assert bool(jnp.any(gradient.slope)) == (number > 0.0)
    assert len(TRACES) == 1
    if jax.config.jax_enable_x64:
        # the same draw moves with the slope
        up, down = (
            draw(SubhaloMassFunction(4e-3, slope=-1.9 + h, m_hm=1e7), key, scale)[0][0]
            for h in (1e-5, -1e-5)
        )
        np.testing.assert_allclose((up - down) / 2e-5, gradient.slope, rtol=1e-4)


def test_population_is_made_of_the_pieces(draw):
    """What every subhalo has for its place: within the disc, cut by tides, with its scatter."""
    (_, (haloes, _)), _ = draw(WARM, jax.random.key(5, impl="rbg"), jnp.asarray(40.0))
    lens, cosmology = haloes.mass, Cosmology()
    kpc = float(cosmology.angular_diameter_distance(0.5)) * 1e3 * np.pi / 648000.0
    distance = np.hypot(lens.center_x, lens.center_y)
    assert distance.max() < 1.5
    # alpha_Rs / Rs^2 tells the concentration, and Rs then the mass
    c = np.geomspace(2.0, 60.0, 4000)
    unit = np.stack(np.broadcast_arrays(*nfw_angles(1e8, c, 0.5, 2.0)))
    found = np.interp(np.asarray(lens.alpha_Rs / lens.Rs**2), unit[1] / unit[0] ** 2, c)
    mass = 1e8 * (np.asarray(lens.Rs) / np.interp(found, c, unit[0])) ** 3
    usual = np.asarray(concentration(mass, 0.5) * warm_concentration(mass, 0.5, 3e7))
    dex = np.log10(found / usual)
    # 64 draws of 0.1 dex: five standard errors
    assert abs(dex.mean()) < 0.0625 and abs(dex.std() - 0.1) < 0.045
    depth = (np.asarray(lens.r_trunc) * kpc / 1.4 / (mass / 1e7) ** (1 / 3)) ** 1.5 * 50.0
    assert np.all(depth > distance * kpc * 0.99) and np.all(depth < 310.0)
    assert np.ptp(np.log(depth)) > 1.0


def test_lenstronomy():
    lens_cosmo = pytest.importorskip("lenstronomy.Cosmo.lens_cosmo")
    constants = pytest.importorskip("lenstronomy.Util.constants")
    astropy = pytest.importorskip("astropy.cosmology")
    cosmology = astropy.FlatLambdaCDM(H0=67.0, Om0=0.32, Tcmb0=0.0)
    theirs = lens_cosmo.LensCosmo(0.4, 1.7, cosmology)
    mass, c = np.array([1e6, 1e8, 1e13]), np.array([20.0, 12.0, 5.0])
    Rs, alpha_Rs, r200 = nfw_angles(mass, c, 0.4, 1.7, Cosmology(67.0, 0.32))
    expected_Rs, expected_alpha = theirs.nfw_physical2angle(mass, c)
    tolerance = 1e-8 if jax.config.jax_enable_x64 else 1e-5
    np.testing.assert_allclose(Rs, expected_Rs, rtol=tolerance)
    np.testing.assert_allclose(r200, c * np.asarray(Rs), rtol=1e-6)
    # its G M_sun is larger than the IAU's by 3e-4, and only its Sigma_cr has it
    ratio = constants.G * constants.M_sun / 1.3271244e20
    assert abs(ratio - 1.0) < 1e-3
    np.testing.assert_allclose(alpha_Rs * ratio, expected_alpha, rtol=tolerance)


def test_published_values():
    """Table 3 of Dutton & Maccio (2014) at z = 0 and 1; the other relations at their pivots."""
    cosmology = Cosmology(100.0, 0.3175)
    for z, a, b in ((0.0, 0.905, -0.101), (1.0, 0.728, -0.075)):
        found = np.log10(np.asarray(concentration([1e12, 1e13], z, cosmology)))
        np.testing.assert_allclose(found, [a, a + b], atol=2e-3)
    np.testing.assert_allclose(half_mode_mass([3.0, 6.0]), [5e8, 5e8 * 2 ** (-10 / 3)], rtol=1e-5)
    np.testing.assert_allclose(truncation_radius([1e7, 8e7], 50.0), [1.4, 2.8], rtol=1e-5)
    np.testing.assert_allclose(truncation_radius(1e7, 400.0), 5.6, rtol=1e-5)
    assert warm_concentration(1e7, 1.0, 0.0) == 1.0
    np.testing.assert_allclose(warm_concentration(1e7, 0.0, 1e7), 61.0**-0.17, rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sigma_sub": -1.0}, "`sigma_sub`"),
        ({"sigma_sub": 1.0, "m_low": 0.0}, "`m_low`"),
        ({"sigma_sub": 1.0, "m_hm": -1.0}, "`m_hm`"),
        ({"sigma_sub": 1.0, "m_low": 1e9, "m_high": 1e8}, "`m_high`"),
        ({"sigma_sub": 1.0, "slope": np.nan}, "`slope`"),
    ],
)
def test_refusals(fields, message):
    with pytest.raises(ValueError, match=f"SubhaloMassFunction: .*{message}"):
        SubhaloMassFunction(**fields)
