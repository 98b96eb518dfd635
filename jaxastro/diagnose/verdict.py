"""What a test says: a statistic among its values where all is well."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Verdict:
    """A statistic, the values that it takes if the hypothesis holds, and a p-value.

    `name` says what was measured, `passes` and `fails` what it means. `null` are simulated or
    permuted values (B,) of the statistic; p-values count them, and are exact for any B.
    """

    name: str
    statistic: float
    null: np.ndarray
    p_value: float
    false_alarm: float
    passes: str
    fails: str

    @property
    def ok(self):
        """Whether nothing is wrong at the stated false-alarm rate."""
        return self.p_value >= self.false_alarm

    def __bool__(self):
        return self.ok

    def __str__(self):
        verdict = self.passes if self.ok else self.fails
        return (
            f"{verdict} at a false-alarm rate of {self.false_alarm}: {self.name} "
            f"{self.statistic:.4g}, p={self.p_value:.3g}"
        )


def exceedance(statistic, null):
    """The part of null values, the statistic counted with them, that are no smaller."""
    return float((1 + np.sum(null >= statistic)) / (1 + len(null)))


def check_resolved(false_alarm, n, argument):
    """ValueError where n null values cannot make a p-value as small as the false-alarm rate."""
    if not 0 < false_alarm < 1:
        raise ValueError(f"false_alarm={false_alarm}; give a number between 0 and 1.")
    # Not 1/(n+1) < false_alarm: at equality the test still rejects only what it ought to.
    if false_alarm * (n + 1) <= 1:
        raise ValueError(
            f"false_alarm={false_alarm} cannot be resolved with {argument}={n}; give at least "
            f"{int(np.floor(1 / false_alarm))}."
        )
