"""Distances against astropy, their gradients, and the arrival time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.cosmology import Cosmology

Z = np.array([1e-4, 0.01, 0.28, 0.5, 0.982, 2.0, 5.0, 11.0, 20.0])
CASES = {
    "flat": (70.0, 0.3, -1.0, 0.0),
    "wCDM": (67.4, 0.315, -0.8, 0.0),
    "phantom": (74.0, 0.25, -1.2, 0.0),
    "open": (70.0, 0.3, -1.0, 0.1),
    "closed": (70.0, 0.3, -0.9, -0.15),
    "nearly flat": (70.0, 0.3, -1.0, 1e-9),
}


@pytest.mark.parametrize("name", CASES)
def test_distances_against_astropy(name):
    """To 1e-12; the curved case near zero, where sin(x) / x loses digits, included."""
    cosmology = pytest.importorskip("astropy.cosmology")
    h0, om, w, ok = CASES[name]
    theirs = cosmology.wCDM(H0=h0, Om0=om, Ode0=1.0 - om - ok, w0=w, Tcmb0=0.0)
    ours = Cosmology(h0, om, w, ok)
    expected = theirs.angular_diameter_distance(Z).value
    np.testing.assert_allclose(ours.angular_diameter_distance(Z), expected, rtol=1e-12)
    between = theirs.angular_diameter_distance(0.28, Z[3:]).value
    np.testing.assert_allclose(ours.angular_diameter_distance(Z[3:], 0.28), between, rtol=1e-12)


def test_critical_density_and_time_delay_distance():
    """Against astropy's constants: G is known to 2e-5, and differs by less from ours."""
    cosmology = pytest.importorskip("astropy.cosmology")
    constants = pytest.importorskip("astropy.constants")
    theirs = cosmology.FlatLambdaCDM(H0=70.0, Om0=0.3, Tcmb0=0.0)
    near, far = (theirs.angular_diameter_distance(z) for z in (0.28, 0.982))
    between = theirs.angular_diameter_distance(0.28, 0.982)
    ours = Cosmology(70.0, 0.3)
    delay = (1.28 * near * far / between).value
    np.testing.assert_allclose(ours.time_delay_distance(0.28, 0.982), delay, rtol=1e-12)
    critical = constants.c**2 / (4.0 * np.pi * constants.G) * far / (near * between)
    expected = critical.to("Msun / Mpc2").value
    np.testing.assert_allclose(ours.critical_surface_density(0.28, 0.982), expected, rtol=1e-8)


@pytest.mark.parametrize("name", ["flat", "open"])
def test_gradients(name):
    """Against central differences, also at zero curvature."""
    values = jnp.asarray(CASES[name])

    def distance(v):
        return Cosmology(*v).angular_diameter_distance(jnp.asarray(1.5), 0.3)

    step = 1e-4 * jnp.asarray([70.0, 1.0, 1.0, 1.0])
    expected = [
        (distance(values.at[i].add(step[i])) - distance(values.at[i].add(-step[i])))
        / (2.0 * step[i])
        for i in range(4)
    ]
    np.testing.assert_allclose(jax.grad(distance)(values), expected, rtol=1e-6)
    np.testing.assert_allclose(jax.jacfwd(distance)(values), jax.grad(distance)(values), rtol=1e-12)


def test_float32_and_bad_values():
    near = Cosmology(jnp.float32(70.0), jnp.float32(0.3)).angular_diameter_distance(
        jnp.float32([0.1, 3.0])
    )
    assert near.dtype == jnp.float32
    expected = Cosmology().angular_diameter_distance([0.1, 3.0])
    np.testing.assert_allclose(near, expected, rtol=1e-5)
    with pytest.raises(ValueError, match="argument `H0` = -70"):
        Cosmology(-70.0)
    with pytest.raises(ValueError, match="source must lie behind the lens"):
        Cosmology().time_delay_distance(0.5, 0.4)
    with pytest.raises(ValueError, match="0 < z_lens"):
        Cosmology().critical_surface_density(0.0, 0.4)
    # known redshifts are checked, and are no trouble, in a program too
    delay = jax.jit(lambda: Cosmology().time_delay_distance(jnp.float32(0.5), jnp.float32(2.0)))
    assert delay() > 0
