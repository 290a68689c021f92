"""Where no GPU can be used: nothing of CUDA is loaded unasked, who asks is told what is missing, and "auto" takes the CPU."""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.cuda import device
from streamrnn.errors import ConfigError, MissingExtra, NoDevice

without = pytest.mark.skipif(device.available(), reason="there is a GPU")
UNASKED = """
import sys
import numpy as np
import streamrnn as sr
model = sr.Model(2, [sr.LSTM(3), sr.Dense(1)])
sr.Engine(model).step_many(["a", "b"], np.zeros((2, 2), np.float32))
model.run(np.zeros((3, 2)))
sr.Detector.cold(2)
print([name for name in sys.modules if name.startswith(("numba.cuda.", "numba_cuda.", "cuda.", "streamrnn.cuda."))])
"""


@pytest.fixture
def model():
    return sr.Model(2, [sr.LSTM(3), sr.Dense(1)])


def test_nothing_of_cuda_is_loaded_unasked():
    path = os.pathsep.join(filter(None, [str(Path(sr.__file__).parents[1]), os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-W", "error", "-c", UNASKED], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


@without
def test_who_asks_is_told_what_is_missing(model):
    missing, words = (MissingExtra, r"streamrnn\[cuda\]") if find_spec("numba_cuda") is None else (NoDevice, "no GPU|driver")
    for ask in (lambda: sr.Engine(model, device="cuda"), lambda: model.run(np.zeros((3, 2)), device="cuda"),
                lambda: model.stream(device="cuda"),
                lambda: sr.fit(model, np.zeros((3, 2)), np.zeros((3, 1)), device="cuda", progress=False)):
        with pytest.raises(missing, match=words):
            ask()


@without
def test_auto_takes_the_cpu_and_says_why(model):
    engine = sr.Engine(model, capacity=100, device="auto")
    assert engine.device == "cpu" and "GPU" in repr(engine)


def test_a_device_that_is_none(model):
    with pytest.raises(ConfigError, match="device must be"):
        sr.Engine(model, device="tpu")


def test_what_only_a_gpu_has_is_refused_on_the_cpu(model):
    engine = sr.Engine(model)
    with pytest.raises(ConfigError, match="pipe"):
        engine.pipe(["a"])
    with pytest.raises(ConfigError, match="out"):
        engine.step_many(["a"], np.zeros((1, 2), np.float32), out=np.zeros((1, 1), np.float32))
