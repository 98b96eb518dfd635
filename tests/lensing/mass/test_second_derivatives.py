"""Second derivatives of the elliptical power law, which Laplace and Newton's method ask for."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.mass.power_law import EPL
from tests.properties import QUICK

pytestmark = pytest.mark.skipif(
    not jax.config.jax_enable_x64, reason="the derivatives are compared in float64"
)

SLOPES, AXIS_RATIOS, ANGLE = (1.2, 2.0, 2.8), (0.3, 1.0), 0.4
CASES = [(gamma, q) for gamma in SLOPES for q in AXIS_RATIOS]
#: Offsets from the centre [arcsec]: the last two have no room for the steps of a reference.
POINTS = [(0.7, -0.4), (-1.5, 2.0), (3e-6, 1e-6), (1e-30, 0.0), (0.0, 0.0)]
REGULAR = 3
#: The derivatives are in theta_E, gamma, e1, e2, center_x, center_y, x, y.
SHAPE, CENTRE, PLACE = slice(0, 4), slice(4, 6), slice(6, 8)
OWN = [0, 1, 2, 3, 6, 7]


def _arguments(gamma, q, point):
    e = (1.0 - q) / (1.0 + q)
    return [1.2, gamma, e * np.cos(2.0 * ANGLE), e * np.sin(2.0 * ANGLE), 0.0, 0.0, *point]


ARGUMENTS = np.array([[_arguments(*case, point) for point in POINTS] for case in CASES])


def _kernels(v):
    """psi, alpha_x, alpha_y, psi_xx, psi_xy, psi_yy, kappa."""
    lens, x, y = EPL(*v[:6]), v[6], v[7]
    return jnp.stack([lens.psi(x, y), *lens.alpha(x, y), *lens.hessian(x, y), lens.kappa(x, y)])


@functools.partial(jax.jit, compiler_options=QUICK)
def _evaluate(arguments):
    slopes = jax.jacrev(_kernels)
    derivatives = [_kernels, slopes, jax.jacfwd(slopes)]
    return [jax.vmap(jax.vmap(f))(arguments) for f in derivatives]


@functools.cache
def _results():
    """Values (case, point, 7), first (..., 8) and second derivatives (..., 8, 8)."""
    return jax.device_get(_evaluate(jnp.asarray(ARGUMENTS)))


def _close(ours, theirs, tolerance):
    """Errors over the largest entry of each point's matrix."""
    axes = tuple(range(2, ours.ndim))
    size = np.max(np.abs(theirs), axis=axes, keepdims=True)
    assert np.max(np.abs(ours - theirs) / size) < tolerance


def _units():
    """The length on which a lens varies, for each argument: (case, point, 8)."""
    units = np.ones(ARGUMENTS.shape)
    units[..., 4:] = np.hypot(*np.moveaxis(ARGUMENTS[..., PLACE], -1, 0))[..., None]
    return units[:, :REGULAR]


def test_hessian_of_the_potential_is_the_derivative_of_the_deflection():
    values, first, second = (leaf[:, :REGULAR] for leaf in _results())
    xx, xy, yy = np.moveaxis(values[..., 3:6], -1, 0)
    hessian = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
    _close(second[..., 0, PLACE, PLACE], hessian, 1e-12)
    _close(first[..., 1:3, PLACE], hessian, 1e-12)


def test_slopes_of_convergence_and_shear_are_second_derivatives_of_the_deflection():
    """In the place and in every parameter."""
    _, first, second = (leaf[:, :REGULAR] for leaf in _results())
    unit = _units()
    for kernel, (component, axis) in {3: (1, 6), 4: (1, 7), 5: (2, 7)}.items():
        _close(first[..., kernel, :] * unit, second[..., component, axis, :] * unit, 1e-11)
    traces = 0.5 * (second[..., 1, 6, :] + second[..., 2, 7, :])
    _close(first[..., 6, :] * unit, traces * unit, 1e-11)


def test_the_centre_moves_against_the_place():
    second = _results()[2][:, :REGULAR, :3]
    np.testing.assert_array_equal(second[..., CENTRE, CENTRE], second[..., PLACE, PLACE])
    np.testing.assert_array_equal(second[..., SHAPE, CENTRE], -second[..., SHAPE, PLACE])


def _second_differences(mp, function, v, units):
    """Of a list of numbers, by steps of 1e-12 in fifty digits: (numbers, n, n)."""
    n, steps = len(v), [mp.mpf(unit) * mp.mpf(10) ** -12 for unit in units]

    def at(*moves):
        moved = list(v)
        for i, sign in moves:
            moved[i] += sign * steps[i]
        return np.array(function(*moved), dtype=object)

    middle, out = at(), np.empty((n, n), dtype=object)
    for i in range(n):
        out[i, i] = (at((i, 1)) + at((i, -1)) - 2 * middle) / steps[i] ** 2
        for j in range(i):
            corners = sum(s * t * at((i, s), (j, t)) for s in (1, -1) for t in (1, -1))
            out[i, j] = out[j, i] = corners / (4 * steps[i] * steps[j])
    return np.moveaxis(np.array(out.tolist(), dtype=float), -1, 0)


def test_second_derivatives_against_mpmath():
    """Of psi, alpha and kappa, from axis ratio and angle as Tessore & Metcalf (2015) write them."""
    mp = pytest.importorskip("mpmath", reason="mpmath is a test extra")

    def exact(theta_E, gamma, e1, e2, x, y):
        e, phase = mp.mpc(e1, e2), mp.expj(mp.arg(mp.mpc(e1, e2)) / 2)
        q, t = (1 - abs(e)) / (1 + abs(e)), gamma - 1
        turned = mp.mpc(x, y) / phase
        z = mp.mpc(q * turned.real, turned.imag)
        power = (theta_E * mp.sqrt(q) / abs(z)) ** t
        f = mp.hyp2f1(1, t / 2, 2 - t / 2, -(1 - q) / (1 + q) * z / mp.conj(z))
        alpha = 2 / (1 + q) * power * z * f * phase
        psi = (x * alpha.real + y * alpha.imag) / (2 - t)
        return [psi, alpha.real, alpha.imag, (2 - t) / 2 * power]

    units = _units()[..., OWN]
    ours = _results()[2][:, :REGULAR][..., OWN, :][..., OWN]
    for case in range(len(CASES)):
        for point in range(REGULAR):
            unit = units[case, point]
            with mp.workdps(50):
                v = [mp.mpf(float(value)) for value in ARGUMENTS[case, point, OWN]]
                theirs = _second_differences(mp, exact, v, unit)
            scale = unit[:, None] * unit
            for rows, kernels in (([0], [0]), ([1, 2], [1, 2]), ([3], [6])):
                size = np.max(np.abs(theirs[rows] * scale))
                error = np.max(np.abs((ours[case, point][kernels] - theirs[rows]) * scale)) / size
                assert error < 1e-11, (CASES[case], POINTS[point], kernels)


def test_finite_at_and_beside_the_centre():
    for order, leaf in enumerate(_results()):
        assert np.all(np.isfinite(leaf)), order
