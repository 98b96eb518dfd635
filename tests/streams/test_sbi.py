"""Posteriors of streams from simulations alone: trained, checked, calibrated."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import Model
from jaxastro.diagnose import calibration
from jaxastro.sbi import MisspecifiedWarning, npe, nre, simulate
from tests.sbi.linear_gaussian import SMALL
from tests.streams.reduced import reduced_model

FALSE_ALARM = 1e-3


class Narrowed(eqx.Module):
    """An estimator whose draws lie nearer to their mean by a factor: overconfident."""

    estimator: eqx.Module
    factor: float = 1.3

    def sample(self, key, observation, n):
        draws = self.estimator.sample(key, observation, n)
        return {k: v.mean(0) + (v - v.mean(0)) / self.factor for k, v in draws.items()}


@pytest.fixture(scope="module")
def tiny():
    """A model that is quick to compile and to run, simulations, and a posterior from them."""
    model = reduced_model((-50.0, -40.0, -30.0), n_particles=16, age=400.0, step=16.0)
    pairs = simulate(jax.random.key(0), model, 300)
    estimator, _ = npe(jax.random.key(1), pairs, density=SMALL, max_epochs=3)
    return model, pairs, estimator


def test_posterior_of_a_track(tiny):
    """Measurements go in as the simulator gives them, their constant and boolean parts included."""
    model, pairs, estimator = tiny
    assert pairs.n_failed == 0
    observation = jax.tree.map(lambda a: a[0], pairs.observations)
    draws = estimator.posterior(observation).sample(jax.random.key(2), 500)
    assert all(np.all(np.isfinite(value)) for value in draws.values())
    assert np.all(np.isfinite(jax.vmap(model.prior.log_prob)(draws)))
    result = calibration(jax.random.key(3), estimator, pairs, 19)
    assert set(model.prior.names) < set(result.p_values)


def test_ratio_of_a_track_is_a_target(tiny):
    model, pairs, _ = tiny
    ratio, _ = nre(jax.random.key(1), pairs, max_epochs=1)
    observation = jax.tree.map(lambda a: jnp.asarray(a[0]), pairs.observations)
    target = Model(model.prior, ratio).condition(observation)
    assert np.isfinite(eqx.filter_jit(target)(jnp.zeros(target.dim)))


def test_bad_observations(tiny, recwarn):
    _, pairs, estimator = tiny
    good = jax.tree.map(lambda a: jnp.asarray(a[0]), pairs.observations)
    estimator.posterior(good)
    assert not [w for w in recwarn if w.category is MisspecifiedWarning]
    with pytest.raises(ValueError, match=r"simulations have .* give an observation of the same"):
        estimator.posterior(good.select(good.names[:2]))
    with pytest.raises(ValueError, match="1 non-finite values in array 1"):
        estimator.posterior(eqx.tree_at(lambda d: d.value, good, good.value.at[0, 0].set(jnp.nan)))
    with pytest.warns(MisspecifiedWarning, match="15 elements of the observation differ"):
        estimator.posterior(good.scaled(2.0))


@pytest.mark.slow
def test_npe_is_calibrated_over_the_prior():
    """SBC over the prior, which rejects errors 1.3 times too small."""
    model = reduced_model()
    pairs = simulate(jax.random.key(0), model, 5000)
    estimator, _ = npe(jax.random.key(1), pairs, members=3)
    new = simulate(jax.random.key(2), model, 1000)
    result = calibration(jax.random.key(3), estimator, new, false_alarm=FALSE_ALARM)
    assert result, str(result)
    wrong = Narrowed(estimator)
    assert not calibration(
        jax.random.key(3), wrong, new, densities=False, false_alarm=FALSE_ALARM
    ), "the ranks do not see errors 1.3 times too small"
