"""One table of lenses: a new one needs a row here and every property test holds it."""

import jax.numpy as jnp
import numpy as np

from simulators.lensing.mass.base import Composite
from simulators.lensing.mass.multipole import Multipole
from simulators.lensing.mass.pixelated import PixelConvergence, PixelPotential
from simulators.lensing.mass.point import SIS, Point
from simulators.lensing.mass.power_law import EPL, NIE, SIE
from simulators.lensing.mass.sheet import Shear, Sheet
from tests.lensing.mass import rows_halos
from tests.lensing.mass.case import Case

PLACE = {"center_x": 0.03, "center_y": -0.02}

_PIXELS = np.random.default_rng(5).uniform(0.1, 1.0, (5, 7))

CASES = {
    "Point": Case(Point(1.1, **PLACE)),
    "Point-centred": Case(Point(0.7)),
    "SIS": Case(SIS(1.1, **PLACE)),
    "SIS-centred": Case(SIS(0.7)),
    "Shear": Case(Shear(0.05, -0.03, **PLACE), ("gamma1", "gamma2")),
    "Shear-none": Case(Shear(0.0, 0.0), ("gamma1", "gamma2")),
    "Sheet": Case(Sheet(0.1, **PLACE), ("kappa_ext",)),
    "EPL": Case(EPL(1.2, 2.1, 0.1, -0.2, **PLACE)),
    "EPL-plain": Case(EPL(1.2)),
    "EPL-round": Case(EPL(0.9, 1.7)),
    "EPL-isothermal": Case(EPL(1.2, 2.0, -0.2, 0.1)),
    "EPL-shallow": Case(EPL(1.2, 1.1, 0.2, 0.1)),
    "EPL-steep": Case(EPL(1.2, 2.9, 0.2, 0.1)),
    "EPL-flat": Case(EPL(1.2, 2.2, 0.543, 0.724)),
    "EPL-small": Case(EPL(1e-3, 2.2, 0.1, 0.2)),
    "SIE": Case(SIE(1.2, 0.1, -0.2, **PLACE)),
    "SIE-round": Case(SIE(1.2)),
    "SIE-flat": Case(SIE(1.2, 0.543, 0.724)),
    "NIE": Case(NIE(1.2, 0.15, 0.1, -0.2, **PLACE)),
    "NIE-round": Case(NIE(1.2, 0.15)),
    "NIE-singular": Case(NIE(1.2, 0.0, 0.1, -0.2)),
    "NIE-plain": Case(NIE(1.2, 0.0)),
    "NIE-flat": Case(NIE(1.2, 0.15, 0.543, 0.724)),
    "Multipole-3": Case(Multipole(3, 0.1, 0.4, **PLACE), ("a_m",)),
    "Multipole-4": Case(Multipole(4, -0.1), ("a_m",)),
    # differences of a potential of some 10 s^2 between neighbours
    "PixelConvergence": Case(PixelConvergence(_PIXELS, 0.7, **PLACE), ("values",), single=1e-4),
    "PixelPotential": Case(PixelPotential(_PIXELS, 0.7, **PLACE), ("values",)),
    "Composite": Case(Composite(SIS(1.2), Shear(0.05, -0.03), Multipole(4, 0.1)), ()),
} | rows_halos.CASES


def random_points(n, seed, low=0.2, high=50.0):
    """`n` directions [arcsec], log-uniform in radius, the first quarter on an axis."""
    rng = np.random.default_rng(seed)
    radius = np.exp(rng.uniform(np.log(low), np.log(high), n))
    direction = rng.normal(size=(n, 2))
    special = n // 8
    direction[:special, 0] = 0.0
    direction[special : 2 * special, 1] = 0.0
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    return jnp.asarray(radius[:, None] * direction)


def special_points():
    """The centre, its neighbourhood, the axes and diagonals, radii of note, and far away."""
    around = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    scales = (1e-30, 1e-12, 1e-8, 1e-6, 1.0, 2.0, 1e4)
    near = [scale * direction for scale in scales for direction in around]
    centred = [point + np.array([0.03, -0.02]) for point in near]
    return jnp.asarray(np.array([[0.0, 0.0], [0.03, -0.02], *near, *centred]))
