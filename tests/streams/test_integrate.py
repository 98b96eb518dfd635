"""The fixed-step integrators: order, Kepler's period, reversal, conserved quantities, dtype."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.integrate import (
    CYCLE,
    MARGIN,
    Trajectory,
    begin,
    finish,
    march,
    nystrom,
    trajectory,
)
from simulators.streams.potentials import Kepler, Logarithmic, LongMuraliBar, Plummer, Rotating
from simulators.streams.units import G

BALL = Plummer(1e11, 6.0)
X = np.array([[8.0, 5.0], [0.0, 1.0], [1.0, -3.0]])
V = np.array([[0.02, -0.05], [0.15, 0.12], [0.05, 0.08]])


def both(a, dtype=float):
    return tuple(jnp.asarray(c, dtype) for c in a)


@eqx.filter_jit
def stormer(potential, x, v, t0, h, n):
    """`n` steps (an array of step numbers in cycles)."""
    state = begin(potential.acc, x, v, t0, h)
    clock = t0 + (n + (MARGIN + 1.0)) * h
    return finish(march(potential.acc, state, h, clock), h)


def run_stormer(potential, x, v, t0, h, n):
    steps = jnp.arange(float(n)).reshape(-1, CYCLE).astype(x[0].dtype)
    return stormer(potential, x, v, jnp.asarray(t0, x[0].dtype), jnp.asarray(h, x[0].dtype), steps)


run_nystrom = eqx.filter_jit(lambda p, x, v, t0, h, n: nystrom(p.acc, x, v, t0, h, n))


@pytest.mark.parametrize(
    ("method", "order", "steps"), [("stormer", 8, (64, 128)), ("nystrom", 6, (16, 32))]
)
def test_order(method, order, steps):
    """Halving the step divides the error by 2^order, to a quarter of a power of two."""
    run = run_stormer if method == "stormer" else run_nystrom
    span = 256.0

    def end(n):
        x, v = run(BALL, both(X), both(V), 0.0, span / n, n)
        return np.stack([*x, *v])

    exact = end(1024)
    errors = [np.abs(end(n) - exact).max() for n in steps]
    assert abs(np.log2(errors[0] / errors[1]) - order) < 1.0


def test_cycles_of_any_length_are_the_same_steps():
    """To rounding, over 80 steps."""
    n = np.arange(80.0)
    ends = [
        np.stack(stormer(BALL, both(X), both(V), 0.0, 1.0, jnp.asarray(n.reshape(-1, length)))[0])
        for length in (1, CYCLE, 2 * CYCLE)
    ]
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-12)
    np.testing.assert_allclose(ends[2], ends[1], rtol=1e-12)


def test_kepler_period():
    """An orbit of eccentricity 0.5 closes after 2 pi sqrt(a^3 / G m), to 1e-9 of a."""
    a, m, e = 10.0, 1e11, 0.5
    period = 2 * np.pi * np.sqrt(a**3 / (G * m))
    speed = np.sqrt(G * m / a * (1 + e) / (1 - e))
    x, v = both(np.array([[a * (1 - e)], [0], [0]])), both(np.array([[0], [speed], [0]]))
    for run, n in ((run_stormer, 2048), (run_nystrom, 512)):
        later, _ = run(Kepler(m), x, v, 0.0, period / n, n)
        assert np.abs(np.stack(later) - np.stack(x)).max() < 1e-9 * a


def test_time_reversal():
    """There and back: the symmetric one to rounding, the multistep one to 1e-10."""
    for run, n, bound in ((run_nystrom, 100, 1e-12), (run_stormer, 800, 1e-10)):
        h = 1000.0 / n
        x, v = run(BALL, both(X), both(V), 0.0, h, n)
        x, v = run(BALL, x, v, 1000.0, -h, n)
        np.testing.assert_allclose(np.stack(x), X, atol=10 * bound)
        np.testing.assert_allclose(np.stack(v), V, atol=bound)


def test_energy_is_bounded():
    """Over 10 Gyr: 1e-9 for Stormer at 0.5 Myr, and no drift of the symplectic one at 4 Myr."""
    host = Logarithmic(0.2, 1.0, q3=0.8)

    def energy(x, v):
        return 0.5 * sum(np.asarray(c) ** 2 for c in v) + np.asarray(host.phi(*x, 0.0))

    first = energy(both(X), both(V))
    x, v = run_stormer(host, both(X), both(V), 0.0, 0.5, 20_000)
    assert np.abs(energy(x, v) / first - 1).max() < 1e-9
    x, v, error = both(X), both(V), []
    for k in range(4):
        x, v = run_nystrom(host, x, v, 2500.0 * k, 4.0, 625)
        error.append(np.abs(energy(x, v) / first - 1).max())
    assert max(error) < 1e-6 and error[3] < 3 * max(error[:2])


def test_jacobi_integral_in_a_turning_bar():
    """E - Omega L_z is conserved to 1e-9 over 2 Gyr though E and L_z change by 1e-2."""
    omega = 0.04
    bar = Rotating(LongMuraliBar(2e10, 3.0, 0.5, 0.6), omega=omega) + Logarithmic(0.2, 1.0, q3=0.9)

    def integrals(x, v, t):
        x, v = (tuple(np.asarray(c) for c in a) for a in (x, v))
        e = 0.5 * (v[0] ** 2 + v[1] ** 2 + v[2] ** 2) + np.asarray(bar.phi(*both(x), t))
        return e, x[0] * v[1] - x[1] * v[0]

    e0, l0 = integrals(both(X), both(V), 100.0)
    x, v = run_stormer(bar, both(X), both(V), 100.0, 0.25, 8000)
    e1, l1 = integrals(x, v, 2100.0)
    np.testing.assert_allclose(e1 - omega * l1, e0 - omega * l0, atol=1e-9 * abs(e0).max())
    assert np.abs(e1 - e0).max() > 1e-4 * abs(e0).max()


def test_trajectory():
    """Grid points as by `march`; between them order 6; the derivative is the velocity."""
    follow = eqx.filter_jit(lambda h, n: trajectory(BALL.acc, both(X), both(V), 0.0, h, n))
    path = follow(-1.0, 80)
    assert path.rows.shape == (81, 2, 9) and path.n_steps == 80
    x, v = run_stormer(BALL, both(X), both(V), 0.0, -1.0, 80)
    np.testing.assert_allclose(path.rows[-1, :, :3].T, np.stack(x), rtol=1e-12)
    np.testing.assert_allclose(path.rows[-1, :, 3:6].T, np.stack(v), rtol=1e-11)
    np.testing.assert_allclose(path.rows[0, :, :6].T, np.concatenate([X, V]), atol=1e-12)
    np.testing.assert_allclose(path.rows[..., 6:], _acc(path.rows[..., :3]), atol=1e-15)

    between = jnp.asarray([-0.3, -40.5, -79.9])
    exact = follow(-0.1, 800).rows[np.array([3, 405, 799])]
    x, v = path.at(between)
    np.testing.assert_allclose(np.stack(x, -1), exact[..., :3], atol=1e-8)
    np.testing.assert_allclose(np.stack(v, -1), exact[..., 3:6], atol=1e-8)
    # The quintic's error falls as h^6.
    wide = follow(-8.0, 16).at(jnp.asarray([-44.0]))[0]
    half = follow(-4.0, 32).at(jnp.asarray([-42.0]))[0]
    truth = follow(-0.1, 800).rows
    errors = [
        np.abs(np.stack(found, -1)[0] - truth[i, :, :3]).max()
        for found, i in ((wide, 440), (half, 420))
    ]
    assert 2**4 < errors[0] / errors[1] < 2**9


def _acc(q):
    return np.stack(BALL.acc(*(q[..., i] for i in range(3)), 0.0), axis=-1)


def test_trajectory_reversed():
    path = Trajectory(jnp.asarray(5.0), jnp.asarray(-2.0), jnp.arange(36.0).reshape(4, 1, 9))
    back = path.reversed()
    np.testing.assert_allclose(back.times, path.times[::-1])
    np.testing.assert_allclose(back.rows, path.rows[::-1])


def test_float32():
    """Single precision stays single, and follows double to 1e-4 kpc for 500 Myr."""
    x, _ = run_stormer(BALL, both(X), both(V), 0.0, 1.0, 504)
    x32, v32 = run_stormer(BALL, both(X, jnp.float32), both(V, jnp.float32), 0.0, 1.0, 504)
    assert all(c.dtype == jnp.float32 for c in (*x32, *v32))
    error = np.abs(np.stack(x32) - np.stack(x)).max()
    assert 1e-9 < error < 1e-3
