r"""Ellipses without angles, so that the round lens is no special point.

With z = x + i y and the complex ellipticity e = e1 + i e2 = (1 - q) / (1 + q) exp(2 i phi), the
combination w = z - e z* is, up to a factor and a rotation, Q x' + i y' with Q = q and x', y'
along the major and the minor axis:

.. math:: w = (1 + |e|)\, e^{i \phi} (q x' + i y'), \quad
    q x'^2 + y'^2 / q = |w|^2 / (1 - |e|^2)

Both sides are polynomials in e1 and e2. Where profiles are written in w and e, no axis ratio, no
position angle and no square root of e1^2 + e2^2 is ever formed, and derivatives at e1 = e2 = 0
come out right.
"""

import jax.numpy as jnp
import numpy as np

from simulators.shared.elementwise import at_least, inverse_root
from simulators.shared.fields import cast, known


def check_ellipticity(owner):
    """Refuse concrete `e1`, `e2` of `owner` unless e1^2 + e2^2 < 1.

    Raises:
        ValueError: names the class, the arguments, their values and the remedy.
    """
    if not known(owner.e1, owner.e2):
        return
    e1, e2 = np.asarray(owner.e1), np.asarray(owner.e2)
    # also false for NaN
    if not np.all(e1 * e1 + e2 * e2 < 1.0):
        raise ValueError(
            f"{type(owner).__name__}: arguments `e1`, `e2` are outside their support: `e1` = {e1}, "
            f"`e2` = {e2}; give finite values with e1^2 + e2^2 below 1: (1 - q) / (1 + q) times "
            "cos 2 phi, sin 2 phi for the axis ratio q and the position angle phi."
        )


def ellipticity(x, lens):
    """(e1, e2, 1 - |e|^2) of `lens`, with |e|^2 held below 1 - 4 sqrt(eps).

    That is q > 1.5e-8 in float64 and q > 3.5e-4 in float32. It keeps values and gradients finite
    where a sampler steps outside e1^2 + e2^2 < 1.
    """
    e1, e2 = cast(x, lens.e1, lens.e2)
    limit = 1.0 - 4.0 * float(jnp.finfo(x.dtype).eps) ** 0.5
    shrink = inverse_root(at_least((e1 * e1 + e2 * e2) / limit, 1.0))
    e1, e2 = e1 * shrink, e2 * shrink
    return e1, e2, 1.0 - (e1 * e1 + e2 * e2)


def flattened(x, y, e1, e2):
    """w = z - e z* as (real, imaginary)."""
    return x - (e1 * x + e2 * y), y - (e2 * x - e1 * y)
