"""Mahalanobis' distance among a cloud of vectors."""

import numpy as np


def whitening(vectors):
    """The mean (F,) and a matrix (F, F) that makes deviations of these vectors (N, F) white.

    Directions without scatter (sums that are constant) are left out, by a row of zeros: they would
    turn rounding into distance.
    """
    vectors = np.asarray(vectors, float)
    covariance = np.cov(vectors, rowvar=False).reshape(vectors.shape[1], vectors.shape[1])
    value, vector = np.linalg.eigh(covariance)
    kept = value > 1e-5 * max(value.max(), 1e-12)
    scale = np.where(kept, 1 / np.sqrt(np.where(kept, value, 1.0)), 0.0)
    return vectors.mean(0), (vector * scale).T
