"""Embedding: a row of a table for each integer token of the sample."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise, X, positive
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import get, put


@inline
def look_up(shape, weights, x, y, old, new):
    """units = inputs x size: the tokens' rows, one after the other"""
    size = shape[1] // shape[0]
    for k in range(shape[0]):
        start = np.int64(get(x, k)) * size
        for u in range(size):
            put(y, k * size + u, get(weights, start + u))


@inline
def look_up_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    size = shape[1] // shape[0]
    for k in range(shape[0]):
        start = np.int64(get(x, k)) * size
        for u in range(size):
            put(d_weights, start + u, get(d_weights, start + u) + get(d_y, k * size + u))


LOOK_UP = Rowwise(look_up, look_up_grad)


@dataclass(frozen=True)
class Embedding(Layer):
    """Tokens 0 .. vocabulary-1, given as numbers, each become `size` values; only as the first layer."""
    vocabulary: int
    size: int
    kind: ClassVar[str] = "embedding"

    def __post_init__(self):
        positive(self, "vocabulary", "size")
        if self.vocabulary > 1 << 24:
            raise ConfigError(f"Embedding: float32 tells tokens apart up to {1 << 24}, got a vocabulary of {self.vocabulary}")

    def outputs(self, inputs):
        return inputs * self.size

    def parameters(self, inputs):
        return {"weight": (self.vocabulary, self.size)}

    def initial(self, inputs, rng, scheme):
        return {"weight": rng.standard_normal((self.vocabulary, self.size)).astype(np.float32)}

    def emit(self, plan, source, inputs):
        if source.space != X:
            raise ConfigError("Embedding takes integer tokens: it must be the first layer of the model")
        y = plan.work(inputs * self.size)
        plan.tokens(self.vocabulary)
        plan.rowwise(LOOK_UP, source, inputs, y, inputs * self.size, weights=lambda tensors: tensors["weight"].ravel())
        return y


STAGES, LAYERS = (LOOK_UP,), (Embedding,)
