"""Neural posterior score estimation: diffusion from noise to parameters."""

from ..nn import score_density
from .estimator import train_posterior
from .fmpe import TRAINING, transport_loss


def npse(
    key,
    simulations,
    *,
    embedding=None,
    density=score_density,
    members=None,
    **training,
):
    """Neural posterior score estimation (Geffner et al. 2023; Sharrock et al. 2024).

    Arguments and result as `npe`. The variance-preserving diffusion's probability-flow equation
    gives draws and densities; `estimator.network.density.score` is the score at any noise level.
    """
    return train_posterior(
        key,
        simulations,
        "NPSE",
        transport_loss,
        density,
        embedding,
        members,
        TRAINING | training,
    )
