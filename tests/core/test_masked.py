"""Padded sets: what they accept, and how they are made."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import Masked

pytestmark = pytest.mark.smoke


def test_stack_pads_sets_of_different_lengths():
    batch = Masked.stack([np.ones((2, 3)), np.ones((0, 3)), np.ones((4, 3))])
    assert batch.values.shape == (3, 4, 3) and batch.mask.sum(1).tolist() == [2, 0, 4]
    one = jax.tree.map(lambda a: a[0], batch)
    assert isinstance(one, Masked) and one.n_valid == 2
    with pytest.raises(ValueError, match=r"shape \(4, 3\), size is 3; .* larger size"):
        Masked.stack([np.ones((2, 3)), np.ones((4, 3))], size=3)


def test_zeroed_hides_nan_from_values_and_gradients():
    mask = jnp.array([True, False])

    def total(values):
        return jnp.sum(Masked(values, mask).zeroed().values ** 2)

    value, gradient = jax.jit(jax.value_and_grad(total))(jnp.array([3.0, jnp.nan]))
    assert value == 9 and gradient.tolist() == [6, 0]
    host = Masked(np.array([1.0, np.nan]), np.array([True, False])).zeroed()
    assert isinstance(host.values, np.ndarray) and host.values.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("values", "mask", "message"),
    [
        (np.ones((3, 2)), np.ones(3), "mask has dtype float64; make it boolean"),
        (np.ones((3, 2), int), np.ones(3, bool), "values have dtype int64"),
        (np.ones((3, 2)), np.ones(2, bool), r"mask has shape \(2,\) and values \(3, 2\)"),
        (np.ones((3, 2)), np.ones((), bool), r"mask has shape \(\)"),
    ],
)
def test_errors(values, mask, message):
    with pytest.raises(ValueError, match=message):
        Masked(values, mask)
