"""The perceptron within flows and classifiers."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..core.host_random import uniform


def smooth_ramp(x):
    r""":math:`x (1 + x/\sqrt{1 + x^2}) / 2`: as smooth as SiLU, which it resembles, without exp.

    On a CPU an exponential and a division take three times as long as this.

    >>> [round(float(smooth_ramp(jnp.asarray(x))), 2) for x in (-3.0, 0.0, 3.0)]
    [-0.08, 0.0, 2.92]
    """
    return 0.5 * x + 0.5 * x * x * jax.lax.rsqrt(1.0 + x * x)


class Perceptron(eqx.Module):
    r""":math:`h_{k+1} = \phi(h_k W_k + b_k)`, the last layer without :math:`\phi`.

    Its input is one vector or several, taken as one: what is common to a whole batch (a context)
    then enters the first layer once, not once an element. Weights are stored (in, out): a batch
    of rows times such a matrix is what XLA multiplies fastest on CPUs. First weights and biases
    are uniform within one over the root of the inputs' number.

    >>> import jax, jax.numpy as jnp
    >>> network = Perceptron(3, 4, hidden=8, depth=2, key=jax.random.key(0))
    >>> network(jnp.zeros(2, jnp.float32), jnp.ones(1, jnp.float32)).shape
    (4,)
    """

    weights: tuple[Float[Array, "I O"], ...]
    biases: tuple[Float[Array, " O"], ...]

    def __init__(self, in_size, out_size, *, hidden, depth, last=1.0, dtype=jnp.float32, key):
        """`last` scales the first weights of the last layer, whose biases then start at zero."""
        sizes = list(itertools.pairwise([in_size, *[hidden] * depth, out_size]))
        draws = uniform(key, (sum((i + 1) * o for i, o in sizes),), dtype)
        weights, biases, start = [], [], 0
        for k, (i, o) in enumerate(sizes):
            bound = 1.0 / math.sqrt(max(i, 1))
            scale = bound if k < depth else bound * last
            end = start + i * o
            weights.append(jnp.asarray(scale * draws[start:end].reshape(i, o)))
            bias = (bound if k < depth or last == 1.0 else 0.0) * draws[end : end + o]
            biases.append(jnp.asarray(bias))
            start = end + o
        self.weights, self.biases = tuple(weights), tuple(biases)

    def __call__(self, *parts):
        h = self.first(*parts)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            h = smooth_ramp(h) @ weight + bias
        return h

    def first(self, *parts):
        """The first layer's units before their activation."""
        ends = np.cumsum([part.size for part in parts])[:-1].tolist()
        slices = zip([0, *ends], [*ends, len(self.weights[0])], strict=True)
        total = self.biases[0]
        # The last part first: of a batch it is the common one.
        for part, (start, end) in reversed(list(zip(parts, slices, strict=True))):
            if part.size:
                total = part @ self.weights[0][start:end] + total
        return total
