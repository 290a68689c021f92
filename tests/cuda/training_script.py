"""What trains on a GPU, in CUDA's simulator: reads what the CPU made of some models from a folder, writes what comes out here.

python training_script.py FOLDER (a case's name | slices | fit), with NUMBA_ENABLE_CUDASIM=1 NUMBA_DISABLE_JIT=1
"""
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from training_cases import FIT, problem

from streamrnn import GRU, Model, fit, load
from streamrnn.cuda import device, tape, weigh
from streamrnn.cuda.passes import CudaPasses
from streamrnn.training.objective import Objective
from streamrnn.training.optimisers import Adam
from streamrnn.training.passes import Window
from streamrnn.training.tape import record_size
from streamrnn.training.weights import Weights


def gradients(folder, name):
    model = load(folder / f"{name}.safetensors")
    objective, data, time = problem(name, model)
    weights = Weights(model)
    passes, window = CudaPasses(weights, objective, data, len(data), time, 1, seed=6), Window(np.arange(len(data)), 0, time, True)
    losses, gradient = passes.gradient(window, 1)
    first = passes.device_weights.gradients()
    records = device.download(passes._arrays[tape.RECORDS]).reshape(time + 1, len(data), -1)
    rows = records[:, :, :weights.plan.work_size + weights.plan.stride]
    passes.bring()
    states = passes.states.copy()
    again = passes.gradient(window, 1)[0], passes.device_weights.gradients()
    moments = [np.zeros(weights.size, np.float32) for _ in range(2)]
    passes.send(moments)
    norm = passes.update(Adam(1e-2, clip=0.1), 1, 1e-2, gradient, moments)
    passes.bring(moments)
    np.savez(folder / f"{name}-there.npz", losses=losses, gradient=first, rows=rows[1:], again=again[1], norm=norm,
             values=weights.values, mean=moments[0], square=moments[1], states=states)


def slices(folder):
    """The weights' gradient over a tape of random numbers, long enough that it is shared out; what it should be."""
    model, slots, time, rng = Model(3, [GRU(5)], seed=1), 8, 24, np.random.default_rng(0)
    objective, weights = Objective(model, "mse"), Weights(model)
    x = rng.standard_normal((slots, time, 3)).astype(np.float32)
    passes = CudaPasses(weights, objective, objective.sequences(x, x[:, :, :1].repeat(5, 2), None, model), slots, time, 1)
    records = rng.standard_normal((time + 1, slots, record_size(weights.plan))).astype(np.float32)
    samples = rng.standard_normal((time, slots, 16)).astype(np.float32)
    for place, values in ((tape.RECORDS, records), (tape.SAMPLES, samples)):
        passes._arrays[place].copy_to_device(values.ravel())
    (number, (parts, blocks, count)), = passes._parts.items()
    passes._weigh[weights.plan.stages[number]][blocks, weigh.WORKERS](
        device.address(passes._desk), number, slots, slots * time, device.address(parts), count)
    passes._add_up[passes._table_blocks, weigh.THREADS](device.address(passes._table))
    d_sums = records[1:, :, 16:].reshape(slots * time, -1)[:, :64].reshape(-1, 4, 16)[:, :, :5].astype(np.float64)  # n r z, hidden n
    fed = {"weight_ih_l0": (samples[:, :, :3], (1, 2, 0)), "weight_hh_l0": (records[:-1, :, :5], (1, 2, 3)),
           "bias_ih_l0": (np.ones((time, slots, 1)), (1, 2, 0))}
    want = {name: np.concatenate([d_sums[:, gate].T @ source.reshape(slots * time, -1) for gate in gates])
            for name, (source, gates) in fed.items()}
    found = weights.gradients(passes.device_weights.gradients())
    errors = [np.abs(found[f"layers.0.{name}"].reshape(value.shape) - value).max() / np.abs(value).max() for name, value in want.items()]
    np.savez(folder / "slices-there.npz", count=count, errors=errors)


def fitted(folder):
    model = load(folder / "fit.safetensors")
    sys.modules["streamrnn.training.fit"].flow_through = lambda *args: SimpleNamespace(warnings=[])  # a look by the CPU's kernels
    history = fit(model, **FIT, device="cuda", checkpoint=folder / "there.checkpoint")
    np.savez(folder / "fit-there.npz", loss=history.loss, validation=history.validation, norm=history.norm,
             **{f"tensor-{name}": tensor for name, tensor in model.tensors.items()})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if sys.argv[2] == "fit":
        fitted(folder)
    elif sys.argv[2] == "slices":
        slices(folder)
    else:
        gradients(folder, sys.argv[2])
