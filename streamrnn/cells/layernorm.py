"""LayerNorm: each sample's vector to mean 0 and variance 1, then scaled and shifted."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, get, load, put, root, splat, store
from streamrnn.sums import dot, total


@inline
def normalise(shape, weights, x, y, old, new):
    """weights: scale, shift (each padded to 16), epsilon; sums are folded from 16 partial sums"""
    n = shape[1]
    wide = -(-n // BLOCK) * BLOCK
    mean = splat(total(x, n) / np.float32(n))
    for u in range(0, n, LANES):
        store(y, u, load(x, u) - mean)
    for u in range(n, wide):
        put(y, u, 0)
    scale = splat(np.float32(1) / root(dot(y, y, n) / np.float32(n) + get(weights, 2 * wide)))
    for u in range(0, n, LANES):
        store(y, u, fma(load(y, u) * scale, load(weights, u), load(at(weights, wide), u)))


NORMALISE = Rowwise(normalise, padded=True)


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalisation over all values of the layer before, as torch.nn.LayerNorm."""
    epsilon: float = 1e-5
    kind: ClassVar[str] = "layernorm"

    def __post_init__(self):
        if not isinstance(self.epsilon, (int, float)) or not 0 < self.epsilon < 1:
            raise ConfigError(f"LayerNorm: epsilon must lie between 0 and 1, got {self.epsilon!r}")

    def outputs(self, inputs):
        return inputs

    def parameters(self, inputs):
        return {"weight": (inputs,), "bias": (inputs,)}

    def initial(self, inputs, rng):
        return {"weight": np.ones(inputs, np.float32), "bias": np.zeros(inputs, np.float32)}

    def emit(self, plan, source, inputs):
        y = plan.work(inputs)
        plan.rowwise(NORMALISE, source, inputs, y, inputs, weights=self.packed)
        return y

    def packed(self, tensors):
        n = tensors["weight"].size
        wide = -(-n // BLOCK) * BLOCK
        flat = np.zeros(2 * wide + 1, np.float32)
        flat[:n], flat[wide:wide + n], flat[-1] = tensors["weight"], tensors["bias"], self.epsilon
        return flat


STAGES, LAYERS = (NORMALISE,), (LayerNorm,)
