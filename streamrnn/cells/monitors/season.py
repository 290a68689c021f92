"""Season: is a value outside its usual range at this time of the day and of the week?

Each sensor has a profile of the day in 24 bins and one of the week in 168, of its values and of their signed logarithms. A value's
distance is to the span of its bin and the two beside it, by day or by week, whichever is nearer; 0 inside. Without a clock: 0.
state, for each sensor: rows, mean size, then for values and for logarithms the day's bins, their counts, the week's, their counts.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, signal, vector
from streamrnn.cells.monitors.scales import OLD, ONE, ZERO, signed_log
from streamrnn.jit import inline
from streamrnn.lanes import at, fma, get, larger, put, smaller

DAY, WEEK = 24, 168
HOUR = np.float32(3600)
PACE = np.float32(0.1)             # at which a bin follows, once it is ten values old
ROWS, SIZE, PROFILES = 0, 1, 16
PROFILE = 2 * (DAY + WEEK)
EACH = PROFILES + 2 * PROFILE      # floats of state for each sensor


@inline
def distance(bins, count, bin, value):
    """(is there anything in the bin?, signed distance to the span of the bin and its neighbours); the bin then follows."""
    known, far = get(bins, count + bin) > ZERO, ZERO
    if known:
        low = high = get(bins, bin)
        for k in (bin + count - 1, bin + 1):
            k = k % count
            if get(bins, count + k) > ZERO:
                low, high = smaller(get(bins, k), low), larger(get(bins, k), high)
        far = value - high if value > high else (value - low if value < low else ZERO)
    seen = get(bins, count + bin) + ONE
    put(bins, count + bin, smaller(seen, OLD))
    put(bins, bin, fma(value - get(bins, bin), larger(PACE, ONE / seen), get(bins, bin)))
    return known, far


@inline
def unusual(profile, hour, weekday, value):
    by_day, day = distance(profile, DAY, hour, value)
    by_week, week = distance(at(profile, 2 * DAY), WEEK, weekday * DAY + hour, value)
    if not by_day:
        return ZERO
    return week if by_week and week * week < day * day else day


@apart
def season(shape, weights, board, y, old, state):
    n = shape[1]
    begin(board, n, weights, state, n * EACH)
    clock = signal(board, n, B.CLOCK)
    hours = int(clock / HOUR)
    for c in range(n):
        value, own = get(vector(board, B.VALUE, n), c), at(state, c * EACH)
        rows = get(own, ROWS) + ONE
        size = fma((value if value > ZERO else -value) - get(own, SIZE), ONE / rows, get(own, SIZE))
        put(own, ROWS, smaller(rows, OLD))
        put(own, SIZE, size)
        scaled = signed_log(value, size)
        put(vector(board, B.LOGARITHM, n), c, scaled)
        put(vector(board, B.SIZE, n), c, size)
        off, off_log = ZERO, ZERO
        if clock >= ZERO:
            off = unusual(at(own, PROFILES), hours % DAY, (hours // DAY) % 7, value)
            off_log = unusual(at(own, PROFILES + PROFILE), hours % DAY, (hours // DAY) % 7, scaled)
        put(vector(board, B.SEASON, n), c, off)
        put(vector(board, B.SEASON_LOG, n), c, off_log)


STAGE = Rowwise(season, apart=True)


@dataclass(frozen=True)
class Season(Monitor):
    """Profiles of the day and the week."""
    kind: ClassVar[str] = "season"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return inputs * EACH


STAGES, LAYERS = (STAGE,), (Season,)
