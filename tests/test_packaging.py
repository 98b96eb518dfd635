"""What a user installs: the pins and the README's commands agree with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PINS = (ROOT / ".ci" / "constraints.txt").read_text().splitlines()
pytestmark = pytest.mark.smoke


def test_every_requirement_is_pinned():
    requirements = sum(EXTRAS.values(), PROJECT["dependencies"])
    wanted = {re.match(r"[\w.-]+", requirement)[0] for requirement in requirements} - {"jaxastro"}
    pinned = {pin.split("==")[0] for pin in PINS}
    assert wanted <= pinned, "pin again with the command in pyproject.toml"


def test_pins_name_packages_and_never_places():
    assert [pin for pin in PINS if not re.match(r"[\w.-]+==[\w.+]+( ; .+)?$", pin)] == []
    assert not [pin for pin in PINS if "/" in pin or "@" in pin]


@pytest.mark.parametrize("command", re.findall(r"pip install .*", (ROOT / "README.md").read_text()))
def test_readme_installs_extras_that_exist_with_the_pins(command):
    assert "-c .ci/constraints.txt" in command
    named = re.findall(r"\[([\w,]+)\]", command)
    assert set(",".join(named).split(",")) <= set(EXTRAS)
