"""The plain recurrent cell: h' = tanh(W x + U h + b), or relu."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Gated, Recurrent
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import larger, where_positive
from streamrnn.maths import ONE, tanh

ZERO = np.float32(0)


@inline
def relu(a):
    return larger(a, ZERO)


@inline
def tanh_grad(h, d_h):
    return d_h * (ONE - h * h)


@inline
def relu_grad(h, d_h):
    return where_positive(h, d_h)


UNITS = {"tanh": (tanh, tanh_grad), "relu": (relu, relu_grad)}
BY_ACTIVATION = {name: Gated(unit, grad, sums=1, input_gates=(0,), hidden_gates=(0,), reads=0, writes=1)
                 for name, (unit, grad) in UNITS.items()}


@dataclass(frozen=True)
class RNN(Recurrent):
    """Elman's recurrent layer, as torch.nn.RNN computes it; activation "tanh" or "relu"."""
    activation: str = "tanh"
    kind: ClassVar[str] = "rnn"
    gates: ClassVar[int] = 1

    def __post_init__(self):
        super().__post_init__()
        if self.activation not in tuple(UNITS):
            raise ConfigError(f"RNN: activation must be one of {', '.join(UNITS)}, got {self.activation!r}")

    def emit(self, plan, source, inputs):
        h = plan.state("h", self.units)
        plan.gated(BY_ACTIVATION[self.activation], self, source, inputs, hidden=h, reads=[], writes=[h], weights=self.weights)
        return h


STAGES, LAYERS = tuple(BY_ACTIVATION.values()), (RNN,)
