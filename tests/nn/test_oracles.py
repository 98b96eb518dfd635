"""Forward, inverse and log-determinant against distrax and flowjax, with the same numbers in."""

import contextlib
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.nn import (
    LU,
    AffineCoupling,
    BlockNeuralAutoregressive,
    Chain,
    ElementwiseSpline,
    MaskedAutoregressive,
    Permutation,
)
from jaxastro.nn.autoregressive import AbstractElementwise
from jaxastro.nn.coupling import bounded_log_scale
from jaxastro.nn.perceptron import smooth_ramp
from jaxastro.nn.spline import MIN_BIN, MIN_SLOPE, inverse_spline, n_spline_parameters, spline
from tests.nn.perturb import filled

DIM, C = 3, 2
KEY = {"key": jax.random.key(0)}


@pytest.fixture(autouse=True)
def double_precision():
    if jnp.result_type(float) != jnp.float64:
        pytest.skip("oracles are compared in float64")


@contextlib.contextmanager
def relaxed():
    """The peers mix types and ranks freely."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture
def distrax():
    with relaxed():
        return pytest.importorskip("distrax")


@pytest.fixture
def flowjax():
    with relaxed():
        return pytest.importorskip("flowjax.bijections")


def numbers(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def assert_agree(ours, theirs, x, c=None, theirs_condition=None):
    """Two bijections agree at x in both directions; theirs has flowjax's methods or distrax's."""
    c = jnp.zeros(0) if c is None else c
    z, log_det = eqx.filter_jit(ours.forward)(x, c)
    back, log_det_back = eqx.filter_jit(ours.inverse)(z, c)
    with relaxed():
        if hasattr(theirs, "transform_and_log_det"):
            there = theirs.transform_and_log_det(x, theirs_condition)
            again = theirs.inverse_and_log_det(there[0], theirs_condition)
        else:
            there = theirs.forward_and_log_det(x)
            again = theirs.inverse_and_log_det(there[0])
    for mine, other in zip((z, log_det, back, log_det_back), (*there, *again), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-9)


class Knots:
    """A spline of one coordinate: what ours makes of raw numbers, for the peers to be given."""

    n, bound = 6, 3.0

    def __init__(self):
        self.raw = np.random.default_rng(4).normal(size=n_spline_parameters(self.n))
        self.x_pos, self.y_pos = (self._positions(self.raw[i : i + self.n]) for i in (0, self.n))
        unit = math.log(math.expm1(1 - MIN_SLOPE))
        inner = MIN_SLOPE + np.log1p(np.exp(self.raw[2 * self.n :] + unit))
        self.slopes = np.concatenate([[1.0], inner, [1.0]])
        # Between the knots, on all of them and outside.
        self.x = jnp.asarray(np.concatenate([np.linspace(-3.5, 3.5, 29), self.x_pos]))

    def _positions(self, raw):
        share = np.exp(raw - raw.max())
        share = MIN_BIN + (1 - MIN_BIN * self.n) * share / share.sum()
        return 2 * self.bound * np.concatenate([[0], np.cumsum(share)]) - self.bound

    def compare(self, there, again):
        """`there` and `again` hold (values, log slopes) of a peer at x, and of its inverse."""
        raw = jnp.asarray(self.raw)[None]
        ours = jax.jit(jax.vmap(lambda x: spline(x[None], raw, self.bound)))(self.x)
        back = jax.jit(jax.vmap(lambda y: inverse_spline(y[None], raw, self.bound)))(there[0])
        for mine, other in zip((*ours, *back), (*there, *again), strict=True):
            np.testing.assert_allclose(mine.reshape(-1), other, atol=1e-9)


def test_spline_against_distrax(distrax):
    knots = Knots()
    with relaxed():
        theirs = distrax.RationalQuadraticSpline(
            jnp.zeros(3 * knots.n + 1), -knots.bound, knots.bound, boundary_slopes="unconstrained"
        )
        # distrax makes its own minima of bins, and so is given ours as they come out.
        theirs._x_pos, theirs._y_pos = jnp.asarray(knots.x_pos), jnp.asarray(knots.y_pos)
        theirs._knot_slopes = jnp.asarray(knots.slopes)
        there = theirs.forward_and_log_det(knots.x)
        knots.compare(there, theirs.inverse_and_log_det(there[0]))


def test_spline_against_flowjax(flowjax):
    knots = Knots()
    with relaxed():
        theirs = eqx.tree_at(
            lambda b: (b.x_pos, b.y_pos, b.derivatives),
            flowjax.RationalQuadraticSpline(knots=knots.n - 1, interval=knots.bound),
            tuple(jnp.asarray(a) for a in (knots.x_pos, knots.y_pos, knots.slopes)),
        )
        there = jax.vmap(theirs.transform_and_log_det)(knots.x)
        knots.compare(there, jax.vmap(theirs.inverse_and_log_det)(there[0]))


def test_affine_coupling_against_distrax(distrax):
    ours = filled(lambda: AffineCoupling(DIM, C, hidden=8, dtype=jnp.float64, **KEY))
    x, c = numbers(DIM), numbers(C, seed=1)

    def conditioner(kept):
        mean, log_scale = jnp.split(ours.network(kept, c), 2)
        return mean, bounded_log_scale(log_scale)

    with relaxed():
        theirs = distrax.SplitCoupling(
            split_index=DIM // 2,
            event_ndims=1,
            conditioner=conditioner,
            bijector=lambda p: distrax.Inverse(distrax.ScalarAffine(p[0], log_scale=p[1])),
        )
    assert_agree(ours, theirs, x, c)


def test_permutation_and_triangles_against_flowjax(flowjax):
    factors = 0.5 * numbers(DIM, DIM)
    order = jnp.array([2, 0, 1])
    lu = eqx.tree_at(lambda m: m.factors, LU(DIM, dtype=jnp.float64), factors)
    ours = Chain((Permutation(order), lu))
    upper = jnp.triu(factors, 1) + jnp.diag(jnp.exp(jnp.diag(factors)))
    lower = jnp.tril(factors, -1) + jnp.eye(DIM)
    with relaxed():
        theirs = flowjax.Chain(
            [
                flowjax.Permute(order),
                flowjax.TriangularAffine(0.0, upper, lower=False),
                flowjax.TriangularAffine(0.0, lower),
            ]
        )
    assert_agree(ours, theirs, numbers(DIM, seed=2))


class SoftplusAffine(AbstractElementwise):
    """flowjax's parameters of an affine map: y = x softplus(b + log(e - 1)) + a."""

    @property
    def n_parameters(self):
        return 2

    def _scale(self, raw):
        return jax.nn.softplus(raw[:, 1] + math.log(math.e - 1))

    def forward(self, x, raw):
        scale = self._scale(raw)
        return x * scale + raw[:, 0], jnp.sum(jnp.log(scale))

    def inverse(self, z, raw):
        scale = self._scale(raw)
        return (z - raw[:, 0]) / scale, -jnp.sum(jnp.log(scale))


def their_splines(flowjax, elementwise):
    """flowjax's spline of the same minima; its least width is in the units of the range."""
    n, bound = elementwise.n_bins, elementwise.bound
    return flowjax.RationalQuadraticSpline(
        knots=n - 1, interval=bound, min_derivative=MIN_SLOPE, min_width=2 * bound * MIN_BIN
    )


@pytest.mark.parametrize("size", [0, C])
@pytest.mark.parametrize("elementwise", [SoftplusAffine(), ElementwiseSpline(4, 2.0)])
def test_masked_autoregressive_with_copied_weights_against_flowjax(flowjax, elementwise, size):
    ours = filled(
        lambda: MaskedAutoregressive(
            DIM, size, elementwise=elementwise, hidden=10, dtype=jnp.float64, **KEY
        )
    )
    affine = isinstance(elementwise, SoftplusAffine)
    with relaxed():
        theirs = flowjax.MaskedAutoregressive(
            jax.random.key(0),
            transformer=flowjax.Affine() if affine else their_splines(flowjax, elementwise),
            dim=DIM,
            cond_dim=size or None,
            nn_width=10,
            nn_depth=2,
            nn_activation=smooth_ramp,
        )

    def weights(mlp):
        # Behind flowjax's masks: the second argument of its `jnp.where`.
        return [getattr(layer.weight, "args", (0, layer.weight))[1] for layer in mlp.layers]

    def biases(mlp):
        return [layer.bias for layer in mlp.layers]

    def padded(last):
        """Rows of zeros where flowjax learns the slopes at the ends of the range, ours one."""
        rows = last.reshape(DIM, elementwise.n_parameters, -1)
        n = elementwise.n_bins
        zeros = jnp.zeros_like(rows[:, :1])
        return jnp.concatenate([rows[:, : 2 * n], zeros, rows[:, 2 * n :], zeros], axis=1)

    *inner_weights, last_weight = (weight.T for weight in ours.network.weights)
    *inner_biases, last_bias = ours.network.biases
    if not affine:
        last_weight = padded(last_weight).reshape(-1, 10)
        last_bias = padded(last_bias).reshape(-1)
    theirs = eqx.tree_at(
        lambda m: weights(m.masked_autoregressive_mlp) + biases(m.masked_autoregressive_mlp),
        theirs,
        [*inner_weights, last_weight, *inner_biases, last_bias],
    )
    c = numbers(size, seed=1)
    assert_agree(ours, theirs, numbers(DIM), c, c if size else None)


def test_autoregressive_spline_is_the_spline_of_its_parameters():
    """The inverse's D passes against one spline a coordinate, solved in turn by hand."""
    layer = filled(
        lambda: MaskedAutoregressive(
            DIM, C, elementwise=ElementwiseSpline(4, 3.0), hidden=10, dtype=jnp.float64, **KEY
        )
    )
    x, c = numbers(DIM), numbers(C, seed=1)

    @jax.jit
    def by_hand(x, c):
        z, _ = layer.forward(x, c)
        solved = jnp.zeros(DIM)
        for i in range(DIM):
            raw = layer._parameters(solved, c)
            solved = solved.at[i].set(inverse_spline(z[i : i + 1], raw[i : i + 1], 3.0)[0][0])
        return solved, layer.inverse(z, c)[0]

    solved, back = by_hand(x, c)
    np.testing.assert_allclose(solved, x, atol=1e-12)
    np.testing.assert_allclose(back, solved, atol=1e-12)


def test_block_neural_with_copied_weights_against_flowjax(flowjax):
    """Theirs is the bare network n; ours is e^s (x + n), with s and the shift of the context."""
    ours = filled(
        lambda: BlockNeuralAutoregressive(DIM, C, width=4, depth=2, dtype=jnp.float64, **KEY)
    )
    x, c = numbers(DIM), numbers(C, seed=1)
    shift, log_scale = eqx.filter_jit(lambda m, c: m._of_context(c))(ours, c)
    with relaxed():
        theirs = flowjax.BlockAutoregressiveNetwork(
            jax.random.key(0), dim=DIM, depth=2, block_dim=4, activation=flowjax.Tanh()
        )
    positive, mixing, biases = ours._weights()
    full = [
        jax.scipy.linalg.block_diag(*jnp.exp(p)) + m for p, m in zip(positive, mixing, strict=True)
    ]
    flat = [b.reshape(-1) for b in biases]
    flat[0] = flat[0] + shift.reshape(-1)
    theirs = eqx.tree_at(
        lambda b: [layer.weight for layer, _ in b.layers] + [layer.bias for layer, _ in b.layers],
        theirs,
        full + flat,
    )

    @eqx.filter_jit
    def compare(ours, theirs):
        def bare(x):
            return theirs.transform_and_log_det(x)

        return ours.forward(x, c), bare(x), jax.jacfwd(lambda x: bare(x)[0])(x)

    with relaxed():
        (z, log_det), (n, log_slopes), jacobian = compare(ours, theirs)
    slopes = np.diag(jacobian)
    np.testing.assert_allclose(z, np.exp(log_scale) * (x + n), rtol=1e-9)
    np.testing.assert_allclose(np.sum(np.log(slopes)), log_slopes, rtol=1e-9)
    np.testing.assert_allclose(log_det, np.sum(log_scale + np.log1p(slopes)), rtol=1e-9)
