"""Inference and learning for astrophysical simulators written in JAX.

`import jaxastro` loads nothing: each subpackage is imported when it is first named, so that a
script which only wants the contract (`jaxastro.core`) never pays for samplers or figures.
"""

import importlib
import pkgutil

__version__ = "0.1.0"

_SUBPACKAGES = frozenset(module.name for module in pkgutil.iter_modules(__path__))


def __getattr__(name):
    if name in _SUBPACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_SUBPACKAGES})
