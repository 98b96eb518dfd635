"""Fine-structure lines of C+, C and O: level populations in balance, and the power they emit.

Collisions with H, H2 (three quarters of it ortho) and electrons. Left out: collisions with H+ and
He, stimulated emission and absorption of any radiation, and optical depth.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.laws import BOLTZMANN
from simulators.chemistry.lookup import column
from simulators.shared.elementwise import at_least, at_most, horner

PerCell = Float[Array, "*B"]
ORTHO, PARA = 0.75, 0.25


class Atom:
    """Levels of an atom, and what follows from them for each line.

    Args:
        weights: of the levels, in rising energy.
        energies: of the levels [K].
        spontaneous: rates of emission [1 / s], {(upper, lower): A}.
    """

    def __init__(self, weights, energies, spontaneous):
        self.weights, self.lines = weights, tuple(spontaneous)
        self.spontaneous = np.array(list(spontaneous.values()))
        self.energies = np.array([energies[u] - energies[low] for u, low in spontaneous])
        self.ratios = np.array([weights[u] / weights[low] for u, low in spontaneous])


# Data as in Gong, Ostriker & Wolfire 2017, ApJ 843, 38.
C_PLUS = Atom((2, 4), (0.0, 91.26), {(1, 0): 2.3e-6})
C = Atom((1, 3, 5), (0.0, 23.62, 62.46), {(1, 0): 7.88e-8, (2, 0): 1.81e-14, (2, 1): 2.65e-7})
O = Atom((5, 3, 1), (0.0, 227.7, 326.6), {(1, 0): 8.91e-5, (2, 0): 1.34e-10, (2, 1): 1.75e-5})  # noqa: E741


def c_plus(T: PerCell, n_H: PerCell, n_H2: PerCell, n_e: PerCell) -> PerCell:
    """Power that one C+ emits at 158 micron [erg / s].

    De-excitation by H and electrons from Draine 2011 (Physics of the Interstellar and Intergalactic
    Medium), equations 17.16 and 17.17, by H2 from Wiesenfeld & Goldsmith 2014 (ApJ 780, 183) with
    its value at 500 K above.

    Args:
        T: temperature [K].
        n_H, n_H2, n_e: densities [1 / cm^3].

    >>> dense = c_plus(jnp.asarray(1e4), jnp.asarray(1e9), jnp.asarray(0.0), jnp.asarray(0.0))
    >>> f"{dense:.2e}", f"{2.3e-6 * 91.26 * 1.380649e-16 * 2 / 3:.2e}"
    ('1.93e-20', '1.93e-20')
    """
    return _emitted(C_PLUS, _c_plus_collisions, T, n_H, n_H2, n_e)


def c(T: PerCell, n_H: PerCell, n_H2: PerCell, n_e: PerCell) -> PerCell:
    """Power that one C emits at 370 and 609 micron [erg / s]; arguments as of `c_plus`.

    De-excitation by H and H2 from Draine 2011, table F.6, by electrons from Johnson, Burke &
    Kingston 1987 (J. Phys. B 20, 2553) up to 1e4 K, and with that value above.

    >>> f"{c(jnp.asarray(30.0), jnp.asarray(0.0), jnp.asarray(500.0), jnp.asarray(0.1)):.1e}"
    '1.8e-22'
    """
    return _emitted(C, _c_collisions, T, n_H, n_H2, n_e)


def o(T: PerCell, n_H: PerCell, n_H2: PerCell, n_e: PerCell) -> PerCell:
    """Power that one O emits at 63 and 145 micron [erg / s]; arguments as of `c_plus`.

    De-excitation by H and H2 from Draine 2011, table F.6, by electrons from the fits of Gong,
    Ostriker & Wolfire 2017 to Bell, Berrington & Thomas 1998 (MNRAS 293, L83).

    >>> f"{o(jnp.asarray(100.0), jnp.asarray(30.0), jnp.asarray(0.0), jnp.asarray(0.0)):.1e}"
    '2.3e-23'
    """
    return _emitted(O, _o_collisions, T, n_H, n_H2, n_e)


def populations(atom: "Atom", T: PerCell, down: Float[Array, "K *B"]) -> Float[Array, "L *B"]:
    """Fractions in two or three levels in balance.

    Each is the product of the rates along the paths that lead to it, over the sum of all.

    Args:
        atom: its levels.
        T: temperature [K].
        down: rates of de-excitation by collisions [1 / s], in the order of `atom.lines`.
    """
    ratio, energy = (column(x, down) for x in (atom.ratios, atom.energies))
    up = down * ratio * jnp.exp(-energy / T[None])
    down = down + column(atom.spontaneous, down)
    if len(atom.weights) == 2:
        paths = jnp.stack([down[0], up[0]])
    else:
        (r10, r20, r21), (r01, r02, r12) = down, up
        paths = jnp.stack(
            [
                r10 * (r20 + r21) + r12 * r20,
                r01 * (r20 + r21) + r21 * r02,
                r02 * (r10 + r12) + r12 * r01,
            ]
        )
    return paths / jnp.sum(paths, axis=0, keepdims=True)


def _emitted(atom, collisions, *gas):
    gas = [x[None] for x in jnp.broadcast_arrays(*gas)]
    down = collisions(*gas)
    upper = np.array([u for u, _ in atom.lines])
    power = column(BOLTZMANN * np.array(atom.spontaneous) * atom.energies, down)
    return jnp.sum(populations(atom, gas[0][0], down)[upper] * power, axis=0)


def _c_plus_collisions(T, n_H, n_H2, n_e):
    T2 = T / 100.0
    cool = at_most(T2, 5.0)
    by_h2 = 1e-10 * (ORTHO * (5.33 + 0.11 * cool) + PARA * (4.43 + 0.33 * cool))
    log_T2 = jnp.log(T2)
    by_h = 7.58e-10 * jnp.exp(log_T2 * (0.1281 + 0.0087 * log_T2))
    return by_h * n_H + by_h2 * n_H2 + 4.53e-7 / jnp.sqrt(T2) * n_e


# De-excitation, a T2^(b + c ln T2) with T2 = T / 100 K [cm^3 / s]: a, b, c of the three lines by H,
# para-H2 and ortho-H2.
_C_BY = np.array([
    [[1.26e-10, 0.115, 0.057], [0.89e-10, 0.228, 0.046], [2.64e-10, 0.231, 0.046]],
    [[0.67e-10, -0.085, 0.102], [0.86e-10, -0.010, 0.048], [1.75e-10, 0.072, 0.064]],
    [[0.71e-10, -0.004, 0.049], [0.69e-10, 0.169, 0.038], [1.48e-10, 0.263, 0.031]],
])  # fmt: skip
_O_BY = np.array([
    [[3.57e-10, 0.419, -0.003], [3.19e-10, 0.369, -0.006], [4.34e-10, 0.755, -0.160]],
    [[1.49e-10, 0.264, 0.025], [1.90e-10, 0.203, 0.041], [2.10e-12, 0.889, 0.043]],
    [[1.37e-10, 0.296, 0.043], [2.23e-10, 0.237, 0.058], [3.00e-12, 1.198, 0.525]],
])  # fmt: skip
# ln of collision strengths of C with electrons: polynomials in ln T of the three lines, below and
# above 1000 K.
_C_ELECTRONS = np.array([
    [
        [-9.25141, -0.773782, 0.361184, -1.50892e-2, -6.56325e-4],
        [-7.69735, -1.30743, 0.697638, -0.111338, 7.05277e-3],
        [-7.4387, -0.57443, 0.358264, -4.18166e-2, 2.35272e-3],
    ],
    [
        [444.6, -227.913, 42.595, -3.4762, 0.10508],
        [350.609, -187.474, 36.1803, -3.03283, 9.38138e-2],
        [386.186, -202.193, 38.5049, -3.19268, 9.78573e-2],
    ],
])  # fmt: skip
# a T^b [cm^3 / s]
_O_ELECTRONS = np.array([[5.12e-10, -0.075], [4.86e-10, -0.026], [1.08e-14, 0.926]])


def _c_collisions(T, n_H, n_H2, n_e):
    log_T, border = jnp.log(at_most(T, 1e4)), math.log(1e3)
    # Each within its range, as elsewhere it may overflow.
    cold, warm = (
        horner([column(c, T) for c in fits.T], at)
        for fits, at in zip(
            _C_ELECTRONS, (at_most(log_T, border), at_least(log_T, border)), strict=True
        )
    )
    strength = jnp.exp(jnp.where(T < 1e3, cold, warm))
    by_e = 8.629e-6 * strength / column([3.0, 5.0, 5.0], T) * (n_e / jnp.sqrt(T))
    return _by_hydrogen(_C_BY, T, n_H, n_H2) + by_e


def _o_collisions(T, n_H, n_H2, n_e):
    a, b = (column(x, T) for x in _O_ELECTRONS.T)
    return _by_hydrogen(_O_BY, T, n_H, n_H2) + a * jnp.exp(b * jnp.log(T)) * n_e


def _by_hydrogen(fits, T, n_H, n_H2):
    log_T2 = jnp.log(T / 100.0)
    a, b, c = (column(x, T) for x in np.moveaxis(fits.reshape(9, 3), 1, 0))
    rates = a * jnp.exp(log_T2 * (b + c * log_T2))
    return rates[:3] * n_H + (PARA * rates[3:6] + ORTHO * rates[6:]) * n_H2
