"""Scalers as layers, so that a served model scales by itself: y = (x - shift) factor on the way in, y = x factor + shift out.

`fit` sets them from the data it trains on, unless they have been set; their numbers are constants of the model.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, load, store

KINDS = ("standard", "minmax")


@inline
def scale(shape, weights, x, y, old, new):
    """weights: shift, factor, each padded to 16"""
    factor = at(weights, -(-shape[1] // BLOCK) * BLOCK)
    for u in range(0, shape[1], LANES):
        store(y, u, (load(x, u) - load(weights, u)) * load(factor, u))


@inline
def unscale(shape, weights, x, y, old, new):
    factor = at(weights, -(-shape[1] // BLOCK) * BLOCK)
    for u in range(0, shape[1], LANES):
        store(y, u, fma(load(x, u), load(factor, u), load(weights, u)))


@inline
def grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    factor = at(weights, -(-shape[1] // BLOCK) * BLOCK)
    for u in range(0, shape[1], LANES):
        store(d_x, u, fma(load(d_y, u), load(factor, u), load(d_x, u)))


SCALE, UNSCALE = Rowwise(scale, grad, padded=True), Rowwise(unscale, grad, padded=True)


@dataclass(frozen=True)
class _Scaler(Layer):
    by: str = "standard"
    constants: ClassVar[tuple[str, ...]] = ("shift", "factor")

    def __post_init__(self):
        if self.by not in KINDS:
            raise ConfigError(f"{type(self).__name__}: by must be one of {', '.join(KINDS)}, got {self.by!r}")

    def outputs(self, inputs):
        return inputs

    def parameters(self, inputs):
        return {"shift": (inputs,), "factor": (inputs,)}

    def initial(self, inputs, rng, scheme):
        return {"shift": np.zeros(inputs, np.float32), "factor": np.ones(inputs, np.float32)}

    def measure(self, values):
        """(shift, spread) of values (rows, columns): mean and deviation, or least value and range; a constant spreads by 1."""
        values = values.astype(np.float64)
        shift, spread = (values.mean(0), values.std(0)) if self.by == "standard" else (values.min(0), np.ptp(values, 0))
        return shift, np.where(spread > 1e-7 * np.maximum(1, np.abs(shift)), spread, 1)

    def emit(self, plan, source, inputs):
        y = plan.work(inputs)
        plan.rowwise(self.stage, source, inputs, y, inputs, weights=_packed)
        return y


def _packed(tensors):
    size = tensors["shift"].size
    flat = np.zeros((2, -(-size // BLOCK) * BLOCK), np.float32)
    flat[:, :size] = tensors["shift"], tensors["factor"]
    return flat.ravel()


@dataclass(frozen=True)
class Scale(_Scaler):
    """Inputs to mean 0 and deviation 1 (by="standard"), or to [0, 1] (by="minmax"), column by column; fit measures them."""
    kind: ClassVar[str] = "scale"
    stage: ClassVar[Rowwise] = SCALE

    def settle(self, values):
        """The tensors after a look at the values that come in (rows, columns)."""
        shift, spread = self.measure(values)
        return {"shift": shift.astype(np.float32), "factor": (1 / spread).astype(np.float32)}


@dataclass(frozen=True)
class Unscale(_Scaler):
    """The way back, as the last layer: results in the units of the targets, whose mean and deviation (or range) fit measures."""
    kind: ClassVar[str] = "unscale"
    stage: ClassVar[Rowwise] = UNSCALE

    def settle(self, values):
        """The tensors after a look at the targets (rows, columns)."""
        shift, spread = self.measure(values)
        return {"shift": shift.astype(np.float32), "factor": spread.astype(np.float32)}


STAGES, LAYERS = (SCALE, UNSCALE), (Scale, Unscale)
