"""Galaxy-scale lenses at the edges: refused parameters, and traced ones outside their support."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass.multipole import Multipole
from simulators.lensing.mass.point import SIS, Point
from simulators.lensing.mass.power_law import EPL, NIE, SIE
from simulators.lensing.mass.sheet import Shear, Sheet
from tests.properties import QUICK


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Point(-1.0), "Point: argument `theta_E`"),
        (lambda: Point(1.0, np.nan), "Point: argument `center_x`"),
        (lambda: SIS(np.inf), "SIS: argument `theta_E`"),
        (lambda: Shear(np.nan, 0.0), "Shear: argument `gamma1`"),
        (lambda: Sheet(np.inf), "Sheet: argument `kappa_ext`"),
        (lambda: EPL(-1.0), "EPL: argument `theta_E`"),
        (lambda: EPL(1.0, 1.0), "EPL: argument `gamma`"),
        (lambda: EPL(1.0, 3.0), "EPL: argument `gamma`"),
        (lambda: EPL(1.0, 2.0, 0.8, 0.6), "EPL: arguments `e1`, `e2`"),
        (lambda: EPL(1.0, 2.0, np.nan), "EPL: arguments `e1`, `e2`"),
        (lambda: EPL(1.0, terms=2), "EPL: argument `terms`"),
        (lambda: SIE(1.0, 1.0), "SIE: arguments `e1`, `e2`"),
        (lambda: NIE(1.0, -0.1), "NIE: argument `s_scale`"),
        (lambda: NIE(1.0, 0.1, 0.0, -1.5), "NIE: arguments `e1`, `e2`"),
        (lambda: Multipole(1, 0.1), "Multipole: argument `m`"),
        (lambda: Multipole(3.0, 0.1), "Multipole: argument `m`"),
        (lambda: Multipole(4, np.nan), "Multipole: argument `a_m`"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(("e1", "e2"), [(1.0, 0.0), (-0.9, 0.9), (3.0, -4.0)])
def test_traced_ellipticity_outside_the_unit_disc_is_finite(e1, e2):
    """As a sampler may ask for it; concrete values are refused."""
    x, y = jnp.asarray([0.0, 1.0, 0.0, 0.7]), jnp.asarray([0.0, 0.0, 1.0, -0.7])

    @functools.partial(jax.jit, compiler_options=QUICK)
    @jax.value_and_grad
    def total(e):
        lenses = EPL(1.0, 2.2, *e), SIE(1.0, *e), NIE(1.0, 0.1, *e)
        parts = [v for m in lenses for v in (m.psi(x, y), *m.alpha(x, y), *m.hessian(x, y))]
        return jnp.sum(jnp.sin(jnp.stack(parts)))

    assert all(np.all(np.isfinite(v)) for v in jax.tree.leaves(total((e1, e2))))


def test_isothermal_lenses_agree():
    """EPL with gamma = 2, SIE and NIE without a core are one lens; round, they are the SIS."""
    x, y = jnp.asarray([1e-3, 1.0, 0.3, -7.0]), jnp.asarray([0.0, 0.0, 1.0, 2.0])

    @jax.jit
    def kernels(e1):
        lenses = EPL(1.1, 2.0, e1), SIE(1.1, e1), NIE(1.1, 0.0, e1), SIS(1.1)
        return [jnp.stack([m.psi(x, y), *m.alpha(x, y), *m.hessian(x, y)]) for m in lenses]

    eps = float(jnp.finfo(x.dtype).eps)
    for e1 in (0.3, 0.0):
        epl, sie, nie, sis = map(np.asarray, kernels(jnp.asarray(e1)))
        pull = np.linalg.norm(sis[1:3], axis=0)
        size = np.stack([sis[0], *2 * [pull], *3 * [pull / np.hypot(x, y)]])
        for other in (sie, nie, *((sis,) if e1 == 0.0 else ())):
            assert np.max(np.abs(other - epl) / size) < 50 * eps
