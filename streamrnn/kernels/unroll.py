"""Steps through time for training: a window forwards onto a tape, and backwards from it.

A tape holds, for some streams (slots), a record a step, float32 [time + 1][slot][record]: the step's work, the row after it
and the sums of its gated stages. Record 0 holds just the rows before the first step. Samples, results and their gradients
lie beside it as [time][slot][width]; the gradients of work and rows live for one step only, [slot][work][row, row].

Where no product waits for the step before (plan.chains), a tape of one slot may be a chain: TOGETHER of its steps go through the
stages at once, as if they were as many streams, each of which starts from the row that the one before it leaves. A
recurrence takes them in order, so no bit changes; the products share their weights. Gradients: [step][work], then
[step + 1][row], the first row being the one before the first of these steps.
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
from streamrnn.lanes import LANES, at, load, pointer, splat, store

# a desk: addresses, then sizes
(PROGRAM, ARENA, BACK, D_ARENA, TAPE, SAMPLES, D_SAMPLES, RESULTS, D_RESULTS, D_STEP, LENGTHS,
 SLOTS, RECORD, SAMPLE, KEEPS_D_SAMPLES, TOGETHER, DESK) = range(17)
ROWS = 64  # records whose share in the weights' gradient is added up at once: they stay in the cache, the sums in registers

int64 = types.int64
room = frames.room_for(GROUP)


@inline
def whole_tiles(count):
    return (count + STREAMS - 1) // STREAMS * STREAMS


@inline
def set_values(frame, desk, program, t, count):
    """Where the values of `count` records lie: step t of every slot, or steps from t on."""
    slots, record, width, outputs = desk[SLOTS], desk[RECORD], desk[SAMPLE], program[frames.OUTPUTS_OF_MODEL]
    work, stride = program[frames.WORK_SIZE], program[frames.STRIDE]
    old = pointer(desk[TAPE] + t * slots * record * 4)
    sample, result = pointer(desk[SAMPLES] + t * slots * width * 4), pointer(desk[RESULTS] + t * slots * outputs * 4)
    for s in range(count):
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
def set_chained_gradients(frame, desk, program, t, steps, count):
    """Of `steps` steps from t on, and of what fills their last tile. The row before the last steps' first is that behind these."""
    width, outputs, work, stride = desk[SAMPLE], program[frames.OUTPUTS_OF_MODEL], program[frames.WORK_SIZE], program[frames.STRIDE]
    sample = pointer(desk[D_SAMPLES] + (t * width * 4 if desk[KEEPS_D_SAMPLES] else 0))
    result, step = pointer(desk[D_RESULTS] + t * outputs * 4), pointer(desk[D_STEP])
    rows = at(step, GROUP * work)
    for k in range(0, stride, LANES):
        store(rows, steps * stride + k, load(rows, k))
    clear(rows, steps * stride)
    clear(at(rows, (steps + 1) * stride), (count - steps) * stride)
    clear(step, count * work)
    clear(sample, count * width)
    for s in range(count):
        hold(frame, X * GROUP + s, at(sample, s * width))
        hold(frame, WORK * GROUP + s, at(step, s * work))
        hold(frame, OLD * GROUP + s, at(rows, s * stride))
        hold(frame, NEW * GROUP + s, at(rows, (s + 1) * stride))
        hold(frame, Y * GROUP + s, at(result, s * outputs))


@inline
def clear(p, count):
    for k in range(0, count, LANES):
        store(p, k, splat(0))


@kernel(types.void(int64, int64))
def forwards(desk, time):
    """`time` steps from the rows of record 0. A slot whose length is over goes on from zeros, so that it stays finite."""
    desk = fields(desk)
    program, arena, lengths = fields(desk[PROGRAM]), pointer(desk[ARENA]), fields(desk[LENGTHS])
    frame, slots, work, together = room(), desk[SLOTS], program[frames.WORK_SIZE], desk[TOGETHER]
    for t in range(0, time, together):
        count = slots if together == 1 else whole_tiles(min(together, time - t))
        set_values(frame, desk, program, t, count)
        advance_keeping(program, arena, frame, count // STREAMS, t // together % 2)
        for s in range(slots if together == 1 else 0):
            if lengths[s] <= t:
                clear(pointer(desk[TAPE] + (((t + 1) * slots + s) * desk[RECORD] + work) * 4), program[frames.STRIDE])


@kernel(types.void(int64, int64, int64))
def backwards(desk, first, last):
    """From step last-1 down to step first, from the gradients of the results and of the rows behind the last step.

    The rows' gradient behind step t lies in half t % 2 of D_STEP's rows; those before it go to the other half. That of a chain
    lies in its first row, before and after; the results' gradients behind its last step must be zeros. Adds to the gradient of
    the arena.
    """
    desk = fields(desk)
    program, arena, back, d_arena = fields(desk[PROGRAM]), pointer(desk[ARENA]), pointer(desk[BACK]), pointer(desk[D_ARENA])
    frame, d_frame, slots, together = room(), room(), desk[SLOTS], desk[TOGETHER]
    waiting = 0
    for t in range(first + (last - 1 - first) // together * together, first - 1, -together):
        steps = min(together, last - t)
        count = slots if together == 1 else whole_tiles(steps)
        set_values(frame, desk, program, t, count)
        if together == 1:
            set_gradients(d_frame, desk, program, t)
        else:
            set_chained_gradients(d_frame, desk, program, t, steps, count)
        retreat(program, arena, back, frame, d_frame, d_arena, count // STREAMS)
        waiting += count
        if waiting > ROWS - count or t == first:
            weigh(program, frame, d_arena, waiting)
            waiting = 0
