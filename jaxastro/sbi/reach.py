"""Is an observation of the shape, and in the range, of what was simulated?"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .vector import as_vector


class Reach(eqx.Module):
    r"""How far simulated observations lie from their mean, for comparison with a real one.

    The distance is Mahalanobis', :math:`d^2 = (x-\mu)^T \Sigma^{-1} (x-\mu)`, of standardised
    observations. An observation of the model itself lies beyond the largest of N simulated
    distances with a probability of 1/(N+1): that is the false-alarm rate.
    """

    trainable: ClassVar[bool] = False

    mean: Any
    whiten: Any
    largest: Any
    low: Any
    high: Any
    n: int = eqx.field(static=True)
    example: Any = eqx.field(static=True)

    @classmethod
    def fit(cls, one, vectors):
        """From one observation as simulated, and all of them standardised, (N, F)."""
        vectors = np.asarray(vectors, float)
        mean = vectors.mean(0)
        covariance = np.cov(vectors, rowvar=False).reshape(len(mean), len(mean))
        value, vector = np.linalg.eigh(covariance)
        # Directions without scatter (sums that are constant) would turn rounding into alarms.
        kept = value > 1e-5 * max(value.max(), 1e-12)
        whiten = (vector[:, kept] / np.sqrt(value[kept])).T
        distance = np.linalg.norm((vectors - mean) @ whiten.T, axis=1)
        shapes = jax.tree.map(lambda a: (np.shape(a),), one)
        leaves, tree = jax.tree.flatten(
            shapes, is_leaf=lambda s: isinstance(s, tuple) and s and isinstance(s[0], tuple)
        )
        example = (str(tree), tuple(leaf[0] for leaf in leaves))
        return cls(
            mean,
            whiten,
            np.asarray(distance.max()),
            vectors.min(0),
            vectors.max(0),
            len(vectors),
            example,
        )

    def checked(self, observation, x_scale):
        """The observation standardised as a vector; ValueError where its form is another."""
        shapes = tuple(np.shape(leaf) for leaf in jax.tree.leaves(observation))
        tree = str(jax.tree.structure(observation))
        if (tree, shapes) != self.example:
            raise ValueError(
                f"the observation has the structure {tree} with shapes {list(shapes)}; simulations "
                f"have {self.example[0]} with {list(self.example[1])}."
            )
        for i, leaf in enumerate(jax.tree.leaves(observation)):
            bad = ~np.isfinite(np.asarray(leaf, float))
            if bad.any():
                raise ValueError(
                    f"the observation holds {int(bad.sum())} non-finite values in array {i}, the "
                    f"first at index {np.argwhere(bad)[0].tolist()}; give finite numbers."
                )
        return np.asarray(as_vector(x_scale(jax.tree.map(jnp.asarray, observation))), float)

    def misfit(self, x):
        """An empty string, or one line that says how the observation differs."""
        distance = float(np.linalg.norm(np.asarray(self.whiten) @ (x - np.asarray(self.mean))))
        if distance <= float(self.largest):
            return ""
        low, high = np.asarray(self.low), np.asarray(self.high)
        beyond = np.maximum(low - x, x - high)
        worst = int(np.argmax(beyond))
        outside = int(np.sum(beyond > 0))
        return (
            f"the observation lies outside of all {self.n} simulations (distance {distance:.3g}, "
            f"largest simulated {float(self.largest):.3g}; {outside} elements out of range, worst "
            f"element {worst}): the model may be misspecified and the posterior is extrapolated."
        )
