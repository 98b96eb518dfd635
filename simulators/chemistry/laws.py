"""Rate laws: what a line of a network says, and one vectorised function for each.

A law is a frozen dataclass of plain numbers, as read from a file. `RateTable` stacks the numbers
of all reactions of one law into arrays and calls that law's `rate(p, c)` once: `p` holds the
stacked numbers, shape (n, 1), and `c` is a `conditions.Local`, whose quantities have shape
(n or 1, B). It returns k [1 / s], with the m - 1 powers of the density of hydrogen nuclei of m
reacting species, `c.density`, in it: as an early factor, so that float32 does not underflow.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp

from simulators.shared.elementwise import at_least, at_most

BOLTZMANN = 1.380649e-16  # erg / K
ATOMIC_MASS = 1.66053907e-24  # g
#: Binding sites on a grain [cm^-2] (Hasegawa, Herbst & Leung 1992, ApJS 82, 167).
SITES = 1.5e15


@dataclass(frozen=True)
class Arrhenius:
    r"""Modified Arrhenius or Kooij law.

    .. math:: k = \alpha (T / 300 K)^\beta e^{-\gamma / T}

    UMIST's two-body reactions (McElroy et al. 2013, A&A 550, A36), KIDA's formula 3, and three-body
    reactions. alpha [cm^3 / s, cm^6 / s for three reactants], beta, gamma [K].
    """

    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    process: ClassVar[str] = "thermal"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma")

    @staticmethod
    def rate(p, c):
        exponent = p["beta"] * c.log_T300 - p["gamma"] * c.inverse_T
        return p["alpha"] * c.density * _exp(exponent)


@dataclass(frozen=True)
class IonPolar1:
    r"""Ion and polar molecule, low temperatures; KIDA's formula 4.

    .. math:: k = \alpha \beta \left(0.62 + 0.4767 \gamma \sqrt{300 K / T}\right)

    (Su & Chesnavich 1982 as in Wakelam et al. 2012, ApJS 199, 21.) alpha is the branching ratio,
    beta Langevin's rate [cm^3 / s], gamma the reduced dipole.
    """

    alpha: float
    beta: float
    gamma: float
    process: ClassVar[str] = "thermal"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma")

    @staticmethod
    def rate(p, c):
        return p["alpha"] * p["beta"] * c.density * (0.62 + 0.4767 * p["gamma"] * c.root_300T)


@dataclass(frozen=True)
class IonPolar2:
    r"""Ion and polar molecule, higher temperatures; KIDA's formula 5.

    .. math:: k = \alpha \beta \left(1 + 0.0967 \gamma \sqrt{300 K / T}
        + \frac{\gamma^2}{10.526} \frac{300 K}{T}\right)
    """

    alpha: float
    beta: float
    gamma: float
    process: ClassVar[str] = "thermal"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma")

    @staticmethod
    def rate(p, c):
        x = p["gamma"] * c.root_300T
        return p["alpha"] * p["beta"] * c.density * (1.0 + 0.0967 * x + x * x / 10.526)


@dataclass(frozen=True)
class CosmicRay:
    r"""Ionisation or dissociation by cosmic-ray particles, k = alpha zeta / zeta_ref [1 / s].

    UMIST: alpha in 1 / s at zeta_ref = 1.36e-17 / s, the rate of H2. KIDA and OSU: alpha relative
    to zeta itself, zeta_ref = 1.
    """

    alpha: float
    zeta_ref: float = 1.0
    process: ClassVar[str] = "cosmic ray"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha",)

    @staticmethod
    def rate(p, c):
        return p["alpha"] * (c.zeta / p["zeta_ref"])


@dataclass(frozen=True)
class CosmicRayYield:
    r"""Photons that cosmic rays induce, k = alpha zeta / zeta_ref [1 / s] whatever the dust.

    KIDA's and OSU's CRP, with the dust in alpha.
    """

    alpha: float
    zeta_ref: float = 1.0
    process: ClassVar[str] = "cosmic-ray photon"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha",)

    @staticmethod
    def rate(p, c):
        return CosmicRay.rate(p, c)


@dataclass(frozen=True)
class CosmicRayPhoton:
    r"""Photons that cosmic rays induce; UMIST's CR [1 / s].

    .. math:: k = \alpha (T / 300 K)^\beta \frac{\gamma}{1 - \omega} \frac{\zeta}{\zeta_{ref}}

    with the albedo omega of the dust (McElroy et al. 2013, A&A 550, A36, equation 3).
    """

    alpha: float
    beta: float
    gamma: float
    zeta_ref: float = 1.0
    process: ClassVar[str] = "cosmic-ray photon"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma")

    @staticmethod
    def rate(p, c):
        warm = _exp(p["beta"] * c.log_T300)
        return p["alpha"] * warm * p["gamma"] / (1.0 - c.albedo) * (c.zeta / p["zeta_ref"])


@dataclass(frozen=True)
class Photo:
    r"""Photons from outside, k = alpha G0 exp(-gamma A_V) / G0_ref [1 / s].

    alpha in the standard field of `Conditions.G0`, Draine's; 1.7 for `G0_ref` where a file's
    alpha is for Draine's field but multiplied with a field in Habing's units.
    """

    alpha: float
    gamma: float
    G0_ref: float = 1.0
    process: ClassVar[str] = "photo"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "gamma")

    @staticmethod
    def rate(p, c):
        return p["alpha"] * (c.G0 / p["G0_ref"]) * _exp(-p["gamma"] * c.A_V)


@dataclass(frozen=True)
class ThirdBody:
    r"""Any particle M as a partner: an Arrhenius law times the density of the gas's particles."""

    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    process: ClassVar[str] = "third body"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma")

    @staticmethod
    def rate(p, c):
        return Arrhenius.rate(p, c) * c.particles


@dataclass(frozen=True)
class Troe:
    r"""Fall-off between a third-body and a two-body rate, KIDA's formula 6.

    .. math:: k = \frac{k_0 n_M}{1 + P} F, \quad P = \frac{k_0 n_M}{k_\infty}, \quad
        \log F = \frac{\log F_c}{1 + \left(\log P / (0.75 - 1.27 \log F_c)\right)^2}

    with Kooij laws k_0 [cm^6 / s] and k_inf [cm^3 / s], decimal logarithms, and n_M the density of
    the gas's particles (Troe 1983, Ber. Bunsenges. Phys. Chem. 87, 161).
    """

    alpha_0: float
    beta_0: float
    gamma_0: float
    alpha_inf: float
    beta_inf: float
    gamma_inf: float
    F_c: float = 0.6
    process: ClassVar[str] = "third body"
    coefficients: ClassVar[tuple[str, ...]] = (
        "alpha_0", "beta_0", "gamma_0", "alpha_inf", "beta_inf", "gamma_inf",
    )  # fmt: skip

    @staticmethod
    def rate(p, c):
        low, high = (
            p[f"alpha_{at}"] * _exp(p[f"beta_{at}"] * c.log_T300 - p[f"gamma_{at}"] * c.inverse_T)
            for at in ("0", "inf")
        )
        low = low * c.particles
        tiny = float(jnp.finfo(low.dtype).tiny) * 1e3
        log_P = jnp.log(at_least(low, tiny)) - jnp.log(at_least(high, tiny))
        log_F_c = jnp.log(p["F_c"])
        width = 0.75 * math.log(10.0) - 1.27 * log_F_c
        log_F = log_F_c / (1.0 + jnp.square(log_P / width))
        return low * c.density / (1.0 + _exp(log_P)) * _exp(log_F)


@dataclass(frozen=True)
class GrainCollision:
    r"""Collisions of the first reactant with grains, k = alpha (T / 300)^beta exp(-gamma / T) n_H.

    alpha [cm^3 / s] per hydrogen nucleus, so that the rate is k n(first reactant) [1 / s] whatever
    else the reaction consumes: with H + H -> H2 it is the simple law of H2 formation.
    """

    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    process: ClassVar[str] = "grain"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha", "beta", "gamma")

    @staticmethod
    def rate(p, c):
        return Arrhenius.rate(p, c) * c.n_H


@dataclass(frozen=True)
class GrainH2:
    r"""H2 formation on grains after Hollenbach & McKee (1979, ApJS 41, 555); rate k n(H).

    .. math:: k = \alpha\, n_H \frac{\sqrt{T_2} f_a}{1 + 0.4 \sqrt{T_2 + T_{d2}} + 0.2 T_2
        + 0.08 T_2^2}, \quad f_a = \frac{1}{1 + 10^4 e^{-600 K / T_d}}

    with T_2 = T / 100 K and T_d the dust's temperature; alpha = 3e-17 cm^3 / s at solar
    metallicity.
    """

    alpha: float = 3e-17
    process: ClassVar[str] = "grain"
    coefficients: ClassVar[tuple[str, ...]] = ("alpha",)

    @staticmethod
    def rate(p, c):
        gas, dust = c.T / 100.0, c.T_dust / 100.0
        loss = 1.0 + 0.4 * jnp.sqrt(gas + dust) + 0.2 * gas + 0.08 * gas * gas
        stays = 1.0 + 1e4 * _exp(-6.0 / dust)
        return p["alpha"] * c.n_H * jnp.sqrt(gas) / (loss * stays)


@dataclass(frozen=True)
class FreezeOut:
    r"""Sticking to grains [1 / s].

    .. math:: k = S \pi a^2 n_g \sqrt{\frac{8 k T}{\pi m}} \left(1 + Z \frac{e^2}{a k T}\right)

    with the sticking probability S, the mass m [u] and the charge Z of a cation on a grain with one
    electron, and the grains' radius a and density n_g from the conditions (Rawlings et al. 1992,
    MNRAS 255, 471). The rate is k n(first reactant): an electron may be second, for a cation that
    is neutralised.
    """

    sticking: float
    mass: float
    charge: float = 0.0
    process: ClassVar[str] = "freeze-out"
    coefficients: ClassVar[tuple[str, ...]] = ("sticking",)

    @staticmethod
    def rate(p, c):
        speed = jnp.sqrt(c.T * (8.0 * BOLTZMANN / (math.pi * ATOMIC_MASS) / p["mass"]))
        focus = 1.0 + p["charge"] * 1.671e-3 * c.inverse_T / c.grain_radius
        return p["sticking"] * c.grain_area * c.n_H * speed * focus


@dataclass(frozen=True)
class ThermalDesorption:
    r"""Evaporation from grains [1 / s].

    .. math:: k = \nu_0 e^{-E / T_d}, \quad \nu_0 = \sqrt{\frac{2 n_s k E}{\pi^2 m}}

    with the binding energy E [K], the mass m [u] and n_s = 1.5e15 / cm^2 (Hasegawa, Herbst & Leung
    1992, ApJS 82, 167).
    """

    binding: float
    mass: float
    process: ClassVar[str] = "desorption"
    coefficients: ClassVar[tuple[str, ...]] = ("binding",)

    @staticmethod
    def rate(p, c):
        return _exp(_log_attempts(p) - p["binding"] / c.T_dust)


@dataclass(frozen=True)
class CosmicRayDesorption:
    r"""Evaporation from grains that heavy cosmic rays heat to 70 K [1 / s].

    .. math:: k = 3.16 \times 10^{-19} \frac{\zeta}{1.3 \times 10^{-17}} \nu_0 e^{-E / 70 K}

    (Hasegawa & Herbst 1993, MNRAS 261, 83, scaled with the ionisation rate.)
    """

    binding: float
    mass: float
    process: ClassVar[str] = "cosmic-ray desorption"
    coefficients: ClassVar[tuple[str, ...]] = ("binding",)

    @staticmethod
    def rate(p, c):
        return 3.16e-19 * (c.zeta / 1.3e-17) * _exp(_log_attempts(p) - p["binding"] / 70.0)


@dataclass(frozen=True)
class Expression:
    """A rate as arithmetic text; see `expressions` and `arithmetic` for what it may hold.

    The text gives k in cm^(3 (m - 1)) / s, to be multiplied with the densities of m species: of
    the reactants, or of those named by `orders`. Values below zero count as zero.
    """

    text: str
    orders: tuple[str, ...] | None = None
    process: ClassVar[str] = "thermal"
    coefficients: ClassVar[tuple[str, ...]] = ()


LAWS = {
    law.__name__: law
    for law in (
        Arrhenius, IonPolar1, IonPolar2, CosmicRay, CosmicRayYield, CosmicRayPhoton, Photo,
        ThirdBody, Troe, GrainCollision, GrainH2, FreezeOut, ThermalDesorption,
        CosmicRayDesorption, Expression,
    )
}  # fmt: skip
#: The laws whose rate goes with the first reactant's abundance alone.
FIRST_ORDER = (GrainCollision, GrainH2, FreezeOut)


def _log_attempts(p):
    """Natural logarithm of nu_0 [1 / s]."""
    scale = 2.0 * SITES * BOLTZMANN / (math.pi**2 * ATOMIC_MASS)
    return 0.5 * (math.log(scale) + jnp.log(p["binding"] / p["mass"]))


def _exp(x):
    """exp(x) that stays finite, as do its derivatives, in the dtype of x."""
    return jnp.exp(at_most(x, 0.9 * math.log(float(jnp.finfo(x.dtype).max))))
