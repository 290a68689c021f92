"""Run examples/jobs as a user does."""
import os
import subprocess
import sys
from pathlib import Path

import streamrnn as sr

JOBS = Path(sr.__file__).parents[1] / "examples" / "jobs"


def script(name, *arguments):
    """What `python examples/jobs/NAME.py ...` prints; a warning is an error."""
    environment = {**os.environ, "PYTHONPATH": str(JOBS.parents[1])}
    return subprocess.run([sys.executable, "-W", "error", JOBS / f"{name}.py", *map(str, arguments)], check=True,
                          capture_output=True, text=True, env=environment, encoding="utf-8").stdout
