"""Images of point sources: against closed forms and lenstronomy, and their derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.cosmology import Cosmology, arrival_time
from simulators.lensing.mass.point import SIS, Point
from simulators.lensing.mass.power_law import EPL
from simulators.lensing.mass.sheet import Shear
from simulators.lensing.points import image_positions

QUAD = {"theta_E": 1.1, "gamma": 2.05, "e1": 0.12, "e2": -0.08, "center_x": 0.03, "center_y": -0.02}
SHEAR = {"gamma1": 0.04, "gamma2": -0.02}
BETA = (0.06, 0.04)


def _quad(v):
    """The quad's images as a function of the lens' eight parameters and the source's place."""
    lens = EPL(*v[:6]) + Shear(v[6], v[7])
    return image_positions(lens, v[8:])


VALUES = np.array([*QUAD.values(), *SHEAR.values(), *BETA])


@functools.cache
def _compiled():
    return jax.jit(_quad)


def test_isothermal_sphere():
    """Images at beta +- theta_E, magnified by 1 +- theta_E / beta (to rounding)."""
    images = jax.jit(lambda beta: image_positions(SIS(1.0), beta))(jnp.asarray([0.3, 0.4]))
    assert int(images.n) == 2 and np.asarray(images.found).tolist() == [True, True] + 3 * [False]
    np.testing.assert_allclose(images.theta[:2], [[0.9, 1.2], [-0.3, -0.4]], rtol=1e-12)
    np.testing.assert_allclose(images.magnification, [3.0, -1.0, 0.0, 0.0, 0.0], rtol=1e-10)


def test_point_mass():
    """theta = (beta +- sqrt(beta^2 + 4)) / 2 in units of theta_E."""
    images = image_positions(Point(1.0), [0.5, 0.0])
    assert int(images.n) == 2
    root = np.sqrt(0.25 + 4.0)
    expected = [(0.5 + root) / 2.0, (0.5 - root) / 2.0]
    np.testing.assert_allclose(images.theta[:2, 0], expected, rtol=1e-12)


def test_outside_the_caustic_there_is_one():
    images = image_positions(SIS(1.0), [1.5, 0.2])
    assert int(images.n) == 1 and not bool(images.found[1])


def test_quad_against_lenstronomy():
    """Directions to 1e-9 arcsec, magnifications to 1e-7, delays to 1e-9 days (each its own)."""
    pytest.importorskip("lenstronomy")
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LensModel.Solver.lens_equation_solver import LensEquationSolver

    images = _compiled()(VALUES)
    assert int(images.n) == 4
    model = LensModel(["EPL", "SHEAR"], z_lens=0.3, z_source=1.5)
    keywords = [QUAD, SHEAR]
    x, y = LensEquationSolver(model).image_position_from_source(
        *BETA, keywords, min_distance=0.02, search_window=6.0, precision_limit=1e-14
    )
    theirs = np.stack([x, y], axis=-1)
    ours = np.asarray(images.theta[:4])
    order = [int(np.argmin(np.sum((theirs - o) ** 2, axis=-1))) for o in ours]
    assert sorted(order) == [0, 1, 2, 3]
    np.testing.assert_allclose(ours, theirs[order], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        images.magnification[:4], model.magnification(*ours.T, keywords), rtol=1e-7
    )
    lens = EPL(**QUAD) + Shear(**SHEAR)
    distance = Cosmology(70.0, 0.3).time_delay_distance(0.3, 1.5)
    delays = np.asarray(arrival_time(lens, ours, BETA, distance))
    expected = model.arrival_time(*ours.T, keywords, x_source=BETA[0], y_source=BETA[1])
    theirs_distance = float(model._lensCosmo.ddt)
    expected = expected * float(distance) / theirs_distance  # its cosmology has radiation
    np.testing.assert_allclose(np.diff(delays), np.diff(expected), rtol=1e-8, atol=1e-9)


def test_derivatives_are_those_of_the_solution():
    """Forward mode, reverse mode and central differences of the whole solution."""
    quad = _compiled()
    forward = jax.jit(jax.jacfwd(lambda v: _quad(v).theta[:4]))(VALUES)
    reverse = jax.jit(jax.jacrev(lambda v: _quad(v).theta[:4]))(VALUES)
    np.testing.assert_allclose(forward, reverse, rtol=0, atol=1e-10)
    step = 1e-5
    for i in range(len(VALUES)):
        moved = [np.asarray(quad(VALUES + s * step * np.eye(len(VALUES))[i])[0]) for s in (1, -1)]
        numeric = (moved[0] - moved[1])[:4] / (2.0 * step)
        np.testing.assert_allclose(forward[..., i], numeric, rtol=1e-5, atol=1e-5)


def test_bad_arguments():
    with pytest.raises(ValueError, match="beta: got shape"):
        image_positions(SIS(1.0), [0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="n_cells = 1"):
        image_positions(SIS(1.0), [0.1, 0.2], n_cells=1)
