"""The perceptron within flows and mixture densities."""

import itertools
import math
from functools import partial

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
    are uniform within one over the root of the inputs' number; those of the last layer a tenth of
    it and zero, so that a flow starts near its identity.

    >>> import jax, jax.numpy as jnp
    >>> network = Perceptron(3, 4, hidden=8, depth=2, key=jax.random.key(0))
    >>> network(jnp.zeros(2, jnp.float32), jnp.ones(1, jnp.float32)).shape
    (4,)
    """

    weights: tuple[Float[Array, "I O"], ...]
    biases: tuple[Float[Array, " O"], ...]

    def __init__(self, in_size, out_size, *, hidden, depth, dtype=jnp.float32, key):
        sizes = list(itertools.pairwise([in_size, *[hidden] * depth, out_size]))
        draws = uniform(key, (sum((i + 1) * o for i, o in sizes),), dtype)
        weights, biases, start = [], [], 0
        for k, (i, o) in enumerate(sizes):
            bound = 1.0 / math.sqrt(max(i, 1))
            weight_bound, bias_bound = (bound, bound) if k < depth else (0.1 * bound, 0.0)
            end = start + i * o
            weights.append(jax.device_put(weight_bound * draws[start:end].reshape(i, o)))
            biases.append(jax.device_put(bias_bound * draws[end : end + o]))
            start = end + o
        self.weights, self.biases = tuple(weights), tuple(biases)

    def __call__(self, *parts):
        ends = np.cumsum([part.size for part in parts]).tolist()
        h = self.biases[0]
        # The last part first: of a batch it is the common one.
        for part, end in reversed(list(zip(parts, ends, strict=True))):
            if part.size:
                h = part @ self.weights[0][end - part.size : end] + h
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            h = _after_ramp(h, weight, bias)
        return h

    def columns(self, *parts):
        """What it makes of each column of parts (I, N): (O, N)."""
        n = parts[0].shape[1]
        h = jnp.broadcast_to(self.biases[0], (n, self.biases[0].size))
        start = 0
        for part in parts:
            if len(part):
                h = h + part.T @ self.weights[0][start : start + len(part)]
            start += len(part)
        if len(self.weights) == 1:
            return h.T
        for weight, bias in zip(self.weights[1:-1], self.biases[1:-1], strict=True):
            h = _after_ramp(h, weight, bias[None])
        return _columns_after_ramp(h, self.weights[-1], self.biases[-1][:, None])


# Of what the ramp needs in the reverse pass only its argument is kept: the rest is cheaper made
# again than written to memory and read.
@partial(jax.checkpoint, prevent_cse=False)
def _after_ramp(h, weight, bias):
    return smooth_ramp(h) @ weight + bias


@partial(jax.checkpoint, prevent_cse=False)
def _columns_after_ramp(h, weight, bias):
    return weight.T @ smooth_ramp(h).T + bias
