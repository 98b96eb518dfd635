r"""Populations of dark haloes: how many, of which mass, where, and what they do to light.

Masses are M_200 [Msun]: within the radius of 200 times the critical density at the halo's redshift,
before tides act. Lengths in a lens plane are in kpc, angles in arcsec.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp

from simulators.lensing.cosmology import ARCSEC, Cosmology
from simulators.lensing.halo_conversion import (
    concentration,
    nfw_angles,
    truncation_radius,
    warm_concentration,
)
from simulators.lensing.mass.halo_functions import nfw_pull
from simulators.lensing.mass.nfw import TNFW
from simulators.lensing.mass.population import Population
from simulators.shared.elementwise import at_least, tiny
from simulators.shared.fields import as_float, check, check_finite, known

_GRID = 256


class SubhaloMassFunction(eqx.Module):
    r"""Subhaloes per area of the lens plane and mass, cold or warm.

    .. math:: \frac{d^2 N}{dm\, dA} = \frac{\Sigma_\mathrm{sub}}{m_0} \left(\frac{m}{m_0}
        \right)^{\alpha} \left[1 + \left(a \frac{m_\mathrm{hm}}{m}\right)^b\right]^c,
        \quad m_0 = 10^8\, M_\odot

    (Gilman et al. 2020, MNRAS 491, 6077, without their scaling with the host). The suppression by
    warm dark matter of half-mode mass m_hm is that of Lovell (2020, ApJ 897, 147): a = 4.2, b =
    2.5, c = -0.2 for subhaloes and 2.3, 0.8, -1 for isolated haloes. With a = b = 1 it is that of
    Schneider et al. (2012, MNRAS 424, 684) and others: c = -1.16.

    Args:
        sigma_sub: Sigma_sub [kpc^-2], at least 0; some 0.01 to 0.1.
        slope: alpha; -1.9 is that of cold dark matter.
        m_low, m_high: least and largest mass [Msun], above 0.
        m_hm: half-mode mass [Msun], at least 0; 0 is cold dark matter.
        a, b: of the suppression, above 0.
        c: of the suppression.

    Raises:
        ValueError: for concrete parameters outside these bounds.

    >>> from simulators.lensing.mass_function import SubhaloMassFunction
    >>> cold = SubhaloMassFunction(sigma_sub=0.02)
    >>> round(float(cold.mean_count(area=100.0)), 1)
    140.2
    """

    sigma_sub: jax.Array = eqx.field(converter=as_float)
    slope: jax.Array = eqx.field(converter=as_float, default=-1.9)
    m_low: jax.Array = eqx.field(converter=as_float, default=1e6)
    m_high: jax.Array = eqx.field(converter=as_float, default=1e10)
    m_hm: jax.Array = eqx.field(converter=as_float, default=0.0)
    a: jax.Array = eqx.field(converter=as_float, default=4.2)
    b: jax.Array = eqx.field(converter=as_float, default=2.5)
    c: jax.Array = eqx.field(converter=as_float, default=-0.2)

    def __check_init__(self):
        check(self, "sigma_sub", "m_hm", open_end=False)
        check(self, "m_low", "m_high", "a", "b")
        check_finite(self, "slope", "c")
        if known(self.m_low, self.m_high) and not self.m_low < self.m_high:
            raise ValueError(
                f"SubhaloMassFunction: argument `m_high` = {self.m_high} is not above `m_low` = "
                f"{self.m_low}; give a range of masses."
            )

    @classmethod
    def from_fraction(cls, f_sub, surface_density, **fields):
        r"""The mass function whose subhaloes hold a fraction of the surface density.

        .. math:: f_\mathrm{sub} = \frac{1}{\Sigma} \int_{m_\mathrm{low}}^{m_\mathrm{high}} m\,
            \frac{d^2 N}{dm\, dA}\, dm

        (Dalal & Kochanek 2002, ApJ 572, 25), by convention at the Einstein radius, where Sigma is
        half the critical surface density of an isothermal lens. `surface_density` is in Msun /
        kpc^2; the other fields are those of the class, `sigma_sub` left out.

        >>> from simulators.lensing.mass_function import SubhaloMassFunction
        >>> round(float(SubhaloMassFunction.from_fraction(0.01, 1e9).sigma_sub), 4)
        0.0105
        """
        unit = cls(1.0, **fields)
        weight = unit.mean_mass(1.0)
        return cls(as_float(f_sub) * as_float(surface_density) / weight, **fields)

    def density(self, mass):
        """d^2 N / (dm dA) [Msun^-1 kpc^-2] at masses [Msun]."""
        mass = as_float(mass)
        return jnp.exp(self._log_density(jnp.log(mass))) * self.sigma_sub / mass

    def mean_count(self, area):
        """Expected number of subhaloes in `area` [kpc^2]."""
        return self._cells(1.0)[0].sum() * self.sigma_sub * area

    def mean_mass(self, area):
        """Expected mass of the subhaloes in `area` [kpc^2], in Msun."""
        return self._cells(2.0)[0].sum() * self.sigma_sub * area

    def mass_quantile(self, u):
        """The mass [Msun] below which a share `u` of the subhaloes is.

        Of uniform numbers it makes draws of the mass, differentiable in the parameters.
        """
        cells, log_m, rise = self._cells(1.0)
        u = as_float(u).astype(cells.dtype)
        total = jnp.cumsum(cells)
        reached = u * total[-1]
        index = jnp.clip(jnp.searchsorted(total, reached, side="right"), 0, _GRID - 2)
        # Within a cell the density in ln m is exp(rise t), 0 < t < 1.
        share = (reached - (total - cells)[index]) / cells[index]
        step, rise = log_m[1] - log_m[0], rise[index]
        flat = jnp.abs(rise) < 1e-4
        safe = jnp.where(flat, 1.0, rise)
        curved = jnp.log1p(share * jnp.expm1(safe)) / safe
        t = jnp.where(flat, share * (1.0 + 0.5 * rise * (1.0 - share)), curved)
        return jnp.exp(log_m[index] + step * t)

    def sample_count(self, key, area, size):
        """A Poisson number of subhaloes in `area` [kpc^2], as a mask of shape (size,).

        The first n are true. It is n = `size` where the draw would be larger: give some mean + 6
        sqrt(mean). Derivatives of a count are zero.
        """
        mean = jax.lax.stop_gradient(as_float(self.mean_count(area)))
        k = jnp.arange(size).astype(mean.dtype)
        log_p = k * jnp.log(at_least(mean, tiny(mean))) - mean - jax.lax.lgamma(k + 1.0)
        return jax.random.uniform(key, (), mean.dtype) > jnp.cumsum(jnp.exp(log_p))

    def _log_density(self, log_m):
        """ln of m d^2 N / (dm dA) / Sigma_sub."""
        fall = jnp.log(self.a * at_least(self.m_hm, tiny(self.m_hm))) - log_m
        suppressed = self.c * jax.nn.softplus(self.b * fall)
        return (self.slope + 1.0) * (log_m - math.log(1e8)) + suppressed

    def _cells(self, power):
        """Integrals of m^power d^2N/(dm dA) / Sigma_sub over cells, ln m, and the rise in each.

        In each cell of ln m it is taken for an exponential, which it is for cold dark matter.
        """
        log_m = jnp.linspace(jnp.log(self.m_low), jnp.log(self.m_high), _GRID)
        log_f = self._log_density(log_m) + (power - 1.0) * log_m
        rise = jnp.diff(log_f)
        flat = jnp.abs(rise) < 1e-4
        safe = jnp.where(flat, 1.0, rise)
        mean = jnp.where(flat, 1.0 + 0.5 * rise, jnp.expm1(safe) / safe)
        return jnp.exp(log_f[:-1]) * mean * (log_m[1] - log_m[0]), log_m, rise


def disc_quantile(u):
    """The radius within which a share `u` of the area of the unit disc is."""
    return jnp.sqrt(u)


def nfw_quantile(u, scale):
    """The radius in the unit disc within which a share `u` of the mass of an NFW halo is.

    Args:
        u: shares, between 0 and 1.
        scale: scale radius of the halo over the radius of the disc.

    >>> round(float(nfw_quantile(jnp.array([1.0]), 0.3)[0]), 4)
    1.0
    """
    # the mass within R on a grid even in R^(1/2)
    place = jnp.linspace(0.0, 1.0, _GRID).astype(u.dtype) ** 2
    square = (place[1:] / scale) ** 2
    mass = jnp.concatenate([jnp.zeros(1, u.dtype), square * nfw_pull(square)])
    return jnp.interp(u, mass / mass[-1], place)


def _depth(u, distance, scale, edge):
    """Places along the line of sight in an NFW halo, to `edge`, at projected `distance`."""
    grid = jnp.linspace(0.0, 1.0, 64).astype(distance.dtype) ** 3 * edge
    x = jnp.sqrt(distance[:, None] ** 2 + grid[None] ** 2) / scale + 1e-3
    density = 1.0 / (x * (1.0 + x) ** 2)
    cells = 0.5 * (density[:, 1:] + density[:, :-1]) * jnp.diff(grid)[None]
    total = jnp.concatenate([jnp.zeros_like(cells[:, :1]), jnp.cumsum(cells, axis=1)], axis=1)
    return jax.vmap(lambda u, total: jnp.interp(u * total[-1], total, grid))(u, total)


def sample_subhalos(
    key,
    mass_function,
    z_lens,
    z_source,
    *,
    radius,
    size,
    host_scale=None,
    host_edge=300.0,
    scatter=0.1,
    center_x=0.0,
    center_y=0.0,
    cosmology=None,
):
    r"""Draw subhaloes as truncated NFW lenses.

    Their number is Poisson and their masses follow `mass_function`; concentrations are those of
    `concentration`, with a scatter, times the factor of `warm_concentration`; tides cut them at
    `truncation_radius`, at their distance from the host's centre. The positions on the sky are
    uniform within `radius`, as in the inner few per cent of a host that tides have cored, and along
    the line of sight they follow an NFW host.

    Draws of one key move smoothly with the parameters of the mass function, sigma_sub excepted,
    and with the redshifts and the cosmology: the gradients are those of the draw.

    Args:
        key: a PRNG key.
        mass_function: a `SubhaloMassFunction`.
        z_lens, z_source: redshifts.
        radius: of the disc [arcsec].
        size: most subhaloes that a draw may have; static. See `SubhaloMassFunction.sample_count`.
        host_scale: scale radius of the host [kpc]; by default positions on the sky are uniform, and
            60 kpc is taken along the line of sight. If given, positions on the sky follow it too.
        host_edge: where the host ends along the line of sight [kpc].
        scatter: of the concentrations [dex].
        center_x, center_y: centre of the disc [arcsec].
        cosmology: a `Cosmology`.

    Returns:
        `Population` of `TNFW`, of length `size`, with the mask of the subhaloes there are.

    >>> import jax
    >>> from simulators.lensing.mass_function import SubhaloMassFunction, sample_subhalos
    >>> @jax.jit
    ... def draw(key, sigma_sub):
    ...     function = SubhaloMassFunction(sigma_sub)
    ...     return sample_subhalos(key, function, 0.5, 2.0, radius=2.0, size=300)
    >>> draw(jax.random.key(0), 0.01).mask.shape
    (300,)
    """
    cosmology = Cosmology() if cosmology is None else cosmology
    number, each = jax.random.split(key)
    z_lens = as_float(z_lens)
    kpc = 1e3 * ARCSEC * cosmology.angular_diameter_distance(z_lens)
    radius = as_float(radius).astype(kpc.dtype)
    mask = mass_function.sample_count(number, math.pi * (radius * kpc) ** 2, size)
    # open at both ends, for the sake of the normal scatter
    ends = {"minval": 1e-6, "maxval": 1.0 - 1e-6}
    u_mass, u_radius, turn, depth, spread = jax.random.uniform(each, (5, size), kpc.dtype, **ends)
    mass = mass_function.mass_quantile(u_mass)
    scale = as_float(60.0 if host_scale is None else host_scale).astype(kpc.dtype)
    if host_scale is None:
        share = disc_quantile(u_radius)
    else:
        share = nfw_quantile(u_radius, scale / (kpc * radius))
    distance = share * radius * kpc
    z = _depth(depth, distance, scale, host_edge)
    r_trunc = truncation_radius(mass, jnp.sqrt(distance * distance + z * z)) / kpc
    x = share * radius * jnp.cos(2.0 * math.pi * turn)
    y = share * radius * jnp.sin(2.0 * math.pi * turn)
    c = concentration(mass, z_lens, cosmology)
    c = c * warm_concentration(mass, z_lens, mass_function.m_hm)
    c = c * jnp.exp(math.log(10.0) * scatter * jax.scipy.special.ndtri(spread).astype(c.dtype))
    Rs, alpha_Rs, _ = nfw_angles(mass, c, z_lens, z_source, cosmology)
    return Population(TNFW(Rs, alpha_Rs, r_trunc, x + center_x, y + center_y), mask)
