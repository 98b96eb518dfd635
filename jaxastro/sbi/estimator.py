"""Amortised posteriors: the part that is the same whatever the density and its loss."""

import math
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import AbstractPosterior, Prior, SamplePosterior
from ..core import checkpoint as checkpoints
from ..core.host_random import split
from ..nn import AbstractConditionalDensity, Standardiser
from ..nn.bijection import stack_modules
from ..train import fit
from .embedding import build_embedding, check_embedding
from .reach import Reach, describe, describe_all, describe_observations


class PosteriorNetwork(eqx.Module):
    """q(u | x) on standardised parameters and observations: an embedding, then a density."""

    embedding: Any
    density: AbstractConditionalDensity

    def log_prob(self, u, x):
        """log q(u | x): a scalar for u (D,)."""
        return self.density.log_prob(u, self.embedding(x))

    def log_prob_many(self, u, x):
        """log q of each row of u (N, D) given its own observation: (N,)."""
        return self.density.log_prob_many(u, jax.vmap(self.embedding)(x))


class MisspecifiedWarning(UserWarning):
    """The observation lies outside of what the model simulates."""


class PosteriorEstimator(eqx.Module):
    """An amortised estimator: `posterior(observation)` costs no training.

    `npe`, `fmpe` and `npse` return one. Densities live in the prior's unconstrained space, so no
    posterior puts mass outside the prior and nothing is rejected. In an ensemble, arrays of
    `network` have a leading axis of members, and the posterior is their equal mixture.
    """

    prior: Prior
    network: PosteriorNetwork
    u_scale: Standardiser
    x_scale: Standardiser
    reach: Reach
    members: int | None = eqx.field(static=True)
    method: str = eqx.field(static=True)

    def posterior(self, observation):
        """The posterior of one observation.

        Raises ValueError for an observation of another structure or shape, or with a non-finite
        value; warns (`MisspecifiedWarning`) where it lies beyond all simulated ones.
        """
        observation = self.reach.checked(observation)
        x = self.x_scale(jax.tree.map(jnp.asarray, observation))
        warn_of_misfit(self.reach, self.network.embedding, self.members, x)
        return NeuralPosterior(self, x)

    def sample(self, key, observation, n):
        """n draws given an observation that is taken as it is: for vmap over many."""
        return _sample(self, self.x_scale(observation), key, n)

    def log_prob(self, params, observation):
        """log q(params | observation): a scalar, -inf outside the prior; for vmap over pairs."""
        x = self.x_scale(observation)
        return _log_prob(self, params, self._contexts(x))

    def describe(self, observations):
        """Vectors (N, F) that stand for observations, what the network sees in them included.

        For `misspecification_test` and `local_c2st_test`, and `mmd_test` of two sets of data.
        """
        return describe_observations(
            self.x_scale, self.network.embedding, self.members, observations
        )

    def save(self, directory):
        """Write arrays and JSON, never code; `load` reads them."""
        arrays = eqx.filter(self, eqx.is_array)
        metadata = {"method": self.method, "parameters": list(self.prior.names)}
        return checkpoints.save(directory, arrays, metadata)

    def load(self, directory):
        """This estimator with the saved arrays, after a check that all shapes agree.

        Build the frame by the same call with `max_epochs=0`, on any simulations of the model.
        Raises ValueError for an estimator of another method, model or architecture.
        """
        arrays, static = eqx.partition(self, eqx.is_array)
        saved, metadata = checkpoints.load(directory, like=arrays)
        frame = {"method": self.method, "parameters": list(self.prior.names)}
        if metadata != frame:
            raise ValueError(
                f"the estimator in {str(directory)!r} is {metadata}, not {frame}; build the frame "
                "by the same method from the same model."
            )
        return eqx.combine(jax.tree.map(jnp.asarray, saved), static)

    def _contexts(self, x):
        if self.members is None:
            return self.network.embedding(x)
        return eqx.filter_vmap(lambda network: network.embedding(x))(self.network)


class NeuralPosterior(AbstractPosterior):
    """The posterior of one observation by a trained density."""

    estimator: PosteriorEstimator
    x: Any

    def sample(self, key, n):
        """n independent draws: a dict of arrays with leading axis n."""
        return _sample(self.estimator, self.x, key, n)

    def log_prob(self, params):
        """Normalised log density of one set of parameters, -inf outside the prior."""
        return _log_prob(self.estimator, params, self.estimator._contexts(self.x))

    def draws(self, key, n=4000):
        """n draws as a `SamplePosterior`: summaries, figures, ArviZ, netCDF."""
        prior = self.estimator.prior
        draws = {name: np.asarray(v)[None] for name, v in self.sample(key, n).items()}
        attrs = {"sampler": self.estimator.method}
        return SamplePosterior(draws, units=prior.units, labels=prior.labels, attrs=attrs)

    def to_arviz(self):
        """4000 draws with seed 0; `draws(key, n).to_arviz()` for others."""
        return self.draws(jax.random.key(0)).to_arviz()


def warn_of_misfit(reach, embedding, members, x):
    """`MisspecifiedWarning` for a standardised observation beyond all simulated ones."""
    message = reach.misfit(describe(embedding, members, x))
    if message:
        warnings.warn(message, MisspecifiedWarning, stacklevel=3)


def train_posterior(key, simulations, method, loss, density, embedding, members, training):
    """Build a posterior network, fit its linear start to the data, train it by a loss.

    The arguments and the result are those of `npe`; `loss` is a plain
    `(network, (u, x), key) -> scalar` on standardised pairs.
    """
    prior, dtype = simulations.prior, jnp.float32
    build_key, fit_key = split(key, 2)
    one = jax.tree.map(lambda a: a[0], simulations.observations)
    made = build_embedding(embedding, build_key, one)
    u_scale = Standardiser.fit(simulations.u, dtype=dtype)
    pooled = getattr(made, "pooled_axes", ())
    x_scale = Standardiser.fit(simulations.observations, pooled, dtype=dtype)
    check_embedding(made, x_scale, one)
    u, x = standardise(u_scale, x_scale, simulations)

    def build(key):
        embedding_key, density_key = split(key, 2)
        embed = build_embedding(embedding, embedding_key, one)
        made = density(prior.dim, embed.out_size, key=density_key)
        return PosteriorNetwork(embed, made)

    network = build(build_key)
    # Regression on what an embedding gives before it is trained would have to be unlearnt.
    if embedding is None:
        context = np.asarray(describe_all(made, None, x))
    else:
        context = np.zeros((len(u), made.out_size))
    start = network.density.started(u, context)
    if members is None:
        network = eqx.tree_at(lambda n: n.density, network, start)
    else:
        network = stack_modules([build(k) for k in split(build_key, members)])
        network = eqx.tree_at(
            lambda n: n.density, network, start.shared_start(network.density, members)
        )
    fitted = None
    if training.get("max_epochs") != 0:
        fitted = fit(fit_key, network, loss, (u, x), members=members, **training)
        network = fitted.network
    vectors = context if embedding is None else describe_all(network.embedding, members, x)
    reach = Reach.fit(one, vectors)
    return PosteriorEstimator(prior, network, u_scale, x_scale, reach, members, method), fitted


@eqx.filter_jit
def _standardise(u_scale, x_scale, u, x):
    return jax.vmap(u_scale)(u), jax.vmap(x_scale)(x)


def standardise(u_scale, x_scale, simulations):
    """All pairs of simulations, standardised, on the device."""
    x = jax.tree.map(jnp.asarray, simulations.observations)
    return _standardise(u_scale, x_scale, jnp.asarray(simulations.u), x)


@eqx.filter_jit
def _sample(estimator, x, key, n):
    prior, members = estimator.prior, estimator.members
    contexts = estimator._contexts(x)
    draw_key, order_key = jax.random.split(key)
    density = estimator.network.density
    if members is None:
        z = density.sample_many(draw_key, contexts, n)
    else:
        each = math.ceil(n / members)
        keys = jax.random.split(draw_key, members)
        z = eqx.filter_vmap(lambda d, k, c: d.sample_many(k, c, each))(density, keys, contexts)
        z = jax.random.permutation(order_key, z.reshape(members * each, -1))[:n]
    u = jax.vmap(estimator.u_scale.inverse)(z).astype(jnp.result_type(float))
    return jax.vmap(lambda u: prior.from_unconstrained(u)[0])(u)


def _log_prob(estimator, params, contexts):
    prior = estimator.prior
    inside = jnp.isfinite(prior.log_prob(params))
    u = prior.to_unconstrained(params)
    inside = inside & jnp.all(jnp.isfinite(u))
    safe = jnp.where(inside, u, jnp.zeros_like(u))
    z = estimator.u_scale(safe)
    if estimator.members is None:
        value = estimator.network.density.log_prob(z, contexts)
    else:
        values = eqx.filter_vmap(lambda d, c: d.log_prob(z, c))(estimator.network.density, contexts)
        value = jax.nn.logsumexp(values) - math.log(estimator.members)
    _, log_det = prior.from_unconstrained(safe)
    value = value.astype(safe.dtype) + estimator.u_scale.log_det(safe) - log_det
    return jnp.where(inside, value, -jnp.inf)
