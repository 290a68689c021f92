"""What trains on a GPU, in CUDA's simulator: reads what the CPU made of some models from a folder, writes what comes out here.

python training_script.py FOLDER (gradients | fit), with NUMBA_ENABLE_CUDASIM=1 NUMBA_DISABLE_JIT=1
"""
import sys
from pathlib import Path

import numpy as np
from training_cases import CASES, FIT, problem

from streamrnn import Model, fit, load
from streamrnn.cuda import device, tape
from streamrnn.cuda.passes import CudaPasses
from streamrnn.training.optimisers import Adam
from streamrnn.training.passes import Window
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
    again = passes.gradient(window, 1)[0], passes.device_weights.gradients()
    moments = [np.zeros(weights.size, np.float32) for _ in range(2)]
    passes.send(moments)
    norm = passes.update(Adam(1e-2, clip=0.1), 1, 1e-2, gradient, moments)
    passes.bring(moments)
    np.savez(folder / f"{name}-there.npz", losses=losses, gradient=first, rows=rows[1:], again=again[1], norm=norm,
             values=weights.values, mean=moments[0], square=moments[1], states=passes.states)


def fitted(folder):
    model = Model.from_config(load(folder / "fit.safetensors").config(), tensors=dict(load(folder / "fit.safetensors").tensors))
    history = fit(model, **FIT, device="cuda", checkpoint=folder / "there.checkpoint")
    np.savez(folder / "fit-there.npz", loss=history.loss, validation=history.validation, norm=history.norm,
             **{f"tensor-{name}": tensor for name, tensor in model.tensors.items()})


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if sys.argv[2] == "fit":
        fitted(folder)
    else:
        for name in CASES:
            gradients(folder, name)
