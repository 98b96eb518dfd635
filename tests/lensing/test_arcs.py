"""Arcs in a residual: their significance, the lens they ask for, the centre of the galaxy."""

import jax.numpy as jnp
import numpy as np
import pytest

from simulators.lensing.arcs import brightest, find_arcs, significance, smooth, source_peaks
from simulators.lensing.grid import Grid
from simulators.lensing.image import render
from simulators.lensing.light import Gaussian
from simulators.lensing.mass import SIS

GRID = Grid((81, 81), 0.05)
EVERYWHERE = np.ones((81, 81), bool)


def arcs_of(x, theta_E=1.2, center=(0.1, -0.15)):
    """A lensed Gaussian source at `x` from the centre, with noise of 1: signal to noise 20."""
    lens = SIS(theta_E, *center)
    source = Gaussian(1.0, 0.06, center_x=center[0] + x, center_y=center[1])
    image = np.asarray(render(lens, source, None, GRID))
    noise = np.random.default_rng(0).standard_normal(image.shape)
    return find_arcs(20.0 * image / image.max() + noise, EVERYWHERE, GRID, center, 0.2)


@pytest.mark.parametrize("x", [0.0, 0.1, 0.4])
def test_einstein_radius_and_source(x):
    """A ring, arcs, two images: within a pixel, 0.05 arcsec, of the truth."""
    arcs = arcs_of(x)
    assert abs(arcs.theta_E - 1.2) < 0.05
    assert np.hypot(arcs.source[0] - 0.1 - x, arcs.source[1] + 0.15) < 0.05
    assert 1.2 < arcs.extent < 2.0


def test_a_brighter_galaxy_beside_the_lens_is_not_its_arc():
    """Two images and a neighbour at 1.9 arcsec, three times as bright: within a pixel."""
    source = Gaussian(1.0, 0.06, center_x=0.35)
    image = np.asarray(render(SIS(0.8), source, None, GRID))
    neighbour = np.asarray(render(None, Gaussian(1.0, 0.1, center_x=1.3, center_y=1.4), None, GRID))
    noise = np.random.default_rng(4).standard_normal(image.shape)
    residual = 20.0 * image / image.max() + 60.0 * neighbour / neighbour.max() + noise
    arcs = find_arcs(residual, EVERYWHERE, GRID, (0.0, 0.0), 0.2)
    assert abs(arcs.theta_E - 0.8) < 0.05 and arcs.extent < 1.6
    x, y = (np.asarray(a) for a in GRID.centres())
    beside = np.hypot(x - 1.3, y - 1.4) < 0.2
    assert np.all(arcs.others[beside]) and not np.any(arcs.mask[beside])


def test_noise_alone_has_no_arcs():
    """4 sigma on 6561 pixels, of which smoothing leaves some 500 independent: P(any) about 2 %,
    and five pixels are asked for."""
    noise = np.random.default_rng(1).standard_normal((81, 81))
    assert find_arcs(noise, EVERYWHERE, GRID, (0.0, 0.0), 0.0) is None


def test_significance_of_noise_has_unit_width():
    """Also beside a mask and at the edge; 2000 independent values: within 5 sigma, 8 per cent."""
    rng = np.random.default_rng(2)
    mask = EVERYWHERE.copy()
    mask[30:50, 20:60] = False
    levels = np.stack([significance(rng.standard_normal((81, 81)), mask) for _ in range(50)])
    for where in ((0, 40), (29, 40), (60, 60)):
        assert abs(levels[:, where[0], where[1]].std() - 1.0) < 0.5
    assert abs(levels[:, mask].std() - 1.0) < 0.08
    assert not np.any(levels[:, ~mask])


def test_smoothing_keeps_the_sum():
    spot = np.zeros((31, 31))
    spot[15, 12] = 2.0
    blurred = smooth(spot, 1.5)
    assert abs(blurred.sum() - 2.0) < 1e-12
    assert np.unravel_index(np.argmax(blurred), blurred.shape) == (15, 12)


def test_brightest_pixel_is_sought_near_the_middle_and_off_the_mask():
    x, y = (np.asarray(a) for a in GRID.centres())
    image = np.exp(-((x - 0.3) ** 2 + (y + 0.2) ** 2) / 0.02) + 5.0 * (np.hypot(x - 1.8, y) < 0.1)
    assert brightest(image, EVERYWHERE, GRID, 1.0) == pytest.approx((0.3, -0.2))
    with pytest.raises(ValueError, match="no pixel that counts lies within 1 arcsec"):
        brightest(image, np.hypot(x, y) > 1.5, GRID, 1.0)


def test_residual_of_missing_sources_points_to_them():
    """Two clumps: each place within 0.03."""
    lens, clumps = SIS(1.2), [(0.12, -0.07), (-0.2, 0.1)]
    source = sum(Gaussian(1.0, 0.04, center_x=x, center_y=y) for x, y in clumps)
    image = np.asarray(render(lens, source, None, GRID))
    x, y = GRID.centres()
    beta = [np.asarray(b) for b in lens.trace(x, y)]
    residual = 30.0 * image / image.max() + np.random.default_rng(3).standard_normal(image.shape)
    mu = np.abs(np.asarray(lens.magnification(jnp.stack([x, y], axis=-1))))
    found = source_peaks(residual, EVERYWHERE, beta, mu)
    for clump in clumps:
        assert min(np.hypot(a - clump[0], b - clump[1]) for a, b in found[:2]) < 0.03
    assert source_peaks(np.zeros((81, 81)), EVERYWHERE, beta, mu) == []
