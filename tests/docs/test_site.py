"""The site builds without a warning, and its reference has every public name and every command."""
import os
import re
import subprocess
import sys

import pages
import pytest

import streamrnn as sr
from streamrnn.cli import COMMANDS

REFERENCE = "\n".join(path.read_text(encoding="utf-8") for path in (pages.ROOT / "docs" / "reference").glob("*.md"))


def test_every_public_name_is_in_the_reference():
    named = set(re.findall(r"^\.\. auto\w+:: streamrnn\.(\w+)$", REFERENCE, re.M))
    assert named == {*sr.__all__} - {"__version__"}


def test_every_command_is_in_the_reference():
    assert re.findall(r"^```\{command\} (\w+)$", REFERENCE, re.M) == list(COMMANDS)


@pytest.mark.parametrize("name", sr.__all__)
def test_public_names_say_what_they_are(name):
    own = getattr(getattr(sr, name), "__doc__", None)
    assert own and len(own.split()) > 2, f"{name} has no docstring of its own"


def test_the_site_builds_without_a_warning(tmp_path):
    for package in ("sphinx", "myst_parser", "furo"):
        pytest.importorskip(package)
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"PYTHONPATH": str(pages.ROOT)}
    done = subprocess.run([sys.executable, "-m", "sphinx", "--quiet", "--nitpicky", "--fail-on-warning", "--keep-going", "-d",
                           str(tmp_path / "trees"), "-b", "html", str(pages.ROOT / "docs"), str(tmp_path / "site")],
                          capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    site = (tmp_path / "site" / "reference" / "training.html").read_text(encoding="utf-8")
    assert "a training that finds it goes on bit for bit" in site
    assert "usage: streamrnn train" in (tmp_path / "site" / "reference" / "commands.html").read_text(encoding="utf-8")
