"""Is the C file right? It is compiled here and run beside the model over random samples."""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streamrnn import jit
from streamrnn.errors import ConfigError, MissingExtra
from streamrnn.interop import probes

STRICT = ("-O2", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic")
FUSED = ("-mfma",) if "fma" in jit.FEATURES else ("-DCAPS_FMA(a,b,c)=__builtin_fmaf(a,b,c)", "-lm")
"""What an x86 with a fused multiply-add needs to be told; others have it without a word, or by a slow function."""
ROUNDED = ("-DCAPS_FMA(a,b,c)=((a)*(b)+(c))",)


class Parity(NamedTuple):
    """How the program's results compare with the model's."""
    results: int
    differing: int    # in any bit
    largest: float
    peak: float       # the largest result, to compare with


def compiler():
    """The command of a C compiler, from $CC or the usual names; None where there is none."""
    return next((found for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and (found := shutil.which(name))), None)


def parity(model, program, samples=1000, fused=True, seed=0):
    """Compile, step random samples, compare: with a fused multiply-add, or with products rounded first."""
    x = probes.samples(model, samples, seed)
    theirs, ours = run(program, x, FUSED if fused else ROUNDED), model.run(x)
    error = np.abs(theirs.astype(np.float64) - ours)
    return Parity(ours.size, int((theirs != ours).sum()), float(error.max()), float(np.abs(ours).max()))


def run(program, x, flags=()):
    """x (T, inputs) through the compiled program: (T, outputs)."""
    with tempfile.TemporaryDirectory() as folder:
        made = build(program, folder, ("-DCAPS_MAIN", *flags))
        told = "\n".join(" ".join(f"{v:.9g}" for v in row) for row in x)
        done = subprocess.run([made], input=told, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{program.name}.c, compiled here, ended with status {done.returncode}: {done.stderr.strip()}")
    return np.array([line.split() for line in done.stdout.splitlines()], np.float32)


def build(program, folder, flags, strict=STRICT):
    """Compile it; CAPS_ in the flags stands for its prefix."""
    command = compiler()
    if command is None:
        raise MissingExtra("checking a C file needs a C compiler, and none of $CC, cc, gcc and clang is there: apt install gcc")
    source, made = Path(folder, program.name + ".c"), Path(folder, program.name)
    source.write_text(program.text)
    flags = [flag.replace("CAPS", program.name.upper()) for flag in flags]
    done = subprocess.run([command, *strict, source, "-o", made, *flags], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{program.name}.c does not compile with {command}: {done.stderr.strip()}")
    return made
