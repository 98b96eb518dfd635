"""Heat that reactions, starlight and cosmic rays give to the gas."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.elementwise import at_least

PerCell = Float[Array, "*B"]

# Energy that goes into the gas with one reaction [eV].
_COLLISIONS = {
    "H + e- -> H+ + e- + e-": -13.598, "He + e- -> He+ + e- + e-": -24.587,
    "He+ + e- -> He++ + e- + e-": -54.418, "C + e- -> C+ + e- + e-": -11.260,
    "O + e- -> O+ + e- + e-": -13.618, "H2 + e- -> H + H + e-": -4.478,
    "H2 + H -> H + H + H": -4.478, "H2 + H2 -> H2 + H + H": -4.478,
    "H2 + He -> H + H + He": -4.478, "H2 + H+ -> H2+ + H": -1.83,
}  # fmt: skip
# The same where H2 forms highly excited, if collisions take its energy (Omukai 2000, ApJ 534, 809).
_FORMATION = {
    "H- + H -> H2 + e-": 3.53, "H2+ + H -> H2 + H+": 1.83, "H + H2+ -> H2 + H+": 1.83,
    "H + H + H -> H2 + H": 4.48, "H + H + H2 -> H2 + H2": 4.48, "H + H + He -> H2 + He": 4.48,
}  # fmt: skip


def heat_of(reaction):
    """The kind of heat that a reaction gives, and the energy [eV] or what multiplies it; or None.

    >>> from simulators.chemistry.laws import Photo
    >>> from simulators.chemistry.network import Reaction
    >>> heat_of(Reaction(("C",), ("C+", "e-"), Photo(3.5e-10, 3.76)))
    ('C and starlight', 1.06)
    """
    text, process = reaction.formula, reaction.law.process
    if process == "cosmic ray":
        if "e-" not in reaction.products:
            return None
        molecular = {("H2",): True, ("H",): False, ("He",): False}.get(reaction.reactants)
        names = {True: "cosmic rays, H2", False: "cosmic rays, atoms"}
        return (names[molecular], 1.0) if molecular is not None else None
    if process == "cosmic-ray photon":
        return None
    if reaction.reactants == ("H2",) and reaction.products == ("H", "H"):
        return "H2 and starlight", 1.0
    if reaction.reactants == ("C",) and set(reaction.products) == {"C+", "e-"}:
        return "C and starlight", 1.06
    if text == "H + H -> H2":
        return "H2 on dust", 1.0
    for name, energies in (("collisions", _COLLISIONS), ("H2 in gas", _FORMATION)):
        if text in energies:
            return name, energies[text]
    return None


def by_molecule(n: PerCell) -> PerCell:
    """Heat of one H2 ionised by cosmic rays [eV], by the density of nuclei, 10 to 18 eV.

    Glassgold, Galli & Padovani 2012 (ApJ 756, 157) as fitted by Krumholz 2014 (MNRAS 437, 1662).

    >>> round(float(by_molecule(jnp.asarray(1e3))), 2)
    11.5
    """
    log_n, heat = (np.array(x) for x in ([2.0, 4.0, 7.0, 10.0], [10.0, 13.0, 17.0, 18.0]))
    return jnp.interp(jnp.log10(n), jnp.asarray(log_n, n.dtype), jnp.asarray(heat, n.dtype))


def by_atom(x: PerCell) -> PerCell:
    """Heat of one H or He ionised by cosmic rays [eV], by the abundance of electrons.

    (6.5 + 26.4 sqrt(x / (x + 0.07))) / (1 + phi), phi = 0.67 (1 - x / 1.2) / (1 + x / 0.05) further
    ionisations by a first one, each of which is counted itself (Draine 2011, Physics of the
    Interstellar and Intergalactic Medium, equations 30.1 and 13.12).

    >>> round(float(by_atom(jnp.asarray(1e-4))), 2)
    4.49
    """
    x = at_least(x, 1e-10)
    secondary = 0.67 * (1.0 - x / 1.2) / (1.0 + x / 0.05)
    return (6.5 + 26.4 * jnp.sqrt(x / (x + 0.07))) / (1.0 + secondary)


def collisional(T: PerCell, n: PerCell, h: PerCell, h2: PerCell) -> PerCell:
    """f = n / (n + n_cr), the part of H2's excitation that collisions give to the gas.

    n_cr = 1e6 / sqrt(T) / (1.6 y_H exp(-(400 / T)^2) + 1.4 y_H2 exp(-12000 / (T + 1200)))
    (Hollenbach & McKee 1979, ApJS 41, 555).

    Args:
        T: temperature [K].
        n: density of hydrogen nuclei [1 / cm^3].
        h, h2: abundances of H and H2.

    >>> round(float(collisional(*map(jnp.asarray, (1000.0, 1e4, 1.0, 0.0)))), 3)
    0.301
    """
    by_h = 1.6 * h * jnp.exp(-jnp.square(400.0 / T))
    rate = n * jnp.sqrt(T) * (by_h + 1.4 * h2 * jnp.exp(-12000.0 / (T + 1200.0)))
    return rate / (rate + 1e6)


def photoelectric(T: PerCell, field: PerCell, n_e: PerCell) -> PerCell:
    r"""Heat of electrons that starlight drives from grains, per hydrogen nucleus [erg / s].

    .. math:: 10^{-24} \epsilon G, \quad \epsilon = \frac{0.049}{1 + (x / 1925)^{0.73}}
        + \frac{0.037\, (T / 10^4)^{0.7}}{1 + 2 \times 10^{-4} x}, \quad x = G \sqrt{T} / n_e

    Bakes & Tielens (1994, ApJ 427, 822) as given by Wolfire et al. (1995, ApJ 443, 152).

    Args:
        T: temperature [K].
        field: starlight G, in units of Habing's field, as the dust leaves it.
        n_e: density of electrons [1 / cm^3].

    >>> f"{photoelectric(*map(jnp.asarray, (80.0, 1.7, 0.01))):.1e}"
    '4.7e-26'
    """
    charging = at_least(field * jnp.sqrt(T), 1e-10) / (n_e + 1e-10)
    efficiency = 4.9e-2 / (1.0 + jnp.exp(0.73 * jnp.log(charging / 1925.0)))
    efficiency += 3.7e-2 * jnp.exp(0.7 * jnp.log(T / 1e4)) / (1.0 + 2e-4 * charging)
    return 1e-24 * efficiency * field
