"""Potentials against gala, galpy and, where those lose digits, mpmath; to 1e-10 relative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.potentials import (
    NFW,
    DehnenBar,
    Hernquist,
    Isochrone,
    Jaffe,
    Kepler,
    Logarithmic,
    LongMuraliBar,
    MilkyWayPotential,
    MilkyWayPotential2022,
    MiyamotoNagai,
    MN3Disc,
    MWPotential2014,
    Plummer,
    PowerLawCutoff,
    Rotating,
)
from simulators.streams.units import KMS, G
from tests.streams.potentials.table import random_points

POINTS = random_points(120, seed=5)


def _relative(ours, theirs):
    """Largest error over the norm of each point's value, vector or matrix."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    axes = tuple(range(1, theirs.ndim))
    return np.max(np.sqrt(((ours - theirs) ** 2).sum(axes)) / np.sqrt((theirs**2).sum(axes)))


# gala's NFW force is a difference without a series near the centre, where it loses eps / u^2: the
# inner points are left to mpmath below. Its rotated logarithmic Hessian and density ignore the
# rotation (gala 1.11), so that row is not rotated here but below.
GALA = {
    "Kepler": ("KeplerPotential", {"m": 1e10}, Kepler(1e10)),
    "Plummer": ("PlummerPotential", {"m": 1e10, "b": 0.7}, Plummer(1e10, 0.7)),
    "Hernquist": ("HernquistPotential", {"m": 1e10, "c": 0.7}, Hernquist(1e10, 0.7)),
    "Jaffe": ("JaffePotential", {"m": 1e10, "c": 0.7}, Jaffe(1e10, 0.7)),
    "Isochrone": ("IsochronePotential", {"m": 1e10, "b": 0.7}, Isochrone(1e10, 0.7)),
    "PowerLawCutoff": (
        "PowerLawCutoffPotential",
        {"m": 1e10, "alpha": 1.8, "r_c": 1.9},
        PowerLawCutoff(1e10, 1.8, 1.9),
    ),
    "MiyamotoNagai": (
        "MiyamotoNagaiPotential",
        {"m": 1e10, "a": 3.0, "b": 0.28},
        MiyamotoNagai(1e10, 3.0, 0.28),
    ),
    "MN3Disc": (
        "MN3ExponentialDiskPotential",
        {"m": 1e10, "h_R": 2.6, "h_z": 0.3},
        MN3Disc(1e10, 2.6, 0.3),
    ),
    "MN3Disc-exponential": (
        "MN3ExponentialDiskPotential",
        {"m": 1e10, "h_R": 2.6, "h_z": 0.3, "positive_density": False, "sech2_z": False},
        MN3Disc(1e10, 2.6, 0.3, positive_density=False, sech2=False),
    ),
    "NFW": ("NFWPotential", {"m": 1e12, "r_s": 15.0}, NFW(1e12, 15.0)),
    "NFW-flattened": ("NFWPotential", {"m": 1e12, "r_s": 15.0, "c": 0.8}, NFW(1e12, 15.0, c=0.8)),
    "NFW-triaxial": (
        "NFWPotential",
        {"m": 1e12, "r_s": 15.0, "a": 1.1, "b": 0.9, "c": 0.8},
        NFW(1e12, 15.0, 1.1, 0.9, 0.8),
    ),
    "Logarithmic": (
        "LogarithmicPotential",
        {"v_c": 0.2, "r_h": 1.5, "q1": 1.1, "q2": 0.9, "q3": 0.8},
        Logarithmic(0.2, 1.5, 1.1, 0.9, 0.8),
    ),
    "MilkyWayPotential": ("MilkyWayPotential", {"version": "v1"}, MilkyWayPotential()),
    "MilkyWayPotential2022": ("MilkyWayPotential", {"version": "v2"}, MilkyWayPotential2022()),
}


@pytest.mark.parametrize("name", GALA)
def test_gala(name):
    gp = pytest.importorskip("gala.potential", reason="gala is a test extra")
    from gala.units import galactic

    cls, parameters, ours = GALA[name]
    theirs = getattr(gp, cls)(**parameters, units=galactic)
    inner = 1e-1 if "NFW" in name or "MilkyWay" in name else 1e-3
    q = POINTS[np.linalg.norm(POINTS, axis=-1) > inner]
    their_q = np.asarray(q).T
    np.testing.assert_allclose(ours.potential(q), theirs.energy(their_q).value, rtol=1e-10)
    assert _relative(ours.acceleration(q), theirs.acceleration(their_q).value.T) < 1e-10
    hessian = np.moveaxis(theirs.hessian(their_q).value, -1, 0)
    assert _relative(ours.hessian(q), hessian) < 1e-10
    density = theirs.density(their_q).value
    if np.all(np.isfinite(density)):  # gala has none for flattened NFW haloes
        np.testing.assert_allclose(ours.density(q), density, rtol=1e-10, atol=1e-12)
    else:
        assert name in ("NFW-flattened", "NFW-triaxial")


def test_gala_circular_velocity_and_mass():
    gp = pytest.importorskip("gala.potential", reason="gala is a test extra")
    radius = np.array([0.5, 2.0, 8.0, 20.0, 100.0])
    theirs = gp.MilkyWayPotential(version="v1").circular_velocity(
        np.stack([radius, 0 * radius, 0 * radius])
    )
    ours = MilkyWayPotential().circular_velocity(jnp.asarray(radius))
    np.testing.assert_allclose(ours, theirs.to_value("kpc/Myr"), rtol=1e-10)


def test_gala_nfw_constructors():
    gp = pytest.importorskip("gala.potential", reason="gala is a test extra")
    import astropy.units as u
    from gala.units import galactic

    theirs = gp.NFWPotential.from_M200_c(1e12 * u.Msun, 12.0, units=galactic).parameters
    ours = NFW.from_virial_mass(1e12, 12.0)
    np.testing.assert_allclose(ours.m, theirs["m"].value, rtol=1e-10)
    # the default cosmologies agree to the digits of H0 and G
    np.testing.assert_allclose(ours.r_s, theirs["r_s"].value, rtol=1e-6)
    theirs = gp.NFWPotential.from_circular_velocity(
        220 * u.km / u.s, 15 * u.kpc, r_ref=8 * u.kpc, units=galactic
    ).parameters
    ours = NFW.from_circular_velocity(220 * KMS, 15.0, r_ref=8.0)
    np.testing.assert_allclose(ours.m, theirs["m"].value, rtol=1e-10)


def test_galpy_mw_potential_2014():
    gp = pytest.importorskip("galpy.potential", reason="galpy is a test extra")
    radius, z = (np.geomspace(0.05, 300.0, 40), np.linspace(-3.0, 20.0, 40))
    q = jnp.stack([jnp.asarray(radius), jnp.zeros(40), jnp.asarray(z)], axis=-1)
    v2 = (220.0 * KMS) ** 2
    pot, ours = gp.MWPotential2014, MWPotential2014()
    acc = np.asarray(ours.acceleration(q))
    force = gp.evaluateRforces(pot, radius / 8, z / 8, use_physical=False) * v2 / 8
    np.testing.assert_allclose(acc[:, 0], force, rtol=1e-10)
    force = gp.evaluatezforces(pot, radius / 8, z / 8, use_physical=False) * v2 / 8
    assert np.max(np.abs(acc[:, 2] - force) / np.linalg.norm(acc, axis=-1)) < 1e-10
    density = gp.evaluateDensities(pot, radius / 8, z / 8, use_physical=False) * v2 / 64 / G
    np.testing.assert_allclose(ours.density(q), density, rtol=1e-10)
    # galpy's zero point is another one for the bulge: compare differences
    phi = gp.evaluatePotentials(pot, radius / 8, z / 8, use_physical=False) * v2
    mine = np.asarray(ours.potential(q))
    np.testing.assert_allclose(mine - mine[0], phi - phi[0], rtol=0, atol=1e-10 * abs(mine[0]))
    np.testing.assert_allclose(
        ours.circular_velocity(jnp.asarray(radius)),
        gp.vcirc(pot, radius / 8, use_physical=False) * np.sqrt(v2),
        rtol=1e-10,
    )


@pytest.mark.parametrize("t", [-1e4, -150.0, 20.0])
def test_galpy_dehnen_bar(t):
    gp = pytest.importorskip("galpy.potential", reason="galpy is a test extra")
    # with omega = 2 pi / 100 the bar's period, galpy's unit of t_form and t_steady, is 100
    theirs = gp.DehnenBarPotential(
        omegab=2 * np.pi / 100, rb=3.5, Af=1e-3, barphi=0.4, tform=-4.0, tsteady=3.0
    )
    ours = DehnenBar(1e-3, 3.5, 2 * np.pi / 100, angle=0.4, t_form=-400.0, t_grow=300.0)
    q = random_points(60, seed=2, low=0.1)
    q = q[np.hypot(q[:, 0], q[:, 1]) > 0.0]
    x, y, z = np.asarray(q).T
    big_r, azimuth = np.hypot(x, y), np.arctan2(y, x)
    phi, radial, torque, vertical = (
        np.array([f(*p, t=t) for p in zip(big_r, z, azimuth, strict=True)])
        for f in (
            lambda R, z, phi, t: theirs(R, z, phi=phi, t=t),
            lambda R, z, phi, t: theirs.Rforce(R, z, phi=phi, t=t),
            lambda R, z, phi, t: theirs.phitorque(R, z, phi=phi, t=t),
            lambda R, z, phi, t: theirs.zforce(R, z, phi=phi, t=t),
        )
    )
    acc = np.asarray(ours.acceleration(q, t))
    cos, sin = np.cos(azimuth), np.sin(azimuth)
    force = np.stack([radial * cos - torque / big_r * sin, radial * sin + torque / big_r * cos])
    expected = np.stack([*force, vertical], axis=-1)
    np.testing.assert_allclose(ours.potential(q, t), phi, rtol=1e-9, atol=1e-15)
    size = np.linalg.norm(expected, axis=-1, keepdims=True) + 1e-300
    np.testing.assert_allclose(acc / size, expected / size, rtol=0, atol=1e-10)


def _bar(mp, x, y, z):
    a, b, c, angle = mp.mpf("4"), mp.mpf("0.5"), mp.mpf("1"), mp.mpf(0.4)
    x, y = x * mp.cos(angle) + y * mp.sin(angle), y * mp.cos(angle) - x * mp.sin(angle)
    across = y**2 + (b + mp.sqrt(c**2 + z**2)) ** 2
    minus, plus = mp.sqrt((x - a) ** 2 + across), mp.sqrt((x + a) ** 2 + across)
    return mp.mpf(G) * 10**10 / (2 * a) * mp.log((x - a + minus) / (x + a + plus))


def _halo(mp, x, y, z):
    u = mp.sqrt((x / mp.mpf(1.1)) ** 2 + (y / mp.mpf(0.9)) ** 2 + (z / mp.mpf(0.8)) ** 2) / 15
    return -mp.mpf(G) * 10**12 / 15 * mp.log(1 + u) / u


def _logarithmic(mp, x, y, z):
    angle = mp.mpf(0.6)
    x, y = x * mp.cos(angle) + y * mp.sin(angle), y * mp.cos(angle) - x * mp.sin(angle)
    s2 = 4 + (x / mp.mpf(1.3)) ** 2 + y**2 + (z / mp.mpf(0.8)) ** 2
    return mp.mpf(0.2) ** 2 / 2 * mp.log(s2)


def _cutoff(alpha):
    def phi(mp, x, y, z):
        r, r_c, s = mp.sqrt(x * x + y * y + z * z), mp.mpf(1.9), (3 - mp.mpf(alpha)) / 2
        v = (r / r_c) ** 2
        shells = mp.gammainc(s - 0.5, v) / mp.gamma(s) / r_c
        return -mp.mpf(G) * 10**10 * (mp.gammainc(s, 0, v, regularized=True) / r + shells)

    return phi


@pytest.mark.parametrize(
    ("ours", "phi"),
    [
        (LongMuraliBar(1e10, 4.0, 0.5, 1.0, 0.4), _bar),
        (Rotating(LongMuraliBar(1e10, 4.0, 0.5, 1.0, 0.1), 0.03), _bar),
        (NFW(1e12, 15.0, 1.1, 0.9, 0.8), _halo),
        (Logarithmic(0.2, 2.0, 1.3, 1.0, 0.8, 0.6), _logarithmic),
        (PowerLawCutoff(1e10, 2.0, 1.9), _cutoff(2.0)),
        (PowerLawCutoff(1e10, 2.7, 1.9), _cutoff(2.7)),
        (PowerLawCutoff(1e10, 0.0, 1.9), _cutoff(0.0)),
    ],
    ids=lambda v: type(v).__name__ if not callable(v) or hasattr(v, "phi") else "",
)
def test_mpmath(ours, phi):
    """Fifty digits, by central differences of relative step 1e-12: errors below 1e-20."""
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    time = 10.0 if isinstance(ours, Rotating) else 0.0
    q = jnp.asarray([[1e-3, 2e-3, 1e-3], [-6.0, 3.0, 0.7], [8.0, -1.0, 4.0], [-90.0, 250.0, 40.0]])
    with mp.workdps(50):
        for point, value, acc, hessian, rho in zip(
            np.asarray(q),
            *(np.asarray(f(q, time)) for f in _methods(ours)),
            strict=True,
        ):
            point = [mp.mpf(float(p)) for p in point]
            h = [
                mp.mpf(10) ** -12 * mp.norm(point) * mp.mpf(i == k)
                for i in range(3)
                for k in range(3)
            ]
            h = [h[3 * i : 3 * i + 3] for i in range(3)]
            width = mp.mpf(10) ** -12 * mp.norm(point)

            def at(*steps, point=point):
                return phi(mp, *(sum(column) for column in zip(point, *steps, strict=True)))

            def minus(v):
                return [-c for c in v]

            gradient = [(at(e) - at(minus(e))) / (2 * width) for e in h]
            second = [
                [
                    (at(e, f) - at(e, minus(f)) - at(minus(e), f) + at(minus(e), minus(f)))
                    / (4 * width**2)
                    for f in h
                ]
                for e in h
            ]
            laplacian = float(sum(second[k][k] for k in range(3)) / (4 * mp.pi * mp.mpf(G)))
            gradient, second = np.array(gradient, float), np.array(second, float)
            np.testing.assert_allclose(value, float(phi(mp, *point)), rtol=1e-12)
            assert np.linalg.norm(acc + gradient) < 1e-12 * np.linalg.norm(gradient)
            assert np.linalg.norm(hessian - second) < 1e-11 * np.linalg.norm(second)
            np.testing.assert_allclose(rho, laplacian, rtol=1e-10, atol=1e-7 * abs(second).max())


def _methods(potential):
    return potential.potential, potential.acceleration, potential.hessian, potential.density


def test_nfw_keeps_its_digits_at_every_radius():
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")
    u = np.geomspace(1e-8, 1e4, 60)
    halo = NFW(1.0 / G, 1.0)
    q = jnp.stack([jnp.asarray(u), jnp.zeros(60), jnp.zeros(60)], axis=-1)
    with mp.workdps(40):
        exact = [(mp.log1p(v) / v, (mp.log1p(v) - v / (1 + v)) / v**2) for v in map(mp.mpf, u)]
        slope = [
            float(2 * f / v - 1 / (v * (1 + v) ** 2)) for (_, f), v in zip(exact, u, strict=True)
        ]
    depth, force = np.array(exact, float).T
    np.testing.assert_allclose(-halo.potential(q), depth, rtol=1e-14)
    np.testing.assert_allclose(-halo.acceleration(q)[:, 0], force, rtol=1e-14)
    radial = jax.vmap(jax.grad(lambda x: halo.acceleration(jnp.stack([x, 0.0, 0.0]))[0]))(q[:, 0])
    # at u -> 0 the radial derivative is 2/3 left over from terms 1 / u
    np.testing.assert_allclose(radial, slope, rtol=1e-13, atol=1e-13 / u.min())
