"""Training on a GPU against training here: the tape bit for bit, gradients and an optimiser's step to rounding, fit as a whole.

Kernels run in CUDA's simulator, which wants a process of its own; where numba-cuda is not installed, there is nothing to run.
"""
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from training_cases import CASES, FIT, LENGTHS, model_of, model_to_fit, problem

from streamrnn import fit, load
from streamrnn.errors import ConfigError, MissingExtra, NoDevice
from streamrnn.training.optimisers import Adam
from streamrnn.training.passes import Passes, Window
from streamrnn.training.weights import Weights

HERE = Path(__file__).parent
CLOSE = 1e-5  # relative, of the largest
simulated = pytest.mark.skipif(find_spec("numba_cuda") is None, reason="numba-cuda is not installed")


def simulate(folder, *what):
    """Cases side by side, each in a process."""
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1", "NUMBA_DISABLE_JIT": "1",
                   "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    script = [sys.executable, "-W", "ignore", HERE / "training_script.py", folder]
    started = [subprocess.Popen([*script, case], env=environment, stderr=subprocess.PIPE, text=True) for case in what]
    for process in started:
        _, errors = process.communicate(timeout=1800)
        assert process.returncode == 0, errors[-3000:]


def close(a, b):
    return np.abs(a - b).max() <= CLOSE * max(np.abs(b).max(), 1e-6)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """{case: (what comes out here, what comes out there)}"""
    folder, here = tmp_path_factory.mktemp("cuda"), {}
    for name in CASES:
        model_of(name).save(folder / f"{name}.safetensors")
        model = load(folder / f"{name}.safetensors")
        objective, data, time = problem(name, model)
        weights = Weights(model)
        passes = Passes(weights, objective, data, len(data), time, 1, seed=6)
        window = Window(np.arange(len(data)), 0, time, True)
        losses, gradient = passes.gradient(window, 1)
        gradient, moments = gradient.copy(), [np.zeros(weights.size, np.float32) for _ in range(2)]
        size = weights.plan.work_size + weights.plan.stride
        rows = [tape.records[1:steps + 1, :len(shard.firsts), :size].copy() for shard, tape, _, steps in passes.replay(window, 1)]
        found = {"losses": losses, "gradient": gradient.copy(), "rows": np.concatenate(rows, axis=1),
                 "states": passes.states.copy(), "norm": passes.update(Adam(1e-2, clip=0.1), 1, 1e-2, gradient, moments)}
        here[name] = found | {"values": weights.values.copy(), "mean": moments[0], "square": moments[1]}
    simulate(folder, *CASES)
    return {name: (found, np.load(folder / f"{name}-there.npz")) for name, found in here.items()}


@simulated
@pytest.mark.parametrize("name", CASES)
class TestAWindow:
    def test_the_tape_is_the_same_bit_for_bit(self, both, name):
        here, there = both[name]
        assert (LENGTHS.max() > LENGTHS).any()  # slots that end go on from zeros
        np.testing.assert_array_equal(there["rows"], here["rows"])
        np.testing.assert_array_equal(there["states"], here["states"])
        np.testing.assert_allclose(there["losses"], here["losses"], rtol=1e-6)  # here they are added up by shards

    def test_the_gradient_is_the_same_to_rounding(self, both, name):
        here, there = both[name]
        assert np.abs(here["gradient"]).max() > 0
        assert close(there["gradient"], here["gradient"])

    def test_two_runs_are_equal_bit_for_bit(self, both, name):
        _, there = both[name]
        np.testing.assert_array_equal(there["gradient"], there["again"])

    def test_a_step_of_adam_is_the_same_to_rounding(self, both, name):
        here, there = both[name]
        assert close(there["norm"], here["norm"])
        size = np.abs(here["gradient"])
        felt = (size == 0) | (size > 1e-7 * size.max())  # that of attention's key biases is nothing but rounding, which Adam blows up
        for part in ("values", "mean", "square"):
            assert close(there[part][felt], here[part][felt]), part


@simulated
def test_weights_are_added_up_over_slices_of_the_tape(tmp_path):
    simulate(tmp_path, "slices")
    there = np.load(tmp_path / "slices-there.npz")
    assert there["count"] > 1
    assert there["errors"].max() < CLOSE


@simulated
def test_fit_goes_down_as_on_the_cpu(tmp_path):
    model_to_fit().save(tmp_path / "fit.safetensors")
    model = load(tmp_path / "fit.safetensors")
    history = fit(model, **FIT)
    simulate(tmp_path, "fit")
    there = np.load(tmp_path / "fit-there.npz")
    assert there["loss"][-1] < there["loss"][0]
    for name in ("loss", "validation", "norm"):
        np.testing.assert_allclose(there[name], getattr(history, name), rtol=1e-4)
    for name, tensor in model.tensors.items():
        np.testing.assert_allclose(there[f"tensor-{name}"], tensor, atol=1e-4)


def test_an_unknown_device_is_refused():
    with pytest.raises(ConfigError, match="device"):
        fit(model_to_fit(), **FIT, device="tpu")


def test_without_a_gpu_it_says_what_is_missing():
    from streamrnn.cuda import device

    if device.available():
        pytest.skip("there is a GPU")
    with pytest.raises((NoDevice, MissingExtra), match=r"device=\"cuda\" needs"):
        fit(model_to_fit(), **FIT, device="cuda")
