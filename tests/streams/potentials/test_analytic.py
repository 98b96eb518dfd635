"""Closed forms, bad input, curves and the LMC: what needs no peer."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.potentials import (
    NFW,
    Composite,
    DehnenBar,
    ExponentialGrowth,
    HermiteCurve,
    Hernquist,
    Isochrone,
    Jaffe,
    Kepler,
    Logarithmic,
    LongMuraliBar,
    MilkyWayPotential,
    MiyamotoNagai,
    MN3Disc,
    Moving,
    Plummer,
    PowerLawCutoff,
    Reflex,
    Rotating,
    TimeScaled,
    UniformAcceleration,
    lmc_potential,
    two_body_track,
    with_lmc,
)
from simulators.streams.potentials.base import AbstractPotential
from simulators.streams.units import KMS, G

RADII = jnp.asarray(np.geomspace(1e-2, 200.0, 9))


def test_enclosed_mass_of_the_spheres():
    m = 1e10
    r = np.asarray(RADII)
    s = np.sqrt(r**2 + 9.0)
    expected = [
        (Kepler(m), m + 0 * r),
        (Plummer(m, 3.0), m * (r / s) ** 3),
        (Hernquist(m, 3.0), m * (r / (r + 3.0)) ** 2),
        (Jaffe(m, 3.0), m * r / (r + 3.0)),
        (Isochrone(m, 3.0), m * r**3 / (s * (3.0 + s) ** 2)),
        (NFW(m, 3.0), m * (np.log1p(r / 3.0) - r / (r + 3.0))),
    ]
    for potential, mass in expected:
        # the NFW closed form written out above loses digits at u = 0.003
        np.testing.assert_allclose(potential.enclosed_mass(RADII), mass, rtol=2e-11)
        np.testing.assert_allclose(
            potential.circular_velocity(RADII), np.sqrt(G * mass / r), rtol=2e-11
        )


def test_enclosed_mass_by_gauss():
    """Against the density of a thin disc, integrated over the sphere by other means."""
    disc = MiyamotoNagai(6.8e10, 3.0, 0.28)
    r = 20.0
    nodes, weights = np.polynomial.legendre.leggauss(400)
    # z = r w^3 crowds the nodes to the plane, R = sqrt(r^2 - z^2) s
    w, s = np.meshgrid((nodes + 1) / 2, (nodes + 1) / 2, indexing="ij")
    z = r * w**3
    edge = np.sqrt(r**2 - z**2)
    jacobian = 3 * r * w**2 * edge * (edge * s) * np.outer(weights, weights) / 4
    q = jnp.asarray(np.stack([edge * s, 0 * z, z], axis=-1))
    mass = np.sum(4 * math.pi * jacobian * np.asarray(disc.density(q)))
    np.testing.assert_allclose(disc.enclosed_mass(r), mass, rtol=1e-8)


def test_total_masses():
    """Far away every finite mass is a point, and the bars' quadrupoles are gone."""
    q = jnp.asarray([[1e6, -2e6, 5e5]])
    point = Kepler(1e10).acceleration(q)
    for potential in (
        PowerLawCutoff(1e10, 1.8, 1.9),
        MiyamotoNagai(1e10, 3.0, 0.28),
        LongMuraliBar(1e10, 4.0, 0.5, 1.0),
        Plummer(1e10, 1.0),
    ):
        np.testing.assert_allclose(potential.acceleration(q), point, rtol=1e-5)


def test_flattening_is_in_the_potential():
    halo = NFW(1e12, 15.0, c=0.8)
    same = NFW(1e12, 15.0).potential(jnp.asarray([0.0, 0.0, 10.0]))
    np.testing.assert_allclose(halo.potential(jnp.asarray([0.0, 0.0, 8.0])), same, rtol=1e-15)
    # the derivative with respect to the flattening exists at exactly 1
    q = jnp.asarray([3.0, 2.0, 5.0])
    gradient = jax.grad(lambda c: NFW(1e12, 15.0, c=c).potential(q))
    np.testing.assert_allclose(gradient(1.0), gradient(1.0 + 1e-9), rtol=1e-8)


def test_sums():
    parts = [MiyamotoNagai(6e10, 3.0, 0.3), Hernquist(5e9, 1.0), Hernquist(1e9, 0.1)]
    total = sum(parts)
    assert total.names == ("miyamotonagai", "hernquist", "hernquist2") and len(total) == 3
    assert ((parts[0] + parts[1]) + (parts[2] + NFW(1e11, 9.0))).names[-1] == "nfw"
    q = jnp.asarray([[3.0, -4.0, 1.0]])
    for method in ("potential", "acceleration", "hessian", "density"):
        separate = sum(np.asarray(getattr(p, method)(q)) for p in parts)
        np.testing.assert_allclose(getattr(total, method)(q), separate, rtol=1e-13)
    named = eqx.tree_at(lambda p: p["halo"].m, MilkyWayPotential(), jnp.asarray(1e12))
    assert float(named["halo"].m) == 1e12
    with pytest.raises(KeyError, match="no part 'bar'"):
        named["bar"]
    with pytest.raises(TypeError, match="give potentials"):
        Composite(disc=3.0)
    with pytest.raises(ValueError, match="at least one"):
        Composite()


def test_shapes_of_the_methods():
    potential = Logarithmic(0.2, 1.0)
    for shape in ((), (2, 3)):
        q = jnp.ones((*shape, 3))
        assert potential.potential(q).shape == potential.density(q).shape == shape
        assert potential.acceleration(q, t=jnp.zeros(shape)).shape == (*shape, 3)
        assert potential.hessian(q).shape == (*shape, 3, 3)
        assert potential.circular_velocity(q[..., 0]).shape == shape
        assert potential.enclosed_mass(q[..., 0]).shape == shape
    with pytest.raises(ValueError, match=r"argument `q` has shape \(3, 2\)"):
        potential.potential(jnp.ones((3, 2)))


def test_rotating_frame_keeps_the_jacobi_integral_rate():
    """dphi/dt at a fixed place is omega times the torque: phi(angle - omega t)."""
    bar = Rotating(LongMuraliBar(1e10, 4.0, 0.5, 1.0), 0.04, 0.3)
    q = jnp.asarray([5.0, 3.0, 1.0])
    rate = jax.grad(lambda t: bar.potential(q, t))(7.0)
    acc = bar.acceleration(q, 7.0)
    np.testing.assert_allclose(rate, 0.04 * (q[0] * acc[1] - q[1] * acc[0]), rtol=1e-12)
    whole = bar.acceleration(q, 7.0 + 2 * math.pi / 0.04)
    np.testing.assert_allclose(whole, acc, rtol=1e-12)


def test_dehnen_bar_grows_smoothly():
    bar = DehnenBar(1e-3, 3.5, 0.0, t_form=-100.0, t_grow=200.0)
    q = jnp.asarray([2.0, 1.0, 0.5])
    phi = [float(bar.potential(q, t)) for t in (-500.0, -100.0, 0.0, 100.0, 500.0)]
    assert phi[0] == phi[1] == 0.0 and phi[3] == phi[4]
    np.testing.assert_allclose(phi[2], 0.5 * phi[3], rtol=1e-14)
    # the amplitude of from_alpha is a radial force alpha v_0^2 / r_0 along the bar
    made = DehnenBar.from_alpha(0.01, 0.225, 8.0, r_b=3.5, omega=0.04)
    force = made.acceleration(jnp.asarray([8.0, 0.0, 0.0]))[0]
    np.testing.assert_allclose(force, -0.01 * 0.225**2 / 8.0, rtol=1e-12)


@pytest.mark.parametrize(("quintic", "order"), [(False, 4), (True, 6)])
def test_hermite_order(quintic, order):
    def error(n):
        t = np.linspace(0.0, 10.0, n)
        wave = np.stack([np.sin(t), np.cos(t), np.sin(2 * t) / 2])
        slope = np.stack([np.cos(t), -np.sin(t), np.cos(2 * t)])
        bend = np.stack([-np.sin(t), -np.cos(t), -2 * np.sin(2 * t)])
        curve = HermiteCurve(t, wave.T, slope.T, bend.T if quintic else None)
        dense = np.linspace(0.0, 10.0, 777)
        exact = np.stack([np.sin(dense), np.cos(dense), np.sin(2 * dense) / 2], axis=-1)
        return np.abs(np.asarray(curve(jnp.asarray(dense))) - exact).max()

    assert math.log2(error(21) / error(41)) == pytest.approx(order, abs=0.3)


def test_curve_through_points_and_beyond_the_ends():
    t = np.array([0.0, 1.0, 1.5, 3.0, 4.0])
    cubic = t**3 - 2.0 * t
    curve = HermiteCurve.through(t, cubic)
    dense = np.linspace(0.0, 4.0, 50)
    np.testing.assert_allclose(curve(jnp.asarray(dense)), dense**3 - 2.0 * dense, atol=1e-12)
    np.testing.assert_allclose(
        curve(jnp.asarray([-2.0, 6.0])), [4.0, 56.0 + 2.0 * 46.0], rtol=1e-12
    )
    assert curve(0.5).shape == () and jax.grad(curve)(3.0).shape == ()


def test_moving_and_growing():
    track = HermiteCurve([0.0, 100.0], [[0.0, 0, 0], [20.0, 0, 0]], [[0.2, 0, 0], [0.2, 0, 0]])
    cloud = Moving(Plummer(1e10, 2.0), track)
    times = jnp.asarray([0.0, 50.0, 100.0])
    q = jnp.asarray([[1.0, 2.0, 3.0], [11.0, 2.0, 3.0], [21.0, 2.0, 3.0]])
    still = Plummer(1e10, 2.0).acceleration(q[0])
    np.testing.assert_allclose(cloud.acceleration(q, times), np.tile(still, (3, 1)), rtol=1e-13)
    halo = TimeScaled(NFW(1e12, 15.0), ExponentialGrowth(1e3))
    ratio = halo.potential(q[0], -1e3) / halo.potential(q[0])
    np.testing.assert_allclose(ratio, math.exp(-1.0), rtol=1e-13)


def test_reflex_keeps_the_origin_at_rest():
    galaxy = with_lmc(MilkyWayPotential(), duration=100.0)
    pull = galaxy["lmc"].acceleration(jnp.zeros(3), -20.0) + galaxy["reflex"].acceleration(
        jnp.zeros(3), -20.0
    )
    np.testing.assert_allclose(pull, 0.0, atol=1e-18)
    fixed = with_lmc(MilkyWayPotential(), duration=100.0, reflex=False)
    assert fixed.names[-1] == "lmc"
    mass = lmc_potential(1.38e11).enclosed_mass(8.7)
    np.testing.assert_allclose(mass, 1.7e10, rtol=1e-12)


def test_two_body_track_is_the_two_body_problem():
    """Two point masses: energy and angular momentum of the relative orbit, and its period."""
    m1, m2, a = 1e12, 2e11, 60.0
    mu = G * (m1 + m2)
    period = 2 * math.pi * math.sqrt(a**3 / mu)
    e = 0.3
    q = [a * (1 - e), 0.0, 0.0]
    v = [0.0, math.sqrt(mu / a * (1 + e) / (1 - e)), 0.0]
    track = two_body_track(Kepler(m1), Kepler(m2), q, v, period, knots=257, substeps=8)
    np.testing.assert_allclose(track(0.0), q, rtol=0, atol=1e-12)
    np.testing.assert_allclose(track(-period), q, rtol=0, atol=1e-4 * a)
    speed2, r = (track.slopes**2).sum(-1), jnp.sqrt((track.values**2).sum(-1))
    np.testing.assert_allclose(0.5 * speed2 - mu / r, -0.5 * mu / a, rtol=1e-6)
    middle = 0.5 * (track.times[1:] + track.times[:-1])
    slope = jax.vmap(jax.jacfwd(track))(middle)
    energy = 0.5 * (slope**2).sum(-1) - mu / jnp.sqrt((track(middle) ** 2).sum(-1))
    np.testing.assert_allclose(energy, -0.5 * mu / a, rtol=1e-6)


def test_lmc_orbit_is_differentiable_in_its_mass():
    def place(m):
        satellite = Hernquist(m, 16.0)
        velocity = jnp.asarray([-63.9, -213.8, 206.6]) * KMS
        track = two_body_track(
            MilkyWayPotential(), satellite, [-0.6, -41.3, -27.1], velocity, 300.0, 9
        )
        return track.values[0]

    place = jax.jit(place)
    forward = jax.jit(jax.jacfwd(place))(1.4e11)
    finite = (place(1.4e11 + 1e7) - place(1.4e11 - 1e7)) / 2e7
    np.testing.assert_allclose(forward, finite, rtol=1e-7)
    assert np.linalg.norm(place(1.4e11)) > 60.0  # it was farther out, and on its way in


BAD = {
    "Plummer: argument `b` = -1.0": lambda: Plummer(1e4, -1.0),
    "Kepler: argument `m` = -1.0": lambda: Kepler(-1.0),
    "NFW: argument `c` = 0.0": lambda: NFW(1e12, 15.0, c=0.0),
    "NFW: argument `r_s` = nan": lambda: NFW(1e12, float("nan")),
    "MiyamotoNagai: argument `b` = 0.0": lambda: MiyamotoNagai(1e10, 3.0, 0.0),
    "MN3Disc: argument `h_z` = -0.3": lambda: MN3Disc(1e10, 2.6, -0.3),
    "PowerLawCutoff: argument `alpha` = 3.0": lambda: PowerLawCutoff(1e10, 3.0, 1.9),
    "Logarithmic: argument `q3` = 0.0": lambda: Logarithmic(0.2, 1.0, q3=0.0),
    "LongMuraliBar: argument `a` = 0.0": lambda: LongMuraliBar(1e10, 0.0, 0.5, 1.0),
    "DehnenBar: argument `omega` = inf": lambda: DehnenBar(1e-3, 3.5, float("inf")),
    "Rotating: argument `omega` = nan": lambda: Rotating(Kepler(1.0), float("nan")),
    "ExponentialGrowth: argument `timescale` = 0.0": lambda: ExponentialGrowth(0.0),
    "UniformAcceleration: argument `a` has shape": lambda: UniformAcceleration([0.0, 1.0]),
    "HermiteCurve: argument `times` does not increase at knot 2": lambda: HermiteCurve(
        [0.0, 1.0, 1.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0]
    ),
    "HermiteCurve: argument `slopes` has shape": lambda: HermiteCurve(
        [0.0, 1.0], [0.0, 1.0], [0.0]
    ),
    "two_body_track: argument `duration` = -1.0": lambda: two_body_track(
        Kepler(1.0), Kepler(1.0), [1.0, 0, 0], [0.0, 0, 0], -1.0
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_parameters(message):
    with pytest.raises(ValueError, match=message) as caught:
        BAD[message]()
    assert "give" in str(caught.value) or "must" in str(caught.value) or "sort" in str(caught.value)


def test_traced_parameters_are_not_checked():
    force = jax.jit(lambda b: Plummer(1e4, b).acceleration(jnp.ones(3)))
    assert np.all(np.isfinite(force(-1.0)))


def test_a_potential_from_phi_alone():
    """A new potential may give `phi` only: forces, Hessian, density and mass follow."""

    class Harmonic(AbstractPotential):
        k: jax.Array

        def phi(self, x, y, z, t):
            return 0.5 * self.k * (x * x + y * y + z * z)

    well = Harmonic(jnp.asarray(0.01))
    q = jnp.asarray([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]])
    np.testing.assert_allclose(well.acceleration(q), -0.01 * q, rtol=1e-14)
    np.testing.assert_allclose(well.hessian(q), np.tile(0.01 * np.eye(3), (2, 1, 1)), rtol=1e-14)
    rho = 0.03 / (4 * math.pi * G)
    np.testing.assert_allclose(well.density(q), rho, rtol=1e-13)
    np.testing.assert_allclose(well.enclosed_mass(2.0), rho * 4 / 3 * math.pi * 8, rtol=1e-12)
    assert Reflex(well).acceleration(q).shape == (2, 3)
