"""Neural posterior estimation: a conditional density of parameters, given the observation."""

import math
import warnings
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..core import AbstractPosterior, Prior, SamplePosterior
from ..core import checkpoint as checkpoints
from ..nn import AbstractConditionalDensity, Standardiser, spline_coupling_flow
from ..train import fit
from .reach import Reach
from .vector import as_vector


class PosteriorNetwork(eqx.Module):
    """q(u | x) on standardised parameters and observations: an embedding, then a density."""

    embedding: Any
    density: AbstractConditionalDensity

    def log_prob(self, u, x):
        """log q(u | x): a scalar for u (D,)."""
        return self.density.log_prob(u, self.embedding(x))


def npe_loss(network, batch, key):
    r"""The expected forward KL divergence up to a constant: :math:`-\langle\log q(u|x)\rangle`."""
    u, x = batch
    return -jnp.mean(jax.vmap(network.log_prob)(u, x))


class NPE(eqx.Module):
    """An amortised estimator of posteriors: `posterior(observation)` costs no training.

    It is what `npe` returns. Densities live in the prior's unconstrained space, so no posterior
    puts mass outside the prior and nothing is rejected. In an ensemble, arrays of `network` have a
    leading axis of members, and the posterior is their equal mixture.
    """

    prior: Prior
    network: PosteriorNetwork
    u_scale: Standardiser
    x_scale: Standardiser
    reach: Reach
    members: int | None = eqx.field(static=True)

    def posterior(self, observation):
        """The posterior of one observation.

        Raises ValueError for an observation of another structure or shape, or with a non-finite
        value; warns (`MisspecifiedWarning`) where it lies beyond all simulated ones.
        """
        x = self.reach.checked(observation, self.x_scale)
        message = self.reach.misfit(x)
        if message:
            warnings.warn(message, MisspecifiedWarning, stacklevel=2)
        return NeuralPosterior(self, self.x_scale(jax.tree.map(jnp.asarray, observation)))

    def log_prob(self, params, observation):
        """log q(params | observation): a scalar, -inf outside the prior; for vmap over pairs."""
        x = self.x_scale(observation)
        return _log_prob(self, params, self._contexts(x))

    def save(self, directory):
        """Write arrays and JSON, never code; `load` reads them."""
        arrays = eqx.filter(self, eqx.is_array)
        names = list(self.prior.names)
        return checkpoints.save(directory, arrays, {"kind": "NPE", "parameters": names})

    def load(self, directory):
        """This estimator with the saved arrays, after a check that all shapes agree.

        Build the frame with `npe(..., max_epochs=0)` on any simulations of the model.
        """
        arrays, static = eqx.partition(self, eqx.is_array)
        saved, metadata = checkpoints.load(directory, like=arrays)
        if metadata.get("parameters") != list(self.prior.names):
            raise ValueError(
                f"the estimator in {str(directory)!r} is of {metadata.get('parameters')}, not of "
                f"{list(self.prior.names)}; build the frame from the same model."
            )
        return eqx.combine(jax.tree.map(jnp.asarray, saved), static)

    def _contexts(self, x):
        if self.members is None:
            return self.network.embedding(x)
        return eqx.filter_vmap(lambda network: network.embedding(x))(self.network)


class MisspecifiedWarning(UserWarning):
    """The observation lies outside of what the model simulates."""


class NeuralPosterior(AbstractPosterior):
    """The posterior of one observation by a trained density: draws in milliseconds."""

    estimator: NPE
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
        return SamplePosterior(
            draws, units=prior.units, labels=prior.labels, attrs={"sampler": "NPE"}
        )

    def to_arviz(self):
        """4000 draws with seed 0; `draws(key, n).to_arviz()` for others."""
        return self.draws(jax.random.key(0)).to_arviz()


def npe(
    key,
    simulations,
    *,
    embedding=None,
    density=spline_coupling_flow,
    members=None,
    **training,
):
    """Train a posterior estimator (Papamakarios & Murray 2016; Greenberg et al. 2019).

    Args:
        key: typed PRNG key.
        simulations: `Simulations` of a model, from `simulate`.
        embedding: None (the observation as one vector), or a function `key -> module` whose
            `out_size` is the size of its output.
        density: a function `(dim, context_size, *, key) -> AbstractConditionalDensity`.
        members: None, or the size of an ensemble.
        **training: arguments of `jaxastro.train.fit`. `max_epochs=0` only builds the estimator.

    Returns:
        (NPE, Fitted or None): the estimator, and how training went. Losses are minus the mean log
        density of standardised unconstrained parameters.

    >>> import jax, numpyro.distributions as dist, numpy as np
    >>> from jaxastro.core import Parameter, Prior
    >>> from jaxastro.sbi import Simulations
    >>> m = np.random.default_rng(0).normal(size=200)
    >>> pairs = Simulations(Prior(m=Parameter(dist.Normal(0.0, 1.0))), {"m": m}, m[:, None] + 0.5)
    >>> estimator, _ = npe(jax.random.key(0), pairs, max_epochs=0)
    >>> estimator.posterior(np.array([0.5])).sample(jax.random.key(1), 3)["m"].shape
    (3,)
    """
    prior, dtype = simulations.prior, jnp.float32
    build_key, fit_key = jax.random.split(key)
    one = jax.tree.map(lambda a: a[0], simulations.observations)
    size = as_vector(one).size
    make_embedding = _flat(size) if embedding is None else embedding
    pooled = getattr(make_embedding(build_key), "pooled_axes", ())
    u_scale = Standardiser.fit(simulations.u, dtype=dtype)
    x_scale = Standardiser.fit(simulations.observations, pooled, dtype=dtype)
    u, x = _standardise(u_scale, x_scale, simulations.u, simulations.observations)

    def build(key):
        embedding_key, density_key = jax.random.split(key)
        embed = make_embedding(embedding_key)
        made = density(prior.dim, embed.out_size, key=density_key)
        return PosteriorNetwork(embed, made)

    network = build(build_key)
    if hasattr(network.density, "started"):
        # The first guess is linear in what an untrained embedding would scramble: only without.
        context = np.asarray(jax.vmap(as_vector)(x))
        if embedding is not None:
            context = np.zeros((len(u), network.embedding.out_size))
        started = network.density.started(u, context)
    else:
        started = network.density
    if members is None:
        network = eqx.tree_at(lambda n: n.density, network, started)
    else:
        network = _stacked(build, build_key, members, started)
    fitted = None
    if training.get("max_epochs") != 0:
        fitted = fit(fit_key, network, npe_loss, (u, x), members=members, **training)
        network = fitted.network
    reach = Reach.fit(one, np.asarray(jax.vmap(as_vector)(x)))
    return NPE(prior, network, u_scale, x_scale, reach, members), fitted


class Flatten(eqx.Module):
    """All leaves of an observation as one vector."""

    out_size: int = eqx.field(static=True)

    def __call__(self, x):
        return as_vector(x)


def _flat(size):
    return lambda key: Flatten(size)


def _stacked(build, key, members, started):
    def one(key):
        return build(key)

    network = eqx.filter_vmap(one)(jax.random.split(key, members))
    first = getattr(getattr(started, "bijection", None), "layers", (None,))[0]
    if first is None or getattr(type(first), "trainable", True):
        return network
    copies = jax.tree.map(lambda a: jnp.broadcast_to(a, (members, *a.shape)), first)
    return eqx.tree_at(lambda n: n.density.bijection.layers[0], network, copies)


@eqx.filter_jit
def _standardise(u_scale, x_scale, u, x):
    return jax.vmap(u_scale)(jnp.asarray(u)), jax.vmap(x_scale)(jax.tree.map(jnp.asarray, x))


@eqx.filter_jit
def _sample(estimator, x, key, n):
    prior, members = estimator.prior, estimator.members
    contexts = estimator._contexts(x)
    draw_key, order_key = jax.random.split(key)
    if members is None:
        z = _density_draws(estimator.network.density, draw_key, contexts, n)
    else:
        each = math.ceil(n / members)
        keys = jax.random.split(draw_key, members)
        z = eqx.filter_vmap(lambda d, k, c: _density_draws(d, k, c, each))(
            estimator.network.density, keys, contexts
        )
        z = jax.random.permutation(order_key, z.reshape(members * each, -1))[:n]
    u = jax.vmap(estimator.u_scale.inverse)(z).astype(jnp.result_type(float))
    return jax.vmap(lambda u: prior.from_unconstrained(u)[0])(u)


def _density_draws(density, key, context, n):
    return jax.vmap(density.sample, (0, None))(jax.random.split(key, n), context)


def _log_prob(estimator, params, contexts):
    prior = estimator.prior
    inside = jnp.isfinite(prior.log_prob(params))
    u = prior.to_unconstrained(params)
    safe = jnp.where(inside & jnp.all(jnp.isfinite(u)), u, jnp.zeros_like(u))
    z = estimator.u_scale(safe)
    if estimator.members is None:
        value = estimator.network.density.log_prob(z, contexts)
    else:
        values = eqx.filter_vmap(lambda d, c: d.log_prob(z, c))(estimator.network.density, contexts)
        value = jax.nn.logsumexp(values) - math.log(estimator.members)
    _, log_det = prior.from_unconstrained(safe)
    value = value.astype(safe.dtype) + estimator.u_scale.log_det(safe) - log_det
    return jnp.where(inside, value, -jnp.inf)
