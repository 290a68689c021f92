"""Weights in training: a model's tensors as one float32 arena, and which tensor each number of it belongs to.

Gradients and the optimiser's moments are arenas of the same shape. Some of an arena is padding or constant: it belongs to
no tensor, has no gradient and never changes. Two tensors that only ever appear as a sum (an LSTM's two biases) are one
parameter: the first of them holds it, the second becomes zero.
"""
import numpy as np

from streamrnn.errors import ConfigError
from streamrnn.kernels import frame
from streamrnn.plan import aligned

DIGIT = 1 << 22  # numbers that float32 tells apart with ease


class Weights:
    def __init__(self, model):
        self.model, (self.plan, _) = model, model.plan(training=True)
        layers = {name: layer for name, layer, _ in model.stacks()}
        for layer, stage in zip(self.plan.stage_layers, self.plan.stages, strict=True):
            if stage.grad is None:
                raise ConfigError(f"{layer} cannot be trained: a {type(layers[layer]).__name__} has no derivative here")
        packed = self.plan.assemble(model.tensors)
        self.program = packed.program
        stages = self.program[frame.HEADER:].reshape(-1, frame.COLUMNS)
        self.size = packed.arena.size
        self._with_zero = aligned(self.size + 1)       # the last one stays 0: the padding of `back` comes from there
        self.values = self._with_zero[:-1]
        self.values[:] = packed.arena
        self.program[frame.ARENA] = self.values.ctypes.data
        self.back = aligned(self.plan.back_size)
        self._way_back = self.plan.way_back(stages[:, frame.WEIGHTS], nowhere=self.size)
        self.homes = find_homes(self.plan, {name: tensor.shape for name, tensor in model.tensors.items()})
        self.learnt = np.zeros(self.size, np.float32)  # 1 where training may change a number, 0 in padding and constants
        for name, (home, _) in self.homes.items():
            layer, _, tensor = name.rpartition(".")
            self.learnt[home] = tensor not in layers[layer].constants
        self.refresh()

    def refresh(self):
        """Pack the weights the other way again, after they changed."""
        np.take(self._with_zero, self._way_back, out=self.back, mode="clip")  # "clip" writes without a buffer

    def tensors(self, values=None):
        """An arena's values by canonical name."""
        values = self.values if values is None else values
        return {name: np.where(own, values[home], np.float32(0)) for name, (home, own) in self.homes.items()}

    def gradients(self, arena):
        """An arena of gradients by canonical name: tensors that share a number share its gradient."""
        return {name: arena[home] for name, (home, _) in self.homes.items()}


def find_homes(plan, shapes, packer=None):
    """{tensor: (its places in an arena, are they its own?)}: found by packing numbers instead of values."""
    zeros = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    empty, homes = plan.fill(zeros, packer)[0], {}
    taken = np.zeros(empty.size, bool)
    for name, shape in shapes.items():
        numbers, found = np.arange(1, int(np.prod(shape)) + 1).reshape(shape), np.zeros(empty.size, np.int64)
        for digit in (0, 1):
            part = (numbers // DIGIT ** digit % DIGIT).astype(np.float32)
            found += np.rint(plan.fill({**zeros, name: part}, packer)[0] - empty).astype(np.int64) * DIGIT ** digit
        place = np.flatnonzero(found)
        home = np.empty(numbers.size, np.int64)
        home[found[place] - 1] = place
        homes[name] = home.reshape(shape), ~taken[home].reshape(shape)
        taken[home] = True
    return homes
