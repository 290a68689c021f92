"""One step of one stream, or of a group of streams: every stage of a plan in turn.

The kernels know no cell by name: a switch over all stages there are calls the stage's own function for this number of
streams. They are calls, not inlined: a stage keeps the registers to itself.
"""
from numba import types

from streamrnn.cells import STAGES
from streamrnn.cells.base import APART, NEW, OLD, Gated
from streamrnn.jit import called, inline, part
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import place
from streamrnn.kernels.tile import KEEPING, MANY, ONE, gated
from streamrnn.lanes import at, floats

call_apart = called(APART)


def _rowwise(stage, width):
    """The step of one rowwise stage: each stream by itself."""
    body = stage.step  # Numba resolves a function it closes over, not an attribute of a plain object

    streams, room, _ = width

    @part
    def step(row, arena, frame, tiles, turn):
        shape, w, state = (row[frames.INPUTS], row[frames.UNITS]), at(arena, row[frames.WEIGHTS]), row[frames.STATE] * 8
        for s in range(tiles * streams):
            body(shape, w, place(frame, room, row[frames.SOURCE], s), place(frame, room, row[frames.BUFFERS], s),
                 place(frame, room, state + OLD, s), place(frame, room, state + NEW, s))

    return step


def _apart(width):
    """The steps that are apart: called by the address in the stage's row."""
    streams, room, _ = width

    @part
    def step(row, arena, frame, tiles, turn):
        weights, state = at(arena, row[frames.WEIGHTS]), row[frames.STATE] * 8
        for s in range(tiles * streams):
            call_apart(row[frames.CODE], (row[frames.INPUTS], row[frames.UNITS], weights, place(frame, room, row[frames.SOURCE], s),
                                          place(frame, room, row[frames.BUFFERS], s), place(frame, room, state + OLD, s),
                                          place(frame, room, state + NEW, s)))

    return step


def advance(width):
    """One step of the streams in `tiles` tiles of a frame; `turn` alternates between steps (kernels/tile.py)."""
    steps = [*(gated(stage, width) if isinstance(stage, Gated) else _rowwise(stage, width) for stage in STAGES), _apart(width)]
    dispatch = frames.switch(steps, (frames.table, floats, frames.frame_type, types.int64, types.int64))

    @inline
    def step(program, arena, frame, tiles, turn):
        row = frames.beyond(program, frames.HEADER)
        for _ in range(program[frames.STAGES]):
            dispatch(row, arena, frame, tiles, turn)
            row = frames.beyond(row, frames.COLUMNS)
    return step


advance_one, advance_many, advance_keeping = advance(ONE), advance(MANY), advance(KEEPING)
