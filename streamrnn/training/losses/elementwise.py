"""Losses of one output and its target: each is a scalar function (y, t, option) -> loss and its slope; one loop runs them.

Outputs lie target by target, side by side for the options of each: column = target * options + option.
"""
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import numpy as np
from numba import types

from streamrnn.errors import ConfigError
from streamrnn.jit import inline, kernel, ready
from streamrnn.lanes import at, data, get, larger, put
from streamrnn.maths import HALF, ONE, clamp, exp
from streamrnn.training.fields import within
from streamrnn.training.losses.base import ZERO, Loss, clear, matrix, shared, vector


@inline
def mse(y, t, option):
    r = y - t
    return r * r, r + r


@inline
def mae(y, t, option):
    r = y - t
    return abs(r), sign(r)


@inline
def huber(y, t, delta):
    """r^2 / 2, and beyond +-delta a straight line: with c the clamped r, c (r - c/2) is both."""
    r = y - t
    c = clamp(r, delta)
    return c * (r - HALF * c), c


@inline
def quantile(y, t, q):
    """1 - q of the distance above the target, q of that below."""
    r = y - t
    side = ONE - q if r > ZERO else (-q if r < ZERO else ZERO)
    return r * side, side


@inline
def bce(y, t, option):
    """-t log p - (1 - t) log(1 - p) with p = sigmoid(y), by e = exp(-|y|), which cannot overflow."""
    e = exp(-abs(y))
    p = (ONE if y >= ZERO else e) / (ONE + e)
    return larger(y, ZERO) - y * t + np.log1p(e), p - t


@inline
def sign(r):
    return np.float32(r > ZERO) - np.float32(r < ZERO)


def looped(function):
    """The kernel that runs a scalar loss over rows."""
    def loop(y, target, weight, d_y, start, stop, options):
        count = options.shape[0]
        total = 0.0
        for r in range(weight.shape[0]):
            ys, d = at(data(y), r * y.shape[1] + start), at(data(d_y), r * y.shape[1] + start)
            if weight[r] == 0:
                clear(d, stop - start)
                continue
            loss = 0.0
            for n in range(target.shape[1]):
                for k in range(count):
                    c = n * count + k
                    value, slope = function(get(ys, c), target[r, n], options[k])
                    put(d, c, weight[r] * slope)
                    loss += value
            total += weight[r] * loss
        return total
    loop.__name__ = loop.__qualname__ = function.__name__ + "_rows"
    return kernel(types.float64(matrix, matrix, vector, matrix, types.int64, types.int64, vector))(loop)


@dataclass(frozen=True)
class Elementwise(Loss):
    @property
    def options(self):
        """What the scalar function takes besides y and t: one number for each output of a target."""
        return (0,)

    def add(self, y, target, weight, d_y, start, stop):
        return ready(self.rows)(y, target, weight, d_y, start, stop, np.array(self.options, np.float32))


@dataclass(frozen=True)
class MSE(Elementwise):
    """(y - t)^2, as torch.nn.MSELoss."""
    name: ClassVar[str] = "mse"
    scales: ClassVar[bool] = True
    rows: ClassVar = staticmethod(looped(mse))


@dataclass(frozen=True)
class MAE(Elementwise):
    """|y - t|, as torch.nn.L1Loss; its slope at 0 is 0."""
    name: ClassVar[str] = "mae"
    scales: ClassVar[bool] = True
    rows: ClassVar = staticmethod(looped(mae))


@dataclass(frozen=True)
class Huber(Elementwise):
    """Squares up to a distance of delta, straight beyond it, as torch.nn.HuberLoss."""
    delta: float = 1.0
    name: ClassVar[str] = "huber"
    scales: ClassVar[bool] = True
    rows: ClassVar = staticmethod(looped(huber))

    def __post_init__(self):
        within(self, "(0, inf)", "delta")

    @property
    def options(self):
        return (self.delta,)


@dataclass(frozen=True)
class Quantile(Elementwise):
    """The pinball loss: output k of a target learns its quantile q[k]; q is one number or several."""
    q: float | tuple[float, ...] = (0.1, 0.5, 0.9)
    name: ClassVar[str] = "quantile"
    scales: ClassVar[bool] = True
    rows: ClassVar = staticmethod(looped(quantile))

    def __post_init__(self):
        levels = tuple(self.q) if isinstance(self.q, Iterable) and not isinstance(self.q, str) else (self.q,)
        if not levels or not all(isinstance(q, Real) and 0 < q < 1 for q in levels):
            raise ConfigError(f"Quantile: q must be one or more numbers in (0, 1), got {self.q!r}")
        object.__setattr__(self, "q", tuple(map(float, levels)))

    def targets(self, outputs):
        return shared(outputs, len(self.q), f"Quantile of {len(self.q)} q's")

    def places(self, outputs):
        return np.arange(0, outputs, len(self.q))

    def unscaling(self, shift, factor, outputs):
        return np.repeat(shift, len(self.q)), np.repeat(factor, len(self.q))

    @property
    def options(self):
        return self.q


@dataclass(frozen=True)
class BCE(Elementwise):
    """Binary cross-entropy on logits, as torch.nn.BCEWithLogitsLoss; targets lie in [0, 1]."""
    name: ClassVar[str] = "bce"
    wanted: ClassVar[str] = "in [0, 1]"
    rows: ClassVar = staticmethod(looped(bce))

    def wrong(self, target, outputs):
        return ~((target >= 0) & (target <= 1)).all(1)
