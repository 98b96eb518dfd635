"""Is an observation of the shape, and in the range, of what was simulated?"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core.distance import whitening
from ..core.masked import is_masked, zero_padding
from ..nn.embedding import Flatten, as_vector

# An array of more elements enters by its moments where a network embeds it.
LARGEST_RAVELLED = 128


class Reach(eqx.Module):
    r"""How far simulated observations lie from their mean, for comparison with a real one.

    The distance is Mahalanobis', :math:`d^2 = (x-\mu)^T \Sigma^{-1} (x-\mu)`, of what `describe`
    makes of standardised observations; that of a simulation is from the mean and covariance of all
    others. An observation of the model itself then lies beyond the largest of N distances with a
    probability of 1/(N+1): that is the false-alarm rate. With no more simulations than elements
    no distance is ever flagged. An element that all simulations have in common (the standard
    errors of a survey) has no scale, but the network knows no other value of it: one is flagged.
    """

    trainable: ClassVar[bool] = False

    mean: Any
    whiten: Any
    largest: Any
    low: Any
    high: Any
    n: Any
    example: Any = eqx.field(static=True)

    @classmethod
    def fit(cls, one, vectors):
        """From one observation as simulated, and the descriptions of all of them, (N, F)."""
        vectors = np.asarray(vectors, float)
        n = len(vectors)
        mean, whiten = whitening(vectors)
        squares = np.sum(((vectors - mean) @ whiten.T) ** 2, axis=1) / (n - 1)
        # Sherman and Morrison's formula for the covariance without the point itself.
        without = np.maximum(1 - n / (n - 1) * squares, 1e-12)
        distance = n / (n - 1) * np.sqrt((n - 2) * squares / without)
        return cls(
            mean,
            whiten,
            np.asarray(distance.max()),
            vectors.min(0),
            vectors.max(0),
            np.asarray(n),
            _form(one),
        )

    def checked(self, observation):
        """The observation with zeros in its padding; ValueError where its form is another."""
        (tree, shapes), (right_tree, right_shapes) = _form(observation), self.example
        if (tree, shapes) != (right_tree, right_shapes):
            remedy = "give an observation of the same form"
            if any(isinstance(shape, str) for shape in right_shapes):
                remedy += "; Masked.pad(values, size) pads a set"
            raise ValueError(
                f"the observation has the structure {tree} with shapes {list(shapes)}; simulations "
                f"have {right_tree} with {list(right_shapes)}: {remedy}."
            )
        observation = zero_padding(observation)
        for i, leaf in enumerate(jax.tree.leaves(observation)):
            bad = ~np.isfinite(np.asarray(leaf, float))
            if bad.any():
                raise ValueError(
                    f"the observation holds {int(bad.sum())} non-finite values in array {i}, the "
                    f"first at index {np.argwhere(bad)[0].tolist()}; give finite numbers."
                )
        return observation

    def misfit(self, x):
        """An empty string, or one line that says how an observation's description differs."""
        x = np.asarray(x, float)
        low, high = np.asarray(self.low), np.asarray(self.high)
        # Not at rounding: the scale of such an element is one, or itself made of rounding.
        other = (low == high) & (np.abs(x - low) > 1e-2)
        if other.any():
            return (
                f"{int(other.sum())} elements of the observation differ from what they are in all "
                f"{int(self.n)} simulations, the first is element {int(np.argmax(other))}: the "
                "estimator knows no other values; simulate with those of the observation."
            )
        distance = float(np.linalg.norm(np.asarray(self.whiten) @ (x - np.asarray(self.mean))))
        if distance <= float(self.largest):
            return ""
        beyond = np.maximum(low - x, x - high)
        worst = int(np.argmax(beyond))
        outside = int(np.sum(beyond > 0))
        return (
            f"the observation lies outside of all {int(self.n)} simulations (distance "
            f"{distance:.3g}, largest simulated {float(self.largest):.3g}; {outside} elements out "
            f"of range, worst element {worst}): the model may be misspecified and the posterior is "
            "extrapolated."
        )


@eqx.filter_jit
def describe(embedding, members, x):
    """The vector of a standardised observation on which distances are taken.

    Where a network embeds it: what the network sees in it, then the data themselves, to which
    the network may be blind: arrays ravelled, or the mean, deviation and range of large ones; of
    a set the number of members and the mean, deviation and range of each feature.
    """
    if isinstance(embedding, Flatten):
        return as_vector(x)
    if members is None:
        seen = embedding(x)
    else:
        seen = jnp.ravel(eqx.filter_vmap(lambda network: network(x))(embedding))
    return jnp.concatenate([seen, *map(_summary, jax.tree.leaves(x, is_leaf=is_masked))])


@eqx.filter_jit
def describe_all(embedding, members, x):
    """`describe` of a batch, (N, F)."""
    return jax.lax.map(lambda x: describe(embedding, members, x), x, batch_size=1000)


def describe_observations(scale, embedding, members, observations):
    """`describe_all` of observations as simulated, that are standardised first."""
    x = jax.tree.map(jnp.asarray, zero_padding(observations))
    return np.asarray(describe_all(embedding, members, _standardised(scale, x)), float)


@eqx.filter_jit
def _standardised(scale, x):
    return jax.vmap(scale)(x)


def _summary(leaf):
    if is_masked(leaf):
        values = leaf.values.reshape(leaf.mask.size, -1)
        valid = jnp.ravel(leaf.mask)[:, None]
        n = jnp.sum(valid.astype(values.dtype))
        return jnp.concatenate([n[None], *_moments(values, valid, n)])
    if leaf.size <= LARGEST_RAVELLED:
        return jnp.ravel(leaf)
    values = leaf.reshape(-1, 1)
    n = jnp.asarray(leaf.size, values.dtype)
    return jnp.concatenate(_moments(values, jnp.ones(values.shape, bool), n))


def _moments(values, valid, n):
    """Mean, deviation, least and largest of each column (P, F); zeros where nothing is valid."""
    n = jnp.maximum(n, 1)
    zeros = jnp.zeros_like(values)
    mean = jnp.sum(jnp.where(valid, values, zeros), 0) / n
    variance = jnp.sum(jnp.where(valid, (values - mean[None]) ** 2, zeros), 0) / n
    least = jnp.min(jnp.where(valid, values, zeros + jnp.inf), 0)
    most = jnp.max(jnp.where(valid, values, zeros - jnp.inf), 0)
    some = jnp.any(valid)
    least, most = (jnp.where(some, a, jnp.zeros_like(a)) for a in (least, most))
    return mean, jnp.sqrt(variance), least, most


def _form(observation):
    """Structure and shapes, as strings and tuples that read well in a message."""
    leaves, tree = jax.tree.flatten(observation, is_leaf=is_masked)
    shapes = (
        f"Masked {np.shape(leaf.values)}" if is_masked(leaf) else np.shape(leaf) for leaf in leaves
    )
    return str(tree), tuple(shapes)
