"""Steps through time for training: a window forwards onto a tape, and backwards from it.

A tape holds, for some streams (slots), a record a step, float32 [time + 1][slot][record]: the step's work, the row after it
and the sums of its gated stages. Record 0 holds just the rows before the first step. Samples, results and their gradients
lie beside it as [time][slot][width]; the gradients of work and rows live for one step only, [slot][work][row, row].
A desk, int64, is all of this behind one number: addresses first, then sizes in floats.
"""
from numba import types

from streamrnn.cells.base import NEW, OLD, SUMS, WORK, X, Y
from streamrnn.jit import inline, kernel
from streamrnn.kernels import frame as frames
from streamrnn.kernels.advance import advance_keeping
from streamrnn.kernels.backward import retreat, weigh
from streamrnn.kernels.frame import fields, hold
from streamrnn.kernels.tile import GROUP, STREAMS
from streamrnn.lanes import LANES, at, pointer, splat, store

# a desk: addresses, then sizes
(PROGRAM, ARENA, BACK, D_ARENA, TAPE, SAMPLES, D_SAMPLES, RESULTS, D_RESULTS, D_STEP, LENGTHS,
 SLOTS, RECORD, SAMPLE, KEEPS_D_SAMPLES, DESK) = range(16)
ROWS = 64  # records whose share in the weights' gradient is added up at once: they stay in the cache, the sums in registers

int64 = types.int64
room = frames.room_for(GROUP)


@inline
def set_values(frame, desk, program, t):
    """Where the values of step t lie, for every slot."""
    slots, record, width, outputs = desk[SLOTS], desk[RECORD], desk[SAMPLE], program[frames.OUTPUTS_OF_MODEL]
    work, stride = program[frames.WORK_SIZE], program[frames.STRIDE]
    old = pointer(desk[TAPE] + t * slots * record * 4)
    sample, result = pointer(desk[SAMPLES] + t * slots * width * 4), pointer(desk[RESULTS] + t * slots * outputs * 4)
    for s in range(slots):
        new = at(old, slots * record)
        hold(frame, X * GROUP + s, sample)
        hold(frame, WORK * GROUP + s, new)
        hold(frame, NEW * GROUP + s, at(new, work))
        hold(frame, OLD * GROUP + s, at(old, work))
        hold(frame, SUMS * GROUP + s, at(new, work + stride))
        hold(frame, Y * GROUP + s, result)
        old, sample, result = at(old, record), at(sample, width), at(result, outputs)


@inline
def set_gradients(frame, desk, program, t):
    slots, width, outputs = desk[SLOTS], desk[SAMPLE], program[frames.OUTPUTS_OF_MODEL]
    work, stride = program[frames.WORK_SIZE], program[frames.STRIDE]
    size, new = work + 2 * stride, work + t % 2 * stride
    sample = pointer(desk[D_SAMPLES] + (t * slots * width * 4 if desk[KEEPS_D_SAMPLES] else 0))
    result, step = pointer(desk[D_RESULTS] + t * slots * outputs * 4), pointer(desk[D_STEP])
    for s in range(slots):
        hold(frame, X * GROUP + s, sample)
        hold(frame, WORK * GROUP + s, step)
        hold(frame, NEW * GROUP + s, at(step, new))
        hold(frame, OLD * GROUP + s, at(step, 2 * work + stride - new))
        hold(frame, Y * GROUP + s, result)
        clear(sample, width)
        clear(step, work)
        clear(at(step, 2 * work + stride - new), stride)
        sample, result, step = at(sample, width), at(result, outputs), at(step, size)


@inline
def clear(p, count):
    for k in range(0, count, LANES):
        store(p, k, splat(0))


@kernel(types.void(int64, int64))
def forwards(desk, time):
    """`time` steps from the rows of record 0. A slot whose length is over goes on from zeros, so that it stays finite."""
    desk = fields(desk)
    program, arena, lengths = fields(desk[PROGRAM]), pointer(desk[ARENA]), fields(desk[LENGTHS])
    frame, slots, work = room(), desk[SLOTS], program[frames.WORK_SIZE]
    for t in range(time):
        set_values(frame, desk, program, t)
        advance_keeping(program, arena, frame, slots // STREAMS, t % 2)
        for s in range(slots):
            if lengths[s] <= t:
                clear(pointer(desk[TAPE] + (((t + 1) * slots + s) * desk[RECORD] + work) * 4), program[frames.STRIDE])


@kernel(types.void(int64, int64, int64))
def backwards(desk, first, last):
    """From step last-1 down to step first, from the gradients of the results and of the rows behind the last step.

    The rows' gradient behind step t lies in half t % 2 of D_STEP's rows; those before it go to the other half. Adds to
    the gradient of the arena.
    """
    desk = fields(desk)
    program, arena, back, d_arena = fields(desk[PROGRAM]), pointer(desk[ARENA]), pointer(desk[BACK]), pointer(desk[D_ARENA])
    frame, d_frame, slots = room(), room(), desk[SLOTS]
    some, waiting = max(1, ROWS // slots), 0
    for t in range(last - 1, first - 1, -1):
        set_values(frame, desk, program, t)
        set_gradients(d_frame, desk, program, t)
        retreat(program, arena, back, frame, d_frame, d_arena, slots // STREAMS)
        waiting += 1
        if waiting == some or t == first:
            weigh(program, frame, d_arena, waiting * slots)
            waiting = 0
