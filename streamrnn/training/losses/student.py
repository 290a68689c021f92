"""Student's t negative log-likelihood: like the Gaussian's, but a wild target pulls no harder than a moderate one.

Outputs (rows, 2n): n means, then n log-variances.
"""
import math
from dataclasses import dataclass
from typing import ClassVar

from numba import types

from streamrnn.jit import inline, kernel, ready
from streamrnn.lanes import at, data, get, larger, put, smaller
from streamrnn.maths import HALF, ONE, exp
from streamrnn.training.fields import within
from streamrnn.training.losses.base import ZERO, clear, matrix, vector
from streamrnn.training.losses.gaussian import Distribution


@inline
def student(mean, log_variance, t, freedom, least, most):
    """With u = r^2 exp(-s) / v: s/2 + (v+1)/2 log(1 + u), its slope in the mean and in s, which is 0 where s was clamped."""
    s = larger(least, smaller(most, log_variance))  # in this order a NaN stays NaN
    r, precision, half = mean - t, exp(-s), HALF * (freedom + ONE)
    u = r * r * precision / freedom
    pull = half / (ONE + u)
    value = 0.5 * s + half * math.log(1.0 + types.float64(u))
    return value, pull * (r + r) * precision / freedom, HALF - pull * u if s == log_variance else ZERO


@kernel(types.float64(matrix, matrix, vector, matrix, types.int64, types.int64, types.float32, types.float32, types.float32))
def student_rows(y, target, weight, d_y, start, stop, freedom, least, most):
    count = target.shape[1]
    total = 0.0
    for r in range(weight.shape[0]):
        ys, d = at(data(y), r * y.shape[1] + start), at(data(d_y), r * y.shape[1] + start)
        if weight[r] == 0:
            clear(d, stop - start)
            continue
        loss = 0.0
        for n in range(count):
            value, d_mean, d_s = student(get(ys, n), get(ys, count + n), target[r, n], freedom, least, most)
            put(d, n, weight[r] * d_mean)
            put(d, count + n, weight[r] * d_s)
            loss += value
        total += weight[r] * loss
    return total


@dataclass(frozen=True)
class Student(Distribution):
    """Heavy tails: `freedom` degrees of freedom; large ones come close to Gaussian, without the constants."""
    freedom: float = 4.0
    least: float = -10.0
    most: float = 10.0
    name: ClassVar[str] = "student"
    rows: ClassVar = staticmethod(student_rows)

    def __post_init__(self):
        within(self, "[1, 1000]", "freedom")
        self.bounded()

    def add(self, y, target, weight, d_y, start, stop):
        return ready(self.rows)(y, target, weight, d_y, start, stop, self.freedom, self.least, self.most)
