"""Is an observation one that the model makes?"""

import jax
import numpy as np

from ..core.distance import whitening
from .verdict import Verdict, check_resolved, exceedance


def misspecification_test(estimator, simulations, observation, *, false_alarm=1e-3):
    """Mahalanobis distance of the observation among simulated ones, where the network sees them.

    On the estimator's description of the data: its embedding, beside the data themselves (or, for
    large arrays, their moments), to which the embedding may be blind. Mean and covariance are
    those of all together; an observation of the model is one more of them, so that the
    false-alarm rate is exact. For several observations at once give `mmd_test` their
    descriptions.

    Args:
        estimator: has `describe(observations)`, as what `npe` and `nre` return.
        simulations: pairs that it was NOT trained on, at least 1 / false_alarm.
        observation: as simulated.
    """
    check_resolved(false_alarm, len(simulations), "len(simulations)")
    one = jax.tree.map(lambda a: np.asarray(a)[None], observation)
    vectors = np.concatenate(
        [estimator.describe(simulations.observations), estimator.describe(one)]
    )
    mean, whiten = whitening(vectors)
    distance = np.linalg.norm((vectors - mean) @ whiten.T, axis=1)
    return Verdict(
        "distance of the observation",
        float(distance[-1]),
        distance[:-1],
        exceedance(distance[-1], distance[:-1]),
        false_alarm,
        passes="like the simulations",
        fails="NOT like the simulations (the model may be misspecified)",
    )
