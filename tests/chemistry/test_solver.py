"""The stiff solver: published problems, SciPy, conservation, failures, batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from simulators.chemistry import Conditions, RateTable, networks, rodas
from simulators.chemistry.conserved import restored
from simulators.chemistry.kinetics import Kinetics
from simulators.chemistry.march import MAX_STEPS, NOT_FINITE, STEP_TOO_SMALL, SUCCESS
from simulators.chemistry.solver import solve
from simulators.chemistry.system import DenseSystem
from tests.chemistry.clouds import DARK, LIT, TIMES, WARM, Plain, cloud, ours, reference, worst

X64 = jax.config.jax_enable_x64
needs_x64 = pytest.mark.skipif(not X64, reason="abundances to 1e-15 need float64")
TIGHT = {"rtol": 1e-7, "atol": 1e-23}


def of_problem(problem):
    """Kinetics, rate coefficients (R,) and the initial state (S,) of a published problem."""
    table = RateTable.of(problem.network)
    names = table.species
    kinetics = Kinetics.of(len(names), table.reactants, table.products, table.orders)
    y0 = jnp.array([problem.initial.get(name, 0.0) for name in names])
    return kinetics, table(Conditions(n_H=1.0, temperature=10.0)), y0


def stack(cloud, *conditions):
    """Rate coefficients (R, B) and initial abundances (S, B) of several cells."""
    k = np.stack([cloud.rates(**c) for c in conditions], axis=1)
    return jnp.asarray(k), jnp.asarray(np.repeat(cloud.y0[:, None], len(conditions), axis=1))


@pytest.mark.parametrize("name", ["robertson", "hires"])
def test_published_problems(name):
    problem = getattr(networks, name)()
    kinetics, k, y0 = of_problem(problem)
    options = {"rtol": 1e-9, "atol": 1e-18} if X64 else {"rtol": 1e-4, "atol": 1e-12}
    times = jnp.array([1e-2 * problem.time, problem.time])
    found = jax.jit(lambda y0, k: solve(kinetics, y0, times, k, **options))(y0, k)
    assert found.result == SUCCESS
    species = RateTable.of(problem.network).species
    for name, expected in problem.solution.items():
        error = abs(float(found.ys[-1, species.index(name)]) / expected - 1.0)
        assert error < (1e-6 if X64 else 1e-2), (name, error)


def check_clouds(shared_data, choice):
    """Three cells at once against SciPy; the dark one with the right-hand side written here."""
    made = cloud(shared_data, choice)
    k, y0 = stack(made, DARK, WARM, LIT)
    found = jax.jit(lambda y0, k: solve(made.kinetics, y0, TIMES, k, **TIGHT))(y0, k)
    assert found.result.tolist() == [SUCCESS] * 3
    for cell in range(3):
        rates = np.asarray(k[:, cell])
        if cell == 0 and choice == "small":
            plain = Plain(made, rates)
            function, jacobian = plain.rhs, plain.jacobian
        else:
            function, jacobian = ours(made, rates)
        assert worst(found.ys[..., cell], reference(function, jacobian, made.y0)) < 1e-6
    assert jnp.all(found.ys >= 0.0)
    before = made.conserved @ made.y0
    after = np.einsum("es,tsb->teb", made.conserved, found.ys)
    # Charge is measured by the electrons that there were.
    scale = np.where(before > 1e-15, before, made.y0[made.table.species.index("e-")])
    assert np.max(np.abs(after - before[None, :, None]) / scale[None, :, None]) < 1e-10


@needs_x64
def test_rate12_dark_warm_and_lit(shared_data):
    check_clouds(shared_data, "small")


@needs_x64
@pytest.mark.slow
@pytest.mark.parametrize("choice", ["middle", "all"])
def test_large_networks(shared_data, choice):
    check_clouds(shared_data, choice)


# Two species that turn into each other, of which all is known.
SWAP = Kinetics.of(2, [(0,), (1,)], [(1,), (0,)], conserved=[[1.0, 1.0]])


def swapped(k, t):
    """The first of (1, 0) at times t."""
    total = k[0] + k[1]
    return (k[1] + k[0] * np.exp(-total * t)) / total


def test_cells_have_steps_and_times_of_their_own():
    k = jnp.array([[1.0, 1e4, 3.0], [2.0, 1.0, 0.0]])
    y0 = jnp.array([[1.0] * 3, [0.0] * 3])
    times = jnp.array([[0.0, 1e-5, 0.1], [0.5, 1.0, 0.2], [3.0, 2.0, 0.3]])
    options = {"rtol": 1e-6, "atol": 1e-12} if X64 else {"rtol": 1e-4, "atol": 1e-7}
    found = jax.jit(lambda k: solve(SWAP, y0, times, k, **options))(k)
    expected = swapped(np.asarray(k), np.asarray(times))
    np.testing.assert_allclose(found.ys[:, 0], expected, rtol=2e-5 if X64 else 2e-3, atol=1e-6)
    np.testing.assert_allclose(found.ys.sum(1), 1.0, rtol=1e-6)
    assert len(set(found.steps.tolist())) > 1
    assert found.attempts[0] >= found.steps.max()


def test_outputs_by_interpolation_need_fewer_steps_and_are_less_exact():
    k, y0 = jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0])
    times = jnp.linspace(0.0, 2.0, 41)
    expected = swapped(np.asarray(k), np.asarray(times))
    found, errors = [], []
    for interpolate in (False, True):
        one = solve(SWAP, y0, times, k, rtol=1e-4, atol=1e-6, interpolate=interpolate)
        found.append(one)
        errors.append(np.max(np.abs(one.ys[:, 0] - expected)))
    assert found[0].steps > 35 > 2 * found[1].steps
    assert errors[0] < 2e-5 and errors[1] < 1e-3
    # A step that was cut short for an output does not shorten those that follow.
    few = solve(SWAP, y0, times[jnp.array([7, 8, 40])], k, rtol=1e-4, atol=1e-6)
    assert few.steps <= found[1].steps + 6


def test_blocks_and_vmap_give_the_same():
    rng = np.random.default_rng(0)
    k = jnp.asarray(rng.uniform(0.1, 10.0, (2, 7)), jnp.result_type(float))
    y0, times = jnp.array([1.0, 0.0]), jnp.array([0.3, 1.0])
    together = jnp.repeat(y0[:, None], 7, axis=1)
    expected = jax.jit(lambda k: solve(SWAP, together, times, k, atol=1e-9).ys)(k)
    blocks = jax.jit(lambda k: solve(SWAP, together, times, k, atol=1e-9, block=3))(k)
    np.testing.assert_allclose(blocks.ys, expected, rtol=1e-6)
    assert blocks.attempts.shape == (7,)
    one_by_one = jax.jit(jax.vmap(lambda k: solve(SWAP, y0, times, k, atol=1e-9).ys, 1, 2))(k)
    np.testing.assert_allclose(one_by_one, expected, rtol=1e-6)


def test_new_numbers_compile_nothing(compilations):
    solved = jax.jit(lambda y0, times, k: solve(SWAP, y0, times, k, atol=1e-9))
    y0, times, k = jnp.array([1.0, 0.0]), jnp.array([0.3, 1.0]), jnp.array([1.0, 2.0])
    jax.block_until_ready(solved(y0, times, k))
    new = y0 + 1.0, 10.0 * times, 0.1 * k
    with compilations() as made:
        jax.block_until_ready(solved(*new))
    assert made.count == 0


def test_a_cell_that_fails_leaves_the_others_unharmed():
    # y' = k y^2 has a pole at t = 1 / k.
    growth = DenseSystem(1, lambda t, y, k: k[None] * y * y)
    k = jnp.array([0.5, 2.0, jnp.nan, 0.25])
    y0, times = jnp.ones((1, 4)), jnp.array([0.25, 1.0])
    options = {"rtol": 1e-5, "atol": 1e-9}
    found = jax.jit(lambda k: solve(growth, y0, times, k, **options))(k)
    assert found.result.tolist() == [SUCCESS, STEP_TOO_SMALL, NOT_FINITE, SUCCESS]
    assert jnp.all(jnp.isfinite(found.ys))
    alone = jax.jit(lambda k: solve(growth, y0[:, :1], times, k, **options))(k[:1])
    np.testing.assert_allclose(found.ys[..., 0], alone.ys[..., 0], rtol=1e-6)
    np.testing.assert_allclose(found.ys[1, 0, [0, 3]], [2.0, 4.0 / 3.0], rtol=1e-4)
    # The output before the pole is right, the one after it is the last state.
    np.testing.assert_allclose(found.ys[0, 0, 1], 2.0, rtol=1e-3)
    few = jax.jit(lambda k: solve(growth, y0, times, k, max_steps=1, **options))(k)
    assert few.result.tolist() == [MAX_STEPS, MAX_STEPS, NOT_FINITE, MAX_STEPS]


def test_a_right_hand_side_that_depends_on_time():
    # Prothero & Robinson's problem: y = cos t, stiff.
    problem = DenseSystem(
        1, lambda t, y, k: -k[None] * (y - jnp.cos(t)[None]) - jnp.sin(t)[None], True
    )
    k = jnp.array([1.0, 1e3])
    y0, times = jnp.ones((1, 2)), jnp.array([1.0, 3.0])
    options = {"rtol": 1e-5, "atol": 1e-7, "nonnegative": False}
    found = jax.jit(lambda k: solve(problem, y0, times, k, **options))(k)
    np.testing.assert_allclose(found.ys[-1, 0], np.cos(3.0), rtol=1e-4)


@needs_x64
def test_orders_of_a_step_and_of_its_inside():
    # Nonlinear, and depending on time.
    system = DenseSystem(
        2, lambda t, y, a: jnp.stack([-y[0] * y[1] + t * t, y[0] ** 2 - y[1]]), True
    )
    y, args = jnp.array([[1.0], [0.5]]), None

    @jax.jit
    def go(t, y, h):
        full = system.jacobian(t, y, args).reshape(2, 2).T

        def solution(b):
            return jnp.linalg.solve(jnp.eye(2) / (rodas.GAMMA * h[0]) - full, b)

        return rodas.step(system, solution, t, y, h, args)

    def errors(h):
        t, h = jnp.zeros(1), jnp.full(1, h)
        made, fine = go(t, y, h), y
        states = []
        for i in range(64):
            fine = go(t + i * h / 64, fine, h / 64).end
            states.append(fine)
        middle = rodas.between(y, made.end, rodas.inner(made.ks), jnp.full(1, 0.5))
        return np.array([
            np.abs(made.end - states[-1]).max(), np.abs(middle - states[31]).max(),
            np.abs(made.ks[-1]).max(),
        ])  # fmt: skip

    orders = np.log2(errors(0.1) / errors(0.05))
    assert orders[0] > 5.5 and 4.5 < orders[1] < 6.0 and 4.5 < orders[2] < 6.0


def test_elements_are_put_right():
    conserved = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    y0 = jnp.array([[0.3, 0.0], [0.2, 0.0], [0.1, 0.0]])
    off = (y0 * jnp.array([[1.01], [0.98], [1.03]]))[None]
    ys = restored(off, y0, conserved)
    before, after = (np.einsum("es,sb->eb", conserved, y) for y in (y0, ys[0]))
    np.testing.assert_allclose(after, before, rtol=1e-6)
    assert jnp.all(jnp.isfinite(ys)) and jnp.max(jnp.abs(ys - off)) < 0.02


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"rtol": 0.0}, "rtol = 0.0: give a number above 0"),
        ({"max_steps": -1}, "max_steps = -1"),
        ({"y0": jnp.ones(3)}, r"y0: shape \(3,\); give \(2,\) or \(2, B\)"),
        ({"times": jnp.array([1.0, 0.5])}, "give rising times"),
        ({"times": jnp.array([-1.0, 0.5])}, "give rising times from t0 on"),
        ({"times": jnp.array(1.0)}, r"times: shape \(\)"),
    ],
)
def test_wrong_arguments_are_named(changed, message):
    given = {"y0": jnp.ones(2), "times": jnp.ones(1), "args": jnp.ones(2), "atol": 1e-9} | changed
    with pytest.raises(ValueError, match=message):
        solve(SWAP, **given)
