"""Neural likelihood estimation: a density of the data, which any sampler of a `Model` takes."""

import equinox as eqx
import jax
import jax.numpy as jnp

from ..core import AbstractTractableSimulator, Prior
from ..core.host_random import split
from ..nn import AbstractConditionalDensity, Standardiser, as_vector, spline_coupling_flow
from ..train import fit
from .estimator import standardise


class LearnedLikelihood(AbstractTractableSimulator):
    """An emulator of a simulator: it draws observations, and knows their density.

    Put it where the simulator stood: `Model(prior, learned).condition(observation)` is a target
    for NUTS. Observations are vectors, or one array of any shape.
    """

    prior: Prior
    density: AbstractConditionalDensity
    u_scale: Standardiser
    x_scale: Standardiser
    shape: tuple = eqx.field(static=True)

    def simulate(self, key, params):
        """One observation, drawn from the learned density."""
        z = self.density.sample(key, self._context(params))
        return self.x_scale.inverse(z.reshape(self.shape))

    def log_likelihood(self, params, observation):
        """log p(observation | params): a scalar."""
        z = self.x_scale(observation)
        value = self.density.log_prob(as_vector(z), self._context(params))
        return value.astype(jnp.result_type(float)) + self.x_scale.log_det(observation)

    def validate_observation(self, observation):
        """Raise ValueError for an observation of another shape than the simulated ones."""
        if jnp.shape(observation) != self.shape:
            raise ValueError(
                f"the observation has shape {jnp.shape(observation)}; simulations have "
                f"{self.shape}."
            )

    def _context(self, params):
        return self.u_scale(self.prior.to_unconstrained(params))


def nle_loss(density, batch, key):
    r"""Minus the mean log likelihood of the simulations, :math:`-\langle\log q(x|u)\rangle`."""
    u, x = batch
    return -jnp.mean(jax.vmap(density.log_prob)(x, u))


def nle(key, simulations, *, density=spline_coupling_flow, **training):
    """Train an emulator of the likelihood (Papamakarios et al. 2019).

    It takes no `embedding`: one that is trained with a density of its own output would make that
    constant. Summaries from elsewhere, as of `npe`'s trained embedding, can be its observations.

    Args:
        simulations: whose observations are one array each, continuous and of at most some tens of
            elements (summaries, where there are more).
        density: a function `(dim, context_size, *, key) -> AbstractConditionalDensity`.
        **training: arguments of `jaxastro.train.fit`. `max_epochs=0` only builds it.

    Returns:
        (LearnedLikelihood, Fitted or None).

    Raises ValueError for observations that are no single array.
    """
    prior = simulations.prior
    leaves = jax.tree.leaves(simulations.observations)
    if len(leaves) != 1:
        raise ValueError(
            f"observations hold {len(leaves)} arrays; a likelihood is learnt of one array: "
            "summarise or concatenate them."
        )
    build_key, fit_key = split(key, 2)
    u_scale, x_scale = Standardiser.fit(simulations.u), Standardiser.fit(simulations.observations)
    u, x = standardise(u_scale, x_scale, simulations)
    shape = leaves[0].shape[1:]
    x = jax.vmap(as_vector)(x)
    made = density(x.shape[1], prior.dim, key=build_key).started(x, u)
    fitted = None
    if training.get("max_epochs") != 0:
        fitted = fit(fit_key, made, nle_loss, (u, x), **training)
        made = fitted.network
    return LearnedLikelihood(prior, made, u_scale, x_scale, shape), fitted
