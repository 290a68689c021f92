"""Novelty: what no row before has been, told by the range rule (scales.py) on many views of a sensor, pooled by a vote.

Views: the reading, its logarithm, the online autoregression's error; means of the reading, of its distance to its season and of the
size of that, over short and long windows; and the memory of patterns. Five voters look through windows of slightly different
length. state, for each sensor: rows, then the last rows of four views, newest first, then the ranges.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, tell, vector
from streamrnn.cells.monitors.scales import OLD, ONE, ZERO, novelty
from streamrnn.jit import inline
from streamrnn.lanes import LANES, across, at, get, larger, put, smaller, store

SHORT, LONG = (14, 17, 20, 24, 28), (35, 42, 50, 60, 70)  # 20 and 50 rows, each times 0.7, 0.85, 1, 1.2 and 1.4
VOTERS = len(SHORT)
LAST = 80                    # rows kept: as many as the longest window, in whole blocks
READING, OFF, OFF_SIZE, OFF_LOG, VIEWS = range(5)
MEANS = 16                   # of the state: where means of a view over all windows are put
RINGS = MEANS + 64
RANGES = RINGS + VIEWS * (LAST + 16)
RANGE = 4                    # floats of a range
SHARED, OF_VOTER = 3, 7      # ranges that all voters share, and each has
EACH = RANGES + RANGE * 40   # 38 ranges
LIMIT = np.float32(0.05)     # of the range: novel
PATTERN = np.float32(0.05)   # what a pattern's strangeness weighs
LEAST = np.float32(1e-3)
FIFTH = np.float32(1 / VOTERS)
MANY = np.float32(20)        # times the limit: more is no stranger


@inline
def push(ring, value):
    for k in range(LAST - LANES, -LANES, -LANES):
        store(ring, k + 1, across(ring, k))
    put(ring, 0, value)


@inline
def means_of(own, view, rows, into):
    """The view's means over all windows, 0 until a window is full."""
    ring, total, k = at(own, RINGS + view * (LAST + 16)), ZERO, 0
    for w in range(2 * VOTERS):
        length = SHORT[w] if w < VOTERS else LONG[w - VOTERS]
        while k < length:
            total = total + get(ring, k)
            k += 1
        put(into, w, total / np.float32(length) if rows >= np.float32(length) else ZERO)


@inline
def novel(own, reading, logarithm, error, off, off_log, pattern):
    """How novel the row is, in units of the limit, and by what: (all, season, pattern)."""
    rows = smaller(get(own, 0) + ONE, OLD)
    put(own, 0, rows)
    push(at(own, RINGS), reading)
    push(at(own, RINGS + LAST + 16), off)
    push(at(own, RINGS + 2 * (LAST + 16)), larger(off, -off))
    push(at(own, RINGS + 3 * (LAST + 16)), larger(off_log, -off_log))
    for view in range(VIEWS):
        means_of(own, view, rows, at(own, MEANS + 16 * view))
    ranges = at(own, RANGES)
    shared = larger(novelty(ranges, reading), novelty(at(ranges, RANGE), logarithm))
    shared = larger(shared, novelty(at(ranges, 2 * RANGE), error))
    by_pattern, by_season, votes = PATTERN * pattern, ZERO, ZERO
    for v in range(VOTERS):
        mine, means = at(ranges, RANGE * (SHARED + OF_VOTER * v)), at(own, MEANS)
        far = larger(shared, novelty(mine, get(means, v))) if rows >= np.float32(SHORT[v]) else shared
        season = ZERO
        for view in range(1, VIEWS):
            season = larger(novelty(at(mine, RANGE * (2 * view - 1)), get(means, 16 * view + v)), season)
            season = larger(novelty(at(mine, RANGE * 2 * view), get(means, 16 * view + VOTERS + v)), season)
        far = smaller(larger(larger(far, season), by_pattern), ONE)
        by_season = larger(by_season, season)
        votes = votes + far / (far + LIMIT)
    votes = votes * FIFTH
    return votes / larger(ONE - votes, LEAST), by_season, by_pattern, shared


@apart
def monitor(shape, weights, board, y, old, state):
    n = shape[1]
    begin(board, n, weights, state, n * EACH)
    most, cause = ZERO, np.float32(B.RANGE)
    for c in range(n):
        signal, season, pattern, shared = novel(
            at(state, c * EACH), get(vector(board, B.VALUE, n), c), get(vector(board, B.LOGARITHM, n), c),
            get(vector(board, B.ONLINE_ERROR, n), c), get(vector(board, B.SEASON, n), c), get(vector(board, B.SEASON_LOG, n), c),
            get(vector(board, B.BY_PATTERN, n), c))
        put(vector(board, B.BY_RANGE, n), c, signal)
        if signal > most:
            most, cause = signal, np.float32(B.RANGE)
            if season > shared and season >= pattern:
                cause = np.float32(B.SEASONAL)
            elif pattern > shared:
                cause = np.float32(B.PATTERN)
    most = smaller(most, MANY)
    tell(board, n, B.RANGE, most if cause == np.float32(B.RANGE) else ZERO)
    tell(board, n, B.SEASONAL, most if cause == np.float32(B.SEASONAL) else ZERO)
    tell(board, n, B.PATTERN, most if cause == np.float32(B.PATTERN) else ZERO)


STAGE = Rowwise(monitor, apart=True)


@dataclass(frozen=True)
class Novelty(Monitor):
    """Readings, means and patterns that were never there before."""
    kind: ClassVar[str] = "novelty"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return inputs * EACH


STAGES, LAYERS = (STAGE,), (Novelty,)
