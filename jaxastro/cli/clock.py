"""What a job says of its progress."""

import sys
import time


class Clock:
    """Says what was done, with the seconds since the start of the process's work."""

    def __init__(self):
        self.began = time.monotonic()

    def say(self, what):
        print(f"[{time.monotonic() - self.began:6.1f} s] {what}", file=sys.stderr, flush=True)
