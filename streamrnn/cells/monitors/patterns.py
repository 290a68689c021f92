"""Patterns: does the shape of the last while lie far from every shape before it?

On signed logarithms, in blocks of 4, 5 and 6 rows: the last eight block means against each run of eight among the last thousand
and more, compared as they are and by shape; the distance to the nearest, beyond what such distances usually are, is held for a
while. state, for each sensor and block size: [rows in block, sum, blocks, low, high, distances, mean, excess, held, left], then the
block means, newest last; what was never filled lies far away.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, fill, signal, vector
from streamrnn.cells.monitors.scales import OLD, ONE, TINY, ZERO
from streamrnn.jit import inline
from streamrnn.lanes import LANES, across, at, fma, get, larger, load, put, smaller, splat, store

BLOCKS = (4, 5, 6)                 # rows in a block
LENGTH, LATE = 8, 4                # blocks in a pattern; patterns become memories so many blocks later
WINDOWS = 1024
KEPT = WINDOWS + LENGTH + LATE + 4
IN_BLOCK, SUM, COUNT, LOW, HIGH, DISTANCES, MEAN, EXCESS, HELD, LEFT, MEANS = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16
EACH = MEANS + KEPT + 16           # floats of state for each sensor and block size; the last 16 are room to work in
SHAPE = np.float32(0.2)            # weight of the shape beside the values
FLAT = np.float32(0.05)            # of the range: shapes smaller than this are not blown up
WARM, MEMORY = np.float32(30), np.float32(1000)
FORGET = np.float32(0.998)
CAP, HOLD = np.float32(2), np.float32(30)
FAR = np.float32(1e30)
THIRD = np.float32(1 / 3)
LEN = np.float32(1 / LENGTH)


@inline
def size(x):
    return larger(x, -x)


@inline
def nearest(means, span, room):
    """The smallest distance of the last eight block means to the eight of each window."""
    last = at(means, KEPT - LENGTH)
    low = high = get(last, 0)
    for j in range(1, LENGTH):
        low, high = smaller(get(last, j), low), larger(get(last, j), high)
    flat, own, per_span = FLAT * span, ONE / larger(high - low, FLAT * span), ONE / span
    best = splat(FAR)
    first = KEPT - LENGTH - LATE - WINDOWS + 1
    for k in range(first, first + WINDOWS, LANES):
        window = at(means, k)
        least = most = load(window, 0)
        for j in range(1, LENGTH):
            least, most = smaller(load(window, j), least), larger(load(window, j), most)
        theirs = ONE / larger(most - least, flat)
        far = splat(ZERO)
        for j in range(LENGTH):
            there, here = load(window, j), get(last, j)
            far = fma(size(here - there), per_span, far)
            far = fma(size((here - low) * own - (there - least) * theirs), SHAPE, far)
        best = smaller(far, best)
    store(room, 0, best)
    result = get(room, 0)
    for k in range(1, LANES):
        result = smaller(get(room, k), result)
    return result * LEN


@inline
def strange(own, value, rows):
    """One row more; how strange the pattern is, held for a while."""
    low, high = smaller(get(own, LOW), value), larger(get(own, HIGH), value)
    if get(own, COUNT) == ZERO and get(own, IN_BLOCK) == ZERO:
        low = high = value
    put(own, LOW, low)
    put(own, HIGH, high)
    left = larger(get(own, LEFT) - ONE, ZERO)
    held = get(own, HELD) if left > ZERO else ZERO
    filled, total = get(own, IN_BLOCK) + ONE, get(own, SUM) + value
    if filled >= np.float32(rows):
        means = at(own, MEANS)
        for k in range(0, KEPT, LANES):
            store(means, k, across(means, k + 1))
        put(means, KEPT - 1, total / filled)
        filled, total = ZERO, ZERO
        blocks = smaller(get(own, COUNT) + ONE, OLD)
        put(own, COUNT, blocks)
        if high > low and blocks >= np.float32(LENGTH + LATE):
            distance = nearest(means, high - low, at(own, MEANS + KEPT))
            seen, mean, excess = get(own, DISTANCES), get(own, MEAN), get(own, EXCESS)
            if seen >= WARM:
                p = smaller(larger(distance - mean, ZERO) / larger(excess, TINY), CAP)
                if p >= held:
                    held, left = p, HOLD
            seen = smaller(seen + ONE, OLD)
            moved = mean + (distance - mean) / smaller(seen, MEMORY)
            put(own, DISTANCES, seen)
            put(own, MEAN, moved)
            put(own, EXCESS, larger(FORGET * (mean + excess - moved), distance - moved))
    put(own, IN_BLOCK, filled)
    put(own, SUM, total)
    put(own, HELD, held)
    put(own, LEFT, left)
    return held


@apart
def patterns(shape, weights, board, y, old, state):
    n = shape[1]
    begin(board, n, weights, state, n * 3 * EACH)
    for c in range(n):
        value, found = get(vector(board, B.LOGARITHM, n), c), ZERO
        for b in range(3):
            own = at(state, (3 * c + b) * EACH)
            if signal(board, n, B.FRESH) > ONE:
                fill(at(own, MEANS), KEPT, FAR)
            found = found + strange(own, value, 4 + b)
        put(vector(board, B.BY_PATTERN, n), c, found * THIRD)


STAGE = Rowwise(patterns, apart=True)


@dataclass(frozen=True)
class Patterns(Monitor):
    """A memory of the last thousand patterns, learnt as the stream goes."""
    kind: ClassVar[str] = "patterns"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return inputs * len(BLOCKS) * EACH


STAGES, LAYERS = (STAGE,), (Patterns,)
