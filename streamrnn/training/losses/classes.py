"""Cross-entropy on logits: outputs (rows, classes), target (rows, 1) holds a label, a whole number.

A row's probabilities are computed where its gradient will lie, d_y; rows are packed tightly, so whole blocks of 16 go
in lanes and the rest one by one.
"""
from dataclasses import dataclass
from math import log
from typing import ClassVar

import numpy as np
from numba import types

from streamrnn.errors import ConfigError
from streamrnn.jit import inline, kernel, ready
from streamrnn.lanes import BLOCK, LANES, at, data, get, larger, load, put, splat, store
from streamrnn.maths import exp
from streamrnn.sums import total
from streamrnn.training.fields import whole as whole_number
from streamrnn.training.losses.base import ZERO, Loss, clear, matrix, vector


@inline
def largest(y, scratch, whole, units):
    """The largest of y; `whole` of them are whole blocks, and scratch has room for as many."""
    top = get(y, 0)
    if whole > 0:
        tops = load(y, 0)
        for u in range(LANES, whole, LANES):
            tops = larger(load(y, u), tops)
        store(scratch, 0, tops)
        width = LANES
        while width > 1:
            width //= 2
            for u in range(width):
                put(scratch, u, larger(get(scratch, u), get(scratch, u + width)))
        top = get(scratch, 0)
    for u in range(whole, units):
        top = larger(get(y, u), top)
    return top


@inline
def exponential(x):
    """exp(x) for x of 0 or less; x - x lets a NaN through, and an infinity count as one: exp itself clamps them."""
    return exp(x) + (x - x)


@inline
def exponentials(y, e, units):
    """e = exp(y - the largest y); answers the largest and the sum of e."""
    whole = units // BLOCK * BLOCK
    top = largest(y, e, whole, units)
    for u in range(0, whole, LANES):
        store(e, u, exponential(load(y, u) - splat(top)))
    for u in range(whole, units):
        put(e, u, exponential(get(y, u) - top))
    bottom = total(e, whole) if whole > 0 else ZERO
    for u in range(whole, units):
        bottom += get(e, u)
    return top, bottom


@kernel(types.float64(matrix, matrix, vector, matrix, types.int64, types.int64))
def cross_entropy_rows(y, target, weight, d_y, start, stop):
    """log(sum of exp(y)) - y[label]; its gradient is softmax(y), less 1 at the label."""
    units = stop - start
    whole = units // BLOCK * BLOCK
    loss = 0.0
    for r in range(weight.shape[0]):
        ys, d = at(data(y), r * y.shape[1] + start), at(data(d_y), r * y.shape[1] + start)
        if weight[r] == 0:
            clear(d, units)
            continue
        top, bottom = exponentials(ys, d, units)
        scale = weight[r] / bottom
        for u in range(0, whole, LANES):
            store(d, u, load(d, u) * splat(scale))
        for u in range(whole, units):
            put(d, u, get(d, u) * scale)
        label = types.int64(target[r, 0])
        put(d, label, get(d, label) - weight[r])
        loss += weight[r] * (log(types.float64(bottom)) + (top - get(ys, label)))
    return loss


def is_class(labels, classes):
    return (labels >= 0) & (labels < classes) & (labels == np.floor(labels))


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """As torch.nn.CrossEntropyLoss: `weights`, one for each class, weigh the rows and the mean; ignored labels count nothing."""
    weights: tuple[float, ...] | None = None
    ignore_index: int | None = -100
    name: ClassVar[str] = "cross_entropy"
    rows: ClassVar = staticmethod(cross_entropy_rows)

    def __post_init__(self):
        if self.weights is not None:
            weights = np.asarray(self.weights, np.float64)
            if weights.ndim != 1 or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
                raise ConfigError(f"CrossEntropy: weights must be one finite number of 0 or more for each class, got {self.weights!r}")
            object.__setattr__(self, "weights", tuple(weights.tolist()))
        if self.ignore_index is not None:
            whole_number(self, -(1 << 24), "ignore_index")  # from there on float32 holds every whole number

    @property
    def wanted(self):
        ignored = "" if self.ignore_index is None else f", or {self.ignore_index} to be ignored"
        return "a class, a whole number in [0, {outputs})" + ignored

    def targets(self, outputs):
        if outputs < 2:
            raise ConfigError(f"CrossEntropy: outputs must be 2 or more, one for each class, got {outputs} (for one logit take bce)")
        if self.weights is not None and len(self.weights) != outputs:
            raise ConfigError(f"CrossEntropy: weights must be one for each of the {outputs} outputs, got {len(self.weights)}")
        return 1

    def elements(self, outputs):
        return 1

    def row_weights(self, target):
        labels = target[:, 0]
        counts = np.ones(len(labels), np.float32)
        if self.weights is not None:
            known = is_class(labels, len(self.weights))  # a masked row's label may be anything
            counts[known] = np.array(self.weights, np.float32)[labels[known].astype(np.int64)]
        counts[labels == self.ignore_index] = 0
        return counts

    def wrong(self, target, outputs):
        return ~(is_class(target[:, 0], outputs) | (target[:, 0] == self.ignore_index))

    def add(self, y, target, weight, d_y, start, stop):
        return ready(self.rows)(y, target, weight, d_y, start, stop)
