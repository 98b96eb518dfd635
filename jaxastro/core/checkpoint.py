"""Checkpoints: arrays and a manifest in one file, renamed into place; never a pickle."""

import hashlib
import io
import json
import os
import re
import warnings
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

FORMAT_VERSION = 1
KEPT = 2
_FILE = re.compile(r"state-(\d{8})\.npz")


def save(directory, tree, metadata=None):
    """Write the arrays of a pytree to the next `state-XXXXXXXX.npz` of `directory`.

    The file is a zip of one `.npy` a leaf and a `manifest.json` with shapes, dtypes, SHA-256
    sums and `metadata` (anything JSON holds). It is written under a temporary name, flushed to
    the disk and renamed, so that a kill at any moment leaves the earlier file whole; the last two
    are kept. Typed PRNG keys are stored by their data. Returns the path.

    >>> import tempfile, jax.numpy as jnp
    >>> folder = tempfile.mkdtemp()
    >>> path = save(folder, {"x": jnp.arange(3)}, {"step": 7})
    >>> tree, metadata = load(folder, like={"x": jnp.zeros(3, int)})
    >>> tree["x"].tolist(), metadata
    ([0, 1, 2], {'step': 7})
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    manifest = {"format": FORMAT_VERSION, "metadata": metadata or {}, "leaves": {}}
    blobs = []
    for i, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(tree)):
        array, entry = _to_array(leaf)
        blob = _npy(array)
        entry |= {
            "file": f"{i}.npy",
            "shape": list(array.shape),
            "dtype": array.dtype.name,
            "sha256": hashlib.sha256(blob).hexdigest(),
        }
        manifest["leaves"][jax.tree_util.keystr(path)] = entry
        blobs.append((entry["file"], blob))
    text = json.dumps(manifest).encode()

    old = _files(directory)
    number = 1 + (_number(old[0]) if old else 0)
    final = directory / f"state-{number:08d}.npz"
    partial = directory / f".{final.name}.{os.getpid()}.tmp"
    try:
        with open(partial, "wb") as handle:
            with zipfile.ZipFile(handle, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr("manifest.json", text)
                archive.writestr("manifest.sha256", hashlib.sha256(text).hexdigest())
                for name, blob in blobs:
                    archive.writestr(name, blob)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(partial, final)
    finally:
        partial.unlink(missing_ok=True)
    _sync_directory(directory)
    # What a kill in the middle of an earlier save left behind.
    for path in [*old[KEPT - 1 :], *directory.glob(".state-*.tmp")]:
        path.unlink(missing_ok=True)
    return final


def load(directory, like=None):
    """The newest whole checkpoint of `directory`: `(tree, metadata)`.

    A damaged file is left where it is, named in a warning, and the one before it is used.
    With `like` the arrays come back in its structure, after a check of names, shapes and
    dtypes; without, as a flat dict by path. Raises FileNotFoundError where there is no
    checkpoint, and ValueError where none is whole or the structure differs from `like`.
    """
    files = _files(Path(directory))
    if not files:
        raise FileNotFoundError(
            f"no checkpoint (state-XXXXXXXX.npz) in {str(directory)!r}; check the path, or start "
            "afresh."
        )
    for path in files:
        try:
            arrays, metadata = _read(path)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(
                f"checkpoint {path} is damaged ({error}); trying the one before it.", stacklevel=2
            )
            continue
        return (arrays if like is None else _restructure(arrays, like, path)), metadata
    raise ValueError(
        f"no whole checkpoint in {str(directory)!r}: all of {[p.name for p in files]} are damaged. "
        "Remove the folder to start afresh."
    )


def exists(directory):
    """Whether `directory` holds a checkpoint file, whole or not."""
    return bool(_files(Path(directory)))


def _to_array(leaf):
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        entry = {"key": str(jax.random.key_impl(leaf))}
        return np.asarray(jax.random.key_data(leaf)), entry
    array = np.asarray(leaf)
    if array.dtype == object:
        raise ValueError(f"a checkpoint holds arrays and numbers only, not {type(leaf).__name__}.")
    return array, {}


def _npy(array):
    buffer = io.BytesIO()
    # NumPy cannot name JAX's own dtypes (bfloat16...): their bytes are stored, the manifest names.
    plain = array.view(np.uint8) if array.dtype.kind == "V" and array.ndim else array
    np.lib.format.write_array(buffer, np.ascontiguousarray(plain), allow_pickle=False)
    return buffer.getvalue()


def _read(path):
    with zipfile.ZipFile(path) as archive:
        text = archive.read("manifest.json")
        if hashlib.sha256(text).hexdigest() != archive.read("manifest.sha256").decode():
            raise ValueError("the manifest does not match its checksum")
        manifest = json.loads(text)
        if manifest["format"] > FORMAT_VERSION:
            raise ValueError(f"format {manifest['format']} is newer than this jaxastro reads")
        arrays = {}
        for name, entry in manifest["leaves"].items():
            blob = archive.read(entry["file"])
            if hashlib.sha256(blob).hexdigest() != entry["sha256"]:
                raise ValueError(f"the array {name} does not match its checksum")
            array = np.lib.format.read_array(io.BytesIO(blob), allow_pickle=False)
            array = array.view(jnp.dtype(entry["dtype"])).reshape(entry["shape"])
            if "key" in entry:
                array = jax.random.wrap_key_data(jnp.asarray(array), impl=entry["key"])
            arrays[name] = array
    return arrays, manifest["metadata"]


def _restructure(arrays, like, path):
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    expected = {jax.tree_util.keystr(p): leaf for p, leaf in leaves}
    problems = [f"{name} is missing" for name in expected if name not in arrays]
    problems += [f"{name} is unknown" for name in arrays if name not in expected]
    for name in expected.keys() & arrays.keys():
        leaf = (
            expected[name] if isinstance(expected[name], jax.Array) else np.asarray(expected[name])
        )
        want = (leaf.shape, leaf.dtype)
        have = (arrays[name].shape, arrays[name].dtype)
        if want != have:
            problems.append(f"{name} is {have[1]}{have[0]}, expected {want[1]}{want[0]}")
    if problems:
        raise ValueError(f"checkpoint {path} holds another state: {'; '.join(sorted(problems))}.")
    return jax.tree_util.tree_unflatten(treedef, [arrays[name] for name in expected])


def _number(path):
    return int(_FILE.fullmatch(path.name).group(1))


def _files(directory):
    if not directory.is_dir():
        return []
    found = [p for p in directory.iterdir() if _FILE.fullmatch(p.name)]
    return sorted(found, key=_number, reverse=True)


def _sync_directory(directory):
    if os.name != "posix":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
