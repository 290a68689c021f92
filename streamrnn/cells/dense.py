"""Dense: y = W x + b, then an activation. Few outputs are dot products, many are a tile like any cell's.

The order of the sums belongs to the layer's size, so it is the same however a stream is run: with at most NARROW
outputs, 16 partial sums over the inputs, folded in halves; with more, bias and then the inputs in order.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells import activation as activations
from streamrnn.cells.base import Gated, Gates, Layer, Rowwise, glorot, positive, uniform
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, get, load, put, store
from streamrnn.sums import dot

NARROW = 8


@inline
def unit(a):
    return a


@inline
def unit_grad(y, d_y):
    return d_y


@inline
def dots(shape, weights, x, y, old, new):
    """weights: a row of inputs, padded to 16, for each output; then the biases"""
    inputs, units = shape[0], shape[1]
    wide = -(-inputs // BLOCK) * BLOCK
    for u in range(units):
        put(y, u, get(weights, units * wide + u) + dot(at(weights, u * wide), x, inputs))


@inline
def dots_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """dx += d_y W, dW += d_y x, db += d_y"""
    inputs, units = shape[0], shape[1]
    wide = -(-inputs // BLOCK) * BLOCK
    for u in range(units):
        d, w, d_w = get(d_y, u), at(weights, u * wide), at(d_weights, u * wide)
        put(d_weights, units * wide + u, get(d_weights, units * wide + u) + d)
        for k in range(0, inputs, LANES):
            store(d_x, k, fma(d, load(w, k), load(d_x, k)))
            store(d_w, k, fma(d, load(x, k), load(d_w, k)))


WIDE = Gated(unit, unit_grad, sums=1, input_gates=(0,), hidden_gates=(), reads=0, writes=1)
DOTS = Rowwise(dots, dots_grad, padded=True, exact=True)


@dataclass(frozen=True)
class Dense(Layer):
    """A fully connected layer, as torch.nn.Linear; activation None, "relu", "tanh", "sigmoid" or "softmax"."""
    units: int
    activation: str | None = None
    kind: ClassVar[str] = "dense"

    def __post_init__(self):
        positive(self, "units")
        if self.activation == "linear":
            object.__setattr__(self, "activation", None)
        if self.activation is not None and self.activation not in tuple(activations.BY_NAME):
            raise ConfigError(f"Dense: activation must be None, linear, {', '.join(activations.BY_NAME)}; got {self.activation!r}")

    def outputs(self, inputs):
        return self.units

    def parameters(self, inputs):
        return {"weight": (self.units, inputs), "bias": (self.units,)}

    def initial(self, inputs, rng, scheme):
        if scheme == "torch":
            return uniform(rng, inputs ** -0.5, self.parameters(inputs))
        return {"weight": glorot(rng, self.units, inputs), "bias": np.zeros(self.units, np.float32)}

    def emit(self, plan, source, inputs):
        y = plan.work(self.units)
        if self.units <= NARROW:
            plan.rowwise(DOTS, source, inputs, y, self.units, weights=self.rows)
        else:
            plan.gated(WIDE, self, source, inputs, hidden=None, reads=[], writes=[y], weights=self.columns)
        if self.activation:
            plan.rowwise(activations.BY_NAME[self.activation], y, self.units, y, self.units)
        return y

    def columns(self, tensors):
        return Gates(tensors["bias"][None], np.zeros((0, self.units, 0), np.float32), tensors["weight"][None])

    def rows(self, tensors):
        weight = tensors["weight"]
        padded = np.zeros((self.units, -(-weight.shape[1] // BLOCK) * BLOCK), np.float32)
        padded[:, :weight.shape[1]] = weight
        return np.concatenate([padded.ravel(), tensors["bias"]])


STAGES, LAYERS = (WIDE, DOTS), (Dense,)
