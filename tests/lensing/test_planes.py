"""Several lens planes against lenstronomy and against one plane; their derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.cosmology import Cosmology, arrival_time
from simulators.lensing.mass.point import SIS
from simulators.lensing.mass.power_law import EPL
from simulators.lensing.mass.sheet import Shear
from simulators.lensing.planes import MultiPlane

Z, Z_SOURCE = (0.25, 0.5, 0.9), 2.0
GALAXY = {"theta_E": 1.0, "gamma": 1.9, "e1": 0.1, "e2": 0.05, "center_x": 0.02, "center_y": 0.01}
SHEAR = {"gamma1": 0.03, "gamma2": -0.05}
BEHIND = {"theta_E": 0.2, "center_x": 0.6, "center_y": -0.4}
FRONT = {"theta_E": 0.1, "center_x": -0.8, "center_y": 0.9}
THETA = np.random.default_rng(0).uniform(-2.0, 2.0, (40, 2))


def _planes(cosmology):
    lenses = (SIS(**FRONT), EPL(**GALAXY) + Shear(**SHEAR), SIS(**BEHIND))
    return MultiPlane(lenses, Z, Z_SOURCE, cosmology)


@jax.jit
def _evaluate(planes, theta):
    return (
        planes.source_position(theta),
        planes.magnification(theta),
        planes.arrival_time(theta),
    )


def test_against_lenstronomy():
    """Rays to 1e-9, magnification to 1e-6 (theirs by differences), delays to 1e-8."""
    pytest.importorskip("lenstronomy")
    cosmology = pytest.importorskip("astropy.cosmology")
    from lenstronomy.LensModel.lens_model import LensModel

    model = LensModel(
        ["SIS", "EPL", "SHEAR", "SIS"],
        z_lens=None,
        z_source=Z_SOURCE,
        lens_redshift_list=[Z[0], Z[1], Z[1], Z[2]],
        cosmo=cosmology.FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0.0),
        multi_plane=True,
    )
    keywords = [FRONT, GALAXY, SHEAR, BEHIND]
    beta, magnification, delay = _evaluate(_planes(Cosmology(70.0, 0.3)), THETA)
    np.testing.assert_allclose(
        np.stack(model.ray_shooting(*THETA.T, keywords), -1), beta, rtol=0, atol=1e-9
    )
    theirs = model.magnification(*THETA.T, keywords)
    np.testing.assert_allclose(1.0 / magnification, 1.0 / theirs, rtol=0, atol=1e-6)
    # The path to a common source is what one observes.
    expected = model.arrival_time(*THETA.T, keywords)
    np.testing.assert_allclose(delay, expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max())


def test_one_plane_is_the_plain_lens():
    lens, theta = EPL(**GALAXY), THETA[:5]
    planes = MultiPlane((lens,), [0.5], Z_SOURCE)
    beta, magnification, delay = _evaluate(planes, theta)
    np.testing.assert_allclose(beta, lens.source_position(theta), rtol=1e-12)
    np.testing.assert_allclose(magnification, lens.magnification(theta), rtol=1e-9)
    distance = Cosmology().time_delay_distance(0.5, Z_SOURCE)
    single = [arrival_time(lens, t, b, distance) for t, b in zip(theta, beta, strict=True)]
    np.testing.assert_allclose(delay, single, rtol=1e-11)


def test_derivatives_reach_the_cosmology():
    """Reverse mode against central differences in H0, Om0 and w."""

    @jax.jit
    def delay(v):
        return _planes(Cosmology(*v)).arrival_time(THETA[0])

    at = jnp.asarray([70.0, 0.3, -0.9])
    steps = np.diag([7e-3, 1e-4, 1e-4])
    numeric = [(delay(at + s) - delay(at - s)) / (2.0 * s.max()) for s in steps]
    np.testing.assert_allclose(jax.grad(delay)(at), numeric, rtol=1e-6)


def test_bad_redshifts():
    with pytest.raises(ValueError, match="give one redshift a lens"):
        MultiPlane((SIS(1.0),), [0.3, 0.4], 1.0)
    with pytest.raises(ValueError, match="increase from above 0"):
        MultiPlane((SIS(1.0), SIS(1.0)), [0.5, 0.3], 1.0)
    with pytest.raises(ValueError, match="below the source"):
        MultiPlane((SIS(1.0),), [0.5], 0.5)
