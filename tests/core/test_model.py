"""Model and Target: densities, failures, refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

from jaxastro.core import AbstractSimulator, Model, Parameter, Prior, Target
from tests.infer.targets import Noisy, gaussian_target, half_fails_target


@pytest.fixture
def model():
    return Model(Prior(mean=Parameter(dist.Uniform(-3.0, 3.0))), Noisy())


def test_target_is_prior_plus_log_det_plus_likelihood(model):
    target = model.condition(jnp.asarray(0.5))
    u = jnp.array([0.7])
    params, log_det = model.prior.from_unconstrained(u)
    joint = model.log_joint(params, jnp.asarray(0.5))
    np.testing.assert_allclose(target(u), joint + log_det, rtol=1e-6)
    np.testing.assert_allclose(target(u), target.log_prior(u) + target.log_likelihood(u), rtol=1e-6)
    assert target.constrain(u) == params


def test_sample_has_the_prior_predictive_moments(model):
    keys = jax.random.split(jax.random.key(0), 4000)
    params, x = jax.vmap(model.sample)(keys)
    # Var = 36/12 + latents 1 + noise 1 = 5; four standard errors of a variance (false alarm 6e-5).
    assert abs(np.var(x) - 5.0) < 4 * 5.0 * np.sqrt(2 / 4000)
    assert params["mean"].shape == (4000,)


def test_joint_score_is_the_gradient_at_fixed_latents(model):
    latents, x = jnp.asarray(0.3), jnp.asarray(1.5)
    score = model.simulator.joint_score({"mean": jnp.asarray(0.2)}, latents, x)
    np.testing.assert_allclose(score["mean"], 1.0, rtol=1e-6)  # x - (mean + latents)
    conditioned = model.condition(x, latents=latents)
    np.testing.assert_allclose(conditioned.log_likelihood(jnp.zeros(1)), -0.5 * 1.2**2, rtol=1e-6)


@pytest.mark.parametrize("transform", ["forward", "reverse", "vmap", "jit"])
def test_failed_simulation_is_minus_infinity_without_nan(transform):
    target = half_fails_target()
    derivative = {
        "forward": jax.jacfwd(target),
        "reverse": jax.grad(target),
        "vmap": lambda u: jax.vmap(jax.grad(target))(u[None])[0],
        "jit": jax.jit(jax.grad(target)),
    }[transform]
    assert target(jnp.array([-1.0])) == -jnp.inf
    assert derivative(jnp.array([-1.0])) == 0.0
    np.testing.assert_allclose(derivative(jnp.array([2.0])), -1.0, rtol=1e-6)  # 2/a - a
    assert target.log_likelihood(jnp.array([-1.0])) == -jnp.inf


def test_gradient_flows_to_the_observation():
    target = gaussian_target(np.eye(2), [0.0, 0.0])

    def density(observation):
        return Target(target.prior, target.simulator, observation)(jnp.ones(2))

    np.testing.assert_allclose(jax.grad(density)(jnp.zeros(2)), [1.0, 1.0], rtol=1e-6)


def test_condition_refuses_non_finite_observations(model):
    with pytest.raises(ValueError, match=r"observation\['v'\] holds 1 non-finite.*\[1\]"):
        model.condition({"u": jnp.zeros(2), "v": np.array([0.0, np.nan])})


def test_condition_calls_the_simulators_own_check():
    class Positive(Noisy):
        def validate_observation(self, observation):
            if observation < 0:
                raise ValueError(f"observation={observation} is negative")

    model = Model(Prior(mean=Parameter(dist.Normal(0.0, 1.0))), Positive())
    with pytest.raises(ValueError, match="negative"):
        model.condition(jnp.asarray(-1.0))


def test_condition_needs_a_likelihood():
    class Blind(AbstractSimulator):
        def simulate(self, key, params):
            return params["x"]

    with pytest.raises(ValueError, match="no log_likelihood"):
        Model(Prior(x=Parameter(dist.Normal(0.0, 1.0))), Blind()).condition(jnp.asarray(0.0))
