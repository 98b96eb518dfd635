"""Settings for every test and doctest; fixtures stand in `tests/conftest.py`.

The environment is set before JAX is imported and only by default, so that a caller's own
`JAX_ENABLE_X64=0` holds, and child processes started by a test inherit it.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_ENABLE_X64", "1")
# Without this, programs that hold an Equinox error check are never written to the compilation
# cache on JAX 0.10, because they call back into Python.
os.environ.setdefault("EQX_ON_ERROR", "nan")
# Beneath pytest's own cache, so that `pytest --cache-clear` empties it too.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent / ".pytest_cache" / "d" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax
import pytest

# Not through the environment: a child process stands for a user, who has JAX's own defaults.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow") or "slow" in config.getoption("markexpr"):
        return
    skip = pytest.mark.skip(reason="slow: give --slow or -m slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
