"""Report: what a detector says about a row.

columns: score, alert, cause (a number of board.CAUSES), missing (share of the sensors), then for each sensor what was expected, half
of the band around it, and its share of the blame.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, signal, vector, width
from streamrnn.jit import inline
from streamrnn.lanes import LANES, fma, get, larger, load, put, store
from streamrnn.sums import total

COLUMNS = ("score", "alert", "cause", "missing")  # one number each; BY_SENSOR: one for each sensor
BY_SENSOR = ("expected", "spread", "blame")
FIRST = len(COLUMNS)
ZERO, ONE = np.float32(0), np.float32(1)


@inline
def blame_of(board, n, cause):
    """The vector with each sensor's part in a cause."""
    which = B.BY_SURPRISE
    if cause == B.LEVEL:
        which = B.BY_LEVEL
    elif cause == B.RANGE or cause == B.SEASONAL or cause == B.PATTERN:
        which = B.BY_RANGE
    elif cause == B.HEALTH:
        which = B.BY_HEALTH
    return vector(board, which, n)


@apart
def report(shape, weights, board, y, old, new):
    n = shape[1]
    wide = width(n)
    cause = signal(board, n, B.CAUSE)
    put(y, 0, signal(board, n, B.RANK))
    put(y, 1, signal(board, n, B.ALERT))
    put(y, 2, cause)
    put(y, 3, signal(board, n, B.MISSING))
    blame, room = blame_of(board, n, cause), vector(board, B.LINEAR, n)  # nobody needs that vector any more
    for u in range(0, wide, LANES):
        store(room, u, larger(load(blame, u), ZERO))
    whole = total(room, n)
    share = ONE / whole if whole > ZERO else ZERO
    expected, unit, centre = vector(board, B.EXPECTED, n), vector(board, B.UNIT, n), vector(board, B.CENTRE, n)
    for k in range(n):
        put(y, FIRST + k, fma(get(expected, k), get(unit, k), get(centre, k)))
        put(y, FIRST + n + k, get(vector(board, B.SPREAD, n), k) * get(unit, k))
        put(y, FIRST + 2 * n + k, get(room, k) * share if whole > ZERO else ONE / np.float32(n))


STAGE = Rowwise(report, apart=True, exact=True)


@dataclass(frozen=True)
class Report(Monitor):
    """The last layer of a detector: the verdict's columns."""
    kind: ClassVar[str] = "report"

    def outputs(self, inputs):
        return FIRST + len(BY_SENSOR) * inputs

    def emit(self, plan, source, inputs):
        y = plan.work(self.outputs(inputs))
        plan.report = inputs
        plan.rowwise(STAGE, source, inputs, y, inputs)
        return y


STAGES, LAYERS = (STAGE,), (Report,)
