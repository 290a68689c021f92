"""Surprise: how large the forecast errors have been lately, sensor by sensor and over all of them.

Each sensor's squared error in units of its usual one, capped, is averaged over the last rows; the mean over sensors is the
surprise R. What is usual was measured by the fit, or is learnt as the stream goes (usual = 0).
state: the averages, then the mean squares of the errors.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, padded, signal, tell, vector, width
from streamrnn.lanes import LANES, at, choose, fma, get, larger, load, root, smaller, store
from streamrnn.sums import total

USUAL, INVERSE, SETTINGS = range(3)  # of the weights: the usual size of each sensor's error
ALARM, TOP = range(2)       # of the limits: where R is an alarm, and what it exceeds once in a thousand rows
PACE = np.float32(2 / 21)   # an average over 20 rows
LONG = np.float32(1 / 1000)  # pace at which the usual size is learnt
CAP = np.float32(20)
BAND = np.float32(2.576)    # 99 of 100 rows lie within
SMALLEST = np.float32(1e-6)
HALF, ONE = np.float32(0.5), np.float32(1)


@apart
def surprise(shape, weights, board, y, old, state):
    n = shape[1]
    wide = width(n)
    settings = at(weights, SETTINGS * wide)
    begin(board, n, at(settings, 16), state, 2 * wide)
    pace = larger(LONG, ONE / (signal(board, n, B.AGE) + ONE))
    for u in range(0, wide, LANES):
        error, usual = load(vector(board, B.ERROR, n), u), load(weights, u)
        square = load(at(state, wide), u)
        learnt = root(larger(square, SMALLEST))
        store(at(state, wide), u, fma(fma(error, error, -square), pace, square))
        store(vector(board, B.SPREAD, n), u, choose(usual, usual, learnt) * BAND)
        error = error * choose(usual, load(at(weights, INVERSE * wide), u), ONE / learnt)
        error = larger(smaller(error, CAP), -CAP)
        average = load(state, u)
        average = fma(fma(error, error, -average), PACE, average)
        store(state, u, average)
        store(vector(board, B.BY_SURPRISE, n), u, average)
    level = total(state, n) / np.float32(n)
    tell(board, n, B.SURPRISE, level * get(settings, ALARM))
    tell(board, n, B.RANK, HALF * level * get(settings, TOP))


STAGE = Rowwise(surprise, apart=True)


@dataclass(frozen=True)
class Surprise(Monitor):
    """Forecast errors over the last 20 rows, against their usual size."""
    kind: ClassVar[str] = "surprise"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return 2 * padded(inputs)

    def settings(self, inputs):
        return {"usual": (inputs,), "limits": (2,)}

    def pack(self, tensors):
        usual = tensors["usual"]
        return B.packed(usual, B.inverse(usual), B.inverse(tensors["limits"]), tensors["start"])


STAGES, LAYERS = (STAGE,), (Surprise,)
