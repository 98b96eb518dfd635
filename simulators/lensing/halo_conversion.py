"""From the mass of a halo to the parameters of a lens."""

import math

import jax.numpy as jnp

from simulators.lensing.cosmology import ARCSEC, Cosmology, G
from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import as_float


def critical_density(z, cosmology=None):
    r"""3 H(z)^2 / (8 pi G) [Msun / Mpc^3].

    >>> round(float(critical_density(0.0)) / 1e11, 4)
    1.3599
    """
    cosmology = Cosmology() if cosmology is None else cosmology
    z = as_float(z)
    square = (1.0 + z) ** 2 * cosmology.expansion(jnp.log1p(z))
    return 3.0 / (8.0 * math.pi * G) * cosmology.H0.astype(z.dtype) ** 2 * square


def concentration(mass, z, cosmology=None):
    r"""Concentration c_200 of a cold halo of M_200 [Msun], without scatter.

    .. math:: \log_{10} c = a + b \log_{10} \frac{M}{10^{12} h^{-1} M_\odot}, \quad
        a = 0.520 + 0.385\, e^{-0.617 z^{1.21}}, \quad b = -0.101 + 0.026 z

    (Dutton & Maccio 2014, MNRAS 441, 3359, equations 7, 10 and 11: fitted to masses above 1e10 and
    z < 5 in a Planck cosmology; carried on to smaller masses.) The scatter is 0.11 dex.

    >>> round(float(concentration(1e12, 0.0)), 2)
    8.33
    """
    cosmology = Cosmology() if cosmology is None else cosmology
    mass = as_float(mass)
    z = as_float(z).astype(mass.dtype)
    h = (cosmology.H0 / 100.0).astype(mass.dtype)
    a = 0.520 + 0.385 * jnp.exp(-0.617 * jnp.exp(1.21 * jnp.log(at_least(z, tiny(z)))))
    b = -0.101 + 0.026 * z
    return jnp.exp(math.log(10.0) * a + b * (jnp.log(mass * h) - 12.0 * math.log(10.0)))


def warm_concentration(mass, z, m_hm):
    r"""Concentration over that of a cold halo, for warm dark matter of half-mode mass m_hm [Msun].

    .. math:: (1 + z)^{0.026 z - 0.04} \left[1 + 60 \frac{m_\mathrm{hm}}{m}\right]^{-0.17}

    (Bose et al. 2016, MNRAS 455, 318, equation 17). The power of 1 + z is left out where m_hm = 0.

    >>> round(float(warm_concentration(1e8, 0.5, 1e8)), 4)
    0.4917
    """
    mass = as_float(mass)
    z, m_hm = as_float(z).astype(mass.dtype), as_float(m_hm).astype(mass.dtype)
    power = jnp.where(m_hm > 0.0, 0.026 * z - 0.04, 0.0)
    return jnp.exp(power * jnp.log1p(z) - 0.17 * jnp.log1p(60.0 * m_hm / mass))


def half_mode_mass(m_wdm):
    r"""5e8 (m / 3 keV)^(-10/3) Msun for a thermal relic of mass `m_wdm` [keV].

    (Schneider et al. 2012, MNRAS 424, 684, as rounded by Gilman et al. 2020, MNRAS 491, 6077.)

    >>> round(float(half_mode_mass(3.0)) / 1e8, 3)
    5.0
    """
    return 5e8 * jnp.exp(-10.0 / 3.0 * jnp.log(as_float(m_wdm) / 3.0))


def truncation_radius(mass, distance):
    r"""Where tides cut a subhalo of mass [Msun] at a `distance` [kpc] from the host's centre [kpc].

    .. math:: r_t = 1.4\, \mathrm{kpc} \left(\frac{m}{10^7 M_\odot}\right)^{1/3}
        \left(\frac{r}{50\, \mathrm{kpc}}\right)^{2/3}

    the tidal radius in an isothermal host (Cyr-Racine et al. 2016, PRD 94, 043505; Gilman et al.
    2020, MNRAS 491, 6077, equation 6).

    >>> round(float(truncation_radius(1e8, 50.0)), 3)
    3.016
    """
    mass = as_float(mass)
    distance = at_least(as_float(distance).astype(mass.dtype), 1e-3)
    return 1.4 * jnp.exp((jnp.log(mass / 1e7) + 2.0 * jnp.log(distance / 50.0)) / 3.0)


def nfw_angles(mass, c, z_lens, z_source, cosmology=None):
    r"""Scale radius, deflection there and r_200 [arcsec] of an NFW halo.

    .. math:: r_{200} = \left(\frac{3 M}{800 \pi \rho_c(z_l)}\right)^{1/3}, \quad
        \rho_0 = \frac{200}{3} \frac{\rho_c\, c^3}{\ln(1 + c) - c / (1 + c)}, \quad
        \alpha_{Rs} = \frac{4 (1 - \ln 2)\, \rho_0 R_s^2}{\Sigma_{cr} D_l}

    with R_s = r_200 / c, which is lenstronomy's `LensCosmo.nfw_physical2angle`.

    Args:
        mass: M_200 with respect to the critical density at z_lens [Msun], without h.
        c: concentration r_200 / R_s.
        z_lens, z_source: redshifts.
        cosmology: a `Cosmology`.

    Returns:
        (Rs, alpha_Rs, r_200).

    >>> [round(float(v), 3) for v in nfw_angles(1e13, 6.0, 0.5, 1.5)]
    [10.142, 1.019, 60.853]
    """
    cosmology = Cosmology() if cosmology is None else cosmology
    mass = as_float(mass)
    c, z_lens, z_source = (as_float(v).astype(mass.dtype) for v in (c, z_lens, z_source))
    density = critical_density(z_lens, cosmology)
    near = cosmology.angular_diameter_distance(z_lens)
    critical = cosmology.critical_surface_density(z_lens, z_source)
    r200 = jnp.exp(jnp.log(3.0 / (800.0 * math.pi) * mass / density) / 3.0)
    Rs = r200 / c
    # rho_0 Rs^2 from the mass, without the cubes that would leave the range of float32
    column = mass / (jnp.log1p(c) - c / (1.0 + c)) / (4.0 * math.pi * Rs)
    alpha = 4.0 * (1.0 - math.log(2.0)) * column / critical
    return tuple(length / (near * ARCSEC) for length in (Rs, alpha, r200))
