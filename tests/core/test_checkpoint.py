"""Checkpoints: whole or refused."""

import json
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import checkpoint


@pytest.fixture
def tree():
    return {
        "a": jnp.arange(3, dtype=jnp.float32),
        "b": [np.float64(2.5), np.array([True, False])],
        "half": jnp.ones(2, jnp.bfloat16),
        "key": jax.random.key(7),
        "empty": np.zeros((0, 3)),
    }


def test_round_trip_keeps_values_dtypes_and_keys(tmp_path, tree):
    checkpoint.save(tmp_path, tree, {"step": 3})
    loaded, metadata = checkpoint.load(tmp_path, like=tree)
    assert metadata == {"step": 3}
    assert jax.random.normal(loaded["key"]) == jax.random.normal(tree["key"])
    del loaded["key"], tree["key"]
    for x, y in zip(jax.tree.leaves(loaded), jax.tree.leaves(tree), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_array_equal(np.asarray(x, float), np.asarray(y, float))


def test_manifest_is_plain_json(tmp_path, tree):
    with zipfile.ZipFile(checkpoint.save(tmp_path, tree)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["leaves"]["['a']"]["shape"] == [3]
    assert manifest["leaves"]["['a']"]["dtype"] == "float32"


def test_keeps_the_last_two_and_leaves_no_temporary_file(tmp_path):
    for step in range(4):
        checkpoint.save(tmp_path, {"x": np.array(step)})
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["state-00000003.npz", "state-00000004.npz"]
    assert checkpoint.load(tmp_path)[0]["['x']"] == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_damaged_newest_falls_back_with_a_warning(tmp_path, damage):
    for step in range(2):
        newest = checkpoint.save(tmp_path, {"x": np.full(100, step)})
    data = bytearray(newest.read_bytes())
    if damage == "flipped":
        # Somewhere inside the array's bytes.
        data[data.index(np.full(100, 1).tobytes()) + 11] ^= 1
    newest.write_bytes({"truncated": data[: len(data) // 2], "empty": b""}.get(damage, data))
    with pytest.warns(UserWarning, match="state-00000002.npz is damaged"):
        loaded, _ = checkpoint.load(tmp_path)
    assert loaded["['x']"][0] == 0
    # The next one gets a new number and the damaged file is no reason to lose the good one.
    assert checkpoint.save(tmp_path, {"x": np.zeros(1)}).name == "state-00000003.npz"


def test_none_whole_is_an_error(tmp_path):
    checkpoint.save(tmp_path, {"x": np.zeros(3)}).write_bytes(b"nonsense")
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no whole checkpoint"):
        checkpoint.load(tmp_path)


def test_absent_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        checkpoint.load(tmp_path / "nowhere")


def test_another_structure_is_named(tmp_path):
    checkpoint.save(tmp_path, {"x": np.zeros(3), "z": np.zeros(1)})
    with pytest.raises(ValueError, match=r"\['x'\] is float64\(3,\).*\['y'\] is missing.*'z'"):
        checkpoint.load(tmp_path, like={"x": np.zeros(3, np.float32), "y": np.zeros(1)})


def test_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="arrays and numbers only"):
        checkpoint.save(tmp_path, {"x": object()})
    assert not checkpoint.exists(tmp_path)
