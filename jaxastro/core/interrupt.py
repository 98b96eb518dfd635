"""Stopping long work at a safe point."""

import contextlib
import signal
import threading


class Interrupted(KeyboardInterrupt):
    """Long work was stopped by Ctrl-C or SIGTERM after its state was saved (if it was to be)."""


@contextlib.contextmanager
def stop_requests():
    """Turn the first SIGINT or SIGTERM into a flag: yields `requested() -> signal name | None`.

    A second signal acts as usual, so that a stuck program can be stopped. Outside the main
    thread, where Python allows no handlers, the flag never rises.
    """
    received = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    names = [signal.SIGINT, signal.SIGTERM]
    # A handler set outside Python reads as None and could not be put back: leave that signal be.
    previous = {s: h for s in names if (h := signal.getsignal(s)) is not None}

    def handle(number, frame):
        received.append(signal.Signals(number).name)
        for s, h in previous.items():
            signal.signal(s, h)

    for s in previous:
        signal.signal(s, handle)
    try:
        yield lambda: received[0] if received else None
    finally:
        for s, h in previous.items():
            signal.signal(s, h)
