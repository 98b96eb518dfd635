"""Neural posterior estimation: a conditional density of parameters, given the observation."""

import jax.numpy as jnp

from ..nn import spline_coupling_flow
from .estimator import train_posterior


def npe_loss(network, batch, key):
    r"""The expected forward KL divergence up to a constant: :math:`-\langle\log q(u|x)\rangle`."""
    u, x = batch
    return -jnp.mean(network.log_prob_many(u, x))


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
        embedding: None (the observation as one vector); a network that maps one standardised
            observation, an array, `Masked` or pytree of these, to a vector of its `out_size`
            (`DeepSet(...)`); or a function `(*, key) -> network`, with which the members of an
            ensemble start apart. It is trained together with the density.
        density: a function `(dim, context_size, *, key) -> AbstractConditionalDensity`.
        members: None, or the size of an ensemble.
        **training: arguments of `jaxastro.train.fit`. `max_epochs=0` only builds the estimator.

    Returns:
        (PosteriorEstimator, Fitted or None): the estimator, and how training went. Losses are
        minus the mean log density of standardised unconstrained parameters.

    >>> import jax, numpyro.distributions as dist, numpy as np
    >>> from jaxastro.core import Parameter, Prior
    >>> from jaxastro.sbi import Simulations
    >>> m = np.random.default_rng(0).normal(size=200)
    >>> pairs = Simulations(Prior(m=Parameter(dist.Normal(0.0, 1.0))), {"m": m}, m[:, None] + 0.5)
    >>> estimator, _ = npe(jax.random.key(0), pairs, max_epochs=0)
    >>> estimator.posterior(np.array([0.5])).sample(jax.random.key(1), 3)["m"].shape
    (3,)
    """
    return train_posterior(key, simulations, "NPE", npe_loss, density, embedding, members, training)
