"""What the argument `progress` of long work asks for."""

import sys
import time

#: Lines follow each other no faster than this [s].
PAUSE = 0.2


def reporter(progress, line):
    """A function `report(*facts, last=False)` that tells how the work goes.

    Args:
        progress: None or False for silence, True for a line on standard error that is written over
            and over, or a function, called with the facts.
        line: makes one line of text of the facts.

    >>> report = reporter(lambda done, n: print(done, "of", n), "{} of {}".format)
    >>> report(1, 2)
    1 of 2
    """
    if progress is None or progress is False:
        return lambda *facts, last=False: None
    if progress is not True:
        return lambda *facts, last=False: progress(*facts)
    shown = [float("-inf")]

    def report(*facts, last=False):
        now = time.monotonic()
        if last or now - shown[0] >= PAUSE:
            shown[0] = now
            print(f"\r{line(*facts)} ", end="\n" if last else "", file=sys.stderr, flush=True)

    return report
