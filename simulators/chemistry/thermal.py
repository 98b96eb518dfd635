"""Heating and cooling of gas, and what they do to its temperature.

For networks such as `networks.compact` and `networks.primordial`: what their species and reactions
are decides which terms there are. All powers are per hydrogen nucleus [erg / s].

Left out: optical depth of all lines but CO's, absorbed radiation in lines and of X-rays, lines of
H2O, OH, 13CO and of ionised metals (too little cooling above some 2e4 K where there are metals),
collision-induced emission and the opacity of H2 (above some 1e9 / cm^3), heat of ion chemistry
other than in the cosmic rays' yield, and work by compression.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry import cooling, fine_structure, heating
from simulators.chemistry.conditions import Conditions
from simulators.chemistry.laws import BOLTZMANN
from simulators.chemistry.lookup import column
from simulators.chemistry.network import Network
from simulators.shared.fields import as_float, cast, check

EV = 1.602176634e-12  # erg
#: Habing's field in Draine's, and the dust's optical depth for it by A_V: 1e-21 cm^2 per nucleus.
_HABING, _EXTINCTION = 1.7, 1.87
#: Velocity of 1 km / s over 1 pc, as the length over which it changes by 1 km / s [cm].
_PARSEC = 3.0857e18


class Thermal(eqx.Module):
    """Heating and cooling by the species and reactions of a network.

    Attributes:
        T_cmb: temperature of the microwave background [K].
        velocity_gradient: over which CO's lines escape [km / s / pc].

    Raises:
        ValueError: for a value that is known and not finite, or not above zero.
    """

    T_cmb: Float[Array, "*B"] = eqx.field(converter=as_float)
    velocity_gradient: Float[Array, "*B"] = eqx.field(converter=as_float)
    _plan: "_Plan" = eqx.field(static=True)

    def __check_init__(self):
        check(self, "T_cmb", "velocity_gradient")

    @classmethod
    def of(cls, network: Network, T_cmb: float = 2.725, velocity_gradient: float = 1.0):
        """The heating and cooling of a network."""
        return cls(T_cmb, velocity_gradient, _Plan(network))

    def terms(
        self, v: Float[Array, "R *B"], y: Float[Array, "S *B"], conditions: Conditions
    ) -> dict[str, Float[Array, "*B"]]:
        """Power into the gas per hydrogen nucleus, by process [erg / s]; below zero what cools.

        Photoelectric heating and recombination on grains after Bakes & Tielens (1994, ApJ 427,
        822) as given by Wolfire et al. (1995, ApJ 443, 152). Cosmic rays: for each H or He ionised
        6.5 eV + 26.4 eV sqrt(x / (x + 0.07)), shared with its secondaries (Draine 2011, equations
        13.12 and 30.1), for each H2 10 to 18 eV with rising density (Glassgold, Galli & Padovani
        2012, ApJ 756, 157, as fitted by Krumholz 2014, MNRAS 437, 1662). H2 formed on dust 0.2 +
        4.2 f eV (Hollenbach & McKee 1979, ApJS 41, 555), dissociated by starlight 0.4 eV (Black &
        Dalgarno 1977, ApJS 34, 405) and 8.5 f times pumped by 2 eV (Draine & Bertoldi 1996, ApJ
        468, 269; Burton, Hollenbach & Tielens 1990, ApJ 365, 620), with f = n / (n + n_cr) of
        Hollenbach & McKee. C ionised by starlight 1.06 eV. See `cooling` and `fine_structure`.

        Args:
            v: how often each reaction happens, per nucleus [1 / s], as `Kinetics.rates` gives it.
            y: abundances.
            conditions: with the gas's temperature.

        Raises:
            ValueError: if the network has reactions on dust and the conditions no T_dust.
        """
        T = conditions.temperature
        n, T_cmb, gradient = cast(T, conditions.n_H, self.T_cmb, self.velocity_gradient)
        x = {name: y[i] for name, i in self._plan.at.items()}
        zero = jnp.zeros_like(y[0])
        density = lambda name: n * x.get(name, zero)  # noqa: E731
        n_H, n_H2, n_e = density("H"), density("H2"), density("e-")
        terms = self._of_reactions(v, x, T, n, zero)
        if self._plan.dusty:
            if conditions.T_dust is None:
                raise ValueError("Thermal: the network has dust; give `T_dust` in the conditions.")
            field = _HABING * conditions.G0 * jnp.exp(-_EXTINCTION * conditions.A_V)
            terms["photoelectric"] = heating.photoelectric(T, field, n_e)
            terms["grain recombination"] = -cooling.grain_recombination(T, field, n_e)
            terms["dust"] = -cooling.dust(T, conditions.T_dust, n)
        for name, lines in (
            ("C+", fine_structure.c_plus),
            ("C", fine_structure.c),
            ("O", fine_structure.o),
        ):
            if name in x:
                terms[f"{name} lines"] = -x[name] * lines(T, n_H, n_H2, n_e)
        if "CO" in x:
            column = n * x["CO"] * (_PARSEC / gradient)
            terms["CO lines"] = -x["CO"] * cooling.co(T, n_H, n_H2, n_e, column)
        if "H2" in x:
            others = density("He"), density("H+"), n_e
            terms["H2 lines"] = -x["H2"] * cooling.h2(T, n_H, n_H2, *others)
        if "HD" in x:
            terms["HD lines"] = -x["HD"] * cooling.hd(T, n_H)
        by_h, by_he = cooling.excitation(T)
        get = lambda name: x.get(name, zero)  # noqa: E731
        terms["H and He+ lines"] = -n_e * (get("H") * by_h + get("He+") * by_he)
        ions = get("H+"), get("He+"), get("He++")
        lost = (ion * power for ion, power in zip(ions, cooling.recombination(T), strict=True))
        terms["recombination"] = -n_e * sum(lost)
        squares = ions[0] + ions[1] + 4.0 * ions[2]
        terms["bremsstrahlung"] = -n_e * squares * cooling.bremsstrahlung(T)
        terms["Compton"] = -get("e-") * cooling.compton(T, T_cmb)
        return terms

    def _of_reactions(self, v, x, T, n, zero):
        plan, terms = self._plan, {}
        f = zero
        if "H2" in x:
            f = heating.collisional(T, n, x["H"], x["H2"])
        for name, rows, energies in plan.reactions:
            events = jnp.sum(column(energies * EV, v) * v[rows], axis=0)
            if name == "H2 in gas":
                events = events * f
            elif name == "H2 on dust":
                events = events * (0.2 + 4.2 * f)
            elif name == "H2 and starlight":
                events = events * (0.4 + 17.0 * f)
            elif name == "cosmic rays, atoms":
                events = events * heating.by_atom(x["e-"])
            elif name == "cosmic rays, H2":
                events = events * heating.by_molecule(n)
            terms[name] = events
        return terms

    def dT_dt(
        self,
        v: Float[Array, "R *B"],
        dy_dt: Float[Array, "S *B"],
        y: Float[Array, "S *B"],
        conditions: Conditions,
    ) -> Float[Array, "*B"]:
        r"""Rate of change of the temperature at constant density [K / s].

        .. math:: \frac{dT}{dt} = \frac{\Gamma / k - \frac{3}{2} T \sum_s \dot y_s
            - u_{H_2}(T)\, \dot y_{H_2}}{\frac{3}{2} \sum_s y_s + u'_{H_2}(T)\, y_{H_2}}

        with the sum Gamma of all `terms` and the energy k u of rotation and vibration of one H2.
        """
        T, at = conditions.temperature, self._plan.at
        net = sum(self.terms(v, y, conditions).values()) / BOLTZMANN
        inner, slope = h2_energy(T)
        h2 = y[at["H2"]] if "H2" in at else jnp.zeros_like(T)
        dh2 = dy_dt[at["H2"]] if "H2" in at else jnp.zeros_like(T)
        made = 1.5 * T * jnp.sum(dy_dt, axis=0) + inner * dh2
        return (net - made) / (1.5 * jnp.sum(y, axis=0) + slope * h2)

    def adiabatic_index(
        self, y: Float[Array, "S *B"], temperature: Float[Array, "*B"]
    ) -> Float[Array, "*B"]:
        """Ratio of specific heats.

        >>> from simulators.chemistry import networks
        >>> network = networks.primordial()
        >>> y = jnp.zeros(9).at[network.index("H2")].set(0.5)
        >>> gamma = Thermal.of(network).adiabatic_index
        >>> [round(float(gamma(y, jnp.asarray(T))), 2) for T in (10.0, 1000.0)]
        [1.67, 1.39]
        """
        particles = jnp.sum(y, axis=0)
        h2 = y[self._plan.at["H2"]] if "H2" in self._plan.at else jnp.zeros_like(particles)
        return 1.0 + particles / (1.5 * particles + h2_energy(temperature)[1] * h2)


def h2_energy(T: Float[Array, "*B"]) -> tuple[Float[Array, "*B"], Float[Array, "*B"]]:
    """Rotation and vibration of one H2, three quarters of it ortho: u [K] and du / dT.

    Levels 85.4 K J (J + 1) up to J = 23 and one vibration of 5987 K, in thermal balance at T, which
    they are not at low densities; ortho and para do not change into each other. u(0) = 0.

    >>> u, slope = h2_energy(jnp.asarray(500.0))
    >>> round(float(u)), round(float(slope), 2)
    (343, 1.0)
    """
    u, slope = 0.0, 0.0
    for first, share in ((0, 0.25), (1, 0.75)):
        J = np.arange(first, 24, 2)
        above = column(85.4 * (J * (J + 1) - first * (first + 1)), T[None])
        weight = column(2.0 * J + 1.0, T[None]) * jnp.exp(-above / T[None])
        total = jnp.sum(weight, axis=0)
        mean = jnp.sum(above * weight, axis=0) / total
        square = jnp.sum(above * above * weight, axis=0) / total
        u, slope = u + share * mean, slope + share * (square - mean * mean) / (T * T)
    x = 5987.0 / T
    rare = jnp.exp(-x)
    share = rare / (1.0 - rare)
    return u + 5987.0 * share, slope + x * x * share * (1.0 + share)


class _Plan:
    """Which species and reactions heat or cool; equal for equal networks."""

    def __init__(self, network):
        self.network = network
        self.at = {name: i for i, name in enumerate(network.species)}
        groups = {}
        for row, reaction in enumerate(network.reactions):
            found = heating.heat_of(reaction)
            if found:
                groups.setdefault(found[0], []).append((row, found[1]))
        self.reactions = [
            (name, np.array([row for row, _ in rows]), np.array([e for _, e in rows]))
            for name, rows in groups.items()
        ]
        self.dusty = any(name == "H2 on dust" for name in groups)

    def __eq__(self, other):
        return self is other or (isinstance(other, _Plan) and self.network == other.network)

    def __hash__(self):
        return hash(self.network.species)
