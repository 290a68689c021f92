"""Dropout: a layer that does nothing outside training. There its masks come in through the tape, behind its values."""
from dataclasses import dataclass
from typing import ClassVar

from streamrnn.cells.base import Layer, Rowwise
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, load, store


@inline
def mask_of(shape, y):
    """Factors of 0 or 1 / (1 - rate), zeros behind them."""
    return at(y, -(-shape[1] // BLOCK) * BLOCK)


@inline
def drop(shape, weights, x, y, old, new):
    mask = mask_of(shape, y)
    for u in range(0, shape[1], LANES):
        store(y, u, load(x, u) * load(mask, u))


@inline
def drop_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    mask = mask_of(shape, y)
    for u in range(0, shape[1], LANES):
        store(d_x, u, fma(load(d_y, u), load(mask, u), load(d_x, u)))


DROP = Rowwise(drop, drop_grad, padded=True)


@dataclass(frozen=True)
class Dropout(Layer):
    """Drops a share of its inputs while training; the identity, at no cost, when it serves.

    `variational=True` keeps one mask for a whole sequence (Gal and Ghahramani 2016), else each step has its own.
    """
    rate: float
    variational: bool = False
    kind: ClassVar[str] = "dropout"

    def __post_init__(self):
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) or not 0 <= self.rate < 1:
            raise ConfigError(f"Dropout: rate must lie in [0, 1), got {self.rate!r}")
        if not isinstance(self.variational, bool):
            raise ConfigError(f"Dropout: variational must be True or False, got {self.variational!r}")

    def outputs(self, inputs):
        return inputs

    def emit(self, plan, source, inputs):
        if not plan.training or not self.rate:
            return source
        y = plan.masked(inputs, self)
        plan.rowwise(DROP, source, inputs, y, inputs)
        return y


STAGES, LAYERS = (DROP,), (Dropout,)
