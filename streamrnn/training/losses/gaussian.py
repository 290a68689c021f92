"""The Gaussian negative log-likelihood: a model says how sure it is. Outputs (rows, 2n): n means, then n log-variances."""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numba import types

from streamrnn.errors import ConfigError
from streamrnn.jit import inline, kernel, ready
from streamrnn.lanes import at, data, get, larger, put, smaller
from streamrnn.maths import HALF, ONE, exp
from streamrnn.training.fields import within
from streamrnn.training.losses.base import ZERO, Loss, clear, matrix, shared, vector


@inline
def gaussian(mean, log_variance, t, least, most):
    """(s + r^2 exp(-s)) / 2, its slope in the mean and in s, which is 0 where s was clamped."""
    s = larger(least, smaller(most, log_variance))  # in this order a NaN stays NaN
    r = mean - t
    precision = exp(-s)
    square = r * r * precision
    return HALF * (s + square), r * precision, HALF * (ONE - square) if s == log_variance else ZERO


@kernel(types.float64(matrix, matrix, vector, matrix, types.int64, types.int64, types.float32, types.float32))
def gaussian_rows(y, target, weight, d_y, start, stop, least, most):
    count = target.shape[1]
    total = 0.0
    for r in range(weight.shape[0]):
        ys, d = at(data(y), r * y.shape[1] + start), at(data(d_y), r * y.shape[1] + start)
        if weight[r] == 0:
            clear(d, stop - start)
            continue
        loss = 0.0
        for n in range(count):
            value, d_mean, d_s = gaussian(get(ys, n), get(ys, count + n), target[r, n], least, most)
            put(d, n, weight[r] * d_mean)
            put(d, count + n, weight[r] * d_s)
            loss += value
        total += weight[r] * loss
    return total


class Distribution(Loss):
    """Outputs are n means, then n log-variances, which are clamped to [least, most]."""
    scales: ClassVar[bool] = True

    def bounded(self):
        """Refuse bounds of the log-variance that make no sense."""
        within(self, "[-80, 80]", "least", "most")
        if self.least >= self.most:
            raise ConfigError(f"{type(self).__name__}: least must lie below most, got {self.least} and {self.most}")

    def targets(self, outputs):
        return shared(outputs, 2, f"{type(self).__name__} (means, then log-variances)")

    def places(self, outputs):
        return np.arange(outputs // 2)

    def unscaling(self, shift, factor, outputs):
        """A log-variance moves by log(factor^2)."""
        return np.concatenate([shift, 2 * np.log(factor)]), np.concatenate([factor, np.ones_like(factor)])

    def elements(self, outputs):
        return self.targets(outputs)


@dataclass(frozen=True)
class Gaussian(Distribution):
    """As torch.nn.GaussianNLLLoss on exp(log-variance), without the constant log(2 pi) / 2.

    Log-variances are clamped to [least, most], where they have no gradient beyond: scale targets to a standard
    deviation near 1 and they stay well inside.
    """
    least: float = -15.0
    most: float = 15.0
    name: ClassVar[str] = "gaussian"
    rows: ClassVar = staticmethod(gaussian_rows)

    def __post_init__(self):
        self.bounded()

    def add(self, y, target, weight, d_y, start, stop):
        return ready(self.rows)(y, target, weight, d_y, start, stop, self.least, self.most)
