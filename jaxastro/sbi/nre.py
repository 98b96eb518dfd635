"""Neural ratio estimation: a classifier that tells joint from independent pairs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core import AbstractTractableSimulator, Prior
from ..core.host_random import split
from ..nn import LinearGaussian, RatioClassifier, Standardiser
from ..train import fit
from .embedding import build_embedding, check_embedding
from .estimator import standardise, warn_of_misfit
from .reach import Reach, describe_all, describe_observations

N_CONTRAST = 5
BALANCE = 100.0
LARGEST = 50.0


class LearnedRatio(AbstractTractableSimulator):
    r"""The likelihood-to-evidence ratio :math:`\log p(x|\theta)/p(x)` of a trained classifier.

    As `Model(prior, ratio).condition(observation)` it is a target for NUTS. It draws no
    observations.
    """

    prior: Prior
    network: Any
    u_scale: Standardiser
    x_scale: Standardiser
    reach: Reach

    def simulate(self, key, params):
        """Raises NotImplementedError: use the simulator that the ratio was learnt from."""
        raise NotImplementedError(
            "a learned ratio draws no observations; use the simulator that it was learnt from."
        )

    def log_likelihood(self, params, observation):
        """log p(observation | params) - log p(observation): a scalar."""
        u = self.u_scale(self.prior.to_unconstrained(params))
        value = self.network.log_ratio(u, self.x_scale(observation))
        return value.astype(jnp.result_type(float))

    def describe(self, observations):
        """Vectors (N, F) that stand for observations, what the network sees in them included."""
        return describe_observations(self.x_scale, self.network.embedding, None, observations)

    def validate_observation(self, observation):
        """ValueError for another shape; `MisspecifiedWarning` beyond what was simulated."""
        observation = self.reach.checked(observation)
        x = self.x_scale(jax.tree.map(jnp.asarray, observation))
        warn_of_misfit(self.reach, self.network.embedding, None, x)


class RatioNetwork(eqx.Module):
    r"""A logit of standardised parameters and an embedded observation.

    .. math:: f(u, c) = g(u, c) + \log N(u; Ac + b, \Sigma) - \log N(u; 0, 1)

    with a classifier g that starts at zero, and a regression fitted once: the classifier learns
    only what is not linear and Gaussian.
    """

    embedding: Any
    regression: LinearGaussian
    classifier: Any

    def log_ratio(self, u, x):
        """log p(u, x)/(p(u) p(x))."""
        return self.logit(u, self.embedding(x))

    def logit(self, u, context):
        """The same, of an embedded observation."""
        z, log_det = self.regression.forward(u, context)
        gaussian = 0.5 * jnp.sum(u * u) - 0.5 * jnp.sum(z * z) + log_det
        # Far in the tails of a Gaussian nothing is known: there the classifier has the word.
        return self.classifier(u, context) + jnp.clip(gaussian, -LARGEST, LARGEST)


def nre_loss(network, batch, key):
    r"""Binary cross-entropy of joint against independent pairs (Hermans et al. 2020).

    .. math:: \langle \log(1 + e^{-f(u,x)}) \rangle_{joint} + \langle\log(1+e^{f(u',x)})\rangle
    """
    joint, independent = _logits(network, batch, 1)
    return jnp.mean(jax.nn.softplus(-joint)) + jnp.mean(jax.nn.softplus(independent))


def balanced_nre_loss(network, batch, key):
    r"""`nre_loss` with a penalty that makes posteriors conservative (Delaunoy et al. 2022).

    .. math:: + \lambda (\langle d\rangle_{joint} + \langle d\rangle_{indep} - 1)^2, \lambda = 100

    Take batches of 500 or more: the scatter of the means over a batch adds to their square, and
    punishes any classifier that tells pairs apart.
    """
    joint, independent = _logits(network, batch, 1)
    entropy = jnp.mean(jax.nn.softplus(-joint)) + jnp.mean(jax.nn.softplus(independent))
    balance = jnp.mean(jax.nn.sigmoid(joint)) + jnp.mean(jax.nn.sigmoid(independent))
    return entropy + BALANCE * (balance - 1.0) ** 2


def nre_c_loss(network, batch, key):
    r"""Contrastive NRE-C with K = 5 contrasts and :math:`\gamma = 1` (Miller et al. 2022).

    A pair is told from K others, or recognised as wholly independent: unlike NRE-B's, its optimum
    is the ratio itself, without an unknown function of x.
    """
    joint, contrasts = _logits(network, batch, 2 * N_CONTRAST - 1)
    with_joint, independent = contrasts[:, : N_CONTRAST - 1], contrasts[:, N_CONTRAST - 1 :]
    # Odds: each of K with weight gamma/K, none of them with weight one.
    shift = jnp.log(jnp.asarray(N_CONTRAST, joint.dtype))
    zeros = jnp.zeros_like(joint)

    def log_none(logits):
        stacked = jnp.concatenate([zeros[:, None] + shift, logits], 1)
        return shift - jax.nn.logsumexp(stacked, axis=1)

    dependent = jnp.concatenate([joint[:, None], with_joint], 1)
    stacked = jnp.concatenate([zeros[:, None] + shift, dependent], 1)
    log_first = joint - jax.nn.logsumexp(stacked, axis=1)
    return -0.5 * jnp.mean(log_first) - 0.5 * jnp.mean(log_none(independent))


def _logits(network, batch, n_contrast):
    """Logits of the pairs (B,), and of each x with the u of the next pairs (B, n_contrast)."""
    u, x = batch
    context = jax.vmap(network.embedding)(x)
    rows = jnp.arange(len(u))
    others = (rows[:, None] + 1 + jnp.arange(n_contrast)[None]) % len(u)
    joint = jax.vmap(network.logit)(u, context)
    contrasts = jax.vmap(jax.vmap(network.logit, (0, None)))(u[others], context)
    return joint, contrasts


def nre(
    key,
    simulations,
    *,
    loss=nre_c_loss,
    embedding=None,
    classifier=RatioClassifier,
    **training,
):
    """Train a likelihood-to-evidence ratio.

    Args:
        loss: `nre_loss`, `nre_c_loss` or `balanced_nre_loss`.
        embedding: as for `npe`.
        classifier: a function `(dim, context_size, *, key) -> module`, `(u, context) -> logit`.
        **training: arguments of `jaxastro.train.fit`. `max_epochs=0` only builds it.

    Returns:
        (LearnedRatio, Fitted or None).
    """
    embedding_key, classifier_key, fit_key = split(key, 3)
    one = jax.tree.map(lambda a: a[0], simulations.observations)
    embed = build_embedding(embedding, embedding_key, one)
    u_scale = Standardiser.fit(simulations.u)
    pooled = getattr(embed, "pooled_axes", ())
    x_scale = Standardiser.fit(simulations.observations, pooled)
    check_embedding(embed, x_scale, one)
    pairs = standardise(u_scale, x_scale, simulations)
    dim, size = simulations.prior.dim, embed.out_size
    regression = LinearGaussian(dim, size)
    if embedding is None:
        u, x = pairs
        regression = regression.fitted(u, describe_all(embed, None, x))
    made = classifier(dim, size, key=classifier_key)
    network, fitted = RatioNetwork(embed, regression, made), None
    if training.get("max_epochs") != 0:
        fitted = fit(fit_key, network, loss, pairs, **training)
        network = fitted.network
    reach = Reach.fit(one, describe_all(network.embedding, None, pairs[1]))
    return LearnedRatio(simulations.prior, network, u_scale, x_scale, reach), fitted
