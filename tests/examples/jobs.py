"""The jobs in examples/jobs: their functions, and the scripts as a user runs them."""
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import streamrnn as sr

JOBS = Path(sr.__file__).parents[1] / "examples" / "jobs"


def job(name):
    """The names that a job defines; its main is not run."""
    return SimpleNamespace(**run_path(str(JOBS / f"{name}.py")))


def script(name, *arguments):
    """What it prints; a warning is an error."""
    environment = {**os.environ, "PYTHONPATH": str(JOBS.parents[1]), "MPLBACKEND": "Agg"}
    return subprocess.run([sys.executable, "-W", "error", JOBS / f"{name}.py", *map(str, arguments)], check=True,
                          capture_output=True, text=True, env=environment, timeout=300).stdout
