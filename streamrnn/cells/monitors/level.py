"""Level: has the plant moved to another level, and is it still there?

The last few rows against a slow baseline, all sensors together: q = D' C^-1 D / n with D their difference and C what it usually
does. Above the limit the part is displaced: the baseline stands still until q has fallen, or D points elsewhere than it did on
the way; then it follows most of the way, and for a while faster and with a doubled limit.
state: fast average, baseline, mean displacement, then [displaced, peak of q, rows displaced, rows of rest left].
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, padded, signal, tell, vector, width
from streamrnn.jit import inline
from streamrnn.lanes import LANES, at, fma, get, larger, load, put, smaller, splat, store
from streamrnn.sums import dot

FAST, BASE, AWAY, SPACE, ROOM, COUNTERS = range(6)  # of the state; SPACE and ROOM are there to work in
DISPLACED, PEAK, ROWS, REST = range(4)
LIMIT = 0                        # of the settings: the limit of q; 0: none

ZERO, ONE = np.float32(0), np.float32(1)
QUICK = np.float32(0.3)          # pace of the fast average
SLOW = np.float32(1 / 150)       # pace of the baseline
AFTER = np.float32(0.02)         # its pace while at rest
RESTING = np.float32(50)         # rows of rest
LEAVE = np.float32(0.2)          # of the limit, or
FALLEN = np.float32(0.07)        # of the peak: it is over when q is below
LONGEST = np.float32(1500)      # rows: a level that stays is the new one
TURNED = np.float32(0.5)         # or when D has less than this of its mean displacement
FOLLOW = np.float32(0.85)        # how far the baseline follows then
CAP = np.float32(6)              # deviations: one stuck sensor must not drown the others


@inline
def through(matrix, x, n, wide, y):
    """y = matrix x; the matrix has a padded row for each column of x."""
    for u in range(0, wide, LANES):
        a, b = splat(ZERO), splat(ZERO)  # two sums: one would wait for itself
        for k in range(0, n - 1, 2):
            a = fma(get(x, k), load(at(matrix, k * wide), u), a)
            b = fma(get(x, k + 1), load(at(matrix, (k + 1) * wide), u), b)
        if n % 2:
            a = fma(get(x, n - 1), load(at(matrix, (n - 1) * wide), u), a)
        store(y, u, a + b)


@apart
def level(shape, weights, board, y, old, state):
    """weights: C^-1 / n, the settings, the start"""
    n = shape[1]
    wide = width(n)
    settings = at(weights, n * wide)
    counters, base, away, space = at(state, COUNTERS * wide), at(state, BASE * wide), at(state, AWAY * wide), at(state, SPACE * wide)
    begin(board, n, at(settings, 16), state, COUNTERS * wide + 16)
    scaled, difference = vector(board, B.SCALED, n), vector(board, B.BY_LEVEL, n)
    new = signal(board, n, B.FRESH) > ONE
    gap = signal(board, n, B.GAP)  # averages move on over rows that were left out
    quick, slow = smaller(ONE, QUICK * gap), ZERO
    if gap > ONE and get(counters, DISPLACED) == ZERO:
        slow = smaller(ONE, SLOW * gap)
    for u in range(0, wide, LANES):
        now = load(scaled, u)
        fast = load(state, u)
        fast = fma(now - fast, quick, fast)
        at_rest = load(base, u)
        store(base, u, fma(now - at_rest, slow, at_rest))
        if new:
            fast = now
            store(base, u, now)
        store(state, u, fast)
        store(difference, u, larger(smaller(fast - load(base, u), CAP), -CAP))
    through(weights, difference, n, wide, space)
    q, limit = dot(difference, space, n), get(settings, LIMIT)
    displaced, rest = get(counters, DISPLACED), get(counters, REST)
    if displaced > ZERO:
        peak, rows = larger(get(counters, PEAK), q), get(counters, ROWS) + ONE
        along = dot(away, space, n)
        room = at(state, ROOM * wide)
        through(weights, away, n, wide, room)
        far = dot(away, room, n)
        for u in range(0, wide, LANES):
            mean = load(away, u)
            store(away, u, fma(load(difference, u) - mean, ONE / rows, mean))
        put(counters, PEAK, peak)
        put(counters, ROWS, smaller(rows, np.float32(B.OLD)))
        if q < larger(LEAVE * limit, FALLEN * peak) or along < TURNED * far or rows > LONGEST:
            displaced, rest = ZERO, RESTING
            for u in range(0, wide, LANES):
                at_rest = load(base, u)
                store(base, u, fma(load(state, u) - at_rest, FOLLOW, at_rest))
    elif limit > ZERO and q > (limit + limit if rest > ZERO else limit) and signal(board, n, B.AGE) >= np.float32(B.YOUNG):
        displaced = ONE
        put(counters, PEAK, q)
        put(counters, ROWS, ONE)
        for u in range(0, wide, LANES):
            store(away, u, load(difference, u))
    if displaced == ZERO:
        pace = AFTER if rest > ZERO else SLOW
        pace = larger(pace, ONE / (signal(board, n, B.AGE) + ONE))
        for u in range(0, wide, LANES):
            at_rest = load(base, u)
            store(base, u, fma(load(scaled, u) - at_rest, pace, at_rest))
        rest = larger(rest - ONE, ZERO)
    put(counters, DISPLACED, displaced)
    put(counters, REST, rest)
    for u in range(0, wide, LANES):  # each sensor's part in q
        store(difference, u, load(difference, u) * load(space, u))
    tell(board, n, B.LEVEL, q / limit if limit > ZERO else ZERO)
    tell(board, n, B.DISPLACED, displaced)


STAGE = Rowwise(level, apart=True)


@dataclass(frozen=True)
class Level(Monitor):
    """Long displaced states, as a state of their own."""
    kind: ClassVar[str] = "level"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return COUNTERS * padded(inputs) + 16

    def settings(self, inputs):
        return {"precision": (inputs, inputs), "limit": (1,)}


STAGES, LAYERS = (STAGE,), (Level,)
