"""Posteriors of streams from simulations alone: trained, checked, calibrated."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxastro.core import Model
from jaxastro.diagnose import calibration
from jaxastro.infer import Laplace, nuts
from jaxastro.sbi import MisspecifiedWarning, anneal, npe, nre, simulate
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


@pytest.mark.slow
def test_nuts_npe_and_anneal_agree_on_mock_tracks():
    """One posterior by three ways: an estimate, its correction by the likelihood, and NUTS.

    At steps of 4 Myr the likelihood is smooth enough for NUTS to mix. Errors of the means are
    1 / sqrt(ESS) of a posterior's deviation, with half of the draws for the annealed ones; the
    false-alarm rate over two mocks of nine parameters is 1e-3.
    """
    model = reduced_model(step=4.0)
    pairs = simulate(jax.random.key(0), model, 5000)
    estimator, _ = npe(jax.random.key(1), pairs, members=3)
    latents = model.simulator.fixed_latents(0)
    mocks = simulate(jax.random.key(7), model, 2)
    for i in range(2):
        observation = jax.tree.map(lambda a, i=i: jnp.asarray(a[i]), mocks.observations)
        estimate = estimator.posterior(observation)
        key = jax.random.fold_in(jax.random.key(2), i)
        annealed = anneal(key, estimate, model, observation, 2000, latents=latents).posterior
        draws = estimate.draws(key, 2000)
        chain = nuts(
            key,
            model.condition(observation, latents=latents),
            n_warmup=150,
            n_draws=400,
            initial=Laplace.of_draws(model.prior, draws),
            max_treedepth=6,
        )
        rows = chain.summary().rows
        assert min(row["ess_bulk"] for row in rows.values()) > 100
        assert max(row["r_hat"] for row in rows.values()) < 1.05
        for name, value in annealed.flat().items():
            mean, sd = rows[name]["mean"], rows[name]["sd"]
            shift, ratio = (value.mean() - mean) / sd, value.std() / sd
            print(f"{i} {name}: annealed {shift:+.2f} sigma, x {ratio:.2f}", end="; ")
            error = np.sqrt(1 / rows[name]["ess_bulk"] + 1 / 1000)
            assert abs(shift) < 4.2 * error
            assert abs(np.log(ratio)) < 4.2 * error
            free = draws.flat()[name]
            shift, ratio = (free.mean() - mean) / sd, free.std() / sd
            print(f"npe {shift:+.2f} sigma, x {ratio:.2f}")
            # Trained on other release times, 32 particles of them, and on 5000 simulations alone.
            assert abs(shift) < 1.5
            assert 0.7 < ratio < 2.0
