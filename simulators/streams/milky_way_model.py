"""The model of the main job: a Milky Way whose halo is unknown, and GD-1 in it."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist

from jaxastro.core import Model, Parameter, Prior
from simulators.streams.observe import TrackMeasurements
from simulators.streams.potentials import NFW, Composite, MilkyWayPotential
from simulators.streams.release import Fardal2015
from simulators.streams.simulator import StreamTrack
from simulators.streams.units import KMS

#: Galactocentric distance of the Sun [kpc], where `v_c` is the circular velocity.
R_SUN = 8.122


def galaxy(params: dict) -> Composite:
    """Disc, bulge and nucleus of gala's MilkyWayPotential, and a flattened NFW halo.

    The halo has scale radius `r_s` [kpc], axis ratio `q_z` of its *potential* along z, and the
    mass that makes the circular velocity at the Sun `v_c` [km/s].

    >>> host = galaxy(dict(v_c=jnp.asarray(230.0), r_s=jnp.asarray(16.0), q_z=jnp.asarray(0.95)))
    >>> round(float(host.circular_velocity(R_SUN)) / KMS, 6)
    230.0
    """
    published = MilkyWayPotential()
    visible = Composite(**{name: published[name] for name in ("disk", "bulge", "nucleus")})
    r_s = params["r_s"]
    here = jnp.asarray(R_SUN, r_s.dtype)
    unit = NFW(m=jnp.ones_like(r_s), r_s=r_s).circular_velocity(here) ** 2
    missing = (params["v_c"] * KMS) ** 2 - visible.circular_velocity(here) ** 2
    halo = NFW(m=missing / unit, r_s=r_s, c=params["q_z"])
    return visible + halo


def gd1_prior() -> Prior:
    """Priors for the halo, and for a progenitor in the middle of GD-1 at phi1 = -40 deg.

    `r_s` is log-normal about 16 kpc with a scatter of 0.35, that of the mass-concentration relation
    (0.15 dex; Dutton & Maccio 2014). The axis ratio of the halo's potential is log-normal about 1
    with a scatter of 0.1: a potential is about a third as flattened as its density (Binney &
    Tremaine 2008, section 2.3.2), so that two sigma span densities of axis ratio 0.5 to 1.7. GD-1
    alone, at radii from 13 to 19 kpc, leaves a ridge towards prolate haloes of large `r_s` that
    only these priors end; the circular velocity is uniform. The progenitor's priors are many times
    wider than the posterior. The distances of the track have a common scale error of 5 per cent,
    a zero point of 0.1 mag: they lie 0.2 to 0.8 kpc beyond any orbit through the other observables.
    """
    return Prior(
        v_c=Parameter(dist.Uniform(190.0, 280.0), "km/s", r"$v_c(R_0)$"),
        r_s=Parameter(dist.LogNormal(jnp.log(16.0), 0.35), "kpc", r"$r_s$"),
        q_z=Parameter(dist.LogNormal(0.0, 0.1), "", r"$q_\Phi$"),
        phi2=Parameter(dist.Normal(0.0, 1.0), "deg", r"$\phi_2$"),
        distance=Parameter(dist.Uniform(5.0, 13.0), "kpc", r"$d$"),
        pm_phi1_cosphi2=Parameter(dist.Normal(-12.0, 4.0), "mas/yr", r"$\mu_{\phi_1}$"),
        pm_phi2=Parameter(dist.Normal(-3.0, 2.0), "mas/yr", r"$\mu_{\phi_2}$"),
        radial_velocity=Parameter(dist.Normal(-50.0, 150.0), "km/s", r"$v_r$"),
        distance_scale=Parameter(dist.Normal(1.0, 0.05), "", r"$f_d$"),
    )


def gd1_model(data: TrackMeasurements, **options) -> Model:
    """GD-1 in a Milky Way with an unknown halo; `options` go to `StreamTrack`.

    The progenitor had 2e4 Msun 2 Gyr ago (the stars that GD-1 has now, Koposov et al. 2010), and
    has dissolved: none is seen, and the track has no step where two arms would leave a cluster.
    Age and mass together set how far the stream reaches, and little else.

    The stars leave with the mean offsets of Fardal et al. (2015), without scatter (a streakline,
    Kupper et al. 2012), and the track is a local parabola over 8 deg, about as smooth as the
    measured one. So 64 particles have a likelihood that follows the one of 8192 with scatter to
    half a unit of log density across the posterior; with scatter, 64 to 256 particles make it rough
    on the scale of a tenth of the posterior's width, and samplers crawl.
    """
    fixed = {"phi1": -40.0, "mass": 2e4, "mass_final": 0.0, "age": 2000.0, "n_particles": 64}
    fixed |= {"bandwidth": 8.0, "degree": 2}
    options = {**fixed, "convention": Fardal2015(scatter=(0.0,) * 4), **options}
    return Model(gd1_prior(), StreamTrack(galaxy, data, **options))


def starting_points(key, model: Model, n: int) -> jax.Array:
    """Points of unconstrained space to search from, shape (n, D).

    The halo's parameters are drawn from the prior; the progenitor is where the measured track is.
    """
    data = model.simulator.data
    here = {
        name: jnp.interp(model.simulator.phi1, data.phi1[seen], row[seen])
        for name, row, seen in zip(data.names, data.value, np.asarray(data.mask), strict=True)
        if seen.any()
    }

    def one(key):
        return model.prior.to_unconstrained(model.prior.sample(key) | here)

    return jax.vmap(one)(jax.random.split(key, n))


def derived(params: dict) -> dict:
    """What a posterior is compared by with other work, the keys of `gd1.QUANTITIES`.

    The mass is in 1e11 Msun; the axis ratios are z / 14 kpc where the potential (of the halo, of
    everything) or the halo's density is that of the point (R, z) = (14 kpc, 0).
    """
    host = galaxy(params)
    halo = host["nfw"]
    dtype = params["r_s"].dtype
    radius, zero = jnp.asarray(14.0, dtype), jnp.zeros((), dtype)
    return {
        "v_c": params["v_c"],
        "mass_20": host.enclosed_mass(jnp.asarray(20.0, dtype)) / 1e11,
        "q_halo": params["q_z"],
        "q_total": _axis_ratio(lambda x, z: host.phi(x, zero, z, zero), radius),
        "q_density": _axis_ratio(lambda x, z: -halo.rho(x, zero, z, zero), radius),
    }


def _axis_ratio(f, radius):
    """z / radius with f(0, z) = f(radius, 0), for f that grows outwards, by bisection."""
    level = f(radius, jnp.zeros_like(radius))

    def halve(_, ends):
        low, high = ends
        middle = 0.5 * (low + high)
        inside = f(jnp.zeros_like(radius), middle) < level
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    low, high = jax.lax.fori_loop(0, 40, halve, (0.1 * radius, 3.0 * radius))
    return 0.5 * (low + high) / radius
