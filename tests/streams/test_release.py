"""Release: the frame, the tidal radius, moments of the draws, and gala's stream generators."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.potentials import NFW, Kepler, Logarithmic, MilkyWayPotential, Plummer
from simulators.streams.release import Chen2024, Fardal2015, release
from simulators.streams.spray import Latents, spray
from simulators.streams.units import DEG, G

Q, V = np.array([-11.46, 2.74, 7.69]), np.array([-0.1, -0.22, -0.09])
N = 20_000


def triple(a, n):
    return tuple(jnp.full(n, float(c)) for c in a)


class Still(Chen2024):
    """Nothing is drawn: one tidal radius out, and a speed of one v_t in each direction."""

    def offsets(self, normals, sign, r_t, v_t, mass):
        zero = jnp.zeros_like(r_t)
        return (sign * r_t, zero, zero), (v_t, 2.0 * v_t, 3.0 * v_t)


def released(convention, host, n=2, mass=1e5, normals=None, q=Q, v=V):
    sign = jnp.asarray(1.0 - 2.0 * (np.arange(n) % 2))
    normals = jnp.zeros((n, 6)) if normals is None else normals
    run = eqx.filter_jit(release)
    x, u = run(convention, host, triple(q, n), triple(v, n), jnp.zeros(n), mass, normals, sign)
    return np.stack(x, -1), np.stack(u, -1)


def frame(q, v):
    e_r, e_z = q / np.linalg.norm(q), np.cross(q, v)
    e_z = e_z / np.linalg.norm(e_z)
    return np.stack([e_r, np.cross(e_z, e_r), e_z])


def test_tidal_radius_on_circular_orbits():
    """Point mass: r (m / 3M)^(1/3). Flat rotation curve: (G m r^2 / 2 v_c^2)^(1/3)."""
    r, mass = 12.0, 1e5
    q = np.array([r, 0.0, 0.0])
    for host, wanted in (
        (Kepler(1e11), r * (mass / 3e11) ** (1 / 3)),
        (Logarithmic(0.2, 1e-6), (G * mass * r**2 / (2 * 0.2**2)) ** (1 / 3)),
    ):
        speed = float(host.circular_velocity(r))
        x, _ = released(Still(), host, q=q, v=np.array([0.0, speed, 0.0]))
        np.testing.assert_allclose(x[:, 0] - r, [wanted, -wanted], rtol=1e-6)


def test_frame():
    """Offsets along e_r, e_phi, e_z of the progenitor, the same for both arms where told so."""
    host = MilkyWayPotential()
    x, u = released(Still(), host)
    offset, speed = (x - Q) @ frame(Q, V).T, (u - V) @ frame(Q, V).T
    r_t = offset[0, 0]
    np.testing.assert_allclose(offset, [[r_t, 0, 0], [-r_t, 0, 0]], atol=1e-13)
    v_t = np.linalg.norm(np.cross(Q, V)) / (Q @ Q) * r_t
    np.testing.assert_allclose(speed, [[v_t, 2 * v_t, 3 * v_t]] * 2, atol=1e-13)
    e_r = frame(Q, V)[0]
    curvature = e_r @ np.asarray(host.hessian(Q)) @ e_r
    omega2 = (np.linalg.norm(np.cross(Q, V)) / (Q @ Q)) ** 2
    np.testing.assert_allclose(r_t, (G * 1e5 / (omega2 - curvature)) ** (1 / 3), rtol=1e-12)


def test_moments_of_fardal():
    """Published means and scatters to 5 standard errors (false alarm: 1e-5 in all)."""
    normals = jax.random.normal(jax.random.key(1), (N, 6))
    one = jnp.ones(N)
    x, v = Fardal2015().offsets(normals, one, one, one, 1.0)
    drawn = np.stack([x[0], x[2], v[1], v[2]])
    mean, scatter = np.array([2.0, 0.0, 0.3, 0.0]), np.array([0.4, 0.5, 0.4, 0.5])
    assert (np.abs(drawn.mean(1) - mean) < 5 * scatter / N**0.5).all()
    assert (np.abs(drawn.std(1) / scatter - 1) < 5 / (2 * N) ** 0.5).all()
    correlations = np.corrcoef(drawn) - np.eye(4)
    assert np.abs(correlations).max() < 5 / N**0.5
    _, v = Fardal2015.gala().offsets(normals, one, one, one, 1.0)
    # Product of N(2, 0.5) and N(0.3, 0.5): mean 0.6, variance 4/4 + 0.09/4 + 1/16.
    spread = (1.0 + 0.0225 + 0.0625) ** 0.5
    assert abs(float(v[1].mean()) - 0.6) < 5 * spread / N**0.5


def test_moments_of_chen():
    """Mean, scatter and the one covariance of the six numbers, recovered from the offsets."""
    normals = jax.random.normal(jax.random.key(2), (N, 6))
    one, mass = jnp.ones(N), 1e5
    x, v = (np.stack(c) for c in Chen2024().offsets(normals, one, one, one, mass))
    distance, speed = np.linalg.norm(x, axis=0), np.linalg.norm(v, axis=0)
    drawn = np.stack(
        [
            distance,
            np.arctan2(x[1], x[0]) / DEG,
            np.arcsin(x[2] / distance) / DEG,
            np.arctan2(v[1], v[0]) / DEG,
            np.arcsin(v[2] / speed) / DEG,
        ]
    )
    # Latitudes and azimuths fold at 90 deg: a beta of 22 deg does so in 4e-5 of the draws.
    mean, scatter = np.array([1.6, -30, 0, 20, 0]), np.array([0.35, 23, 12, 20, 22])
    assert (np.abs(drawn.mean(1) - mean) < 5 * scatter / N**0.5).all()
    assert (np.abs(drawn.std(1) / scatter - 1) < 5 / (2 * N) ** 0.5 + 2e-3).all()
    covariance = np.cov(drawn[0], drawn[3])[0, 1]
    assert abs(covariance + 4.9) < 5 * 0.35 * 20 / N**0.5
    np.testing.assert_allclose(speed, np.sqrt(2 * G * mass / distance), rtol=1e-12)


def test_chen_arms_are_opposite():
    """The leading arm: azimuths turned by 180 deg, altitudes drawn alike."""
    normals = jnp.broadcast_to(jax.random.normal(jax.random.key(3), (1, 6)), (2, 6))
    sign = jnp.array([1.0, -1.0])
    for part in Chen2024().offsets(normals, sign, jnp.ones(2), jnp.ones(2), 1e5):
        a, b = np.stack(part).T
        np.testing.assert_allclose(b, a * [-1, -1, 1], rtol=1e-12)


def test_finite_without_mass_and_at_the_centre():
    """Values and gradients for zero mass, and for a progenitor at rest at the origin."""

    def total(mass, q):
        x, u = release(
            Fardal2015(), NFW(1e12, 15.0), tuple(q[:, None]), triple(V, 1), jnp.zeros(1), mass,
            jnp.ones((1, 6)), jnp.ones(1),
        )  # fmt: skip
        return sum(jnp.sum(c) for c in (*x, *u))

    for mass, q in ((0.0, Q), (1e5, np.zeros(3))):
        value, grads = jax.value_and_grad(total, (0, 1))(jnp.asarray(mass), jnp.asarray(q))
        assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)


def gala_stream(df, n_pairs, mass, age, self_gravity):
    """Gala's mock stream with one pair every step: present (6, N) [kpc, kpc/Myr], lead last."""
    gp, gd = pytest.importorskip("gala.potential"), pytest.importorskip("gala.dynamics")
    import astropy.units as u
    from gala.dynamics import mockstream
    from gala.units import galactic

    host = gp.Hamiltonian(gp.MilkyWayPotential(version="v1"))
    own = gp.PlummerPotential(mass * u.Msun, 0.01 * u.kpc, units=galactic) if self_gravity else None
    make = getattr(mockstream, df[0])(**df[1], random_state=np.random.default_rng(4))
    generator = mockstream.MockStreamGenerator(make, host, progenitor_potential=own)
    start = gd.PhaseSpacePosition(pos=Q * u.kpc, vel=V * u.kpc / u.Myr)
    stream, _ = generator.run(
        start, mass * u.Msun, dt=-age / n_pairs * u.Myr, n_steps=n_pairs, n_particles=1
    )
    return np.concatenate([stream.xyz.to_value(u.kpc), stream.v_xyz.to_value(u.kpc / u.Myr)])


def along_and_across(y):
    """Along the orbit, in the plane, and out of the plane [kpc], in the progenitor's frame."""
    e_v = V / np.linalg.norm(V)
    e_z = np.cross(Q, V) / np.linalg.norm(np.cross(Q, V))
    return np.stack([e_v, np.cross(e_z, e_v), e_z]) @ (y[:3] - Q[:, None])


@pytest.mark.parametrize(
    ("df", "ours", "self_gravity"),
    [
        (("FardalStreamDF", {"gala_modified": False}), Fardal2015(), False),
        (("FardalStreamDF", {"gala_modified": True}), Fardal2015.gala(), False),
        (("ChenStreamDF", {}), Chen2024(), True),
    ],
    ids=["fardal", "fardal-gala", "chen"],
)
def test_stream_against_gala(df, ours, self_gravity):
    """Streams of 0.5 Gyr drawn by gala and by us have one distribution.

    Two-sample Kolmogorov-Smirnov tests of the position along the orbit, in the plane across it and
    out of the plane, and of the three velocities, 1000 against 1000 stars: false alarm 6e-4 in all.
    """
    stats = pytest.importorskip("scipy.stats")
    age, mass, pairs = 500.0, 5e4, 500
    theirs = gala_stream(df, pairs, mass, age, self_gravity)
    found = spray(
        Latents.draw(jax.random.key(5), 2 * pairs), MilkyWayPotential(), Q, V, mass=mass, age=age,
        convention=ours, satellite=Plummer(mass, 0.01) if self_gravity else None,
    )  # fmt: skip
    mine = np.stack([*found.x, *found.v])
    for name, a, b in zip(
        ("along", "in plane", "out of plane", "vx", "vy", "vz"),
        [*along_and_across(mine), *mine[3:]],
        [*along_and_across(theirs), *theirs[3:]],
        strict=True,
    ):
        assert stats.ks_2samp(a, b).pvalue > 1e-4, name
