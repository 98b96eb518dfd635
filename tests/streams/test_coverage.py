"""Known-truth recovery: posteriors of streams hold the truth as often as they claim.

Parameters are drawn from the prior, mock data from the likelihood at the latents that inference
conditions on, and the truth is then one more draw of the posterior: its rank is uniform among
posterior draws (Talts et al. 2018), and a central interval of p holds it with probability p.
"""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.stats import binom

from jaxastro.diagnose import sbc_ranks, sbc_test
from jaxastro.infer import Laplace, laplace, nuts
from jaxastro.infer.gradient import evaluate_gradient
from tests.streams.reduced import PRIOR, reduced_model

N_MOCKS = 64
WARMUP, DRAWS, THIN = 80, 160, 8
KEPT = DRAWS // THIN
# Family-wise over all quantities (and both intervals and tails), for each of the two checks.
FALSE_ALARM = 1e-3
LEVELS = (0.68, 0.95)


@eqx.filter_jit
def mock(model, latents, key):
    """Parameters and data; unlike `Model.sample`, at the latents that are conditioned on."""
    prior_key, noise_key = jax.random.split(key)
    params = model.prior.sample(prior_key)
    prediction = model.simulator.forward(params, latents)
    return params, model.simulator.sample_noise(noise_key, prediction)


def typical_covariance(model, latents):
    """The posterior's, in unconstrained space, from noiseless data of the prior's centre.

    There prior and likelihood have the same maximum, so that no search for it is needed.
    """
    u = np.zeros(model.prior.dim)
    for i, d in enumerate(model.prior.distributions):
        u[i] = d.loc
    params = model.prior.from_unconstrained(u)[0]
    track = eqx.filter_jit(model.simulator.forward)(params, latents).track
    data = eqx.tree_at(lambda data: data.value, model.simulator.data, track)
    found = laplace(model.condition(data, latents=latents), u)
    assert found.n_repaired == 0
    return found.covariance


def recover(model, latents, covariance, key):
    """Of one mock: truths, draws and divergences, with the log density among the quantities.

    The log density's rank sees errors common to all parameters that no single one shows
    (Modrak et al. 2023). The chain starts a typical posterior's width from the truth, which is
    itself a draw of the posterior: warm-up has to forget it, not to find a mode.
    """
    mock_key, nuts_key = jax.random.split(key)
    params, observation = mock(model, latents, mock_key)
    target = model.condition(observation, latents=latents)
    u = np.asarray(model.prior.to_unconstrained(params))
    run = nuts(
        nuts_key,
        target,
        n_chains=1,
        n_warmup=WARMUP,
        n_draws=DRAWS,
        initial=Laplace(u, covariance, 0),
        every=40,
    )
    truths = {name: float(value) for name, value in params.items()}
    truths["log_density"] = evaluate_gradient(target, u)[0]
    draws = {name: value[0] for name, value in run.draws.items()}
    draws["log_density"] = run.sample_stats["lp"][0]
    return truths, draws, int(run.sample_stats["diverging"].sum())


def ranks_uniform(truths, draws):
    """SBC of thinned draws, (N, draws) a quantity."""
    thinned = {name: value[:, THIN - 1 :: THIN] for name, value in draws.items()}
    n_simulated = int(20 * len(truths) / FALSE_ALARM)
    return sbc_test(sbc_ranks(truths, thinned), KEPT, FALSE_ALARM, n_simulated=n_simulated)


def miscovered(truths, draws):
    """The central intervals that hold too few or too many truths: {(name, level): share}."""
    bad = {}
    tail = FALSE_ALARM / (2 * len(LEVELS) * len(truths))
    for name, truth in truths.items():
        for level in LEVELS:
            # This definition of quantiles is the one whose intervals cover exactly `level`.
            ends = [0.5 - 0.5 * level, 0.5 + 0.5 * level]
            low, high = np.quantile(draws[name], ends, axis=1, method="weibull")
            n, hits = len(truth), int(np.sum((truth > low) & (truth < high)))
            if min(binom.cdf(hits, n, level), binom.sf(hits - 1, n, level)) < tail:
                bad[name, level] = hits / n
    return bad


def overconfident(truths, draws, factor):
    """The parameters' draws, nearer to their mean by `factor`."""
    names = [name for name in truths if name != "log_density"]
    means = {name: draws[name].mean(1, keepdims=True) for name in names}
    shrunk = {name: means[name] + (draws[name] - means[name]) / factor for name in names}
    return {name: truths[name] for name in names}, shrunk


def test_checks_pass_exact_posteriors_and_fail_overconfident_ones():
    """As many mocks, quantities and draws as below, of the posterior N(x/2, 1/2) of a normal."""
    rng = np.random.default_rng(2)
    truths, draws = {}, {}
    for name in PRIOR.names:
        truths[name] = rng.normal(size=N_MOCKS)
        mean = 0.5 * (truths[name] + rng.normal(size=N_MOCKS))
        draws[name] = mean[:, None] + np.sqrt(0.5) * rng.normal(size=(N_MOCKS, DRAWS))
    assert ranks_uniform(truths, draws)
    assert not miscovered(truths, draws)
    wrong = overconfident(truths, draws, 2.0)
    assert not ranks_uniform(*wrong)
    assert miscovered(*wrong)


@pytest.mark.slow
def test_stream_posteriors_are_calibrated(compilations):
    model = reduced_model()
    latents = model.simulator.fixed_latents()
    keys = list(jax.random.split(jax.random.key(17), N_MOCKS))
    covariance = typical_covariance(model, latents)
    results = [recover(model, latents, covariance, keys[0])]
    with compilations() as made:
        results += [recover(model, latents, covariance, key) for key in keys[1:]]
    assert made.count == 0, "new data compiled the programs anew"

    truths, draws, divergences = zip(*results, strict=True)
    truths = {name: np.array([t[name] for t in truths]) for name in truths[0]}
    draws = {name: np.stack([d[name] for d in draws]) for name in draws[0]}
    # More would mean that the chains do not see all of the posterior.
    assert sum(divergences) < 0.01 * N_MOCKS * DRAWS

    result = ranks_uniform(truths, draws)
    assert result, str(result)
    assert not miscovered(truths, draws), miscovered(truths, draws)

    wrong = overconfident(truths, draws, 2.0)
    assert not ranks_uniform(*wrong), "the ranks do not see errors half as large as they are"
    assert miscovered(*wrong), "the intervals do not see errors half as large as they are"
