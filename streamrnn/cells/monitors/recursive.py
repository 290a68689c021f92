"""Recursive: an autoregression over three rows that learns as the stream goes, sensor by sensor, by recursive least squares.

It works on signed logarithms in running standard units. state, for each sensor: rows, mean, sum of squares, three lags, four
weights, the matrix P (4, 4). Where a stream learns from nothing, its forecast is the detector's; its error is kept for Novelty.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, vector
from streamrnn.cells.monitors.scales import OLD, ONE, ZERO, from_signed_log
from streamrnn.jit import inline
from streamrnn.lanes import at, fma, get, larger, put, root, smaller

ROWS, MEAN, SQUARES, LAGS, WEIGHTS, P, SPACE, EACH = 0, 1, 2, 3, 6, 10, 26, 48
KEEP = np.float32(0.9995)          # of what has been learnt, from row to row
UNSURE = np.float32(10)            # P's first diagonal
CLIP = np.float32(20)
MOST = np.float32(1e6)             # of P's trace: then it is cut
CUT = np.float32(0.1)
TINY = np.float32(1e-12)


@inline
def clipped(x):
    return larger(smaller(x, CLIP), -CLIP)


@inline
def inputs_of(own, deviation):
    """The lags in standard units and a one, into SPACE."""
    for k in range(3):
        put(own, SPACE + k, clipped((get(own, LAGS + k) - get(own, MEAN)) / deviation))
    put(own, SPACE + 3, ONE)


@inline
def forecast(own):
    y = ZERO
    for k in range(4):
        y = fma(get(own, WEIGHTS + k), get(own, SPACE + k), y)
    return y


@inline
def learn(own, error):
    """k = P u, q = keep + u'k; w += k error / q; P = (P - k k' / q) / keep."""
    q = KEEP
    for i in range(4):
        k = ZERO
        for j in range(4):
            k = fma(get(own, P + 4 * i + j), get(own, SPACE + j), k)
        put(own, SPACE + 4 + i, k)
        q = fma(k, get(own, SPACE + i), q)
    trace = ZERO
    for i in range(4):
        gain = get(own, SPACE + 4 + i) / q
        put(own, WEIGHTS + i, fma(gain, error, get(own, WEIGHTS + i)))
        for j in range(i, 4):
            p = fma(-gain, get(own, SPACE + 4 + j), get(own, P + 4 * i + j)) / KEEP
            put(own, P + 4 * i + j, p)
            put(own, P + 4 * j + i, p)
        trace = trace + get(own, P + 5 * i)
    if trace > MOST or trace < ZERO:
        for i in range(16):
            put(own, P + i, get(own, P + i) * CUT)


@apart
def recursive(shape, weights, board, y, old, state):
    n = shape[1]
    begin(board, n, weights, state, n * EACH)
    for c in range(n):
        own, value = at(state, c * EACH), get(vector(board, B.LOGARITHM, n), c)
        rows, error = get(own, ROWS), ZERO
        if rows == ZERO:
            put(own, WEIGHTS, ONE)
            for i in range(4):
                put(own, P + 5 * i, UNSURE)
        deviation = root(get(own, SQUARES) / rows) if rows > ONE else ZERO
        if deviation > TINY and rows >= np.float32(3):
            inputs_of(own, deviation)
            error = clipped((value - get(own, MEAN)) / deviation) - forecast(own)
            learn(own, error)
        rows = rows + ONE
        off = value - get(own, MEAN)
        mean = get(own, MEAN) + off / rows
        put(own, MEAN, mean)
        put(own, SQUARES, fma(off, value - mean, get(own, SQUARES)))
        if rows >= OLD:  # half as many rows with half the sum: the same deviation
            rows = rows * np.float32(0.5)
            put(own, SQUARES, get(own, SQUARES) * np.float32(0.5))
        put(own, ROWS, rows)
        put(own, LAGS + 2, get(own, LAGS + 1))
        put(own, LAGS + 1, get(own, LAGS))
        put(own, LAGS, value)
        deviation = root(get(own, SQUARES) / rows)
        put(vector(board, B.ONLINE_ERROR, n), c, error * deviation)
        following = value
        if deviation > TINY and rows > np.float32(3):
            inputs_of(own, deviation)
            following = fma(clipped(forecast(own)), deviation, mean)
        expected = from_signed_log(following, get(vector(board, B.SIZE, n), c))
        unit, centre = get(vector(board, B.UNIT, n), c), get(vector(board, B.CENTRE, n), c)
        put(vector(board, B.LINEAR, n), c, (expected - centre) / unit if unit > ZERO else ZERO)


STAGE = Rowwise(recursive, apart=True)


@dataclass(frozen=True)
class Recursive(Monitor):
    """An autoregression that learns online."""
    kind: ClassVar[str] = "recursive"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return inputs * EACH


STAGES, LAYERS = (STAGE,), (Recursive,)
