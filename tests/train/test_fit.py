"""Training: it learns, stops, survives NaN, and resumes exactly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core.interrupt import Interrupted
from jaxastro.train import fit, trainable_leaves

SLOPE = np.array([2.0, -1.0], np.float32)
# An improvement below 1e-5 is an error of the slope below 0.003.
SETTINGS = {
    "batch_size": 50,
    "warmup_steps": 1,
    "learning_rate": 0.05,
    "min_improvement": 1e-5,
}


class Frozen(eqx.Module):
    trainable = False
    value: jax.Array


class Line(eqx.Module):
    slope: jax.Array
    scale: Frozen

    def __init__(self, key=None):
        self.slope = jnp.zeros(2, jnp.float32)
        if key is not None:
            self.slope = jax.random.normal(key, (2,), jnp.float32)
        self.scale = Frozen(jnp.ones((), jnp.float32))


def squares(network, batch, key):
    x, y = batch
    return jnp.mean((y - network.scale.value * (x @ network.slope)) ** 2)


def breaks(network, batch, key):
    """Finite until the slope is nearly right, then NaN."""
    value = squares(network, batch, key)
    return jnp.where(value < 0.1, jnp.nan, value)


def data(n=400, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    return x, x @ SLOPE


@pytest.mark.smoke
def test_finds_the_least_squares_solution_and_leaves_frozen_arrays():
    result = fit(jax.random.key(0), Line(), squares, data(), **SETTINGS)
    np.testing.assert_allclose(result.network.slope, SLOPE, atol=5e-3)
    assert float(result.network.scale.value) == 1.0
    assert result.stopped == "plateau"
    assert result.held_out_loss.min() == pytest.approx(float(result.best))
    assert trainable_leaves(Line()).slope is True
    assert trainable_leaves(Line()).scale.value is False


def test_ensemble_members_differ_and_all_learn():
    network = eqx.filter_vmap(Line)(jax.random.split(jax.random.key(1), 3))
    result = fit(jax.random.key(0), network, squares, data(), members=3, **SETTINGS)
    assert result.held_out_loss.shape[1:] == (3,)
    np.testing.assert_allclose(result.network.slope, np.tile(SLOPE, (3, 1)), atol=5e-3)
    assert len(np.unique(np.asarray(result.network.slope), axis=0)) == 3


def test_second_training_of_the_same_shapes_compiles_nothing(compilations):
    settings = SETTINGS | {"max_epochs": 4}
    fit(jax.random.key(0), Line(), squares, data(), **settings)
    with compilations() as made:
        fit(jax.random.key(5), Line(), squares, data(seed=1), **settings)
    assert made.count == 0


def test_nan_keeps_the_last_good_weights():
    with pytest.warns(UserWarning, match="NaN or infinite in epoch"):
        result = fit(jax.random.key(0), Line(), breaks, data(), **SETTINGS)
    assert result.stopped == "nan"
    assert np.all(np.isfinite(result.network.slope))
    x, y = data()
    assert np.mean((y - x @ np.asarray(result.network.slope)) ** 2) < 2.0  # it was 5


def test_nan_from_the_start_says_so():
    x, y = data()
    with pytest.raises(ValueError, match="first epoch; lower learning_rate"):
        fit(jax.random.key(0), Line(), squares, (x, y * np.nan), **SETTINGS)


def test_stopped_training_resumes_exactly(tmp_path):
    import os
    import signal

    settings = SETTINGS | {"max_epochs": 12, "patience": 50}
    whole = fit(jax.random.key(3), Line(), squares, data(), **settings)

    def stop(epoch, *losses):
        if epoch == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    arguments = (jax.random.key(3), Line(), squares, data())
    with pytest.raises(Interrupted, match="after epoch 5"):
        fit(*arguments, **settings, checkpoint=tmp_path, progress=stop)
    resumed = fit(*arguments, **settings, checkpoint=tmp_path)
    np.testing.assert_array_equal(resumed.network.slope, whole.network.slope)
    np.testing.assert_array_equal(resumed.held_out_loss, whole.held_out_loss)
    with pytest.raises(ValueError, match="another training"):
        fit(jax.random.key(4), *arguments[1:], **settings, checkpoint=tmp_path)


def test_bad_data_is_named():
    x, y = data()
    with pytest.raises(ValueError, match="must be the same"):
        fit(jax.random.key(0), Line(), squares, (x, y[:-1]))
    with pytest.raises(ValueError, match="at least 10"):
        fit(jax.random.key(0), Line(), squares, (x[:3], y[:3]))
    with pytest.raises(ValueError, match="held_out=2"):
        fit(jax.random.key(0), Line(), squares, (x, y), held_out=2)
