"""Forward and reverse mode agree, and the choice between them is obeyed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.infer import FORWARD_MAX_DIM, value_and_grad, with_gradient
from tests.infer.targets import half_fails_target


def density(u):
    def step(x, _):
        x = x + 0.01 * jnp.sin(jnp.roll(x, 1)) * x
        return x, None

    final, _ = jax.lax.scan(step, u, None, length=50)
    return -jnp.sum(final**2)


@pytest.mark.parametrize("dim", [1, 5])
def test_modes_agree(dim):
    u = jnp.linspace(0.5, 1.5, dim)
    forward = jax.jit(value_and_grad(density, dim, "forward"))(u)
    reverse = jax.jit(value_and_grad(density, dim, "reverse"))(u)
    rtol = 1e-12 if u.dtype == jnp.float64 else 1e-5
    np.testing.assert_allclose(forward[0], reverse[0], rtol=rtol)
    np.testing.assert_allclose(forward[1], reverse[1], rtol=rtol)


@pytest.mark.parametrize("dim", [2, FORWARD_MAX_DIM, FORWARD_MAX_DIM + 1])
def test_auto_chooses_by_dimension(dim):
    def program(mode):
        return str(jax.make_jaxpr(value_and_grad(density, dim, mode))(jnp.ones(dim)))

    small = dim <= FORWARD_MAX_DIM
    assert program("auto") == program("forward" if small else "reverse")
    assert program("auto") != program("reverse" if small else "forward")


def test_forward_mode_evaluates_the_primal_once():
    jaxpr = str(
        jax.make_jaxpr(value_and_grad(lambda u: jnp.sum(jnp.exp(u)), 4, "forward"))(jnp.ones(4))
    )
    assert jaxpr.count(" exp ") == 1
    assert "f64[4,4] = exp" not in jaxpr and "f32[4,4] = exp" not in jaxpr


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_gradient_seen_by_samplers(mode):
    u = jnp.array([0.5, 1.5])
    wrapped = with_gradient(density, 2, mode)
    np.testing.assert_allclose(jax.grad(wrapped)(u), jax.grad(density)(u), rtol=1e-5)
    batch = jnp.stack([u, 2.0 * u])
    np.testing.assert_allclose(
        jax.vmap(jax.grad(wrapped))(batch)[1], jax.grad(density)(2.0 * u), rtol=1e-5
    )


@pytest.mark.parametrize("mode", ["forward", "reverse"])
def test_failures_have_zero_gradient(mode):
    both = value_and_grad(half_fails_target().unguarded, 1, mode)
    value, gradient = both(jnp.array([-1.0]))
    assert value == -jnp.inf and gradient == 0.0


def test_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="'sideways'"):
        value_and_grad(density, 2, "sideways")
