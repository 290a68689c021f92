"""Forwards through time on a GPU, a window a launch: blocks take some slots of the tape each, time inside."""
from functools import cache

import numpy as np
from numba import cuda, types

from streamrnn.cuda.step import TEAMS, steps_of
from streamrnn.cuda.tape import LENGTHS, PROGRAM, STATES, record, value_setter
from streamrnn.cuda.words import barrier, set_value, value
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import beyond, fields
from streamrnn.lanes import LANES, at, pointer

int64, ZERO = types.int64, np.float32(0)
FORWARDS = types.void(*(int64,) * 5)


@inline
def row_of(desk, program, slots, t, n):
    """The row of slot n behind step t; t is -1 before the first."""
    return at(pointer(record(desk, program, slots, t, n)), program[frames.WORK_SIZE])


@inline
def begin(desk, program, slots, first, here, thread, fresh):
    """The rows before the first step: those behind the last window, or zeros."""
    stride = program[frames.STRIDE]
    for s in range(thread // LANES, here, TEAMS):
        row, state = row_of(desk, program, slots, -1, first + s), at(pointer(desk[STATES]), (first + s) * stride)
        for k in range(thread % LANES, stride, LANES):
            set_value(row, k, ZERO if fresh else value(state, k))


@inline
def keep(desk, program, slots, first, here, thread, time):
    """The rows behind the last step, for the next window."""
    stride = program[frames.STRIDE]
    for s in range(thread // LANES, here, TEAMS):
        row, state = row_of(desk, program, slots, time - 1, first + s), at(pointer(desk[STATES]), (first + s) * stride)
        for k in range(thread % LANES, stride, LANES):
            set_value(state, k, value(row, k))


@inline
def clear_ended(desk, program, slots, first, here, thread, t):
    """A slot whose length is over goes on from zeros, so that it stays finite."""
    lengths = fields(desk[LENGTHS])
    for s in range(thread // LANES, here, TEAMS):
        if lengths[first + s] <= t:
            row = row_of(desk, program, slots, t, first + s)
            for k in range(thread % LANES, program[frames.STRIDE], LANES):
                set_value(row, k, ZERO)


@inline
def shortest_of(lengths, first, here, time):
    least = time
    for s in range(here):
        least = min(least, lengths[first + s])
    return least


@cache
def forwards(stages, tile):
    """forwards(desk, slots, time, group, fresh): `time` steps of a tape, `group` slots a block."""
    dispatch, size, places, point = steps_of(stages, tile), tile.shared, tile.frame, value_setter(tile.most)

    def forwards(desk, slots, time, group, fresh):
        shared = cuda.shared.array(size, types.float32)
        frame = cuda.shared.array(places, types.int64)
        thread, block, blocks = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x), int64(cuda.gridDim.x)
        desk = fields(desk)
        program = fields(desk[PROGRAM])
        arena = pointer(program[frames.ARENA])
        for first in range(block * group, slots, blocks * group):
            here = min(group, slots - first)
            shortest = shortest_of(fields(desk[LENGTHS]), first, here, time)
            begin(desk, program, slots, first, here, thread, fresh)
            for t in range(time):
                point(frame, desk, program, slots, first, here, t, thread)
                barrier()
                row = beyond(program, frames.HEADER)
                for _ in range(program[frames.STAGES]):
                    dispatch(row[frames.KIND], row, at(arena, row[frames.WEIGHTS]), frame, shared, thread, here)
                    barrier()
                    row = beyond(row, frames.COLUMNS)
                if shortest <= t:
                    clear_ended(desk, program, slots, first, here, thread, t)
            barrier()
            keep(desk, program, slots, first, here, thread, time)

    return forwards
