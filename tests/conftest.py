"""Settings for every test and doctest, and the fixtures shared by the tests.

The environment is set before JAX is imported and only by default, so that a caller's own
`JAX_ENABLE_X64=0` holds, and child processes started by a test inherit it.
"""

import contextlib
import functools
import os
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("JAX_ENABLE_X64", "1")
# Without this, programs that hold an Equinox error check are never written to the compilation
# cache on JAX 0.10, because they call back into Python.
os.environ.setdefault("EQX_ON_ERROR", "nan")
# Beneath pytest's own cache, so that `pytest --cache-clear` empties it too.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".pytest_cache" / "d" / "jax")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")

import jax
import pytest

# Not through the environment: a child process stands for a user, who has JAX's own defaults.
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# A process that gets one of these last would leave the others without work for minutes.
LONGEST = ("test_main_job", "test_lens_job", "test_cloud_job", "test_notebooks", "test_properties")

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# JAX has no public way to take one listener off again, so one stands for the whole run.
_compilations = 0


def _count_compilation(event, _duration, **_):
    global _compilations
    _compilations += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count_compilation)


@pytest.fixture(scope="module", autouse=True)
def _drop_programs():
    """Forget the compiled programs of a file once its tests are done.

    Each keeps a few memory mappings, and the suite in one process would pass the 65,530 that
    Linux grants by default: XLA then aborts the process.
    """
    yield
    jax.clear_caches()


@pytest.fixture
def trace_counter():
    """`counted = trace_counter(f)` is `f` with `counted.count`, how often its Python body ran.

    Under `jax.jit(counted)` that is how often it was traced.
    """

    def wrap(function):
        @functools.wraps(function)
        def counted(*args, **kwargs):
            counted.count += 1
            return function(*args, **kwargs)

        counted.count = 0
        return counted

    return wrap


@pytest.fixture
def compilations():
    """`with compilations() as made: ...` leaves in `made.count` the programs XLA was asked for.

    It sees every program, those inside libraries and those of single eager operations included,
    so zero means that nothing at all was compiled or loaded from the cache.
    """

    @contextlib.contextmanager
    def counting():
        made = SimpleNamespace(count=0)
        start = _compilations
        try:
            yield made
        finally:
            made.count = _compilations - start

    return counting


@pytest.fixture
def a_users_settings(monkeypatch):
    """For the command: a user's, but for its own option of XLA, which compiles longer."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    names = {"jax_numpy_dtype_promotion": "standard", "jax_numpy_rank_promotion": "allow"}
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in names.items():
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the repository; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found: {SHARED_DATA.name} is looked for in ../shared")
    return SHARED_DATA


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


# First, so that `-m example` finds them.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    for item in items:
        if isinstance(item, pytest.DoctestItem):
            item.add_marker("example")
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else 99)
    if config.getoption("--slow") or "slow" in config.getoption("markexpr"):
        return
    skip = pytest.mark.skip(reason="slow: give --slow or -m slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)
