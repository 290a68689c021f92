"""Activation: a function of each value, or softmax over all of them, as a layer of its own: where no Dense stands before it.

weights of the stage that stands apart: [code, alpha, beta] (functions.py).
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells import activation as usual
from streamrnn.cells.base import Layer, Rowwise, apart
from streamrnn.cells.general.functions import WITH_ALPHA, WITH_BETA, activate, coded, derivative, function_of
from streamrnn.cells.plumbing import COPY
from streamrnn.errors import ConfigError
from streamrnn.lanes import LANES, fma, get, load, store


@apart
def elementwise(shape, weights, x, y, old, new):
    code, alpha, beta = np.int64(get(weights, 0)), get(weights, 1), get(weights, 2)
    for u in range(0, shape[1], LANES):
        store(y, u, activate(code, alpha, beta, load(x, u)))
    usual.clear_padding(y, shape[1])


@apart
def elementwise_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    code, alpha, beta = np.int64(get(weights, 0)), get(weights, 1), get(weights, 2)
    for u in range(0, shape[1], LANES):
        store(d_x, u, fma(load(d_y, u), derivative(code, alpha, beta, load(x, u), load(y, u)), load(d_x, u)))


STAGE = Rowwise(elementwise, elementwise_grad, padded=True, apart=True)


@dataclass(frozen=True)
class Activation(Layer):
    """function "relu", "tanh", "sigmoid", "softmax", or another of cells/general/functions.py with its alpha and beta."""
    function: str
    alpha: float | None = None
    beta: float | None = None
    kind: ClassVar[str] = "activation"

    def __post_init__(self):
        if self.function == "softmax" and self.alpha is None and self.beta is None:
            return
        if self.beta is not None and self.alpha is None:
            raise ConfigError(f"Activation: function {self.function!r} has a beta and no alpha: give both")
        numbers = [n for n in (self.alpha, self.beta) if n is not None]
        name, alpha, beta = function_of((self.function, *numbers), "Activation: function")
        if name not in usual.BY_NAME:
            object.__setattr__(self, "alpha", alpha)
            object.__setattr__(self, "beta", beta)

    def __repr__(self):
        numbers = [f"{n:.6g}" for n, known in ((self.alpha, WITH_ALPHA), (self.beta, WITH_BETA)) if self.function in known]
        return f"Activation({', '.join([repr(self.function), *numbers])})"

    def outputs(self, inputs):
        return inputs

    def emit(self, plan, source, inputs):
        y = plan.work(inputs)
        if self.function in usual.BY_NAME:
            plan.rowwise(COPY, source, inputs, y, inputs)
            plan.rowwise(usual.BY_NAME[self.function], y, inputs, y, inputs)
        else:
            plan.rowwise(STAGE, source, inputs, y, inputs, weights=self.packed)
        return y

    def packed(self, tensors):
        return np.array(coded((self.function, self.alpha, self.beta)), np.float32)


STAGES, LAYERS = (STAGE,), (Activation,)
