"""The architecture, read from the source: who may import whom, and what an import costs."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.smoke

# What each part of jaxastro may import of jaxastro, beside itself. Parts not named take `METHODS`.
METHODS = {"core", "nn", "train"}
MAY_IMPORT = {
    "core": set(),
    "nn": {"core"},
    "train": {"core", "nn"},
    "plot": METHODS | {"diagnose", "compare"},
}
# Reached from inside a function only: `Posterior.to_arviz` and `Posterior.summary` hand themselves
# over when they are called, so importing the contract imports neither.
MAY_HAND_OVER_TO = {"core": {"interop", "diagnose"}}
# Only the ready jobs know both sides, physics and inference.
KNOWS_BOTH_SIDES = "cli"

MAX_LINES = 400
UNSAFE = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
PHYSICS_NEEDS = {"jax", "jaxtyping", "equinox", "diffrax", "numpy"}
# What is beside the physics: contracts and priors, files, figures, random numbers.
NOT_PHYSICS = (
    "__init__",
    "simulator",
    "observe",
    "tables",
    "gd1",
    "milky_way_model",
    "dark_cloud",
    "galaxy_lens",
    "figures",
    "latents",
)
# Seconds to import or of no use to most callers, so never loaded before they are needed.
HEAVY = {"arviz", "astropy", "matplotlib", "distrax", "pandas", "galstreams", "gala", "flax"}


def python_files(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def named(path):
    return str(path.relative_to(ROOT))


def imported_modules(node, path):
    """Dotted names that an import statement brings in, `from a import b` as `a.b`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    package = list(path.relative_to(ROOT).parent.parts)
    base = package[: len(package) - node.level + 1] if node.level else []
    base += node.module.split(".") if node.module else []
    return [".".join([*base, alias.name]) for alias in node.names]


def statements(tree, lazy):
    """Import statements; without `lazy` only those that run when the module is imported."""
    skipped = () if lazy else (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    waiting = [tree]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if isinstance(child, ast.Import | ast.ImportFrom):
                yield child
            elif not isinstance(child, skipped):
                waiting.append(child)


def imports(path, lazy=True):
    tree = ast.parse(path.read_text(), filename=str(path))
    return [name for node in statements(tree, lazy) for name in imported_modules(node, path)]


def top(name):
    return name.split(".")[0]


def part(name):
    """`jaxastro.core.prior` -> `core`."""
    return [*name.split("."), "jaxastro"][1]


def allowed_parts(own, lazy):
    return (
        MAY_IMPORT.get(own, METHODS) | {own} | (MAY_HAND_OVER_TO.get(own, set()) if lazy else set())
    )


def core_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.match(r"[\w.-]+", requirement)[0] for requirement in project["dependencies"]}


PACKAGES = python_files("jaxastro", "simulators")
PYTHON = PACKAGES + python_files("tests", "benchmarks", "notebooks")


def test_imports_are_read_at_every_depth_and_resolved():
    source = "import a.b\ndef f():\n    from ..core import Prior\nclass C:\n    import c\n"
    path = ROOT / "jaxastro" / "infer" / "nuts.py"
    tree = ast.parse(source)
    read = {
        lazy: {n for s in statements(tree, lazy) for n in imported_modules(s, path)}
        for lazy in (True, False)
    }
    assert read[True] == {"a.b", "jaxastro.core.Prior", "c"}
    assert read[False] == {"a.b", "c"}
    assert PACKAGES


@pytest.mark.parametrize("path", python_files("jaxastro"), ids=named)
def test_jaxastro_imports_one_way(path):
    own = path.relative_to(ROOT / "jaxastro").parts[0].removesuffix(".py")
    if own == KNOWS_BOTH_SIDES:
        return
    assert not [name for name in imports(path) if top(name) == "simulators"]
    for lazy in (True, False):
        allowed = allowed_parts(own, lazy)
        wrong = [n for n in imports(path, lazy) if top(n) == "jaxastro" and part(n) not in allowed]
        assert not wrong, f"{named(path)} may import {sorted(allowed)} of jaxastro"


@pytest.mark.parametrize("path", python_files("simulators"), ids=named)
def test_simulators_know_only_the_contract(path):
    wrong = [n for n in imports(path) if top(n) == "jaxastro" and part(n) != "core"]
    assert not wrong, f"{named(path)} may import jaxastro.core only"
    if not path.stem.startswith(NOT_PHYSICS):
        allowed = PHYSICS_NEEDS | sys.stdlib_module_names | {"simulators"}
        wrong = {top(name) for name in imports(path)} - allowed
        assert not wrong, f"{named(path)} is physics, which needs {sorted(PHYSICS_NEEDS)} only"


@pytest.mark.parametrize("path", PACKAGES, ids=named)
def test_extras_are_imported_lazily(path):
    allowed = core_dependencies() | sys.stdlib_module_names | {"jaxastro", "simulators"}
    wrong = {top(name) for name in imports(path, lazy=False)} - allowed
    assert not wrong, f"{named(path)} imports what the core does not install: do it in the function"


@pytest.mark.parametrize("path", PYTHON, ids=named)
def test_no_file_loads_code_from_data_or_grows_too_long(path):
    unsafe = {top(name) for name in imports(path)} & UNSAFE
    assert not unsafe, f"{named(path)}: checkpoints are arrays and JSON"
    lines = len(path.read_text().splitlines())
    assert lines <= MAX_LINES, f"{named(path)} has {lines} lines: split it"


@pytest.mark.parametrize("path", PACKAGES, ids=named)
def test_library_leaves_jax_config_to_the_application(path):
    if path == ROOT / "jaxastro" / f"{KNOWS_BOTH_SIDES}.py":
        return
    tree = ast.parse(path.read_text())
    sets = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("config.update")
    ]
    assert not sets, f"{named(path)} sets jax.config on lines {sets}"


def loaded_by(statement):
    code = f"import sys; {statement}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_jaxastro_loads_nothing_beyond_jax():
    extra = loaded_by("import jax, jaxastro") - loaded_by("import jax, pkgutil, importlib")
    assert extra == {"jaxastro"}


@pytest.mark.parametrize("module", ["jaxastro.core", "simulators.streams"])
def test_contract_and_physics_load_no_training_stack(module):
    loaded = loaded_by(f"import {module}")
    assert module.split(".")[0] in loaded
    assert not loaded & (HEAVY | {"blackjax", "flowjax", "galpy"})
