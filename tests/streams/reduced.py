"""A stream that tests can afford: GD-1's positions and errors, few particles, a short age."""

import numpy as np
import numpyro.distributions as dist

from jaxastro.core import Model, Parameter, Prior
from simulators.streams.gd1 import GD1_PHI1, GD1_SIGMA
from simulators.streams.milky_way_model import gd1_model
from simulators.streams.observe import OBSERVABLES, TrackMeasurements

# Narrower than `gd1_prior`, which holds progenitors whose streams never come near the measured
# positions and, with so few particles, curved ridges on which a chain takes hundreds of steps a
# draw. The posterior has 0.3 to 0.5 of its widths for the progenitor and the scale of distances,
# 0.85 for r_s and q_z; v_c, alone, is hardly learnt (0.97). Truths are drawn from this very object,
# so that calibration is exact whatever it is.
PRIOR = Prior(
    v_c=Parameter(dist.Normal(230.0, 2.0), "km/s"),
    r_s=Parameter(dist.LogNormal(np.log(16.0), 0.07), "kpc"),
    q_z=Parameter(dist.LogNormal(0.0, 0.02)),
    phi2=Parameter(dist.Normal(0.2, 0.1), "deg"),
    distance=Parameter(dist.Normal(7.7, 0.13), "kpc"),
    pm_phi1_cosphi2=Parameter(dist.Normal(-13.2, 0.12), "mas/yr"),
    pm_phi2=Parameter(dist.Normal(-3.4, 0.1), "mas/yr"),
    radial_velocity=Parameter(dist.Normal(-10.0, 5.0), "km/s"),
    distance_scale=Parameter(dist.Normal(1.0, 0.04)),
)


def reduced_model(phi1=GD1_PHI1, **options):
    """GD-1's positions and errors, 32 particles; `options` go to `gd1_model`.

    A heavier progenitor than the main job's reaches both ends of the data within 0.8 Gyr.
    """
    sigma = np.repeat([[GD1_SIGMA[name]] for name in OBSERVABLES], len(phi1), axis=1)
    mask = np.ones(sigma.shape, bool)
    data = TrackMeasurements(phi1, np.zeros(sigma.shape), sigma, mask, OBSERVABLES)
    small = {"n_particles": 32, "age": 800.0, "step": 8.0, "mass": 2e5}
    return Model(PRIOR, gd1_model(data, **(small | options)).simulator)
