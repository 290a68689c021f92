"""The board: the work space that all parts of a detector share within one step.

It holds vectors with a value for each sensor, each padded to a multiple of 16 floats, and behind them one block of 16
signals. The first part turns the sample into a board, each further one reads and writes it, the last one turns it into the
result. Between those two, the width that layers hand on is the number of sensors.
"""
from dataclasses import dataclass

import numpy as np

from streamrnn.cells.base import Layer
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, at, get, load, put, splat, store

VECTORS = (
    VALUE,       # the reading in its own unit; where it is missing, what was expected
    SCALED,      # the same in standard units
    SEEN,        # 1 where a reading came, 0 where it is missing
    EXPECTED,    # the forecast that was made for this row, in standard units
    CENTRE, UNIT,  # of the standard units: value = CENTRE + UNIT * scaled
    ERROR,       # SCALED - EXPECTED; 0 where the reading is missing
    SPREAD,      # half of the band around it
    LINEAR,      # the autoregression's forecast for the next row
    SIZE,        # the mean size of its readings, and the signed
    LOGARITHM,   # logarithm of the reading on that scale
    SEASON,      # how far the value lies outside its usual range at this time of day and week
    SEASON_LOG,  # the same of its logarithm
    ONLINE_ERROR,  # the online autoregression's error, in logarithms
    BY_SURPRISE, BY_LEVEL, BY_RANGE, BY_PATTERN, BY_HEALTH,  # each sensor's part in a monitor's signal
) = range(19)
BOARD = len(VECTORS)

# signals of the monitors: 1 and more is an alarm
CAUSES = ("surprise", "level", "range", "season", "pattern", "memory", "health")
SURPRISE, LEVEL, RANGE, SEASONAL, PATTERN, MEMORY, HEALTH = range(7)
# and what parts tell each other
FRESH = 7       # 1: the stream goes on where the fit ended, 2: it starts from nothing; 0 from its second row on
GAP = 8         # rows since the last one by the clock; 1 if none is missing
CLOCK = 9       # seconds since Monday 00:00; -1 if nobody told
ALERT = 10      # is the row part of an alarm?
DISPLACED = 11  # is the level monitor in its alarm state?
RANK = 12       # how strange the row is, for ranking
MISSING = 13    # share of the sensors without a reading
AGE = 14        # rows of this stream before this one, up to OLD
CAUSE = 15      # which monitor's signal is the strongest
SIGNALS = 16

OLD = 1 << 23   # float32 counts no further
YOUNG = 20      # rows in which a new stream is not judged in full


def padded(n):
    return -(-n // BLOCK) * BLOCK


def size(sensors):
    return BOARD * padded(sensors) + SIGNALS


@inline
def width(sensors):
    return -(-sensors // BLOCK) * BLOCK


@inline
def vector(board, which, sensors):
    return at(board, which * width(sensors))


@inline
def signals(board, sensors):
    return at(board, BOARD * width(sensors))


@inline
def signal(board, sensors, which):
    return get(signals(board, sensors), which)


@inline
def tell(board, sensors, which, value):
    put(signals(board, sensors), which, value)


@inline
def begin(board, sensors, start, state, count):
    """A fresh stream starts from what the fit left behind, or from zeros."""
    if signal(board, sensors, FRESH) > 0:
        for k in range(0, count, LANES):
            store(state, k, load(start, k))


@inline
def fill(p, count, value):
    for k in range(0, count, LANES):
        store(p, k, splat(value))


def packed(*parts):
    """Arrays one behind the other, the last axis of each padded to a multiple of 16 floats."""
    flat = []
    for part in parts:
        part = np.atleast_1d(np.asarray(part, np.float32))
        wide = np.zeros((*part.shape[:-1], padded(part.shape[-1])), np.float32)
        wide[..., :part.shape[-1]] = part
        flat.append(wide.ravel())
    return np.concatenate(flat)


@dataclass(frozen=True)
class Monitor(Layer):
    """A part that works on the board. `fit` measures its tensors; none of them has a gradient."""

    def outputs(self, inputs):
        return inputs

    def kept(self, inputs):
        """Floats of the row that are this part's; none if it remembers nothing."""
        return 0

    def settings(self, inputs):
        """Names and shapes of what it works with."""
        return {}

    def parameters(self, inputs):
        """The settings, and what a fresh stream starts from."""
        start = {"start": (self.kept(inputs),)} if self.kept(inputs) else {}
        return self.settings(inputs) | start

    def initial(self, inputs, rng, scheme):
        return {name: np.zeros(shape, np.float32) for name, shape in self.parameters(inputs).items()}

    def emit(self, plan, source, inputs):
        state = plan.state("state", self.kept(inputs)) if self.kept(inputs) else None
        plan.rowwise(self.stage, source, inputs, source, inputs, state=state, weights=self.pack)
        return source

    def pack(self, tensors):
        """The tensors as the stage reads them: in their order, unless a part says otherwise."""
        return packed(*tensors.values())


def inverse(values):
    """1 / value; 0 where there is no limit or no unit (0)."""
    values = np.asarray(values, np.float32)
    return np.where(values > 0, 1 / np.where(values > 0, values, 1), 0).astype(np.float32)
