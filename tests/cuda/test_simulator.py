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
from streamrnn.cells import CELLS, MONITORS, dropout
from streamrnn.detect import plant
from streamrnn.streams.rows import Rows

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed (pip install \"streamrnn[cuda]\")")
SIMULATED = {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1"}
LIMIT = 900  # seconds, if threads should wait for each other


def environment():
    path = os.pathsep.join(filter(None, [str(Path(sr.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": path} | SIMULATED


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """(folder, an engine on the CPU that was never moved)"""
    folder = tmp_path_factory.mktemp("simulated")
    model = sr.Model(3, [sr.LSTM(6), sr.LayerNorm(), sr.GRU(4, reset_after=False), sr.Dense(2)], seed=5, init="torch")
    model.save(folder / "moving.safetensors")
    engine = sr.Engine(model)
    engine.step_many(["a", 7, "c"], scenarios.draw(model, 3))
    engine.snapshot(folder / "moving.db")
    return folder, engine


@pytest.fixture(scope="module")
def simulated(moved):
    """The folder where the simulator's results are."""
    folder, _ = moved
    for name, detector in fitted().items():
        detector.save(folder / f"{name}.safetensors")
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


def fitted():
    """Warm detectors: with a clock, a net and a memory; and one of a curve that no line forecasts."""
    values, times = plant.simulate(400, seed=1)
    curve = np.full(1500, 0.3)
    for t in range(2, len(curve)):
        curve[t] = 1 - 1.4 * curve[t - 1] ** 2 + 0.3 * curve[t - 2]
    return {"warm": sr.Detector.fit(values[:, [2, 4, 1]], times=times, layers=[sr.GRU(5)], memory=True, progress=False),
            "curved": sr.Detector.fit(curve.astype(np.float32), memory=False, progress=False)}


def same_bits(a, b):
    if a.dtype != np.float32:
        return np.array_equal(a, b)
    return a.shape == b.shape and bool(((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))).all())


@pytest.mark.parametrize("name", scenarios.SCENARIOS)
def test_the_same_bits_as_on_the_cpu(simulated, name):
    failed = simulated / f"{name}.txt"
    assert not failed.exists(), failed.read_text()
    with np.load(simulated / f"{name}.npz") as got, np.load(simulated / f"{name}_cpu.npz") as want:
        assert list(got) == list(want)
        for key in want:
            assert same_bits(got[key], want[key]), f"{key}\n{got[key]}\n{want[key]}"


def test_the_scenarios_hold_every_kind_of_stage(moved):
    """On the CPU, where it is quick: which stages are in the plans that they make. Dropout has one, which only training meets."""
    folder, _ = moved
    for name, detector in fitted().items():
        detector.save(folder / f"{name}.safetensors")
    seen = set()

    def noted(packed, *args, **options):
        seen.update(packed.plan.stages)
        return Rows(packed, *args, **options)

    for play in scenarios.SCENARIOS.values():
        play(scenarios.World(noted, folder))
    there = {stage for cell in (*CELLS, *MONITORS) for stage in cell.STAGES}
    assert there - seen == set(dropout.STAGES)


def test_streams_that_were_on_a_gpu_go_on_as_if_they_had_never_left(simulated, moved):
    folder, stayed = moved
    engine = sr.Engine.restore(folder / "moved_CudaRows.db", stayed.model)
    for x in scenarios.draw(stayed.model, 3, 2, seed=7).swapaxes(0, 1):
        stayed.step_many(["a", 7, "c"], np.ascontiguousarray(x))
    x = scenarios.draw(stayed.model, 3, seed=8)
    assert engine.step_many(["a", 7, "c"], x).tobytes() == stayed.step_many(["a", 7, "c"], x).tobytes()
    for id in ("a", 7, "c"):
        assert np.asarray(engine.state(id)).tobytes() == np.asarray(stayed.state(id)).tobytes()
