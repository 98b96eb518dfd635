"""Fixtures shared by the tests."""

import contextlib
import functools
from pathlib import Path
from types import SimpleNamespace

import jax
import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

# JAX has no public way to take one listener off again, so one stands for the whole run.
_compilations = 0


def _count_compilation(event, _duration, **_):
    global _compilations
    _compilations += event == "/jax/core/compile/backend_compile_duration"


jax.monitoring.register_event_duration_secs_listener(_count_compilation)


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


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real data beside the repository; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"real data not found: {SHARED_DATA.name} is looked for in ../shared")
    return SHARED_DATA
