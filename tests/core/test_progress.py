"""The line that long work writes, and the function that it calls instead."""

import pytest

from jaxastro.core import progress
from jaxastro.core.progress import reporter


@pytest.mark.parametrize("silent", [None, False])
def test_silence(silent, capfd):
    reporter(silent, "{}".format)(1, last=True)
    assert capfd.readouterr() == ("", "")


def test_one_line_is_written_over(capfd, monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    report = reporter(True, "{} of {}".format)
    report(1, 2)
    report(2, 2, last=True)
    assert capfd.readouterr() == ("", "\r1 of 2 \r2 of 2 \n")


def test_lines_in_haste_are_left_out_but_not_the_last(capfd, monkeypatch):
    monkeypatch.setattr(progress, "PAUSE", 3600.0)
    report = reporter(True, str)
    for step in range(5):
        report(step, last=step == 4)
    assert capfd.readouterr().err == "\r0 \r4 \n"


def test_a_function_gets_every_fact(capfd):
    seen = []
    report = reporter(lambda *facts: seen.append(facts), "never {}".format)
    for step in range(3):
        report(step, 3, last=step == 2)
    assert seen == [(0, 3), (1, 3), (2, 3)]
    assert capfd.readouterr().err == ""
