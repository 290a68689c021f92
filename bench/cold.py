"""From nothing: compiling everything into an empty cache, then starts that find it full, each in a process of its own."""
import os
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from bench.harness import unpinned
from bench.result import Result

FIRST_STEP = """
from time import perf_counter
start = perf_counter()
import numpy as np
import streamrnn as sr
stream = sr.Model(8, [sr.LSTM(32), sr.Dense(1)], seed=0).stream()
stream.step(np.zeros(8, np.float32))
print(perf_counter() - start)
"""


def run(options):
    result, again = Result("cold"), 3 if options.quick else 7
    with unpinned(), TemporaryDirectory(prefix="streamrnn") as folder:
        _add(result, "compile everything into an empty cache", "streamrnn warmup", [_process(folder, "-m", "streamrnn", "warmup")[0]], 60)
        starts = [_process(folder, "-c", FIRST_STEP) for _ in range(again)]
        _add(result, "import to first step, cache full", "LSTM 32, Dense 1", [float(printed) for _, printed in starts], 1.5)
        _add(result, "import to first step, cache full", "the whole process", [wall for wall, _ in starts])
        helps = [_process(folder, "-m", "streamrnn", "--help")[0] for _ in range(again)]
        _add(result, "streamrnn --help", "the whole process", helps)
    return result


def _process(cache, *arguments):
    """Seconds and what it printed."""
    start = perf_counter()
    done = subprocess.run([sys.executable, *arguments], env={**os.environ, "STREAMRNN_CACHE_DIR": cache},
                          capture_output=True, text=True, check=True)
    return perf_counter() - start, done.stdout


def _add(result, headline, case, seconds, asked=None):
    seconds = np.array(seconds)
    result.add(headline, case, float(np.median(seconds)), "s", ("<=", asked) if asked else None, {"wall": seconds * 1e9})
