"""Lenses that are a function of one radius: round, or elliptical in the potential."""

import abc

import equinox as eqx

from simulators.lensing.directions import from_centre
from simulators.lensing.mass.base import AbstractMass
from simulators.lensing.mass.radial_table import WORTH, tabulate
from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import cast


class AbstractRadial(AbstractMass):
    """A lens whose potential is a function of a squared radius R^2 [arcsec^2] alone.

    A leaf of the subclasses has the fields `center_x` and `center_y` and gives the round lens as
    `profile`, `pull` and `shell`.
    """

    #: Whether many rays take `pull` from a table: it is dear, and analytic but for R^2 <= 0.
    tabulated = False

    @abc.abstractmethod
    def profile(self, r2):
        """psi(R) [arcsec^2]."""

    @abc.abstractmethod
    def pull(self, r2):
        """Deflection over radius (dpsi/dR) / R, which is the mean convergence within R."""

    @abc.abstractmethod
    def shell(self, r2):
        """The convergence at R."""

    def _pull(self, r2):
        """`pull`, by the cheaper way."""
        if not (self.tabulated and r2.size >= WORTH):
            return self.pull(r2)
        # Where it is placed has no part in it, and needs no derivative's table.
        halo = eqx.tree_at(self._placement, self, replace_fn=lambda leaf: None)
        return tabulate(_pull, halo, r2.ravel())[0].reshape(r2.shape)

    @staticmethod
    def _placement(lens):
        return [getattr(lens, name) for name in _PLACEMENT if hasattr(lens, name)]


_PLACEMENT = ("center_x", "center_y", "e1", "e2")


def _pull(halo, r2):
    return (halo.pull(r2),)


class AbstractCircular(AbstractRadial):
    """A round lens.

    At the very centre the deflection vanishes by symmetry; a convergence that diverges there stays
    finite, because the squared radius is never below `tiny`.
    """

    def _radius(self, x, y):
        x, y = from_centre(self, x, y)
        return x, y, at_least(x * x + y * y, tiny(x))

    def psi(self, x, y):
        """The lens potential [arcsec^2]."""
        return self.profile(self._radius(x, y)[2])

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        x, y, r2 = self._radius(x, y)
        pull = self._pull(r2)
        return pull * x, pull * y

    def hessian(self, x, y):
        r"""pull delta_ij + 2 (kappa - pull) x_i x_j / R^2."""
        x, y, r2 = self._radius(x, y)
        pull = self.pull(r2)
        slope = 2.0 * (self.shell(r2) - pull) / r2
        sx, sy = slope * x, slope * y
        return pull + sx * x, sx * y, pull + sy * y

    def kappa(self, x, y):
        """The convergence."""
        return self.shell(self._radius(x, y)[2])


class AbstractEllipsePotential(AbstractRadial):
    r"""A lens with elliptical equipotentials, psi = psi_round(R), in lenstronomy's convention.

    .. math:: R^2 = (1 - \epsilon) x'^2 + (1 + \epsilon) y'^2, \quad
        \epsilon = \frac{1 - q^2}{1 + q^2} = \frac{2 |e|}{1 + |e|^2}

    with x' along the major axis (Golse & Kneib 2002, A&A 390, 821), so that R^2 is the quadratic
    form r^2 - 2 [e1 (x^2 - y^2) + 2 e2 x y] / (1 + e1^2 + e2^2), smooth where e1 = e2 = 0. A leaf
    has the fields `e1` and `e2` too. The convergence becomes peanut-shaped, and negative near the
    minor axis, for |e| above about 0.1.
    """

    def _form(self, x, y):
        """Coordinates, the form's coefficients (xx, xy, yy), its gradient / 2 and R^2."""
        x, y = from_centre(self, x, y)
        e1, e2 = cast(x, self.e1, self.e2)
        k = 2.0 / (1.0 + e1 * e1 + e2 * e2)
        a, b, c = 1.0 - k * e1, -k * e2, 1.0 + k * e1
        px, py = a * x + b * y, b * x + c * y
        return (a, b, c), px, py, at_least(x * px + y * py, tiny(x))

    def psi(self, x, y):
        """The lens potential [arcsec^2]."""
        return self.profile(self._form(x, y)[3])

    def alpha(self, x, y):
        """The deflection [arcsec]."""
        _, px, py, r2 = self._form(x, y)
        pull = self._pull(r2)
        return pull * px, pull * py

    def hessian(self, x, y):
        """pull Q_ij + 2 (kappa - pull) (Q x)_i (Q x)_j / R^2, the form Q and the round kappa."""
        (a, b, c), px, py, r2 = self._form(x, y)
        pull = self.pull(r2)
        slope = 2.0 * (self.shell(r2) - pull) / r2
        sx, sy = slope * px, slope * py
        return a * pull + sx * px, b * pull + sx * py, c * pull + sy * py
