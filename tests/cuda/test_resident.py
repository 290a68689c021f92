"""The resident kernel in CUDA's simulator, all blocks at once (together.py): its bits are the CPU's, and it ends when it should."""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import streamrnn

pytestmark = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
SCRIPT = Path(__file__).parent / "resident_script.py"
STEPS = 8


def models():
    from streamrnn import GRU, LSTM, RNN, Dense, Detector, LayerNorm, Model, Scale

    return {
        "lstm": Model(3, [LSTM(20), LSTM(20)]),
        "gru": Model(18, [GRU(20), Dense(2)]),
        "rnn": Model(3, [RNN(17), LayerNorm(), Dense(20, "softmax")]),
        "mix": Model(3, [Scale(), LSTM(9), Dense(12, "relu"), GRU(18, reset_after=False)],  # every way that values go between blocks
                     heads={"a": Dense(2), "b": [Dense(10, "tanh"), Dense(1)]}),
        "detector": Detector.cold(2).model,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Models, samples, and what the CPU makes of them: results, and the state after each."""
    folder, rng = tmp_path_factory.mktemp("resident"), np.random.default_rng(20)
    for name, model in models().items():
        model.save(folder / f"{name}.safetensors")
        x = rng.standard_normal((STEPS, model.inputs)).astype(np.float32)
        if name == "detector":
            x[:, -2], x[:, -1], x[3, 0] = 1000 + 60 * np.arange(STEPS), 0, np.nan
        stream, y, rows = model.stream(), [], []
        for sample in x:
            y.append(stream.step(sample))
            rows.append(np.asarray(stream.state()))
        np.savez(folder / f"{name}.npz", x=x, y=y, rows=rows)
    return folder


def simulate(folder, *cases):
    paths = [str(Path(streamrnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-W", "ignore::RuntimeWarning", str(SCRIPT), str(folder), *cases],
                          env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [f"{case} ok" for case in cases]


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "mix", "detector"])
def test_steps_and_states_are_those_of_the_cpu(folder, name):
    simulate(folder, *(f"{name}:{blocks}" for blocks in ((1, 2) if name == "detector" else (1, 2, 3))))


@pytest.mark.parametrize("case", [
    "idle", "term", "refused", "silent", "round_again", "by_the_door", "launched", "threads", "broken", "through_l2",
])
def test_the_talk(folder, case):
    simulate(folder, case)
