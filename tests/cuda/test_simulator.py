"""Streams on a GPU, in CUDA's simulator: the same results and rows as on the CPU, bit for bit.

The simulator runs kernels as plain Python and must be chosen before Numba is there, so it plays in processes of its own, as many as
there are cores (scenarios.py); this one plays the same scenarios on the CPU.
"""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import scenarios

import streamrnn as sr
from streamrnn.cells import CELLS, GENERAL, MONITORS, dropout
from streamrnn.streams.rows import Rows

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed (pip install \"streamrnn[cuda]\")")
SIMULATED = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
LIMIT = 900  # seconds, if threads should wait for each other


def environment():
    path = os.pathsep.join(filter(None, [str(Path(sr.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path} | SIMULATED


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    scenarios.prepare(folder)
    return folder


@pytest.fixture(scope="module")
def simulated(prepared):
    """The folder where the simulator's results are, and the CPU's."""
    folder = prepared
    command = [sys.executable, "-W", "error", Path(scenarios.__file__), folder]
    players = [subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)
               for _ in range(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)]
    try:
        for name, play in scenarios.SCENARIOS.items():
            scenarios.save(folder / f"{name}_cpu", play(scenarios.World(Rows, folder)))
        for player in players:
            _, said = player.communicate(timeout=LIMIT)
            assert player.returncode == 0, said
    finally:
        for player in players:
            player.kill()
            player.communicate()
    return folder


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_the_same_bits_as_on_the_cpu(simulated, name):
    failed = simulated / f"{name}.txt"
    assert not failed.exists(), failed.read_text()
    with np.load(simulated / f"{name}.npz") as got, np.load(simulated / f"{name}_cpu.npz") as want:
        assert list(got) == list(want)
        for key in want:
            assert scenarios.same_bits(got[key], want[key]), f"{key}\n{got[key]}\n{want[key]}"


def test_the_scenarios_hold_every_kind_of_stage(prepared):
    """On the CPU, where it is quick: which stages are in the plans that they make. Dropout has one, which only training meets."""
    seen = set()

    def noted(packed, *args, **options):
        seen.update(packed.plan.stages)
        return Rows(packed, *args, **options)

    for play in scenarios.SCENARIOS.values():
        play(scenarios.World(noted, prepared))
    there = {stage for cell in (*CELLS, *GENERAL, *MONITORS) for stage in cell.STAGES}
    assert there - seen == set(dropout.STAGES)


def test_streams_that_were_on_a_gpu_go_on_as_if_they_had_never_left(simulated):
    model, ids = sr.load(simulated / "moving.safetensors"), ["a", 7, "c"]
    stayed, came = sr.Engine.restore(simulated / "moving.db", model), sr.Engine.restore(simulated / "moved_CudaRows.db", model)
    for x in scenarios.draw(model, 3, 2, seed=7).swapaxes(0, 1):
        stayed.step_many(ids, np.ascontiguousarray(x))
    x = scenarios.draw(model, 3, seed=8)
    assert came.step_many(ids, x).tobytes() == stayed.step_many(ids, x).tobytes()
    for id in ids:
        assert np.asarray(came.state(id)).tobytes() == np.asarray(stayed.state(id)).tobytes()
