"""The limit: a step written by hand in C with AVX-512, given as a path to its source, compiled and run beside ours."""
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from streamrnn.jit import FEATURES

MEDIAN, MODE, ERROR = 5, 6, 8  # fields of a line of its output


class Limit:
    """`reason` says why there is none; else `candidate` runs one case of it."""

    def __init__(self, path):
        self.reason = self._why_not(path) or self._compile(Path(path))

    def _why_not(self, path):
        if not path:
            return "no path to its source was given (--limit or STREAMRNN_LIMIT)"
        if not Path(path).is_file():
            return f"{path} is no file"
        if shutil.which("gcc") is None:
            return "no gcc here"
        return None if "avx512f" in FEATURES else "it needs AVX-512"

    def _compile(self, source):
        self._folder = TemporaryDirectory(prefix="limit")
        self._binary = Path(self._folder.name) / "limit"
        done = subprocess.run(["gcc", "-O3", "-march=native", str(source), "-o", str(self._binary), "-lm"],
                              capture_output=True, text=True)
        return f"gcc failed: {done.stderr.strip()[:200]}" if done.returncode else None

    def candidate(self, cell, inputs, units, steps, reps=3):
        """ns per step of the strict chain; the program checks itself against float64 in each run."""
        def run():
            arguments = [str(self._binary), cell, str(inputs), str(units), str(steps), "chain", str(reps)]
            printed = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
            fields = next(line for line in printed.splitlines() if line.startswith("limit-c,")).split(",")
            if fields[MODE] != "chain" or float(fields[ERROR]) > 1e-4:
                raise RuntimeError(f"the limit's own check failed: {','.join(fields)}")
            return float(fields[MEDIAN])
        return run
