"""Cartesian shapelets."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.directions import from_centre
from simulators.lensing.light.base import AbstractLight
from simulators.shared.elementwise import at_least, at_most
from simulators.shared.fields import as_float, cast, check, check_finite


def orders(n_max):
    """(n1, n2) of the shapelets up to `n_max` in lenstronomy's order: (0,0), (1,0), (0,1), ...

    >>> orders(1)
    ((0, 0), (1, 0), (0, 1))
    """
    return tuple((n - k, k) for n in range(n_max + 1) for k in range(n + 1))


class Shapelets(AbstractLight):
    r"""Cartesian shapelets (Refregier 2003, MNRAS 338, 35) with $n_1 + n_2 \le n_\mathrm{max}$.

    .. math:: I = \sum_k \mathrm{amp}_k\, \phi_{n_1}(x / \beta)\, \phi_{n_2}(y / \beta), \quad
        \phi_n(u) = [2^n \sqrt\pi\, n!]^{-1/2} H_n(u) e^{-u^2/2}

    with (x, y) from the centre and (n1, n2) as in `orders`: lenstronomy's "SHAPELETS", where the
    squares of two shapelets integrate to beta^2, not to one. (lenstronomy also cuts where
    $u > 5 \sqrt{n + 2}$, below 1e-10 of the amplitude; here nothing is cut.)

    The recurrence of the normalised functions neither overflows nor cancels. Each point costs
    (n_max + 1)(n_max + 2) / 2 multiply-adds and two exponentials, unrolled into one loop.

    Args:
        amp: amplitudes [flux / arcsec^2], shape ((n_max + 1)(n_max + 2) / 2,).
        n_max: largest order, at least 0 (static).
        beta: scale [arcsec], above 0.
        center_x, center_y: centre [arcsec].

    Raises:
        ValueError: for concrete parameters outside these bounds, or amplitudes of another shape.

    >>> source = Shapelets([1.0, 0.0, 0.5], 1, 0.2)
    >>> round(float(source.surface_brightness([0.0, 0.1])), 4)
    0.674
    """

    amp: jax.Array = eqx.field(converter=as_float)
    n_max: int = eqx.field(static=True)
    beta: jax.Array = eqx.field(converter=as_float)
    center_x: jax.Array = eqx.field(converter=as_float, default=0.0)
    center_y: jax.Array = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self):
        if not isinstance(self.n_max, int) or self.n_max < 0:
            raise ValueError(f"Shapelets: argument `n_max` = {self.n_max!r}; give an int >= 0.")
        shape = ((self.n_max + 1) * (self.n_max + 2) // 2,)
        if self.amp.shape != shape:
            raise ValueError(
                f"Shapelets: argument `amp` has shape {self.amp.shape}; n_max = {self.n_max} needs "
                f"shape {shape}."
            )
        check_finite(self, "amp", "center_x", "center_y")
        check(self, "beta")

    def _functions(self, x, y):
        """phi_n of both coordinates for n = 0..n_max, as two lists."""
        (beta,) = cast(x, self.beta)
        x, y = from_centre(self, x, y)
        inverse = 1.0 / beta
        return (
            _hermite_functions(x * inverse, self.n_max),
            _hermite_functions(y * inverse, self.n_max),
        )

    def brightness(self, x, y):
        """The surface brightness [flux / arcsec^2]."""
        (amp,) = cast(x, self.amp)
        along, up = self._functions(x, y)
        columns = [[] for _ in along]
        for k, (n1, n2) in enumerate(orders(self.n_max)):
            columns[n1].append(amp[k] * up[n2])
        return sum(one * sum(column) for one, column in zip(along, columns, strict=True))

    def basis(self, x, y):
        """Each shapelet at amplitude one, in the order of `amp`."""
        along, up = self._functions(x, y)
        return jnp.stack([along[n1] * up[n2] for n1, n2 in orders(self.n_max)])


def _hermite_functions(u, n_max):
    """phi_0 .. phi_n_max by phi_{n+1} = sqrt(2 / (n + 1)) u phi_n - sqrt(n / (n + 1)) phi_{n-1}."""
    # Beyond this phi_0 underflows, and derivatives would multiply it by powers that overflow.
    reach = math.sqrt(-2.0 * math.log(jnp.finfo(u.dtype).tiny))
    u = at_most(at_least(u, -reach), reach)
    functions = [math.pi**-0.25 * jnp.exp(-0.5 * u * u)]
    if n_max:
        functions.append(math.sqrt(2.0) * u * functions[0])
    for n in range(1, n_max):
        before, last = functions[-2:]
        rise, fall = math.sqrt(2.0 / (n + 1)), math.sqrt(n / (n + 1))
        functions.append(rise * u * last - fall * before)
    return functions
