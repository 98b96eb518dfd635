"""What the stiff solver integrates."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.sparse import Pattern


class AbstractSystem(eqx.Module):
    """y' = f(t, y; args) for B cells at once, which are the last axis of every array.

    Derivatives of `rhs` in all its arguments are taken by JAX, in both modes; the values of the
    Jacobian only enter the factorisation and need not be differentiable.
    """

    @property
    @abc.abstractmethod
    def pattern(self) -> Pattern:
        """Which entries of the Jacobian may differ from zero, host-side and hashable."""

    @property
    def autonomous(self) -> bool:
        """Whether f does not depend on t; if it does, its time derivative is made by JAX."""
        return True

    @property
    def by_cell(self) -> bool:
        """Whether all arrays in args have the cells as their last axis.

        Only then can the solver take cells in blocks and make more cells of those of a vmap.
        """
        return False

    @property
    def conserved(self) -> np.ndarray | None:
        """M (E, S), host-side, of the sums M y of states of one sign that f conserves, if known.

        They are put right in what the solver returns, see `simulators.chemistry.conserved`.
        """
        return None

    @abc.abstractmethod
    def rhs(self, t: Float[Array, " B"], y: Float[Array, "S B"], args: Any) -> Float[Array, "S B"]:
        """f, (S, B)."""

    @abc.abstractmethod
    def jacobian(
        self, t: Float[Array, " B"], y: Float[Array, "S B"], args: Any
    ) -> Float[Array, "nnz B"]:
        """df/dy on the pattern, (nnz, B)."""

    def stage(self, t, t1, y, k, u, args):
        """f(t1, u) + J(t, y) k, of which the derivatives of a step are made, (S, B)."""
        along = jax.jvp(lambda y: self.rhs(t, y, args), (y,), (k,))[1]
        return self.rhs(t1, u, args) + along

    def stage_back(self, t, t1, y, k, u, args, b):
        """Cotangents of y, u and args from `b`, that of `stage`."""
        _, back = jax.vjp(lambda y, u, args: self.stage(t, t1, y, k, u, args), y, u, args)
        return back(b)


class DenseSystem(AbstractSystem):
    """A small system of any right-hand side, its dense Jacobian made by JAX.

    Attributes:
        n: number of unknowns (static).
        function: `(t, y, args) -> (S, B)` of t (B,) and y (S, B), elementwise in cells (static).
        depends_on_time: whether `function` depends on t (static).

    >>> decay = DenseSystem(2, lambda t, y, rate: -rate[None] * y)
    >>> float(decay.jacobian(jnp.zeros(1), jnp.ones((2, 1)), jnp.full(1, 3.0))[0, 0])
    -3.0
    """

    n: int = eqx.field(static=True)
    function: Callable = eqx.field(static=True)
    depends_on_time: bool = eqx.field(static=True, default=False)

    @property
    def pattern(self) -> Pattern:
        """All entries."""
        every = range(self.n)
        return Pattern(self.n, [i for _ in every for i in every], [j for j in every for _ in every])

    @property
    def autonomous(self) -> bool:
        """See `AbstractSystem.autonomous`."""
        return not self.depends_on_time

    def rhs(self, t, y, args):
        """See `AbstractSystem.rhs`."""
        return self.function(t, y, args)

    def jacobian(self, t, y, args):
        """See `AbstractSystem.jacobian`."""
        columns = [
            jax.jvp(
                lambda y: self.function(t, y, args),
                (y,),
                (jnp.zeros_like(y).at[j].set(1.0),),
            )[1]
            for j in range(self.n)
        ]
        return jnp.concatenate(columns)
