"""MinLSTM: forget and input gate from the sample alone, normalised so that they add up to 1 (Feng et al. 2024).

With p = 1 + exp(-i) and q = 1 + exp(-f), sigmoid(f) / (sigmoid(f) + sigmoid(i)) = p / (p + q): neither 0 / 0 nor too large a
number, whatever f and i are. The sums, f i n, are products that wait for nothing (cells/linear.py).
"""
from dataclasses import dataclass
from typing import ClassVar

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.mingru import Minimal
from streamrnn.lanes import BLOCK, LANES, at, fma, load, store
from streamrnn.maths import ONE, exp


@apart
def minlstm(shape, weights, x, y, old, new):
    """x: the sums f, i, n; h' = n + p / (p + q) (h - n)"""
    wide = -(-shape[1] // BLOCK) * BLOCK
    for u in range(0, shape[1], LANES):
        p, q, n = ONE + exp(-load(at(x, wide), u)), ONE + exp(-load(x, u)), load(at(x, 2 * wide), u)
        h = fma(p / (p + q), load(old, u) - n, n)
        store(new, u, h)
        store(y, u, h)


@apart
def minlstm_grad(shape, weights, x, y, old, new, d_weights, d_x, d_y, d_old, d_new):
    """With a = p / (p + q), b = 1 - a: df = dh (h - n) a b (1 - sigmoid(f)), di = -dh (h - n) a b (1 - sigmoid(i)), dn = dh b."""
    wide = -(-shape[1] // BLOCK) * BLOCK
    for u in range(0, shape[1], LANES):
        e, g, n = exp(-load(at(x, wide), u)), exp(-load(x, u)), load(at(x, 2 * wide), u)
        d = load(d_y, u) + load(d_new, u)
        whole = ONE / (e + g + ONE + ONE)
        a, b = (ONE + e) * whole, (ONE + g) * whole
        along = d * (load(old, u) - n)
        store(d_x, u, fma(along * a, g * whole, load(d_x, u)))
        store(at(d_x, wide), u, fma(along * b, -(e * whole), load(at(d_x, wide), u)))
        store(at(d_x, 2 * wide), u, fma(d, b, load(at(d_x, 2 * wide), u)))
        store(d_old, u, fma(d, a, load(d_old, u)))


STAGE = Rowwise(minlstm, minlstm_grad, apart=True)


@dataclass(frozen=True)
class MinLSTM(Minimal):
    """Minimal long short-term memory; gates f i n."""
    kind: ClassVar[str] = "minlstm"
    gates: ClassVar[int] = 3
    first_biases: ClassVar[tuple[int, ...]] = (1, 0, 0)
    stage: ClassVar[Rowwise] = STAGE


STAGES, LAYERS = (STAGE,), (MinLSTM,)
