"""Optimisers: torch.optim's updates, in place over flat float32 arenas (size,).

values, gradient and decays (1 where weight decay applies, else 0) are arenas of one size, and so are the moments that an
optimiser keeps, zero at first. The order is torch's: the gradient is clipped, decay joins it, then come the moments.
An entry whose gradient and decay have always been 0 never changes. Each update is written once, for one entry:
one(value, gradient, decays, moments, numbers) -> value, moments. A step here is a loop over it that LLVM makes vectors of; a GPU
(streamrnn.cuda.update) has a thread for each entry.
"""
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import ClassVar

import numpy as np
from numba import types

from streamrnn.errors import ConfigError
from streamrnn.jit import inline, kernel, ready
from streamrnn.lanes import BLOCK, data, root
from streamrnn.maths import clamp
from streamrnn.sums import squares
from streamrnn.training.fields import within

ZERO, SMALLEST = np.float32(0), np.finfo(np.float32).tiny
arena = types.float32[::1]


# -- the norm ----------------------------------------------------------------------------------------------------------

@kernel(types.float64(arena))
def norm_rows(gradient):
    whole = gradient.size // BLOCK * BLOCK
    total = squares(data(gradient), whole) if whole else 0.0  # it goes over at least one block
    for k in range(whole, gradient.size):
        total += types.float64(gradient[k]) ** 2
    return np.sqrt(total)


def norm(gradient) -> float:
    """The root of the sum of squares, in float64: finite wherever all entries are."""
    return ready(norm_rows)(gradient)


# -- the updates -------------------------------------------------------------------------------------------------------

@inline
def entering(g, p, decays, factor, bound, pull):
    """The gradient as the moments get it: clipped, then with the decay that pulls p to 0."""
    return clamp(factor * g, bound) + pull * decays * p


@inline
def kept(moment):
    """A moment that has faded below float32's normal range is 0: there it would stay for good, and arithmetic is slow."""
    return moment if abs(moment) >= SMALLEST else ZERO


@inline
def sgd(p, g, decays, moments, numbers):
    factor, bound, pull, rate, momentum, direct, carried = numbers
    g = entering(g, p, decays, factor, bound, pull)
    v = kept(momentum * moments[0] + g)
    return p - rate * (direct * g + carried * v), (v,)


@inline
def rmsprop(p, g, decays, moments, numbers):
    factor, bound, pull, rate, smoothing, fresh, momentum, epsilon = numbers
    g = entering(g, p, decays, factor, bound, pull)
    s = kept(smoothing * moments[0] + fresh * (g * g))
    v = kept(momentum * moments[1] + g / (root(s) + epsilon))
    return p - rate * v, (s, v)


@inline
def adam(p, g, decays, moments, numbers):
    factor, bound, pull, shrink, rate, scale, beta1, fresh1, beta2, fresh2, epsilon = numbers
    g = entering(g, p, decays, factor, bound, pull)
    m = kept(beta1 * moments[0] + fresh1 * g)
    s = kept(beta2 * moments[1] + fresh2 * (g * g))
    return p - shrink * decays * p - rate * m / (scale * root(s) + epsilon), (m, s)


@kernel(types.void(arena, arena, arena, arena, arena))
def sgd_step(values, gradient, velocity, decays, n):
    numbers = n[0], n[1], n[2], n[3], n[4], n[5], n[6]
    for k in range(values.size):
        values[k], moments = sgd(values[k], gradient[k], decays[k], (velocity[k],), numbers)
        velocity[k] = moments[0]


@kernel(types.void(arena, arena, arena, arena, arena, arena))
def rmsprop_step(values, gradient, square, velocity, decays, n):
    numbers = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7]
    for k in range(values.size):
        values[k], moments = rmsprop(values[k], gradient[k], decays[k], (square[k], velocity[k]), numbers)
        square[k], velocity[k] = moments


@kernel(types.void(arena, arena, arena, arena, arena, arena))
def adam_step(values, gradient, mean, square, decays, n):
    numbers = n[0], n[1], n[2], n[3], n[4], n[5], n[6], n[7], n[8], n[9], n[10]
    for k in range(values.size):
        values[k], moments = adam(values[k], gradient[k], decays[k], (mean[k], square[k]), numbers)
        mean[k], square[k] = moments


# -- what a user writes ------------------------------------------------------------------------------------------------

@dataclass(frozen=True, kw_only=True)
class Optimiser:
    """decay: L2 weight decay; clip: the largest norm of the whole gradient; clip_value: after that, of each entry."""
    decay: float = 0.0
    clip: float | None = None
    clip_value: float | None = None
    arenas: ClassVar[int]  # how many moments it keeps
    one: ClassVar          # the update of one entry
    step: ClassVar         # and of all of them

    def __post_init__(self):
        within(self, "(0, inf)", "rate", *(name for name in ("clip", "clip_value") if getattr(self, name) is not None))
        within(self, "[0, inf)", "decay")

    def numbers(self, number, rate):
        """What the step's loop takes from the decay on, for step `number`."""
        raise NotImplementedError

    def apply(self, number, rate, values, gradient, moments, decays) -> float:
        """Step `number`, 1 the first, in place at this learning rate; answers the gradient's norm before clipping.

        A norm that is not finite is answered with nothing changed.
        """
        size = norm(gradient)
        if isfinite(size):
            factor = min(1.0, self.longest / (size + 1e-6))  # torch's guard against 0
            numbers = np.array([factor, self.bound, *self.numbers(number, rate)], np.float32)
            ready(self.step)(values, gradient, *moments, decays, numbers)
        return size

    @property
    def longest(self):
        """The largest norm of a gradient."""
        return inf if self.clip is None else self.clip

    @property
    def bound(self):
        """The largest entry of one, after that."""
        return inf if self.clip_value is None else self.clip_value


@dataclass(frozen=True)
class SGD(Optimiser):
    """Gradient descent with momentum, as torch.optim.SGD."""
    rate: float = 1e-2
    momentum: float = 0.0
    nesterov: bool = False
    arenas: ClassVar[int] = 1
    one: ClassVar = staticmethod(sgd)
    step: ClassVar = staticmethod(sgd_step)

    def __post_init__(self):
        super().__post_init__()
        within(self, "[0, 1)", "momentum")
        if self.nesterov and self.momentum == 0:
            raise ConfigError("SGD: nesterov needs a momentum above 0")

    def numbers(self, number, rate):
        return (self.decay, rate, self.momentum, *((1, self.momentum) if self.nesterov else (0, 1)))


@dataclass(frozen=True)
class RMSprop(Optimiser):
    """Steps divided by the root of the gradient's mean square, as torch.optim.RMSprop."""
    rate: float = 1e-3
    smoothing: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8
    arenas: ClassVar[int] = 2
    one: ClassVar = staticmethod(rmsprop)
    step: ClassVar = staticmethod(rmsprop_step)

    def __post_init__(self):
        super().__post_init__()
        within(self, "[0, 1)", "smoothing", "momentum")
        within(self, "[1e-30, 1]", "epsilon")

    def numbers(self, number, rate):
        return self.decay, rate, self.smoothing, 1 - self.smoothing, self.momentum, self.epsilon


@dataclass(frozen=True)
class Adam(Optimiser):
    """Adam, as torch.optim.Adam: decay is added to the gradient."""
    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    arenas: ClassVar[int] = 2
    one: ClassVar = staticmethod(adam)
    step: ClassVar = staticmethod(adam_step)

    def __post_init__(self):
        super().__post_init__()
        within(self, "[0, 1)", "beta1", "beta2")
        within(self, "[1e-30, 1]", "epsilon")

    def decays_at(self, rate):
        """What decay adds to the gradient, and what it takes from the value directly."""
        return self.decay, 0.0

    def numbers(self, number, rate):
        return (*self.decays_at(rate), rate / (1 - self.beta1 ** number), (1 - self.beta2 ** number) ** -0.5,
                self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2, self.epsilon)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decay apart from the moments, as torch.optim.AdamW."""
    decay: float = field(default=0.01, kw_only=True)

    def decays_at(self, rate):
        return 0.0, rate * self.decay


BY_NAME = {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW}
