"""One table of light profiles: a new one needs a row here and every property test holds it."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from simulators.lensing.light import (
    AbstractLight,
    CoreSersic,
    Gaussian,
    PixelSource,
    Sersic,
    Shapelets,
    Uniform,
)

CENTRE = (0.07, -0.03)
SKEW = {"e1": 0.15, "e2": -0.1, "center_x": CENTRE[0], "center_y": CENTRE[1]}
ROUND = {"center_x": CENTRE[0], "center_y": CENTRE[1]}


@dataclasses.dataclass(frozen=True)
class Case:
    """A profile, lenstronomy's name for it, and where our parameters differ from lenstronomy's.

    `only_peer`: a class that another row holds the properties of already.
    """

    light: AbstractLight
    peer: str | None = None
    also: dict = dataclasses.field(default_factory=dict)
    without: tuple = ()
    only_peer: bool = False


def _pixels(order):
    values = np.random.default_rng(8).uniform(0.0, 2.0, (7, 9))
    return PixelSource(values, 0.31, *CENTRE, order=order)


def _shapelets(n_max):
    amp = np.random.default_rng(n_max).normal(size=(n_max + 1) * (n_max + 2) // 2)
    return Shapelets(amp, n_max, 0.3, *CENTRE)


CASES = {
    "Sersic": Case(Sersic(2.0, 0.7, 3.5, **SKEW), "SERSIC_ELLIPSE"),
    "Sersic-round": Case(Sersic(2.0, 0.7, 1.0, **ROUND), "SERSIC_ELLIPSE"),
    "Sersic-steep": Case(Sersic(2.0, 0.4, 8.0, **SKEW), "SERSIC_ELLIPSE", only_peer=True),
    "Sersic-flat": Case(Sersic(2.0, 1.4, 0.3, **SKEW), "SERSIC_ELLIPSE", only_peer=True),
    "Sersic-exact": Case(Sersic(2.0, 0.7, 2.5, exact=True, **SKEW)),
    "CoreSersic": Case(CoreSersic(2.0, 0.7, 0.2, 3.5, 0.4, **SKEW), "CORE_SERSIC", {}, ("alpha",)),
    "CoreSersic-sharp": Case(CoreSersic(2.0, 0.7, 0.2, 2.0, 0.4, alpha=9.0, **SKEW)),
    "CoreSersic-coreless": Case(
        CoreSersic(2.0, 0.7, 0.0, 2.0, 0.4, **ROUND), "CORE_SERSIC", {}, ("alpha",)
    ),
    "Gaussian": Case(Gaussian(2.0, 0.4, **SKEW), "GAUSSIAN_ELLIPSE"),
    "Gaussian-round": Case(
        Gaussian(2.0, 0.4, **ROUND), "GAUSSIAN", {}, ("e1", "e2"), only_peer=True
    ),
    "Uniform": Case(Uniform(0.3), "UNIFORM"),
    "Shapelets-0": Case(_shapelets(0), "SHAPELETS", {"n_max": 0}, only_peer=True),
    "Shapelets-1": Case(_shapelets(1), "SHAPELETS", {"n_max": 1}, only_peer=True),
    "Shapelets-3": Case(_shapelets(3), "SHAPELETS", {"n_max": 3}),
    "Shapelets-9": Case(_shapelets(9), "SHAPELETS", {"n_max": 9}, only_peer=True),
    "PixelSource-linear": Case(_pixels(1)),
    "PixelSource-cubic": Case(_pixels(3)),
    "Composite": Case(Gaussian(2.0, 0.7, **SKEW) + Gaussian(1.0, 0.2) + Uniform(0.1)),
}


def random_points(n, seed):
    """`n` points within some arcsec of the centre, denser inside."""
    rng = np.random.default_rng(seed)
    radius = np.exp(rng.uniform(np.log(2e-3), np.log(6.0), n))
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    return jnp.asarray(CENTRE[0] + radius * np.cos(angle)), jnp.asarray(
        CENTRE[1] + radius * np.sin(angle)
    )


def special_points():
    """The centre, its neighbourhood, the axes through it, and far away."""
    axes = [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)]
    x, y = zip(
        *(
            (CENTRE[0] + scale * u, CENTRE[1] + scale * v)
            for scale in (0.0, 1e-30, 1e-12, 1e-6, 1e-4, 0.2, 0.7, 1e5)
            for u, v in axes
        ),
        strict=True,
    )
    return jnp.asarray(x), jnp.asarray(y)
