"""LayerNorm: each sample's vector to mean 0 and variance 1, then scaled and shifted."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Layer, Rowwise
from streamrnn.errors import ConfigError
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, fma, get, load, put, root, splat, store
from streamrnn.sums import dot, fold, total


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


@inline
def moments(x, n, epsilon):
    """Mean and 1 / deviation."""
    mean, whole, squares = total(x, n) / np.float32(n), n // LANES * LANES, splat(np.float32(0))
    for u in range(0, whole, LANES):
        centred = load(x, u) - mean
        squares = fma(centred, centred, squares)
    variance = fold(squares)
    for u in range(whole, n):
        variance = fma(get(x, u) - mean, get(x, u) - mean, variance)
    return mean, np.float32(1) / root(variance / np.float32(n) + epsilon)


@inline
def normalise_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """With v the normalised x and d = dy w: dx += (d - mean(d) - v mean(d v)) / deviation, dw += dy v, db += dy."""
    n = shape[1]
    wide = -(-n // BLOCK) * BLOCK
    mean, scale = moments(x, n, get(weights, 2 * wide))
    along, d_shift = splat(np.float32(0)), at(d_weights, wide)
    for u in range(0, n, LANES):
        v, d = (load(x, u) - mean) * scale, load(d_y, u)
        store(d_weights, u, fma(d, v, load(d_weights, u)))
        store(d_shift, u, load(d_shift, u) + d)
        d = d * load(weights, u)
        along = fma(d, v, along)
        store(d_y, u, d)
    level, slope = total(d_y, n) / np.float32(n), fold(along) / np.float32(n)
    whole = n // LANES * LANES
    for u in range(0, whole, LANES):
        v = (load(x, u) - mean) * scale
        store(d_x, u, fma(load(d_y, u) - level - v * slope, splat(scale), load(d_x, u)))
    for u in range(whole, n):  # one by one: padding keeps a gradient of zero
        v = (get(x, u) - mean) * scale
        put(d_x, u, fma(get(d_y, u) - level - v * slope, scale, get(d_x, u)))


NORMALISE = Rowwise(normalise, normalise_grad, padded=True)


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

    def initial(self, inputs, rng, scheme):
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
