"""Regress: a linear autoregression over the last rows of all sensors, with random features beside them if asked for.

y = b + W lags + V tanh(U lags + c). W and V come from one ridge solve (detect/solve.py), U and c are drawn once.
state: the lags, newest row first. The forecast for the next row stands in the board's LINEAR, and in the first part's
memory, where the next step looks for it.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart, positive
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, padded, signal, vector, width
from streamrnn.jit import inline
from streamrnn.lanes import LANES, across, at, fma, get, load, put, splat, store
from streamrnn.maths import tanh
from streamrnn.sums import dot

FEATURES = 256
SIDE = 4  # blocks of features that are summed side by side: one alone would wait for its own sums


@inline
def remember(state, board, n, count):
    """Push the newest row into the lags; what falls off the end meets zero weights."""
    scaled = vector(board, B.SCALED, n)
    for k in range(width(count * n) - LANES, -LANES, -LANES):
        store(state, k + n, across(state, k))
    for c in range(n):
        put(state, c, get(scaled, c))
    if signal(board, n, B.FRESH) > np.float32(1):
        for k in range(n, count * n):
            put(state, k, get(scaled, k % n))


@inline
def forecast(count, n, weights, board, state):
    wide = width(count * n)
    begin(board, n, at(weights, n * wide + width(n)), state, wide)
    remember(state, board, n, count)
    for c in range(n):
        put(vector(board, B.LINEAR, n), c, get(weights, n * wide + c) + dot(at(weights, c * wide), state, count * n))


@apart
def linear(shape, weights, board, y, old, state):
    """weights: a row over the lags for each sensor, biases, the start"""
    forecast(shape[0], shape[1], weights, board, state)


@apart
def featured(shape, weights, board, y, old, state):
    """weights: as `linear`, then for each sensor its row over the features, and blocks of features: biases, then one row a lag"""
    count, n = shape
    wide, lags = width(count * n), count * n
    forecast(count, n, weights, board, state)
    features = at(state, wide + width(n))
    top = at(weights, (n + 1) * wide + 2 * width(n))
    drawn = at(top, n * FEATURES)
    for u in range(0, FEATURES, SIDE * LANES):
        block = at(drawn, u)
        a, b, c, d = load(block, 0), load(block, LANES), load(block, 2 * LANES), load(block, 3 * LANES)
        for k in range(lags):
            x = splat(get(state, k))
            block = at(block, FEATURES)
            a, b = fma(x, load(block, 0), a), fma(x, load(block, LANES), b)
            c, d = fma(x, load(block, 2 * LANES), c), fma(x, load(block, 3 * LANES), d)
        store(features, u, tanh(a))
        store(features, u + LANES, tanh(b))
        store(features, u + 2 * LANES, tanh(c))
        store(features, u + 3 * LANES, tanh(d))
    for c in range(n):
        y_c = get(vector(board, B.LINEAR, n), c) + dot(at(top, c * FEATURES), features, FEATURES)
        put(vector(board, B.LINEAR, n), c, y_c)


LINEAR, FEATURED = Rowwise(linear, apart=True), Rowwise(featured, apart=True)


@dataclass(frozen=True)
class Regress(Monitor):
    """Forecast of the next row from the last `lags` rows of all sensors, linear, or with random features as well."""
    kind: ClassVar[str] = "regress"
    lags: int
    features: bool = False

    def __post_init__(self):
        positive(self, "lags")

    @property
    def stage(self):
        return FEATURED if self.features else LINEAR

    def kept(self, inputs):
        """The lags, and behind them room for what falls off; features are no memory, but need a place."""
        return padded(self.lags * inputs) + padded(inputs) + (FEATURES if self.features else 0)

    def settings(self, inputs):
        lags = self.lags * inputs
        own = {"weight": (inputs, lags), "bias": (inputs,)}
        return own | ({"top": (inputs, FEATURES), "drawn": (lags, FEATURES), "shift": (FEATURES,)} if self.features else {})

    def emit(self, plan, source, inputs):
        state = plan.state("state", self.kept(inputs))
        plan.rowwise(self.stage, source, self.lags, source, inputs, state=state, weights=self.pack)
        return source

    def pack(self, tensors):
        wide, n = padded(self.lags * len(tensors["bias"])), len(tensors["bias"])
        start = tensors["start"][:wide + padded(n)]
        parts = [tensors["weight"], tensors["bias"], start]
        if self.features:
            parts += [tensors["top"], tensors["shift"], tensors["drawn"]]
        return B.packed(*parts)


STAGES, LAYERS = (LINEAR, FEATURED), (Regress,)
