"""Mass-action kinetics: the right-hand side of a reaction network and its Jacobian.

    dy_s/dt = sum_r N_sr v_r,    v_r = k_r prod_f y_f,

with the stoichiometry N and the factors f of each reaction, as a rule its reactants. Both are known
before compilation and are sums over static lists of terms (`simulators.chemistry.sums`), so are
their transposes, which reverse mode needs. All arrays have the cells as their last axis.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from simulators.chemistry.sparse import Pattern
from simulators.chemistry.sums import Sums, fence, gather
from simulators.chemistry.system import AbstractSystem

#: Most factors of one reaction.
MOST_FACTORS = 3


class Stoichiometry:
    """The static lists of a network; equal ones compare and hash as equal.

    Args:
        n: number of species.
        reactants, products: of each reaction, species as integers, repeated for coefficients of 2.
        factors: what each rate is multiplied with, `reactants` when left out: H + H -> H2 on grains
            goes with one power of H.
        conserved: numbers (E, n) of what no reaction changes, the species' elements and charge.
    """

    def __init__(self, n: int, reactants, products, factors=None, conserved=None):
        self.n = n
        factors = reactants if factors is None else factors
        if not len(reactants) == len(products) == len(factors):
            lengths = f"{len(reactants)}, {len(products)} and {len(factors)}"
            raise ValueError(f"reactants, products, factors of {lengths} reactions: give one each.")
        for name, lists in (("reactants", reactants), ("products", products), ("factors", factors)):
            for r, members in enumerate(lists):
                if any(not 0 <= s < n for s in members):
                    raise ValueError(
                        f"{name}[{r}] = {tuple(members)}: give integers below n = {n}."
                    )
        net = {}
        for r, (lost, made) in enumerate(zip(reactants, products, strict=True)):
            for s in lost:
                net[s, r] = net.get((s, r), 0) - 1
            for s in made:
                net[s, r] = net.get((s, r), 0) + 1
        net = {at: c for at, c in net.items() if c}
        self.conserved = None if conserved is None else _checked(conserved, n, net)
        held = None if conserved is None else self.conserved.tobytes()
        self.key = (n, tuple(map(tuple, factors)), tuple(sorted(net.items())), held)
        self.n_reactions = len(factors)
        species, reaction = np.array([*net], int).reshape(-1, 2).T
        coefficient = np.array([*net.values()], float)
        self.rate_of_change = Sums(n, species, [reaction], [0], coefficient)
        self.gain = Sums(self.n_reactions, reaction, [species], [0], coefficient)
        self._plan_factors(factors)
        self._plan_jacobian(net, factors)

    def _plan_factors(self, factors):
        longest = max(map(len, factors), default=0)
        if longest > MOST_FACTORS:
            r = max(range(len(factors)), key=lambda r: len(factors[r]))
            raise ValueError(f"factors[{r}] = {tuple(factors[r])}: give at most {MOST_FACTORS}.")
        # Species n is a one.
        self.factors = np.full((longest, self.n_reactions), self.n, np.int32)
        for r, members in enumerate(factors):
            self.factors[: len(members), r] = members

    def _plan_jacobian(self, net, factors):
        by_reaction = [[] for _ in factors]
        for (s, r), c in net.items():
            by_reaction[r].append((s, c))
        partials, owner, terms = [], [], {}
        for r, members in enumerate(factors):
            for f, column in enumerate(members):
                others = [*members[:f], *members[f + 1 :], *[self.n] * MOST_FACTORS]
                for s, c in by_reaction[r]:
                    terms.setdefault((s, column), []).append((len(partials), c))
                partials.append((r, *others[: MOST_FACTORS - 1]))
                owner.append(column)
        table = np.array(partials, np.int32).reshape(-1, MOST_FACTORS).T
        self.partials = [row for i, row in enumerate(table) if i == 0 or np.any(row < self.n)]
        padding = [0] * len(self.partials)
        self.back = Sums(self.n, owner, self.partials, padding, np.ones(len(owner)))
        rows, cols = np.array([*terms], int).reshape(-1, 2).T
        row = np.repeat(np.arange(len(terms)), [len(t) for t in terms.values()])
        which, coefficient = (
            np.array([x for t in terms.values() for x in t], float).reshape(-1, 2).T
        )
        self.entries = Sums(len(terms), row, [which.astype(int)], [0], coefficient)
        self.pattern = Pattern(self.n, rows, cols, self.entries.place)

    def __hash__(self):
        return hash(self.key)

    def __eq__(self, other):
        return isinstance(other, Stoichiometry) and self.key == other.key

    def __repr__(self):
        return f"Stoichiometry({self.n} species, {self.n_reactions} reactions)"


class Kinetics(AbstractSystem):
    """A reaction network with rate coefficients k (R, B) as the `args` of the solver.

    The coefficients carry the density: in abundances relative to hydrogen, k_r is the rate
    coefficient times n_H^(factors - 1), in 1/s.

    Attributes:
        stoichiometry: the static lists (static).

    >>> a_to_b = Kinetics.of(2, [(0,)], [(1,)])
    >>> y, k = jnp.array([[1.0], [0.0]]), jnp.array([[3.0]])
    >>> a_to_b.rhs(jnp.zeros(1), y, k)[:, 0].tolist()
    [-3.0, 3.0]
    """

    stoichiometry: Stoichiometry = eqx.field(static=True)

    @classmethod
    def of(
        cls,
        n_species: int,
        reactants: Sequence[Sequence[int]],
        products: Sequence[Sequence[int]],
        factors: Sequence[Sequence[int]] | None = None,
        conserved: Float[np.ndarray, "E S"] | None = None,
    ) -> "Kinetics":
        """Kinetics of reactions given as lists of species, see `Stoichiometry`."""
        return cls(Stoichiometry(n_species, reactants, products, factors, conserved))

    @property
    def pattern(self) -> Pattern:
        """See `AbstractSystem.pattern`."""
        return self.stoichiometry.pattern

    @property
    def by_cell(self) -> bool:
        """See `AbstractSystem.by_cell`."""
        return True

    @property
    def conserved(self) -> np.ndarray | None:
        """See `AbstractSystem.conserved`."""
        return self.stoichiometry.conserved

    def rates(self, y: Float[Array, "S B"], k: Float[Array, "R B"]) -> Float[Array, "R B"]:
        """v, how often each reaction happens, per hydrogen nucleus and second, (R, B)."""
        y = _with_one(y)
        for row in self.stoichiometry.factors:
            k = k * gather(y, row)
        return k

    def rhs(self, t, y, args):
        """See `AbstractSystem.rhs`; `args` are the rate coefficients."""
        del t
        return self.change(fence(self.rates, y, args))

    def change(self, v: Float[Array, "R B"]) -> Float[Array, "S B"]:
        """N v, the change of abundances by the rates v."""
        sums = self.stoichiometry.rate_of_change
        return gather(sums(gather, v), sums.place)

    def stage(self, t, t1, y, k, u, args):
        """See `AbstractSystem.stage`."""
        del t, t1
        along = jax.jvp(lambda y: self.rates(y, args), (y,), (k,))[1]
        return self.change(fence(jnp.add, along, self.rates(u, args)))

    def stage_back(self, t, t1, y, k, u, args, b):
        """See `AbstractSystem.stage_back`; the transposes that JAX would make are scatters."""
        del t, t1
        plan = self.stoichiometry
        gain = fence(lambda b: gather(plan.gain(gather, b), plan.gain.place), b)

        def rates_back(gain, y, k, u):
            _, along = jax.jvp(lambda y: self.rates(y, jnp.ones_like(gain)), (y,), (k,))
            return gain * (along + self.rates(u, jnp.ones_like(gain)))

        def y_term(weight, y, k, reaction, *others):
            return gather(weight, reaction) * jax.jvp(lambda y: _product(y, others), (y,), (k,))[1]

        def u_term(weight, u, reaction, *others):
            return gather(weight, reaction) * _product(u, others)

        weight = fence(jnp.multiply, gain, args)
        back = plan.back
        y_bar = back(y_term, weight, _with_one(y), jnp.pad(k, ((0, 1), (0, 0))))
        u_bar = back(u_term, weight, _with_one(u))
        return (
            gather(y_bar, back.place), gather(u_bar, back.place), fence(rates_back, gain, y, k, u)
        )  # fmt: skip

    def jacobian(self, t, y, args):
        """See `AbstractSystem.jacobian`."""
        del t
        reaction, *others = self.stoichiometry.partials

        def partials(y, k):
            return gather(k, reaction) * _product(_with_one(y), others)

        return self.stoichiometry.entries(gather, fence(partials, y, args))


def _checked(conserved, n, net):
    matrix = np.asarray(conserved, float)
    if matrix.ndim != 2 or matrix.shape[1] != n:
        raise ValueError(f"conserved: shape {matrix.shape}; give (E, {n}), a row for each element.")
    change = {}
    for (s, r), c in net.items():
        change[r] = change.get(r, 0.0) + c * matrix[:, s]
    for r, made in change.items():
        if np.any(np.abs(made) > 1e-9):
            e = int(np.argmax(np.abs(made)))
            raise ValueError(f"conserved[{e}]: reaction {r} changes it by {made[e]:g}.")
    return matrix


def _with_one(y):
    return jnp.concatenate([y, jnp.ones_like(y[:1])])


def _product(y, others):
    made = jnp.ones((), y.dtype)
    for other in others:
        made = made * gather(y, other)
    return made
