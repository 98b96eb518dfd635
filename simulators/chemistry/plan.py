"""How a sparse matrix is factorised, planned on the host from its pattern alone."""

import numpy as np

#: The rest of the matrix is treated as dense once this part of it is filled: early, as rounds
#: cost time to compile, but for a rest of few species.
DENSE, DENSE_FEW, FEW = 0.9, 0.97, 40
#: A round takes pivots of a Markowitz count up to SLACK times the least plus SPREAD.
SLACK, SPREAD = 12.0, 300.0


def elimination_rounds(pattern: np.ndarray) -> tuple[list[list[int]], list[int], np.ndarray]:
    """Rounds of pivots that do not touch each other, the rest, and the pattern with its fill.

    Markowitz's count, (r - 1)(c - 1) for the r and c entries of a pivot's row and column, says how
    much fill a pivot may make. A round takes many pivots of about the least count at once, so that
    a network of hundreds of species needs some ten rounds and not hundreds of dependent steps.
    Species that react with nearly everything (electrons, H2, H, H3+, CO) come last.
    """
    pattern = pattern.copy()
    left = np.ones(len(pattern), bool)
    rounds = []
    while left.any():
        alive = np.flatnonzero(left)
        part = pattern[np.ix_(alive, alive)]
        if part.mean() > (DENSE if len(alive) > FEW else DENSE_FEW):
            break
        count = (part.sum(1) - 1) * (part.sum(0) - 1)
        touched = np.zeros(len(alive), bool)
        chosen = []
        for i in np.argsort(count, kind="stable"):
            if count[i] > SLACK * count.min() + SPREAD:
                break
            if not touched[i]:
                chosen.append(int(alive[i]))
                touched |= part[i] | part[:, i]
        left[chosen] = False
        for k in chosen:
            pattern[np.ix_(pattern[:, k] & left, pattern[k] & left)] = True
        rounds.append(chosen)
    return rounds, [int(i) for i in np.flatnonzero(left)], pattern
