"""The random numbers of a stream, apart from its parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.shared.fields import as_float


class Latents(NamedTuple):
    """The random numbers of a stream, apart from its parameters.

    Attributes:
        normals: standard normal draws for the release, shape (N, 6).
        uniforms: places of the release times in their strata, shape (N,).
    """

    normals: Float[Array, "N 6"]
    uniforms: Float[Array, " N"]

    @classmethod
    def draw(cls, key, n: int) -> "Latents":
        """Independent draws for `n` particles, in JAX's default float dtype.

        >>> Latents.draw(jax.random.key(0), 8).normals.shape
        (8, 6)
        """
        _check_count(n)
        normal, uniform = jax.random.split(key)
        return cls(jax.random.normal(normal, (n, 6)), jax.random.uniform(uniform, (n,)))

    @classmethod
    def quasi(cls, n: int, seed: int = 0) -> "Latents":
        """Scrambled Sobol points: the same distribution with less noise in every mean.

        For a likelihood that holds its latents fixed.
        """
        _check_count(n)
        from scipy.special import ndtri
        from scipy.stats import qmc

        points = qmc.Sobol(7, seed=seed).random(1 << (n - 1).bit_length())[:n]
        points = np.clip(points, 1e-12, 1.0 - 1e-12)
        return cls(as_float(ndtri(points[:, :6]).tolist()), as_float(points[:, 6].tolist()))


def release_times(latents: Latents, age) -> Float[Array, " N"]:
    """Stratified uniform times of release in [-age, 0] [Myr], two particles a stratum."""
    n = latents.uniforms.shape[0]
    stratum = jnp.asarray(np.arange(n) // 2, latents.uniforms.dtype)
    return -age * (1.0 - (stratum + latents.uniforms) / (n // 2))


def _check_count(n):
    if n < 2 or n % 2:
        raise ValueError(f"n = {n}: give an even number of particles, half for each arm.")
