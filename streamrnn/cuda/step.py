"""Steps on a GPU: blocks take the streams of a batch a group at a time, every stage of the plan in turn, time inside.

A kernel is compiled for the kinds of stages that a plan has, whatever their sizes. A desk, int64, is what a launch needs behind one
number: the program, the addresses of weights, rows and work space, and sizes.
"""
from functools import cache

import numpy as np
from numba import cuda, types

from streamrnn.cells.base import NEW, OLD, Gated, X, Y
from streamrnn.cells.base import WORK as W
from streamrnn.cuda import tile as tiles
from streamrnn.cuda.pieces import by_kind
from streamrnn.cuda.tile import THREADS, placer
from streamrnn.cuda.words import barrier, value, works
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import beyond, fields
from streamrnn.lanes import LANES, at, pointer

# a desk
PROGRAM, ROWS, WORK, GROUP, REFUSED, DESK = range(6)
TEAMS = THREADS // LANES
FINE = (1 << 63) - 1  # of all samples; else which is the first that is not
int64, ZERO = types.int64, np.float32(0)


def rowwise(stage, tile):
    """The step of one rowwise stage: a team for each stream."""
    (body, _), place = stage.inlined, placer(tile)

    @inline
    def step(row, weights, frame, shared, thread, here):
        shape, state = (row[frames.INPUTS], row[frames.UNITS]), row[frames.STATE] * 8
        if works(thread):
            for s in range(thread // LANES, here, TEAMS):
                body(shape, weights, place(frame, row[frames.SOURCE], s), place(frame, row[frames.BUFFERS], s),
                     place(frame, state + OLD, s), place(frame, state + NEW, s))
    return step


def steps_of(stages, tile):
    """The steps of these stages, numbered as they come."""
    return by_kind([(number, tiles.gated(stage, tile) if isinstance(stage, Gated) else rowwise(stage, tile))
                    for number, stage in enumerate(stages)])


def pointer_setter(tile):
    """point(frame, ...): where the values of streams first, first + 1, ... lie at step t; who is not there is another's double."""
    most = tile.most

    @inline
    def point(frame, program, slots, rows, work, x, y, first, here, t, time, thread):
        for s in range(thread, most, THREADS):
            double = min(s, here - 1)
            n = first + double
            row = rows + slots[n] * program[frames.STRIDE] * 4
            frame[X * most + s] = x + (n * time + t) * program[frames.INPUTS_OF_MODEL] * 4
            frame[W * most + s] = work + double * program[frames.WORK_SIZE] * 4
            frame[NEW * most + s] = row
            frame[OLD * most + s] = row
            frame[Y * most + s] = y + (n * time + t) * program[frames.OUTPUTS_OF_MODEL] * 4
        barrier()
    return point


STEPS = types.void(*(int64,) * 7)


@cache
def kernel(stages, tile):
    """steps(desk, slots, x, y, lengths, count, time) for plans of these stages: (count, time, inputs) -> (count, time, outputs)."""
    dispatch, size, places, point = steps_of(stages, tile), tile.shared, tile.frame, pointer_setter(tile)

    def steps(desk, slots, x, y, lengths, count, time):
        shared = cuda.shared.array(size, types.float32)  # the simulator tells them apart by their lines
        frame = cuda.shared.array(places, types.int64)
        thread, block, blocks = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x), int64(cuda.gridDim.x)
        desk, slots, lengths = fields(desk), fields(slots), fields(lengths)
        if fields(desk[REFUSED])[0] == FINE:
            program, group = fields(desk[PROGRAM]), desk[GROUP]
            arena = pointer(program[frames.ARENA])
            work = desk[WORK] + block * group * program[frames.WORK_SIZE] * 4
            for first in range(block * group, count, blocks * group):
                here = min(group, count - first)
                for t in range(time):
                    while here > 0 and lengths[first + here - 1] <= t:  # lengths do not grow
                        here -= 1
                    if here > 0:
                        point(frame, program, slots, desk[ROWS], work, x, y, first, here, t, time, thread)
                        row = beyond(program, frames.HEADER)
                        for _ in range(program[frames.STAGES]):
                            dispatch(row[frames.KIND], row, at(arena, row[frames.WEIGHTS]), frame, shared, thread, here)
                            barrier()
                            row = beyond(row, frames.COLUMNS)

    return steps


def refuse(x, lengths, first_wrong, count, time, inputs, tokens):
    """Which sample of x (count, time, inputs) is the first that a step would refuse, as n * time + t, if any (kernels.step.acceptable)."""
    x, lengths = pointer(x), fields(lengths)
    step = int64(cuda.gridDim.x) * int64(cuda.blockDim.x)
    for i in range(int64(cuda.grid(1)), count * time * inputs, step):
        v, sample = value(x, i), i // inputs
        fine = v - v == ZERO or (tokens == frames.GAPS and v != v)
        if fine and tokens > 0:
            fine = v >= ZERO and v < tokens and v == int64(v)
        if not fine and sample % time < lengths[sample // time]:
            cuda.atomic.min(first_wrong, 0, sample)


REFUSE = types.void(int64, int64, types.int64[::1], *(int64,) * 4)
