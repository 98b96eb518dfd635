"""Cooling of gas by molecules, by free electrons and by dust, each as power per particle.

Temperatures in K, densities in 1 / cm^3, powers in erg / s. The lines of C+, C and O are in
`fine_structure`.
"""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.lookup import bicubic, column, padded, read
from simulators.shared.elementwise import at_least, at_most, horner

PerCell = Float[Array, "*B"]

_LN10 = float(np.log(10.0))


def co(T: PerCell, n_H: PerCell, n_H2: PerCell, n_e: PerCell, by_velocity: PerCell) -> PerCell:
    r"""Power that one CO emits in rotational lines, which may be optically thick.

    .. math:: \frac{1}{L} = \frac{1}{L_0} + \frac{n}{L_{LTE}} + \frac{1}{L_0}
        \left(\frac{n}{n_{1/2}}\right)^\alpha \left(1 - \frac{n_{1/2} L_0}{L_{LTE}}\right), \quad
        n = n_{H_2} + 1.75\, T^{1/4} n_H + 680.1\, T^{-1/4} n_e

    and the power L n. The parameters are tables in temperature and column of Omukai, Hosokawa &
    Yoshida (2010, ApJ 722, 1793, appendix B), after Neufeld & Kaufman (1993, ApJ 418, 263); the
    colliders' weights are those of Gong, Ostriker & Wolfire (2017, ApJ 843, 38). From 10 to 2000 K;
    the tables go on below as between 10 and 20 K, down to 3 K, and end with their values at 2000 K.

    Args:
        T, n_H, n_H2, n_e: temperature and densities.
        by_velocity: column of CO by velocity [1 / cm^2 / (km / s)], n(CO) over the gradient of
            velocity where that is large; 1e14 to 1e19, and the nearer end beyond.

    >>> f"{co(*map(jnp.asarray, (10.0, 0.0, 1e4, 0.0, 1e16))):.1e}"
    '2.2e-22'
    """
    root4 = jnp.sqrt(jnp.sqrt(T))
    n = n_H2 + 1.75 * root4 * n_H + 680.1 / root4 * n_e
    along_T = (jnp.log(T) / _LN10 - float(_CO_T[0])) / _CO_STEP
    along_N = 2.0 * (jnp.log(at_least(by_velocity, 1e10)) / _LN10 - 14.0)
    log = bicubic(_co_table(), along_T, at_least(along_N, 0.0))
    values = jnp.exp(_LN10 * log[..., :3])
    L_0, L_LTE, n_half = values[..., 0], values[..., 1], values[..., 2]
    # In terms of n, so that nothing overflows.
    log_ratio = jnp.log(at_least(n, 1e-10)) - _LN10 * log[..., 2]
    between = jnp.exp(log[..., 3] * log_ratio) * (1.0 - n_half * (L_0 / L_LTE))
    return L_0 * n / (1.0 + n * (L_0 / L_LTE) + between)


#: Nodes of the logarithm of temperature.
_CO_STEP = 0.05
_CO_T = np.arange(np.log10(3.0), np.log10(2000.0), _CO_STEP)


@functools.cache
def _co_table():
    """log10 of L_0, L_LTE and n_1/2, and alpha, on `_CO_T` by steps of half a dex in column."""
    values = read("omukai2010_co.txt").reshape(11, 11, 6).transpose(1, 0, 2)
    values = values[..., 2:] * [-1.0, -1.0, 1.0, 1.0]
    log_T = np.log10(read("omukai2010_co.txt")[:11, 1])
    below = values[0] - (values[1] - values[0]) / (log_T[1] - log_T[0]) * (log_T[0] - _CO_T[0])
    values, log_T = np.concatenate([below[None], values]), np.r_[_CO_T[0], log_T]
    at = np.clip(np.searchsorted(log_T, _CO_T) - 1, 0, len(log_T) - 2)
    part = ((_CO_T - log_T[at]) / (log_T[at + 1] - log_T[at]))[:, None, None]
    return padded(values[at] * (1.0 - part) + values[at + 1] * part)


# log10 of powers [erg cm^3 / s], polynomials in log10(T / 1000 K), and the temperatures [K] that
# each is kept within: H in three pieces, H2, He, H+, e- in two.
_H2_FITS = np.array([
    [-16.818342, 37.383713, 58.145166, 48.656103, 20.159831, 3.847961, 0, 0, 0],
    [-24.311209, 3.5692468, -11.33286, -27.850082, -21.328264, -4.2519023, 0, 0, 0],
    [-24.311209, 4.6450521, -3.7209846, 5.9369081, -5.5108047, 1.5538288, 0, 0, 0],
    [-23.962112, 2.0943374, -0.77151436, 0.43693353, -0.14913216, -0.033638326, 0, 0, 0],
    [-23.689237, 2.1892372, -0.81520438, 0.29036281, -0.16596184, 0.19191375, 0, 0, 0],
    [-22.089523, 1.5714711, 0.015391166, -0.23619985, -0.51002221, 0.3216873, 0, 0, 0],
    [-21.928796, 16.81573, 96.743155, 343.1918, 734.71651, 983.67576, 801.81247, 364.14446,
     70.609154],
    [-22.921189, 1.6802758, 0.93310622, 4.0406627, -4.7274036, -8.8077017, 8.9167183, 6.4380698,
     -6.3701156],
])  # fmt: skip
_H2_WITHIN = np.array([
    [10, 100], [100, 1000], [1000, 6000], [10, 6000], [10, 6000], [10, 6000], [100, 500],
    [500, 6000],
])  # fmt: skip


def h2(
    T: PerCell, n_H: PerCell, n_H2: PerCell, n_He: PerCell, n_p: PerCell, n_e: PerCell
) -> PerCell:
    r"""Power that one H2 emits in rotational and vibrational lines.

    .. math:: L = \frac{L_{LTE}}{1 + L_{LTE} / L_0}

    with L_0 the sum over colliders (Glover & Abel 2008, MNRAS 388, 1627, table 8, with three
    quarters ortho-H2; electrons and protons as revised by Glover 2015, MNRAS 451, 2082) and L_LTE
    of Hollenbach & McKee (1979, ApJS 41, 555). From 10 to 6000 K, and the nearer end beyond;
    electrons count above 100 K. Optically thin: too much above some 1e9 / cm^3.

    Args:
        T, n_H, n_H2, n_He, n_p, n_e: temperature and densities.

    >>> f"{h2(*map(jnp.asarray, (1e3, 100.0, 1e-2, 10.0, 1e-2, 1e-2))):.1e}"
    '6.9e-23'
    """
    T = at_most(at_least(T, 10.0), 6000.0)
    x = jnp.log(T / 1e3)[None] / _LN10
    low, high = (column(np.log10(end / 1e3), x) for end in _H2_WITHIN.T)
    x = at_most(at_least(x, low), high)
    by = jnp.exp(_LN10 * horner([column(c, x) for c in _H2_FITS.T], x))
    by_h = jnp.where(T < 100.0, by[0], jnp.where(T < 1e3, by[1], by[2]))
    by_e = jnp.where(T < 100.0, 0.0, jnp.where(T < 500.0, by[6], by[7]))
    low = by_h * n_H + by[3] * n_H2 + by[4] * n_He + by[5] * n_p + by_e * n_e
    T3, log_T3 = T / 1e3, jnp.log(T / 1e3)
    rotation = 9.5e-22 * jnp.exp(3.76 * log_T3 - (0.13 / T3) ** 3)
    rotation = rotation / (1.0 + 0.12 * jnp.exp(2.1 * log_T3)) + 3e-24 * jnp.exp(-0.51 / T3)
    high = rotation + 6.7e-19 * jnp.exp(-5.86 / T3) + 1.6e-18 * jnp.exp(-11.7 / T3)
    return low * (high / (high + low))


def hd(T: PerCell, n_H: PerCell) -> PerCell:
    """Power that one HD emits in rotational and vibrational lines.

    As that of `h2`; collisions with H (Wrathmall, Gusdorf & Flower 2007, MNRAS 382, 133) and levels
    in thermal balance (Coppola, Lodi & Tennyson 2011, MNRAS 415, 487) as fitted in Grackle 3.3
    (Smith et al. 2017, MNRAS 466, 2217). From 10 to 6000 K, and the nearer end beyond.

    >>> f"{hd(jnp.asarray(100.0), jnp.asarray(1e4)):.1e}"
    '9.5e-22'
    """
    log_T = jnp.log(at_most(at_least(T, 10.0), 6000.0)) / _LN10
    fit = (-23.17578, 1.5035261, 0.40871403, 0.17849311, -0.077291388, 0.10031326)
    low = jnp.exp(_LN10 * horner(fit, log_T - 3.0)) * n_H
    fit = (-55.5725, 56.649, -37.9102, 12.698, -2.02424, 0.122393)
    high = jnp.exp(_LN10 * horner(fit, log_T))
    return low * (high / (high + low))


def excitation(T: PerCell) -> tuple[PerCell, PerCell]:
    """Power of lines of H (Lyman alpha above all) and of He+, by density of electrons.

    Black 1981 (MNRAS 197, 553) as Cen 1992 (ApJS 78, 341) goes on with it [erg cm^3 / s], of one H
    or He+.

    >>> [f"{x:.1e}" for x in excitation(jnp.asarray(2e4))]
    ['1.4e-21', '3.9e-29']
    """
    hot = 1.0 + jnp.sqrt(T / 1e5)
    by_h = 7.5e-19 * jnp.exp(-118348.0 / T) / hot
    return by_h, 5.54e-17 * jnp.exp(-473638.0 / T - 0.397 * jnp.log(T)) / hot


def recombination(T: PerCell) -> tuple[PerCell, PerCell, PerCell]:
    """Power that recombination takes from the gas, of one H+, He+, He++ by density of electrons.

    H+ case B (Hui & Gnedin 1997, MNRAS 292, 27, after Ferland et al. 1992), He++ from it by the
    exact scaling of hydrogenic ions, 8 L(T / 4); He+ radiative and dielectronic (Black 1981, MNRAS
    197, 553; Cen 1992, ApJS 78, 341) [erg cm^3 / s].

    >>> [f"{x:.1e}" for x in recombination(jnp.asarray(1e4))]
    ['2.4e-25', '4.5e-25', '1.6e-24']
    """

    def case_b(T):
        x = jnp.log(315614.0 / T)
        denominator = jnp.log1p(jnp.exp(0.376 * (x - float(np.log(2.25)))))
        return 3.435e-30 * T * jnp.exp(1.97 * x - 3.72 * denominator)

    radiative = 1.55e-26 * jnp.exp(0.3647 * jnp.log(T))
    dielectronic = 1.24e-13 / (T * jnp.sqrt(T)) * jnp.exp(-4.7e5 / T)
    he = radiative + dielectronic * (1.0 + 0.3 * jnp.exp(-94000.0 / T))
    return case_b(T), he, 8.0 * case_b(0.25 * T)


def bremsstrahlung(T: PerCell) -> PerCell:
    """Power of free-free radiation by densities of electrons and of charges squared of the ions.

    1.42e-27 g sqrt(T) with the Gaunt factor g = 1.1 + 0.34 exp(-(5.5 - log T)^2 / 3) (Spitzer &
    Hart 1971 as in Cen 1992, ApJS 78, 341) [erg cm^3 / s].

    >>> f"{bremsstrahlung(jnp.asarray(1e6)):.1e}"
    '2.0e-24'
    """
    gaunt = 1.1 + 0.34 * jnp.exp(-jnp.square(5.5 - jnp.log(T) / _LN10) / 3.0)
    return 1.42e-27 * gaunt * jnp.sqrt(T)


def compton(T: PerCell, T_cmb: PerCell) -> PerCell:
    """Power that one electron loses to the microwave background, 1.0178e-37 T_cmb^4 (T - T_cmb).

    4 sigma_T a k T_cmb^4 (T - T_cmb) / (m_e c) (Peebles 1993, Principles of Physical Cosmology,
    section 6). Below zero where the gas is colder.

    >>> f"{compton(jnp.asarray(1e4), jnp.asarray(2.725)):.1e}"
    '5.6e-32'
    """
    # T_cmb^4 first, as 1e-37 alone is next to nothing in float32.
    return (1.0178e-17 * T_cmb) * (1e-20 * T_cmb) * T_cmb * T_cmb * (T - T_cmb)


def dust(T: PerCell, T_dust: PerCell, n: PerCell) -> PerCell:
    """Power that gas gives to the dust, per hydrogen nucleus, below zero where the dust is warmer.

    3.8e-33 n sqrt(T) (1 - 0.8 exp(-75 / T)) (T - T_dust) (Hollenbach & McKee 1989, ApJ 342, 306,
    equation 2.15, for grains from 100 Angstrom), with n the density of hydrogen nuclei.

    >>> f"{dust(*map(jnp.asarray, (30.0, 10.0, 1e5))):.1e}"
    '3.9e-26'
    """
    return 3.8e-33 * n * jnp.sqrt(T) * (1.0 - 0.8 * jnp.exp(-75.0 / T)) * (T - T_dust)


def grain_recombination(T: PerCell, field: PerCell, n_e: PerCell) -> PerCell:
    """Power that electrons recombining with charged grains take from the gas, per nucleus.

    4.65e-30 T^0.94 (G sqrt(T) / n_e)^beta n_e with beta = 0.74 / T^0.068 (Wolfire et al. 1995, ApJ
    443, 152, equation 9, after Bakes & Tielens 1994).

    Args:
        T: temperature.
        field: starlight G, in units of Habing's field, as the dust leaves it.
        n_e: density of electrons.

    >>> f"{grain_recombination(*map(jnp.asarray, (7000.0, 1.7, 0.01))):.1e}"
    '9.2e-27'
    """
    log_T = jnp.log(T)
    charging = jnp.log(at_least(field * jnp.sqrt(T), 1e-10)) - jnp.log(at_least(n_e, 1e-10))
    return 4.65e-30 * n_e * jnp.exp(0.94 * log_T + 0.74 * jnp.exp(-0.068 * log_T) * charging)
