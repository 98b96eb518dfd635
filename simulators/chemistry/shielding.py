"""How much of the starlight that dissociates a molecule is left behind columns of gas.

Each function gives a factor between 0 and 1 on the rate of a photoreaction, beside the dust's
exp(-gamma A_V), from column densities [1 / cm^2] towards the source of light. Columns may be
numbers or arrays that broadcast; what is negative counts as zero. Values and derivatives are
finite, at zero columns, too.

`networks.shielded` puts them on the photoreactions of a network, whose expressions know them as
shield_h2, shield_co, shield_n2 and shield_c.
"""

import functools
import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.lookup import bicubic, padded, read

Column = Float[Array, "..."]


def h2(N_H2: Column, b: Column = 3.0, exponent: float = 2.0) -> Column:
    r"""Self-shielding of H2.

    .. math:: f = \frac{0.965}{(1 + x / b)^a} + \frac{0.035}{\sqrt{1 + x}}
        e^{-8.5 \times 10^{-4} \sqrt{1 + x}}, \quad x = \frac{N(H_2)}{5 \times 10^{14}}

    Draine & Bertoldi (1996, ApJ 468, 269), equation 37, with a = 2, for H2 in its lowest levels.

    Args:
        N_H2: column of H2 [1 / cm^2].
        b: Doppler parameter of H2 [km / s], above zero.
        exponent: a; 1.1 for warm gas, some 1e3 K, whose H2 is in many rotational levels (Wolcott-
            Green, Haiman & Bryan 2011, MNRAS 418, 838).

    >>> f = h2(jnp.array([0.0, 5e14, 1e20]))
    >>> round(float(f[0]), 6), round(float(f[1]), 3), f"{f[2]:.2e}"
    (1.0, 0.568, '5.35e-05')
    """
    N_H2, b = _floats(N_H2, b)
    x = N_H2 / 5e14
    root = jnp.sqrt(1.0 + x)
    lines = jnp.exp(-exponent * jnp.log1p(x / b))
    return 0.965 * lines + 0.035 / root * jnp.exp(-8.5e-4 * root)


def h2_by_h(N_H: Column) -> Column:
    r"""Shielding of H2 and HD by the Lyman lines of H.

    .. math:: f = (1 + x)^{-1.62} e^{-0.149 x}, \quad x = N(H) / 2.85 \times 10^{23}

    (Wolcott-Green & Haiman 2011, MNRAS 412, 2603.)

    >>> round(float(h2_by_h(jnp.asarray(2.85e22))), 3)
    0.844
    """
    (N_H,) = _floats(N_H)
    x = N_H / 2.85e23
    return jnp.exp(-1.62 * jnp.log1p(x) - 0.149 * x)


def hd(N_HD: Column, N_H2: Column, b: Column = 3.0) -> Column:
    r"""Shielding of HD by itself, as of H2, and by H2.

    .. math:: f = f_{H_2}(N(HD)) (1 + x)^{-0.238} e^{-5.2 \times 10^{-3} x},
        \quad x = N(H_2) / 2.34 \times 10^{19}

    (Wolcott-Green & Haiman 2011, MNRAS 412, 2603.)

    >>> round(float(hd(0.0, jnp.asarray(2.34e19))), 3)
    0.843
    """
    N_HD, N_H2, b = _floats(N_HD, N_H2, b)
    x = N_H2 / 2.34e19
    return h2(N_HD, b) * jnp.exp(-0.238 * jnp.log1p(x) - 5.2e-3 * x)


def c(N_C: Column, N_H2: Column) -> Column:
    r"""Shielding of atomic carbon from ionisation, by itself and by H2.

    .. math:: f = e^{-1.6 \times 10^{-17} N(C)} \frac{e^{-y}}{1 + y},
        \quad y = 2.8 \times 10^{-22} N(H_2)

    (Tielens & Hollenbach 1985, ApJ 291, 722, equations A6 and A7.)

    >>> round(float(c(jnp.asarray(1e16), 0.0)), 3)
    0.852
    """
    N_C, N_H2 = _floats(N_C, N_H2)
    y = 2.8e-22 * N_H2
    return jnp.exp(-1.6e-17 * N_C - y) / (1.0 + y)


def co(N_CO: Column, N_H2: Column) -> Column:
    """Shielding of CO by itself and by H2, from a table.

    Visser, van Dishoeck & Black (2009, A&A 503, 323), table 5, for b = 0.3 km / s and T_ex = 5 K,
    N(CO) from 1e10 to 1e19 and N(H2) from 1e15 to 1e23 in steps of 0.2 dex, read off by cubic
    interpolation of ln f in log(N(CO) + 1e10) and log(N(H2) + 1e14). Larger columns count as the
    largest. A tenth of the shielding sets in with any H2 at all: it is that of the H beside it.

    >>> f = co(jnp.array([0.0, 1e13, 1e16]), jnp.array([0.0, 1e19, 1e22]))
    >>> [f"{x:.1e}" for x in f]
    ['1.0e+00', '6.3e-01', '1.1e-03']
    """
    return _read_off("visser2009_co.txt", N_CO, N_H2)


def n2(N_N2: Column, N_H2: Column) -> Column:
    """Shielding of N2 by itself and by H2, behind N(H) = 1e20 / cm^2, from a table.

    Li et al. (2013, A&A 555, A14), for b = 0.13 km / s and T_ex = 30 K, read off as that of `co`.
    The H by itself leaves 0.94.

    >>> f = n2(jnp.array([0.0, 1e15]), 1e20)
    >>> [round(float(x), 3) for x in f]
    [0.552, 0.105]
    """
    return _read_off("li2013_n2.txt", N_N2, N_H2)


def _floats(*values):
    """As arrays of one dtype, that of those which have one, and not below zero."""
    arrays = [v for v in values if hasattr(v, "dtype")]
    dtype = jnp.result_type(*arrays) if arrays else jnp.result_type(float)
    # Not `at_least`, whose derivative at zero itself is zero.
    return [jnp.where(v < 0.0, 0.0, v) for v in (jnp.asarray(v, dtype) for v in values)]


#: What is added to columns of H2 and of the molecule, so that zero has a logarithm.
_LEAST = (1e14, 1e10)
_STEP = 0.2


def _read_off(name, molecule, hydrogen):
    columns = jnp.broadcast_arrays(*_floats(hydrogen, molecule))
    at = (
        (jnp.log10(N + least) - math.log10(least)) / _STEP
        for N, least in zip(columns, _LEAST, strict=True)
    )
    return jnp.exp(bicubic(_table(name), *at))


@functools.cache
def _table(name):
    """ln f on nodes 0.2 dex apart, H2 by molecule, from `_LEAST` upwards.

    Rows and columns for no gas at all stand at the first node.
    """
    values = read(name)
    log_f, rows, columns = np.log(values[1:, 1:]), values[1:, 0], values[0, 1:]
    if columns[0] == 0.0:
        log_f = np.delete(log_f, 1, axis=1)
    rows = np.maximum(rows, math.log10(_LEAST[0]))
    nodes = np.arange(rows[0], rows[-1] + 0.5 * _STEP, _STEP)
    return padded(np.stack([np.interp(nodes, rows, column) for column in log_f.T], axis=1))
