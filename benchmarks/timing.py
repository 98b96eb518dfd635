"""What the benchmarks share: one thread, the clock, the peers that may be missing.

Import it before anything that starts threads: it sets the environment for one CPU thread and
float64.
"""

import os

from jaxastro.cli import WHOLE_LOOPS  # imports neither JAX nor NumPy

os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "")
    # As `jaxastro` on the command line has it, and before the setting of threads: XLA reads nothing
    # after that.
    + f" {WHOLE_LOOPS} --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

# isort: split
import platform
import statistics
import time
from importlib import import_module, metadata
from typing import Any, NamedTuple

#: Calls longer than this are timed three times instead of five [s].
LONG = 5.0
#: Calls shorter than this are repeated to last as long, and the mean is taken [s].
SHORT = 0.05


class Timing(NamedTuple):
    """One call, timed.

    Attributes:
        first: the first call, which compiles [s].
        run: median wall time of the later calls [s].
        best: the fastest of them [s]; far below the median when other work disturbed the run.
        threads: CPU time over wall time of all later calls: 1 for one busy thread.
        repeats: how many later calls.
        value: what the last call gave.
    """

    first: float
    run: float
    best: float
    threads: float
    repeats: int
    value: Any

    @property
    def compile(self) -> float:
        """What the first call took longer than the others [s]."""
        return max(self.first - self.run, 0.0)


def timed(call, repeats=5) -> Timing:
    """Time `call()`: twice to warm up, then `repeats` times, three times for long calls.

    `call` must return finished work: NumPy arrays, or JAX arrays after `block_until_ready`.
    """
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    start = time.perf_counter()
    value = call()
    second = time.perf_counter() - start
    loops = max(1, round(SHORT / second))
    if second > LONG:
        repeats = min(repeats, 3)
    walls, cpu = [], time.process_time()
    for _ in range(repeats):
        start = time.perf_counter()
        for _ in range(loops):
            value = call()
        walls.append((time.perf_counter() - start) / loops)
    cpu = time.process_time() - cpu
    run = statistics.median(walls)
    return Timing(first, run, min(walls), cpu / (loops * sum(walls)), repeats, value)


def missing(*modules) -> str | None:
    """Why these modules cannot be used, or `None` if they can."""
    for name in modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name == name.split(".")[0]:
                return f"{name}: not installed"
            return f"{name}: does not import ({error})"
        except Exception as error:  # a peer broken by its dependencies must not end the run
            return f"{name}: does not import ({type(error).__name__}: {error})"
    return None


def load() -> str:
    """The load average of the last minute, which belongs beside every figure."""
    return f"load {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores"


def banner(*distributions) -> str:
    """Python and the versions compared."""
    found = []
    for name in distributions:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            # Agama built by its own Makefile has no metadata.
            version = None if missing(name) else getattr(import_module(name), "__version__", "?")
            found.append(f"{name} {version}" if version else f"{name} not installed")
    return f"Python {platform.python_version()}, {', '.join(found)}; {load()}"
