"""One step of one stream, or of a group of streams: every stage of a plan in turn.

The kernels know no cell by name: `_dispatch` writes one switch over all stages there are, and each case calls the
stage's own function for this number of streams. They are calls, not inlined: a stage keeps the registers to itself.
"""
from numba import types
from numba.extending import intrinsic

from streamrnn.cells import STAGES
from streamrnn.cells.base import NEW, OLD, Gated
from streamrnn.jit import inline, part
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import place
from streamrnn.kernels.tile import MANY, ONE, gated
from streamrnn.lanes import at, floats


def _rowwise(stage, width):
    """The step of one rowwise stage: each stream by itself."""
    body = stage.step  # Numba resolves a function it closes over, not an attribute of a plain object

    streams, room = width

    @part
    def step(row, arena, frame, tiles, turn):
        shape, w, state = (row[frames.INPUTS], row[frames.UNITS]), at(arena, row[frames.WEIGHTS]), row[frames.STATE] * 8
        for s in range(tiles * streams):
            body(shape, w, place(frame, room, row[frames.SOURCE], s), place(frame, room, row[frames.BUFFERS], s),
                 place(frame, room, state + OLD, s), place(frame, room, state + NEW, s))

    return step


def _dispatch(width):
    steps = [gated(stage, width) if isinstance(stage, Gated) else _rowwise(stage, width) for stage in STAGES]
    arguments = (frames.table, floats, frames.frame_type, types.int64, types.int64)

    @intrinsic
    def dispatch(typing, row, arena, frame, tiles, turn):
        for step in steps:
            step.compile(arguments)

        def lower(context, builder, sig, args):
            done = builder.append_basic_block("stepped")
            switch = builder.switch(frames.emit_field(builder, args[0], frames.KIND), done)
            for kind, step in enumerate(steps):
                case = builder.append_basic_block(f"stage{kind}")
                switch.add_case(kind, case)
                builder.position_at_end(case)
                frames.emit_call(context, builder, step, arguments, args)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()
        return types.void(*arguments), lower

    return dispatch


def advance(width):
    """One step of the streams in `tiles` tiles of a frame; `turn` alternates between steps (kernels/tile.py)."""
    dispatch = _dispatch(width)

    @inline
    def step(program, arena, frame, tiles, turn):
        row = frames.beyond(program, frames.HEADER)
        for _ in range(program[frames.STAGES]):
            dispatch(row, arena, frame, tiles, turn)
            row = frames.beyond(row, frames.COLUMNS)
    return step


advance_one, advance_many = advance(ONE), advance(MANY)
