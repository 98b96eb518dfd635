"""Frames: against astropy and gala, round trips, poles and the origin, dtypes, gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from simulators.streams import frames
from simulators.streams.frames import GD1, GreatCircleFrame, SolarFrame
from simulators.streams.units import KMS

x64 = pytest.mark.skipif(not jax.config.jax_enable_x64, reason="tolerances are for float64")
SOLAR = {
    "galcen_distance": 8.3,
    "galcen_v_sun": (11.1, 244.0, 7.25),
    "z_sun": 0.027,
    "roll": 1.3,
}


def phase_space(n=500, seed=0):
    rng = np.random.default_rng(seed)
    return [*rng.normal(0, 15, (3, n)), *rng.normal(0, 0.2, (3, n))]


def angle_error(a, b):
    return np.max(np.abs((np.asarray(a) - b + 180.0) % 360.0 - 180.0))


def relative(a, b):
    return np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b))


def astropy_frame(solar):
    coord = pytest.importorskip("astropy.coordinates")
    u = pytest.importorskip("astropy.units")
    with coord.galactocentric_frame_defaults.set("v4.0"):
        return coord.Galactocentric(
            galcen_distance=float(solar.galcen_distance) * u.kpc,
            galcen_v_sun=coord.CartesianDifferential(np.asarray(solar.galcen_v_sun) * u.km / u.s),
            z_sun=float(solar.z_sun) * u.kpc,
            roll=float(solar.roll) * u.deg,
        )


def astropy_observe(w, solar, target):
    coord = pytest.importorskip("astropy.coordinates")
    u = pytest.importorskip("astropy.units")
    galcen = astropy_frame(solar)
    position = coord.CartesianRepresentation(*w[:3], unit=u.kpc)
    motion = coord.CartesianDifferential(*w[3:], unit=u.kpc / u.Myr)
    full = coord.SkyCoord(galcen.realize_frame(position.with_differentials(motion)))
    return full.transform_to(target)


@x64
@pytest.mark.parametrize("solar", [{}, SOLAR], ids=["default", "other"])
def test_icrs_agrees_with_astropy(solar):
    coord = pytest.importorskip("astropy.coordinates")
    solar, w = SolarFrame(**solar), phase_space()
    theirs = astropy_observe(w, solar, coord.ICRS())
    ours = frames.galactocentric_to_icrs(*w, solar=solar)
    assert angle_error(ours.ra, theirs.ra.deg) < 1e-9
    assert angle_error(ours.dec, theirs.dec.deg) < 1e-9
    assert relative(ours.distance, theirs.distance.kpc) < 1e-12
    assert relative(ours.pm_ra_cosdec, theirs.pm_ra_cosdec.value) < 1e-9
    assert relative(ours.pm_dec, theirs.pm_dec.value) < 1e-9
    assert relative(ours.radial_velocity, theirs.radial_velocity.value) < 1e-9
    back = frames.icrs_to_galactocentric(*ours, solar=solar)
    galcen = theirs.transform_to(astropy_frame(solar))
    assert relative(back.x, galcen.x.to_value("kpc")) < 1e-12
    assert relative(back.vz, galcen.v_z.to_value("kpc/Myr")) < 1e-9
    assert max(relative(a, b) for a, b in zip(back, w, strict=True)) < 1e-12


@x64
@pytest.mark.parametrize("solar", [{}, SOLAR], ids=["default", "other"])
def test_gd1_agrees_with_gala(solar):
    gala = pytest.importorskip("gala.coordinates")
    solar, w = SolarFrame(**solar), phase_space(seed=1)
    theirs = astropy_observe(w, solar, gala.GD1Koposov10())
    ours = frames.galactocentric_to_stream(*w, solar=solar)
    assert angle_error(ours.phi1, theirs.phi1.deg) < 1e-9
    assert angle_error(ours.phi2, theirs.phi2.deg) < 1e-9
    assert relative(ours.distance, theirs.distance.kpc) < 1e-9
    assert relative(ours.pm_phi1_cosphi2, theirs.pm_phi1_cosphi2.value) < 1e-9
    assert relative(ours.pm_phi2, theirs.pm_phi2.value) < 1e-9
    assert relative(ours.radial_velocity, theirs.radial_velocity.value) < 1e-9


@x64
def test_pole_and_origin_agree_with_gala():
    gala = pytest.importorskip("gala.coordinates")
    coord = pytest.importorskip("astropy.coordinates")
    u = pytest.importorskip("astropy.units")
    pole = coord.SkyCoord(34.6 * u.deg, 29.7 * u.deg)
    theirs = gala.GreatCircleICRSFrame.from_pole_ra0(pole, 200 * u.deg)
    ours = GreatCircleFrame.from_pole_and_origin(34.6, 29.7, 200.0)
    rng = np.random.default_rng(2)
    ra, dec = rng.uniform(0, 360, 100), np.degrees(np.arcsin(rng.uniform(-1, 1, 100)))
    sky = coord.SkyCoord(ra * u.deg, dec * u.deg).transform_to(theirs)
    blank = np.zeros(100)
    got = frames.icrs_to_stream(ra, dec, blank, blank, blank, blank, frame=ours)
    offset = angle_error(got.phi1, sky.phi1.deg)
    # gala may take the opposite crossing of the meridian ra0; both have phi1 = 0 on that meridian
    assert min(offset, abs(offset - 180.0)) < 1e-9
    assert angle_error(got.phi2, sky.phi2.deg) < 1e-9


@x64
def test_round_trips_close():
    w = phase_space(seed=3)
    solar = SolarFrame(**SOLAR)
    obs = frames.galactocentric_to_stream(*w, solar=solar)
    back = frames.stream_to_galactocentric(*obs, solar=solar)
    assert max(relative(a, b) for a, b in zip(back, w, strict=True)) < 1e-12
    sky = frames.stream_to_icrs(*obs)
    again = frames.icrs_to_stream(*sky)
    assert angle_error(again.phi1, np.asarray(obs.phi1)) < 1e-11
    assert max(relative(a, np.asarray(b)) for a, b in zip(again[1:], obs[1:], strict=True)) < 1e-11
    fused = frames.icrs_to_stream(*frames.galactocentric_to_icrs(*w, solar=solar))
    # the two paths differ by how far the printed GD-1 matrix is from orthogonal
    for a, b in zip(fused, obs, strict=True):
        assert relative(a, np.asarray(b)) < 1e-9


@pytest.mark.smoke
def test_angles_stay_in_their_ranges():
    w = phase_space(4000, seed=4)
    phi1 = frames.galactocentric_to_stream(*w).phi1
    ra = frames.galactocentric_to_icrs(*w).ra
    assert jnp.min(phi1) > -180 and jnp.max(phi1) <= 180 and jnp.min(phi1) < -170
    assert jnp.min(ra) >= 0 and jnp.max(ra) < 360 and jnp.max(ra) > 350
    edge = frames.icrs_to_stream(
        180.0, jnp.array([0.0, -0.0]), 1.0, 0.0, 0.0, 0.0, frame=GreatCircleFrame(np.eye(3))
    )
    np.testing.assert_allclose(edge.phi1, 180.0)
    np.testing.assert_allclose(
        frames.wrap_degrees(jnp.array([540.0, -540.0, 725.0])), [180, 180, 5]
    )


def special_points():
    """Phase-space points at the Sun, along the stream frame's poles, and a general one."""
    sun, velocity = SolarFrame().position(), SolarFrame().velocity()
    pole = SolarFrame().matrix() @ jnp.asarray(GD1.matrix[2], sun.dtype)
    places = jnp.stack([sun, sun + 3 * pole, sun - 3 * pole, sun + 1e-9 * pole, sun * 0 + 5.0], 1)
    return (*places, *(jnp.broadcast_to(v + 0.1, (5,)) for v in velocity))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_finite_at_poles_and_zero_distance_in_values_and_gradients(dtype):
    if dtype == jnp.float64 and not jax.config.jax_enable_x64:
        pytest.skip("float64 needs x64")
    w = jnp.stack([c.astype(dtype) for c in special_points()])

    def observe(w, solar):
        return jnp.stack(frames.galactocentric_to_stream(*w, solar=solar))

    solar = SolarFrame()
    value = observe(w, solar)
    assert value.dtype == dtype and jnp.all(jnp.isfinite(value))
    for jacobian in (jax.jacfwd, jax.jacrev):
        by_w = jax.jit(jacobian(observe))(w, solar)
        by_solar = jax.jit(jacobian(observe, argnums=1))(w, solar)
        assert by_w.dtype == dtype
        for leaf in jax.tree.leaves((by_w, by_solar)):
            assert jnp.all(jnp.isfinite(leaf))
    assert jnp.all(value[2] > 0)


@x64
def test_gradients_match_finite_differences_in_everything():
    w = jnp.array([-12.0, 0.5, 6.0, -0.11, -0.25, 0.1])
    solar = SolarFrame(**SOLAR)
    flat, unravel = ravel_pytree((w, solar))

    def observe(p):
        w, solar = unravel(p)
        there = jnp.stack(frames.galactocentric_to_stream(*w, solar=solar))
        back = jnp.stack(frames.stream_to_galactocentric(*(there * 1.01), solar=solar))
        return jnp.concatenate([there, back])

    run = jax.jit(observe)
    forward, reverse = jax.jit(jax.jacfwd(observe))(flat), jax.jit(jax.jacrev(observe))(flat)
    steps = 1e-5 * np.eye(flat.size)
    numeric = np.stack([(run(flat + s) - run(flat - s)) / 2e-5 for s in steps], axis=1)
    np.testing.assert_allclose(forward, reverse, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(forward, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.smoke
def test_float32_in_float32_out_and_near_float64():
    w = phase_space(200, seed=5)
    single = [np.float32(c) for c in w]
    obs = frames.galactocentric_to_stream(*single)
    assert {o.dtype for o in obs} == {jnp.dtype("float32")}
    assert {o.dtype for o in frames.stream_to_galactocentric(*obs)} == {jnp.dtype("float32")}
    back = frames.stream_to_galactocentric(*obs)
    assert max(relative(a, b) for a, b in zip(back, w, strict=True)) < 3e-6


def test_the_sun_is_at_rest_relative_to_itself():
    solar = SolarFrame()
    w = frames.icrs_to_galactocentric(10.0, 20.0, 5.0, 0.0, 0.0, 0.0, solar=solar)
    np.testing.assert_allclose(jnp.stack(w[3:]), solar.galcen_v_sun * KMS, rtol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(solar.position()), 8.122, rtol=1e-6)
    np.testing.assert_allclose(solar.position()[2], 0.0208, rtol=1e-5)


def test_bad_frames_are_refused():
    with pytest.raises(ValueError, match="proper rotation"):
        GreatCircleFrame(np.diag([1.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="proper rotation"):
        GreatCircleFrame(np.diag([1.0, 1.0, -1.0]))
    with pytest.raises(ValueError, match=r"shape \(3, 3\)"):
        GreatCircleFrame(np.ones(3))
    with pytest.raises(ValueError, match="at the pole"):
        GreatCircleFrame.from_pole_and_origin(10.0, 20.0, 10.0, 20.0)
    with pytest.raises(ValueError, match="give origin_dec"):
        GreatCircleFrame.from_pole_and_origin(90.0, 0.0, 0.0)
    with pytest.raises(ValueError, match="galcen_v_sun"):
        SolarFrame(galcen_v_sun=(1.0, 2.0))
