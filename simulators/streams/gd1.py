"""The observation of the main job: GD-1's track, from what the package galstreams ships."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from simulators.streams.observe import OBSERVABLES, TrackMeasurements, read_track, sample_track

#: Positions of `gd1_measurements` [deg]: every 10 deg. The galstreams track is a polynomial of
#: degree seven over its members, from -90 to 10 deg, so that more positions would count the same
#: information twice. The ends are left out: there the fitted polynomials diverge from each other,
#: and a simulated stream is made of a few early particles only (at -80 and 0 deg the Monte-Carlo
#: error of phi2 from 256 particles is 0.09 deg, at -70 and -10 deg below 0.04).
GD1_PHI1 = tuple(float(p) for p in range(-70, -9, 10))
#: Uncertainties of `gd1_measurements`, with reasons in its docstring.
GD1_SIGMA = {
    "phi2": 0.1,
    "distance": 0.5,
    "pm_phi1_cosphi2": 0.1,
    "pm_phi2": 0.1,
    "radial_velocity": 10.0,
}

#: What is compared with other work, and how it is defined.
QUANTITIES = {
    "v_c": "circular velocity at the Sun [km/s]",
    "mass_20": "all mass within 20 kpc [1e11 Msun]",
    "q_halo": "axis ratio z/R of the halo's equipotentials",
    "q_total": "axis ratio z/R of the total equipotential through R = 14 kpc",
    "q_density": "axis ratio z/R of the halo's isodensity surface through R = 14 kpc",
}
#: Published results from GD-1: (value, minus, plus). Koposov, Rix & Hogg (2010, ApJ 712, 260,
#: abstract); Bowden, Belokurov & Evans (2015, MNRAS 449, 1391, leading arm); Bovy et al. (2016,
#: ApJ 833, 31, abstract: with Pal 5 and disc data); Malhan & Ibata (2019, MNRAS 486, 2995,
#: abstract).
PUBLISHED = {
    "Koposov+2010": {"v_c": (224.0, 13.0, 13.0), "q_total": (0.87, 0.04, 0.07)},
    "Bowden+2015": {"v_c": (227.2, 18.2, 15.6), "q_total": (0.91, 0.1, 0.04)},
    "Bovy+2016": {"q_total": (0.95, 0.04, 0.04), "q_density": (1.05, 0.14, 0.14)},
    "Malhan & Ibata 2019": {
        "v_c": (244.0, 4.0, 4.0),
        "mass_20": (2.5, 0.2, 0.2),
        "q_density": (0.82, 0.13, 0.25),
    },
}


def gd1_measurements(
    phi1: Sequence[float] = GD1_PHI1, sigma: Mapping[str, float] | None = None
) -> TrackMeasurements:
    """The track of GD-1, sampled from the curves that galstreams ships.

    phi2, proper motions and radial velocity are those of "GD-1-I24", a fit to the members of Ibata
    et al. (2024, ApJ 967, 89; Gaia DR3 and follow-up spectroscopy). That track has no distance
    (galstreams fills in 1 kpc); it comes from "GD-1-I21" (Ibata et al. 2021). The radial
    velocities of "GD-1-I21" are not used: they disagree by up to 50 km/s with "GD-1-I24", with the
    spectroscopy of Koposov, Rix & Hogg (2010) and with any orbit through the other observables.
    The distance of "GD-1-PB18" is not used either: a straight line assumed by its authors.

    The curves come without uncertainties. The default ones are

    - phi2, 0.1 deg: the scatter of the binned medians of Price-Whelan & Bonaca (2018) about the
      curve; the curve has none of GD-1's known wiggles and gaps;
    - distance, 0.5 kpc: the errors of Koposov et al. (2010, table 3) are 0.3 to 0.5 kpc, and their
      distances scatter by 0.4 kpc about this curve;
    - proper motions, 0.1 mas/yr: the median standard error of the binned medians of Price-Whelan &
      Bonaca (2018); the 2021 and 2024 curves differ by 0.06 and 0.08 mas/yr rms;
    - radial velocity, 10 km/s: errors of the stars of Koposov et al. (2010, table 1) are 5 to 18
      km/s.

    Args:
        phi1: increasing positions [deg].
        sigma: observable -> standard error, in place of the defaults; observables without an entry
            keep theirs.

    Raises:
        FileNotFoundError: if galstreams is not installed.
        ValueError: if a position is outside the tracks or an uncertainty is not positive.

    >>> gd1_measurements().value.shape  # doctest: +SKIP
    (5, 7)
    """
    sigma = GD1_SIGMA | dict(sigma or {})
    if extra := set(sigma) - set(GD1_SIGMA):
        raise ValueError(f"sigma: no observable {sorted(extra)}; choose from {list(GD1_SIGMA)}")
    distance = {"distance": sigma["distance"]}
    rest = {n: s for n, s in sigma.items() if n != "distance"}
    parts = (
        sample_track(read_track("GD-1-I24"), phi1, rest),
        sample_track(read_track("GD-1-I21"), phi1, distance),
    )
    names = parts[0].names + parts[1].names
    joined = TrackMeasurements(
        parts[0].phi1,
        *(jnp.concatenate([getattr(p, k) for p in parts]) for k in ("value", "sigma", "mask")),
        names,
    )
    return joined.select(OBSERVABLES)
