"""Alarm: from signals to alerts.

Surprise, a displaced level and a sensor that froze or went silent are states: the alert holds while they last, and surprise must
fall to half its limit before it is over. Novelty is a moment: one row, then nothing for a while but what is far more novel.
state: [holding, rows since the last moment, how novel it was].
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, signal, tell
from streamrnn.lanes import get, larger, put, smaller

HOLDING, SINCE, NOVELTY = range(3)
ZERO, ONE = np.float32(0), np.float32(1)
OVER = np.float32(0.5)       # of the limit: surprise below it ends an alarm
QUIET = np.float32(100)      # rows after a moment in which
FAR_MORE = np.float32(5)     # only one so many times as novel is another
BRIEF = np.float32(B.YOUNG)  # a stream's first rows raise no alarm


@apart
def alarm(shape, weights, board, y, old, state):
    n = shape[1]
    begin(board, n, weights, state, 16)
    surprise, level, health = signal(board, n, B.SURPRISE), signal(board, n, B.DISPLACED), signal(board, n, B.HEALTH)
    holding = get(state, HOLDING) > ZERO
    lasting = larger(surprise / OVER if holding else surprise, larger(level, health))
    novelty, moment, cause = signal(board, n, B.RANGE), ZERO, np.float32(B.RANGE)
    if signal(board, n, B.SEASONAL) > novelty:
        novelty, cause = signal(board, n, B.SEASONAL), np.float32(B.SEASONAL)
    if signal(board, n, B.PATTERN) > novelty:
        novelty, cause = signal(board, n, B.PATTERN), np.float32(B.PATTERN)
    since, old_enough = get(state, SINCE) + ONE, signal(board, n, B.AGE) >= BRIEF
    if novelty >= ONE and (get(state, NOVELTY) == ZERO or since > QUIET or novelty > FAR_MORE * get(state, NOVELTY)):
        moment, since = ONE if old_enough else ZERO, ZERO
        put(state, NOVELTY, novelty)
    holds = ONE if lasting >= ONE and old_enough else ZERO
    if moment == ZERO or holds > ZERO:
        if level > ZERO and signal(board, n, B.LEVEL) >= surprise:
            cause = np.float32(B.LEVEL)
        elif health >= ONE:
            cause = np.float32(B.HEALTH)
        elif surprise > ZERO and surprise >= smaller(novelty, ONE):
            cause = np.float32(B.SURPRISE)
    if moment == ZERO and holds == ZERO and signal(board, n, B.MEMORY) >= ONE:
        cause = np.float32(B.MEMORY)
    put(state, HOLDING, holds)
    put(state, SINCE, smaller(since, np.float32(B.OLD)))
    tell(board, n, B.RANK, signal(board, n, B.RANK) + novelty)  # a level that moved or a frozen sensor says little about this row
    tell(board, n, B.ALERT, ONE if moment > ZERO or holds > ZERO else ZERO)
    tell(board, n, B.CAUSE, cause)


STAGE = Rowwise(alarm, apart=True)


@dataclass(frozen=True)
class Alarm(Monitor):
    """When the signals make an alert."""
    kind: ClassVar[str] = "alarm"
    stage: ClassVar[Rowwise] = STAGE

    def kept(self, inputs):
        return 3


STAGES, LAYERS = (STAGE,), (Alarm,)
