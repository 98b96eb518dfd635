"""Embeddings: padding has no say, order where it should not matter has none, bad input is named."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import Masked
from jaxastro.nn import (
    ConvEmbedding,
    DeepSet,
    Flatten,
    MLPEmbedding,
    ResidualEmbedding,
    SeriesTransformer,
    SetTransformer,
    Standardiser,
)
from jaxastro.nn.embedding_set import masked_softmax
from tests.nn.perturb import filled

KEY = jax.random.key(0)
F, OUT, P = 2, 3, 6
SMALL = {"hidden": 8, "key": KEY}
ATTENTION = {"n_heads": 2, "n_blocks": 1, **SMALL}
SETS = {
    "deep set": lambda: DeepSet(F, OUT, **SMALL),
    "set transformer": lambda: SetTransformer(F, OUT, n_inducing=4, **ATTENTION),
    "series with times": lambda: SeriesTransformer(F, OUT, time_column=0, **ATTENTION),
    "series by index": lambda: SeriesTransformer(F, OUT, **ATTENTION),
}
ARRAYS = {
    "flatten": (lambda: Flatten(6), (2, 3), 6),
    "perceptron": (lambda: MLPEmbedding(6, OUT, **SMALL), (2, 3), OUT),
    "residual": (lambda: ResidualEmbedding(6, OUT, **SMALL), (6,), OUT),
    "spectrum": (lambda: ConvEmbedding(1, (9,), OUT, **SMALL), (9,), OUT),
    "image": (lambda: ConvEmbedding(2, (5, 9), OUT, channels=(3, 3), **SMALL), (2, 5, 9), OUT),
    "deep set of an array": (SETS["deep set"], (P, F), OUT),
}


def members(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, F)).astype(np.float32)


def padded(values, size=P, padding=0.0):
    one = Masked.pad(values, size)
    return Masked(np.where(one.mask[:, None], one.values, np.float32(padding)), one.mask)


@eqx.filter_jit
def value_and_gradients(network, x):
    """The output, and the gradients of its weighted sum by all weights and all of x.values."""
    weights = jnp.arange(1, OUT + 1, dtype=jnp.float32)
    value = network(x)

    def total(inputs):
        values, network = inputs
        value = network(Masked(values, x.mask))
        return jnp.sum(weights * value), value

    (_, value), gradients = eqx.filter_value_and_grad(total, has_aux=True)((x.values, network))
    return value, *gradients


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("name", SETS)
def test_padding_has_no_influence(name):
    """Bit for bit on values and gradients, whatever stands there; while a valid entry has one."""
    network, values = filled(SETS[name]), members(4)
    clean = leaves(value_and_gradients(network, padded(values)))
    assert all(np.all(np.isfinite(leaf)) for leaf in clean)
    assert np.all(clean[1][4:] == 0) and np.all(clean[1][:4] != 0)
    for padding in (np.nan, np.inf, 1e30):
        dirty = leaves(value_and_gradients(network, padded(values, padding=padding)))
        for a, b in zip(clean, dirty, strict=True):
            np.testing.assert_array_equal(a, b)
    moved = leaves(value_and_gradients(network, padded(values + np.eye(4, F, dtype=np.float32))))
    assert np.abs(moved[0] - clean[0]).max() > 1e-3


@pytest.mark.parametrize("name", SETS)
def test_order(name):
    """Members and padding in any order, and how much padding, unless the index is the position."""
    network, x = filled(SETS[name]), padded(members(4), padding=np.nan)
    mixed = jax.tree.map(lambda a: a[np.array([5, 2, 0, 4, 3, 1, 5, 5])], x)
    run = eqx.filter_jit(network)
    a, b = np.asarray(run(x)), np.asarray(run(mixed))
    if name == "series by index":
        assert np.abs(a - b).max() > 1e-3
    else:
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SETS)
def test_empty_set_and_the_number_of_members(name):
    network = filled(SETS[name])
    empty = padded(members(0), padding=np.nan)
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves(value_and_gradients(network, empty)))
    # A mean cannot tell one member from three of the same; the number must enter by itself.
    one, three = padded(members(1)), padded(np.repeat(members(1), 3, 0))
    run = eqx.filter_jit(network)
    assert np.abs(np.asarray(run(one)) - np.asarray(run(three))).max() > 1e-3


def test_softmax_of_extreme_logits():
    logits = jnp.array([[3e38, -3e38, 1.0], [-2e38, -2e38, 3e38], [1.0, 2.0, 3.0]], jnp.float32)
    mask = jnp.array([[True, True, True], [True, True, False], [False] * 3])
    np.testing.assert_allclose(masked_softmax(logits, mask), [[1, 0, 0], [0.5, 0.5, 0], [0] * 3])
    gradient = jax.grad(lambda x: masked_softmax(x, mask)[:, 0].sum())(logits)
    assert np.all(np.isfinite(gradient)) and np.all(gradient[~mask] == 0)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_give_float32_vectors(name):
    make, shape, size = ARRAYS[name]
    network = filled(make)
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
    value, gradient = eqx.filter_jit(jax.value_and_grad(lambda x: jnp.sum(network(x) ** 2)))(x)
    assert value.dtype == jnp.float32 and np.all(gradient != 0)
    out = jax.eval_shape(jax.vmap(network), jnp.zeros((4, *shape), jnp.float32))
    assert out.shape == (4, size) and network.out_size == size


@pytest.mark.parametrize("make", [*SETS.values(), *(row[0] for row in ARRAYS.values())])
def test_parameters_are_float32(make):
    arrays = eqx.filter(eqx.filter_eval_shape(make), lambda a: hasattr(a, "dtype"))
    assert {leaf.dtype for leaf in jax.tree.leaves(arrays)} <= {jnp.dtype("float32")}


def test_residual_network_starts_linear():
    network = eqx.filter_jit(lambda: ResidualEmbedding(2, OUT, **SMALL))()
    a, b, zero = jnp.array([[1.0, 2.0], [0.5, -1.0], [0.0, 0.0]], jnp.float32)
    run = eqx.filter_jit(network)
    np.testing.assert_allclose(run(a + b) + run(zero), run(a) + run(b), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 9), (2, 5, 8), (1, 4, 5, 3)])
def test_convolutions_are_those_of_equinox(shape):
    """The matrix products are the layers' own strided convolutions, for odd and even sides."""
    network = ConvEmbedding(shape[0], shape[1:], OUT, channels=(3, 2), kernel_size=5, key=KEY)
    x = jax.random.normal(jax.random.key(1), shape, jnp.float32)

    @jax.jit
    def expected(x):
        for layer in network.layers:
            x = jax.nn.silu(layer(x))
        return network.network(jnp.ravel(jnp.moveaxis(x, 0, -1)))

    found = eqx.filter_jit(network)(x)
    np.testing.assert_allclose(found, expected(x), rtol=2e-5, atol=2e-6)


def test_convolutions_keep_the_signal():
    """Six layers by default: a scatter near that of the input, not a thousandth of it."""
    network = eqx.filter_eval_shape(lambda: ConvEmbedding(1, (256,), OUT, key=KEY))
    assert [layer.out_channels for layer in network.layers] == [16, 32, 64, 128, 128, 128]

    @eqx.filter_jit
    def last():
        x = jax.random.normal(KEY, (1, 256), jnp.float32)
        for layer in ConvEmbedding(1, (256,), OUT, channels=(16,) * 6, key=KEY).layers:
            x = jax.nn.silu(layer(x))
        return x

    x = last()
    assert x.shape == (16, 4) and 0.1 < np.std(np.asarray(x)) < 10


ERRORS = {
    "another number of elements": (
        lambda: MLPEmbedding(6, OUT, **SMALL)(jnp.zeros(5)),
        "x has 5 elements, in_size is 6",
    ),
    "another image": (
        lambda: ConvEmbedding(1, (8, 8), OUT, **SMALL)(jnp.zeros((8, 9))),
        r"x has shape \(8, 9\); ConvEmbedding was built for an array of \(1, 8, 8\)",
    ),
    "a masked image": (
        lambda: ConvEmbedding(1, (8,), OUT, **SMALL)(padded(members(4))),
        "x is Masked",
    ),
    "an even kernel": (
        lambda: ConvEmbedding(1, (8,), OUT, kernel_size=4, key=KEY),
        "kernel_size=4; make it odd",
    ),
    "features": (
        lambda: DeepSet(3, OUT, **SMALL)(padded(members(4))),
        r"x has shape \(6, 2\); give \(members, features\) with in_size=3",
    ),
    "a mask an element": (
        lambda: DeepSet(F, OUT, **SMALL)(Masked(np.ones((P, F)), np.ones((P, F), bool))),
        "one mask entry a member",
    ),
    "heads": (
        lambda: SetTransformer(F, OUT, hidden=9, n_heads=4, key=KEY),
        "hidden=9, n_heads=4; make hidden a multiple",
    ),
    "time column": (
        lambda: SeriesTransformer(F, OUT, time_column=2, key=KEY),
        "time_column=2; give None or a feature from 0 to 1",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        eqx.filter_eval_shape(call)


def test_standardiser_of_sets_counts_valid_entries_only():
    sets = [members(n, seed=n) * np.array([1.0, 100.0], np.float32) for n in (3, 0, 6)]
    batch = Masked.stack(sets, P)
    batch = Masked(np.where(batch.mask[..., None], batch.values, np.float32(np.nan)), batch.mask)
    scale = Standardiser.fit({"set": batch, "flux": np.arange(12, dtype=np.float32).reshape(3, 4)})
    valid = np.concatenate(sets)
    np.testing.assert_allclose(scale.mean["set"], valid.mean(0)[None], rtol=1e-5)
    np.testing.assert_allclose(scale.scale["set"], valid.std(0)[None], rtol=1e-5)
    one = {"set": jax.tree.map(lambda a: a[0], batch), "flux": np.arange(4, dtype=np.float32)}
    z = scale(one)
    expected = (sets[0] - valid.mean(0)) / valid.std(0)
    np.testing.assert_allclose(z["set"].values[:3], expected, rtol=1e-4, atol=1e-5)
    assert np.all(z["set"].values[3:] == 0) and z["set"].values.dtype == jnp.float32
    back = scale.inverse(z)["set"]
    np.testing.assert_allclose(back.values[:3], sets[0], rtol=1e-4, atol=1e-4)
    flux = -4 * np.log(scale.scale["flux"]).mean()
    assert scale.log_det(one) == pytest.approx(flux - 3 * np.log(valid.std(0)).sum(), rel=1e-5)


def test_standardiser_shares_statistics_over_pooled_axes():
    images = (
        np.random.default_rng(0).normal(size=(20, 2, 4, 5)) * np.array([1.0, 9.0])[:, None, None]
    )
    image = filled(lambda: ConvEmbedding(2, (4, 5), OUT, **SMALL))
    scale = Standardiser.fit(images, image.pooled_axes)
    np.testing.assert_allclose(scale.scale[:, 0, 0], images.std((0, 2, 3)))
    assert scale.scale.shape == (2, 1, 1) and Standardiser.fit(images).scale.shape == (2, 4, 5)
    assert Standardiser.fit(images[:, 0], (-2, -1)).scale.shape == (1, 1)
    assert Standardiser.fit(images[:, 0, 0, 0], (-2, -1)).scale.shape == ()


def test_standardiser_takes_rounding_for_no_scatter():
    x = np.stack([np.full(1000, 0.1), np.linspace(0.0, 1.0, 1000)], axis=1)
    assert 0 < x.std(0)[0] < 1e-14
    scale = Standardiser.fit(x)
    assert scale.scale[0] == 1.0 and abs(scale(x[0])[0]) < 1e-6
    np.testing.assert_allclose(scale.scale[1], x[:, 1].std(), rtol=1e-6)


def test_standardiser_refuses_bad_sets():
    values = np.ones((4, P, F))
    with pytest.raises(ValueError, match=r"observations\[0\] holds no valid entry"):
        Standardiser.fit(Masked(values, np.zeros((4, P), bool)))
    values[2, 1] = np.nan
    with pytest.raises(ValueError, match=r"observations\[0\] holds NaN"):
        Standardiser.fit(Masked(values, np.ones((4, P), bool)))
