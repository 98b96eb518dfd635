"""The error of a stream's gradient at the default step, measured.

The reference is the same stream at a step of 0.125 Myr, where the gradient has converged to 1e-6
(0.25 against 0.125 Myr, below). Held against the issue's bound of 1e-3, at the default of 0.5 Myr:
GD-1-like progenitor, 3 Gyr, 128 particles; tracks and widths in five observables at six places
along the stream; relative error of the derivative in each parameter (norm over the summaries in
units of their uncertainties), worst over parameters:

    step [Myr]                    0.25    0.5     1.0     2.0
    stars without satellite
        track                     1e-6    3e-4    0.2     5
        width                     1e-6    3e-4    0.06    3
    Chen2024 and satellite
        track                     3e-7    1e-4    0.05
        width                     2e-6    6e-4    0.06

The value is right to 1e-3 of the uncertainties at all of these but the last: what looks converged
in the value is far from it in the derivative, which grows with the divergence of orbits. What sets
the error is the disc of scale height 0.28 kpc, crossed at 150 km/s.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.streams.frames import galactocentric_to_stream
from simulators.streams.potentials import NFW, Composite, MilkyWayPotential, Plummer
from simulators.streams.release import Chen2024, Fardal2015
from simulators.streams.spray import STEP, Latents, spray
from simulators.streams.summaries import summarize

#: Uncertainties that make one number of phi2, distance, proper motions and radial velocity.
SIGMA = np.array([0.1, 0.5, 0.1, 0.1, 10.0])
#: Halo mass, scale radius and flattening, progenitor position and velocity.
AT = np.array([1.0, 1.0, 0.95, -11.46, 2.74, 7.69, -0.1, -0.22, -0.09])
LATENTS = Latents.quasi(128)


def summaries(p, step, age, satellite):
    """Tracks and widths of the stream, in units of their uncertainties: (2, 5, 6)."""
    galaxy = MilkyWayPotential()
    host = Composite(
        galaxy["disk"], galaxy["bulge"], galaxy["nucleus"], NFW(p[0] * 5.4e11, p[1] * 15.62, c=p[2])
    )
    stream = spray(
        LATENTS,
        host,
        p[3:6],
        p[6:9],
        mass=2e4,
        age=age,
        step=step,
        satellite=Plummer(2e4, 0.01) if satellite else None,
        convention=Chen2024() if satellite else Fardal2015(),
    )
    seen = galactocentric_to_stream(*stream.x, *stream.v)
    at = jnp.linspace(-60.0, 10.0, 6)
    found = summarize(seen.phi1, seen[1:], at, 8.0)
    return jnp.stack([found.track, found.width]) / SIGMA[None, :, None]


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def value_and_jacobian(p, step, age, satellite):
    def twice(p):
        value = summaries(p, step, age, satellite)
        return value, value

    jacobian, value = jax.jacfwd(twice, has_aux=True)(p)
    return value, jacobian


def gradient_error(step, age, satellite, reference=0.125):
    """Relative errors, worst over parameters: of the track's and of the width's derivatives."""
    _, ours = value_and_jacobian(jnp.asarray(AT), step, age, satellite)
    _, fine = value_and_jacobian(jnp.asarray(AT), reference, age, satellite)
    miss = np.linalg.norm(ours - fine, axis=(1, 2)) / np.linalg.norm(fine, axis=(1, 2))
    return miss.max(axis=-1)


@pytest.mark.slow
def test_gradient_at_the_default_step():
    """3 Gyr, no satellite: at most 1e-3."""
    assert STEP == 0.5
    assert 1e-6 < gradient_error(STEP, 3000.0, satellite=False).max() < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("satellite", [False, True])
@pytest.mark.parametrize(("step", "bound"), [(0.25, 1e-5), (0.5, 1e-3), (1.0, 0.5)])
def test_gradient_table(step, bound, satellite):
    """The table above: within the bound, and not within a 1000th of it."""
    assert 1e-3 * bound < gradient_error(step, 3000.0, satellite).max() < bound


def test_reverse_and_forward_mode_agree():
    """To 1e-8, for random tangents and cotangents, with the satellite acting on all stars."""
    latents = Latents.quasi(32)

    def stream(p):
        host, satellite = NFW(p[0] * 8e11, p[1] * 15.62, c=p[2]), Plummer(2e4, 0.01)
        found = spray(latents, host, p[3:6], p[6:9], mass=2e4, age=300.0, step=2.0,
                      satellite=satellite)  # fmt: skip
        return jnp.stack([*found.x, *found.v])

    rng = np.random.default_rng(3)
    tangent, cotangent = jnp.asarray(rng.normal(size=9) * AT), jnp.asarray(rng.normal(size=(6, 32)))

    @jax.jit
    def both(p):
        return jax.jvp(stream, (p,), (tangent,))[1], jax.vjp(stream, p)[1](cotangent)[0]

    push, pull = both(jnp.asarray(AT))
    one, other = float(jnp.sum(push * cotangent)), float(pull @ tangent)
    assert abs(one - other) < 1e-8 * abs(one)
