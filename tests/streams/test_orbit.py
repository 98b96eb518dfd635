"""Orbits against SciPy's and gala's DOP853 and closed forms; both directions; what is refused."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from simulators.streams.orbit import Adaptive, Nystrom, Stormer, advance, orbit, orbit_error
from simulators.streams.potentials import (
    Kepler,
    LongMuraliBar,
    MilkyWayPotential,
    Plummer,
    Rotating,
)
from simulators.streams.units import G

GD1_Q = np.array([-11.46, 2.74, 7.69])
GD1_V = np.array([-0.1, -0.22, -0.09])
#: Uneven, and off every grid.
TIMES = (0.0, -333.3, -1000.0, -1777.77, -3000.0)


@functools.cache
def gd1_like(n=8):
    """Orbits around that of GD-1 [kpc, kpc/Myr]."""
    rng = np.random.default_rng(1)
    q = GD1_Q + 0.3 * rng.normal(size=(n, 3))
    v = GD1_V * (1.0 + 0.05 * rng.normal(size=(n, 1))) + 0.01 * rng.normal(size=(n, 3))
    return q, v


def milky_way(_t, y):
    """The forces of `MilkyWayPotential`, written again in NumPy."""
    x, height = y[:3], np.sqrt(y[2] ** 2 + 0.28**2)
    r2 = x @ x
    r = np.sqrt(r2)
    disc = (y[0] ** 2 + y[1] ** 2 + (3.0 + height) ** 2) ** 1.5
    a = -6.8e10 / disc * np.array([y[0], y[1], y[2] * (3.0 + height) / height])
    for mass, scale in ((5e9, 1.0), (1.71e9, 0.07)):
        a = a - mass / (r * (r + scale) ** 2) * x
    u = r / 15.62
    a = a - 5.4e11 * (np.log1p(u) - u / (1.0 + u)) / (r2 * r) * x
    return np.concatenate([y[3:], G * a])


@functools.cache
def reference():
    """SciPy's DOP853 at rtol = 1e-13: (n, K, 6)."""
    return np.stack(
        [
            solve_ivp(
                milky_way,
                (TIMES[0], TIMES[-1]),
                np.concatenate([q, v]),
                method="DOP853",
                rtol=1e-13,
                atol=1e-15,
                t_eval=TIMES,
            ).y.T
            for q, v in zip(*gd1_like(), strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("integrator", "median", "worst"),
    [
        (Stormer(), 5e-9, 1e-8),
        (Stormer(0.5), 4e-7, 1e-6),
        (Stormer(1.0), 1e-4, 3e-4),
        (Nystrom(1.0), 1e-7, 3e-7),
        (Adaptive(), 1e-8, 3e-8),
    ],
    ids=lambda p: repr(p) if not isinstance(p, float) else "",
)
def test_against_scipy_after_3_gyr(integrator, median, worst):
    """Distances [kpc] at all times, dense output and end points; velocities to 0.1 of them /Myr."""
    q, v = gd1_like()
    found = orbit(MilkyWayPotential(), q, v, TIMES, integrator)
    assert found.q.shape == (len(q), len(TIMES), 3) and found.valid.all()
    error = np.linalg.norm(np.asarray(found.q) - reference()[..., :3], axis=-1)
    assert error.max() < worst and np.median(error[:, -1]) < median
    assert np.abs(np.asarray(found.v) - reference()[..., 3:]).max() < 0.1 * worst
    end, _ = advance(MilkyWayPotential(), q, v, TIMES[0], TIMES[-1], integrator)
    assert np.linalg.norm(np.asarray(end) - reference()[:, -1, :3], axis=-1).max() < worst


def test_against_gala_after_3_gyr():
    """Gala's DOP853 at tolerance 1e-13, forward in time: 2e-8 kpc."""
    gp = pytest.importorskip("gala.potential")
    gd = pytest.importorskip("gala.dynamics")
    import astropy.units as u

    q, v = gd1_like()
    host = gp.MilkyWayPotential(version="v1")
    start = gd.PhaseSpacePosition(pos=q.T * u.kpc, vel=v.T * u.kpc / u.Myr)
    path = host.integrate_orbit(
        start, t=np.array([0.0, 1500.0, 3000.0]) * u.Myr, Integrator="dop853",
        Integrator_kwargs={"atol": 1e-14, "rtol": 1e-13, "nmax": 0},
    )  # fmt: skip
    theirs = np.moveaxis(path.xyz.to_value(u.kpc), 0, -1)[-1]
    ours, _ = advance(MilkyWayPotential(), q, v, 0.0, 3000.0)
    assert np.linalg.norm(np.asarray(ours) - theirs, axis=-1).max() < 2e-8


def test_forward_and_back():
    """3 Gyr there and back: 1e-8 kpc."""
    q, v = gd1_like()
    there = advance(MilkyWayPotential(), q, v, 0.0, 3000.0)
    back = advance(MilkyWayPotential(), *there, 3000.0, 0.0)
    np.testing.assert_allclose(back[0], q, atol=1e-8)
    np.testing.assert_allclose(back[1], v, atol=1e-9)


def test_time_dependent_force_and_batch_shape():
    """A turning bar, from any start time, any batch shape and any chunk."""
    bar = Rotating(LongMuraliBar(1e10, 3.0, 0.5, 0.6), omega=0.04) + Plummer(2e11, 4.0)
    q = gd1_like()[0][:6].reshape(2, 3, 3) * 0.6
    v = gd1_like()[1][:6].reshape(2, 3, 3)
    ts = np.array([100.0, 250.0, 301.0])
    found = orbit(bar, q, v, ts)
    assert found.q.shape == (2, 3, 3, 3) and found.valid.shape == (2, 3)
    np.testing.assert_allclose(found.q[..., 0, :], q, atol=1e-12)
    other = orbit(bar, q, v, ts, Adaptive())
    np.testing.assert_allclose(found.q, other.q, atol=3e-8)
    later = orbit(bar, q, v, ts + 30.0)
    assert np.abs(np.asarray(later.q - found.q)).max() > 1e-3
    np.testing.assert_allclose(orbit(bar, q, v, ts, chunk=4).q, found.q, atol=1e-12)


def test_orbit_error_is_the_error():
    """The estimate at step 1 agrees with the distance from SciPy to 10 per cent."""
    q, v = gd1_like()
    estimate = np.asarray(orbit_error(MilkyWayPotential(), q, v, TIMES, Stormer(1.0)))
    found = orbit(MilkyWayPotential(), q, v, TIMES, Stormer(1.0))
    error = np.linalg.norm(np.asarray(found.q) - reference()[..., :3], axis=-1)
    np.testing.assert_allclose(estimate[:, -1], error[:, -1], rtol=0.1)


def test_adaptive_through_a_nucleus_and_failure():
    """A comet's orbit of eccentricity 0.9999 closes to 1e-6; what takes too many steps is NaN."""
    star, a = Kepler(1e10), 5.0
    period = 2.0 * np.pi * np.sqrt(a**3 / (G * 1e10))
    far = a * 1.9999
    q, v = np.array([far, 0.0, 0.0]), np.array([0.0, np.sqrt(G * 1e10 * (2 / far - 1 / a)), 0.0])
    found = orbit(star, q, v, [0.0, period], Adaptive(1e-12, 1e-14))
    assert bool(found.valid) and np.abs(np.asarray(found.q[-1]) - q).max() < 1e-6
    starts = np.stack([v, [0.0, np.sqrt(G * 1e10 / far), 0.0]])
    short = Adaptive(max_steps=100)
    both = orbit(star, np.stack([q, q]), starts, [0.0, period], short)
    assert both.valid.tolist() == [False, True]
    assert np.isnan(both.q[0]).all() and np.isfinite(both.q[1]).all()


@pytest.mark.parametrize(
    "integrator",
    [
        Stormer(1.0),
        Nystrom(4.0),
        # A minute of tracing and compiling.
        pytest.param(Adaptive(1e-8, 1e-10), marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_derivatives(integrator):
    """Reverse against forward mode to 1e-10, against central differences to 1e-6; no retrace."""
    import diffrax

    ts = np.array([0.0, -150.0, -400.0])

    def far(m, q, integrator=integrator):
        found = orbit(Plummer(m, 2.0), q, jnp.asarray(GD1_V), ts, integrator)
        return jnp.sum(found.q[-1] * jnp.array([1.0, 2.0, 3.0])) + jnp.sum(found.v[1])

    m, q = jnp.asarray(1e11), jnp.asarray(GD1_Q)
    reverse = jax.grad(far, (0, 1))(m, q)
    forward = integrator
    if isinstance(integrator, Adaptive):
        forward = Adaptive(1e-8, 1e-10, adjoint=diffrax.ForwardMode())
    tangents = (jnp.asarray(1e11), jnp.array([1.0, -2.0, 0.5]))
    _, push = jax.jvp(lambda m, q: far(m, q, forward), (m, q), tangents)
    pulled = reverse[0] * tangents[0] + reverse[1] @ tangents[1]
    np.testing.assert_allclose(push, pulled, rtol=1e-10)
    eps = 1e-5
    plus, minus = (
        far(m + s * eps * tangents[0], q + s * eps * tangents[1], integrator) for s in (1, -1)
    )
    np.testing.assert_allclose((plus - minus) / (2 * eps), push, rtol=1e-5)


def test_traced_times_and_no_retrace(compilations):
    """Differentiable in the times: dq/dt1 is the velocity; new numbers compile nothing."""
    q, v = jnp.asarray(GD1_Q), jnp.asarray(GD1_V)
    host = Plummer(2e11, 3.0)

    def place(t1):
        return orbit(host, q, v, jnp.stack([0.0 * t1, 0.4 * t1, t1]), n_steps=400).q

    rate = jax.jit(jax.jacfwd(place))
    found = rate(jnp.asarray(100.0))
    whole = orbit(host, q, v, [0.0, 40.0, 100.0])
    np.testing.assert_allclose(found[-1], whole.v[-1], rtol=1e-8)
    np.testing.assert_allclose(found[1], 0.4 * whole.v[1], rtol=1e-8)
    lighter, start = Plummer(1.9e11, 3.0), 0.9 * q
    with compilations() as made:
        other = orbit(lighter, start, v, [50.0, 89.0, 149.9])
    assert made.count == 0 and np.isfinite(other.q).all()


GOOD = {"q": GD1_Q, "v": GD1_V, "ts": [0.0, 1.0]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ts": [0.0, 2.0, 1.0]}, "strictly monotonic"),
        ({"ts": [0.0, 0.0]}, "strictly monotonic"),
        ({"ts": [0.0]}, "two times"),
        ({"ts": [0.0, np.inf]}, "ts: .*finite"),
        ({"q": GD1_Q[:2]}, "shapes"),
        ({"v": np.zeros((2, 3))}, "shapes"),
        ({"q": GD1_Q * np.nan}, "q: .*finite"),
        ({"n_steps": 0}, "n_steps"),
        ({"chunk": -1}, "chunk"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message) as error:
        orbit(Kepler(1e10), **{**GOOD, **change})
    assert "\n" not in str(error.value)


def test_bad_steps():
    for make in (lambda: Stormer(0.0), lambda: Nystrom(-1.0), lambda: Adaptive(rtol=0.0)):
        with pytest.raises(ValueError, match="above 0"):
            make()
    with pytest.raises(ValueError, match="give n_steps"):
        jax.jit(lambda t: advance(Kepler(1e10), GD1_Q, GD1_V, 0.0, t))(1.0)


def test_float32_keeps_its_dtype_and_warns():
    """Single precision: 1 Gyr to 1e-3 kpc; a longer span names JAX_ENABLE_X64."""
    host = jax.tree.map(lambda a: a.astype(jnp.float32), MilkyWayPotential())
    q, v = (jnp.asarray(a[:2], jnp.float32) for a in gd1_like())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = orbit(host, q, v, [0.0, -1000.0], Stormer(0.5))
    assert found.q.dtype == found.v.dtype == jnp.float32
    error = np.linalg.norm(np.asarray(found.q[:, -1]) - reference()[:2, 2, :3], axis=-1)
    assert 1e-9 < error.max() < 1e-3
    with pytest.warns(UserWarning, match="JAX_ENABLE_X64=1"):
        orbit(Kepler(jnp.float32(1e10)), q, v, [0.0, -1001.0], Stormer(20.0))
