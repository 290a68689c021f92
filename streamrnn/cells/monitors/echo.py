"""Echo: has anything like the last rows been seen in the history?

The history is kept as one run of N rows of up to three components. For each of its places j and each horizon there is a running
distance between what came lately and what led up to j: D_j = keep D_(j-1) + (1 - keep) |now - history_j|^2, taken from the place
before, so that a step costs N operations whatever the horizon. The smallest of them says how new the pattern is.
It is too eager for an alarm: it counts for the score alone.
state: for each horizon a block of 16 whose last number stands before D, and D, N floats; then room to work in.
"""
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from streamrnn.cells.base import Rowwise, apart, positive
from streamrnn.cells.monitors import board as B
from streamrnn.cells.monitors.board import Monitor, begin, fill, padded, signal, tell, vector, width
from streamrnn.jit import inline
from streamrnn.lanes import BLOCK, LANES, across, at, fma, get, larger, load, root, smaller, splat, store
from streamrnn.sums import dot

HORIZONS = (30, 100)             # rows after which a distance has faded to 1 / e
KEEP_SHORT, KEEP_LONG = (np.float32(np.exp(-1 / rows)) for rows in HORIZONS)
COMPONENTS, TOP = range(2)       # of the settings: 1 / how many; from TOP on, 1 / what each horizon exceeds once in a thousand rows
HALF, ONE = np.float32(0.5), np.float32(1)
CLIP = np.float32(5)             # deviations: one wild reading must not make a pattern
UNKNOWN = np.float32(1)          # a distance before anything has come
BEFORE = np.float32(4)           # what leads up to the history's first row is like nothing
FAR = np.float32(1e9)


@inline
def nearest(history, count, distances, a, b, c, keep, gain, room):
    """One step of all distances of a horizon, and the smallest."""
    best = splat(FAR)
    for j in range(count - LANES, -LANES, -LANES):  # downwards: each takes from the place before, as it was
        x, y, z = load(history, j) - a, load(at(history, count), j) - b, load(at(history, 2 * count), j) - c
        now = fma(fma(x, x, fma(y, y, z * z)), gain, across(distances, j - 1) * keep)
        store(distances, j, now)
        best = smaller(now, best)
    store(room, 0, best)
    least = get(room, 0)
    for k in range(1, LANES):
        least = smaller(get(room, k), least)
    return root(least)


@apart
def echo(shape, weights, board, y, old, state):
    """weights: settings, a row over the sensors for each of three components, three runs of N, the start"""
    count, n = shape
    wide = width(n)
    sensors, history = at(weights, 16), at(weights, 16 + 3 * wide)
    room = at(state, 2 * (count + BLOCK))
    begin(board, n, at(history, 3 * count), state, 2 * (count + BLOCK))
    if signal(board, n, B.FRESH) > ONE:
        fill(state, 2 * (count + BLOCK), UNKNOWN)
        fill(state, BLOCK, BEFORE)
        fill(at(state, count + BLOCK), BLOCK, BEFORE)
    scaled = vector(board, B.SCALED, n)
    for u in range(0, wide, LANES):
        store(room, u, larger(smaller(load(scaled, u), CLIP), -CLIP))
    a, b, c = dot(sensors, room, n), dot(at(sensors, wide), room, n), dot(at(sensors, 2 * wide), room, n)
    share = get(weights, COMPONENTS)
    short = nearest(history, count, at(state, BLOCK), a, b, c, KEEP_SHORT, (ONE - KEEP_SHORT) * share, room)
    long = nearest(history, count, at(state, count + 2 * BLOCK), a, b, c, KEEP_LONG, (ONE - KEEP_LONG) * share, room)
    strange = HALF * fma(short, get(weights, TOP), long * get(weights, TOP + 1))
    tell(board, n, B.MEMORY, strange)
    tell(board, n, B.RANK, fma(strange * strange, strange * strange, signal(board, n, B.RANK)))


STAGE = Rowwise(echo, apart=True)


@dataclass(frozen=True)
class Echo(Monitor):
    """Distance to the most similar passage of the last `rows` rows of the history."""
    kind: ClassVar[str] = "echo"
    rows: int

    def __post_init__(self):
        positive(self, "rows")
        object.__setattr__(self, "rows", padded(self.rows))

    def kept(self, inputs):
        return 2 * (self.rows + BLOCK) + max(BLOCK, padded(inputs))

    def settings(self, inputs):
        return {"components": (3, inputs), "history": (3, self.rows), "tops": (len(HORIZONS),)}

    def emit(self, plan, source, inputs):
        state = plan.state("state", self.kept(inputs))
        plan.rowwise(STAGE, source, self.rows, source, inputs, state=state, weights=self.pack)
        return source

    def pack(self, tensors):
        used = max(1, int(np.any(tensors["components"], axis=1).sum()))
        start = tensors["start"][:2 * (self.rows + BLOCK)]
        return B.packed([1 / used, *B.inverse(tensors["tops"])], tensors["components"], tensors["history"], start)


STAGES, LAYERS = (STAGE,), (Echo,)
