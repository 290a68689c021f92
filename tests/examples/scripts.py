"""The scripts in examples/: what they define, what they print, and whether a stream of their model says what model.run says."""
import os
import subprocess
import sys
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import numpy as np

import streamrnn as sr

EXAMPLES = Path(sr.__file__).parents[1] / "examples"


def example(name):
    """The names that an example defines, such as "adding" or "jobs/text"; its main is not run."""
    return SimpleNamespace(**run_path(str(EXAMPLES / f"{name}.py")))


def printed(name, *arguments):
    """What the script prints, as a user runs it; a warning ends it."""
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent), "MPLBACKEND": "Agg"}
    return subprocess.run([sys.executable, "-W", "error", EXAMPLES / f"{name}.py", *map(str, arguments)], check=True,
                          capture_output=True, text=True, encoding="utf-8", env=environment, timeout=300).stdout


def stream_is_the_model(model, x):
    """Are the results of a stream, step by step, those of model.run, bit for bit?"""
    stream = model.stream()
    stepped = np.array([stream.step(x_t) for x_t in x])
    return np.array_equal(stepped.view(np.int32), model.run(x).view(np.int32))
