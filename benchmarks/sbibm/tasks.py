"""Eight tasks of the simulation-based inference benchmark, as models of `jaxastro.core`.

Lueckmann et al. (2021), "Benchmarking simulation-based inference", AISTATS, arXiv:2101.04653.
"""

from dataclasses import dataclass

from jaxastro.core import Model

from .bernoulli_glm import bernoulli_glm
from .dynamics import lotka_volterra, sir
from .gaussians import (
    gaussian_linear,
    gaussian_linear_uniform,
    gaussian_mixture,
    slcp,
    two_moons,
)

_MODELS = (
    two_moons,
    slcp,
    gaussian_linear,
    gaussian_linear_uniform,
    gaussian_mixture,
    bernoulli_glm,
    sir,
    lotka_volterra,
)
#: Task name -> the function that makes its model.
TASKS = {make.__name__: make for make in _MODELS}


@dataclass(frozen=True)
class Task:
    """One problem of the benchmark.

    Attributes:
        name: as the benchmark's authors call it; `References` knows it by this name.
        model: prior and simulator. The one parameter is "theta", the observation one flat vector.
        n_observations: published observations, numbered from 1, that have a reference posterior.
    """

    name: str
    model: Model
    n_observations: int = 10


def task(name: str) -> Task:
    """The task of that name.

    >>> task("slcp").model.prior.dim
    5

    Raises ValueError for a name that is not in `TASKS`.
    """
    if name not in TASKS:
        raise ValueError(f"no task is called {name!r}: choose one of {', '.join(TASKS)}.")
    return Task(name, TASKS[name]())
