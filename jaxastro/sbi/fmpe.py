"""Flow matching posterior estimation: a velocity field learnt by regression."""

import jax
import jax.numpy as jnp

from ..nn import flow_matching_density
from .estimator import train_posterior


def transport_loss(network, batch, key):
    r"""Mean squared error of the denoiser at a random time of the path from noise to parameters.

    .. math:: \langle |g(t, z_t, c) - g^*(t, \epsilon, z)|^2 \rangle, \quad t \sim U(0, 1)

    For the straight path it is (preconditioned) flow matching, for the trigonometric one denoising
    score matching.
    """
    u, x = batch

    def one(key, u, x):
        return network.density.regression_loss(key, u, network.embedding(x))

    return jnp.mean(jax.vmap(one)(jax.random.split(key, len(u)), u, x))


# A denoiser's loss is noisy from draw to draw, so that its plateau takes longer to tell.
TRAINING = {"patience": 15, "min_improvement": 0.0}


def fmpe(
    key,
    simulations,
    *,
    embedding=None,
    density=flow_matching_density,
    members=None,
    **training,
):
    """Flow matching posterior estimation (Lipman et al. 2023; Wildberger et al. 2023).

    Arguments and result as `npe`. Draws and densities integrate an ordinary differential equation,
    so they cost some fifty evaluations of the network, and a density its Jacobian's trace.
    """
    return train_posterior(
        key,
        simulations,
        "FMPE",
        transport_loss,
        density,
        embedding,
        members,
        TRAINING | training,
    )
