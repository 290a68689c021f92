"""A model gives the same bits in 16, 8 and 4 lanes: what Numba compiles for is set from outside, in processes of their own."""
import os
import subprocess
import sys
from pathlib import Path

import pytest
from llvmlite import binding

import streamrnn
from streamrnn.lanes import LANES

HOST = {name for name, present in binding.get_host_cpu_features().items() if present}
SSE = ["sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16"]
AVX2 = SSE + ["avx", "avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt"]
AVX512 = AVX2 + ["avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"]
WIDTHS = {16: AVX512, 8: AVX2, 4: SSE}  # without AVX there is no fma instruction: 4 lanes call libm's, slow and as exact


def result_of(settings):
    """(LANES, hash of all results) of a process of its own."""
    path = os.pathsep.join(filter(None, [str(Path(streamrnn.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-W", "error", Path(__file__).with_name("width_script.py")], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": path} | settings)
    assert done.returncode == 0, done.stderr
    lanes, key = done.stdout.split()
    return int(lanes), key


@pytest.fixture(scope="module")
def native():
    return result_of({})


def test_a_process_of_its_own_sees_the_width_of_this_one(native):
    assert native[0] == LANES


@pytest.mark.parametrize("lanes", WIDTHS)
def test_results_have_the_same_bits_in_every_width(lanes, native):
    missing = [name for name in WIDTHS[lanes] if name not in HOST]
    if missing:
        pytest.skip(f"this processor lacks {', '.join(missing)}: no {lanes} lanes by these settings")
    features = ",".join(f"+{name}" for name in WIDTHS[lanes])
    assert result_of({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": features}) == (lanes, native[1])


def test_results_have_the_same_bits_in_the_tile_shape_of_4_lanes_and_32_registers(native):
    """What NEON gets; elsewhere a generic processor of no named feature stands for it."""
    assert result_of({"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}) == (4, native[1])
