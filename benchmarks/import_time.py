"""Time to import jaxastro against time to import jax, in fresh processes.

python benchmarks/import_time.py
"""

import timing

# isort: split
import statistics
import subprocess
import sys
import time

REPEATS = 5
STATEMENTS = ("pass", "import jax", "import jaxastro", "import simulators.streams.spray")


def seconds(statement):
    """Wall time of a fresh interpreter that runs the statement [s]."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main():
    print(timing.banner("jax"))
    # In turns, so that a disturbance falls on all of them; the first turn fills the file cache.
    rows = [[seconds(s) for s in STATEMENTS] for _ in range(REPEATS + 1)][1:]
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    empty, jax = medians[0], medians[1]
    for statement, found in zip(STATEMENTS, medians, strict=True):
        print(
            f"{statement:32} {found:6.2f} s, without the interpreter's start {found - empty:6.2f} s"
            f", {(found - empty) / (jax - empty):5.2f} x import jax"
        )
    print(f"medians of {REPEATS}; {timing.load()}")


if __name__ == "__main__":
    main()
