"""The kernels that Python calls: one sample of one stream, or some steps of many streams.

Rows lie in chunks of CHUNK rows, so that memory grows without moving. `chunks`, int64, holds two addresses a chunk: its
rows, float32 (CHUNK, stride), and its generations, int64 (CHUNK). A handle is slot + (generation << 32): it stops working
when the slot's generation moves on, so nobody sees the state of a stream that took over a slot.
A machine, int64 [program, chunks, work, turn, busy], is all that a step needs, behind one number.
"""
from numba import types

from streamrnn.cells.base import NEW, OLD, X, Y
from streamrnn.cells.base import WORK as W
from streamrnn.jit import inline, kernel
from streamrnn.kernels import frame as frames
from streamrnn.kernels.advance import advance_many, advance_one
from streamrnn.kernels.frame import fields, held, hold
from streamrnn.kernels.tile import GROUP, STREAMS
from streamrnn.lanes import BLOCK, at, data, get, pointer, prefetch, put

PROGRAM, CHUNKS, WORK, TURN, BUSY, MACHINE = range(6)
SHIFT = 10
CHUNK = 1 << SHIFT
FINE, WRONG_WIDTH, WRONG_VALUE, GONE, IN_USE = range(5)
SLOT = (1 << 32) - 1

room_for_one, room_for_group = frames.room_for(1), frames.room_for(GROUP)
int64, float32 = types.int64, types.float32


@inline
def set_frame(frame, width, s, sample, work, row, result):
    hold(frame, X * width + s, sample)
    hold(frame, W * width + s, work)
    hold(frame, NEW * width + s, row)
    hold(frame, OLD * width + s, row)
    hold(frame, Y * width + s, result)


@inline
def next_sample(frame, width, streams, inputs, outputs):
    for s in range(streams):
        hold(frame, X * width + s, at(held(frame, X * width + s), inputs))
        hold(frame, Y * width + s, at(held(frame, Y * width + s), outputs))


@inline
def acceptable(x, count, tokens):
    """Are all values such as the model takes (frame.TOKENS)?"""
    wrong = 0
    if tokens == frames.GAPS:
        for k in range(count):
            v = get(x, k)
            wrong |= (v - v != 0) & (v == v)
    else:
        for k in range(count):
            v = get(x, k)
            wrong |= v - v != 0  # not a number for inf and NaN alike
    if tokens > 0 and wrong == 0:
        for k in range(count):
            v = get(x, k)
            wrong |= not (0 <= v < tokens and v == int64(v))
    return wrong == 0


@inline
def current(chunks, handle):
    """Does the handle's slot still belong to its stream?"""
    slot = handle & SLOT
    return fields(chunks[(slot >> SHIFT) * 2 + 1])[slot & (CHUNK - 1)] == handle >> 32


@inline
def row_of(chunks, handle, stride):
    slot = handle & SLOT
    return at(pointer(chunks[(slot >> SHIFT) * 2]), (slot & (CHUNK - 1)) * stride)


@kernel(int64(int64, int64, float32[::1], float32[::1]), nogil=False)  # the GIL makes a single step atomic
def step_one(machine, handle, x, y):
    """One sample of one stream: nothing is touched unless all is fine."""
    machine = fields(machine)
    program, chunks = fields(machine[PROGRAM]), fields(machine[CHUNKS])
    xs = data(x)
    if x.shape[0] != program[frames.INPUTS_OF_MODEL]:
        return WRONG_WIDTH
    if not acceptable(xs, x.shape[0], program[frames.TOKENS]):
        return WRONG_VALUE
    if not current(chunks, handle):
        return GONE
    if machine[BUSY] != 0:
        return IN_USE
    row, turn = row_of(chunks, handle, program[frames.STRIDE]), machine[TURN]
    machine[TURN] = 1 - turn
    frame = room_for_one()
    set_frame(frame, 1, 0, xs, pointer(machine[WORK]), row, data(y))
    advance_one(program, pointer(program[frames.ARENA]), frame, 1, turn)
    return FINE


@kernel(int64(int64, int64, float32[::1], int64), nogil=False)
def move_row(machine, handle, values, write):
    """Copy a stream's row to `values` (stride,), or `values` into the row; as atomic as a step."""
    machine = fields(machine)
    chunks = fields(machine[CHUNKS])
    if not current(chunks, handle):
        return GONE
    if machine[BUSY] != 0:
        return IN_USE
    row = row_of(chunks, handle, values.shape[0])
    for k in range(values.shape[0]):
        if write:
            put(row, k, values[k])
        else:
            values[k] = get(row, k)
    return FINE


@kernel(int64(int64, float32[:, :, ::1], int64[::1]))
def first_wrong(program, x, lengths):
    """The first sample of x (n, time, inputs), as n * time + t, that a step would refuse; -1 if all are fine."""
    program = fields(program)
    xs, time, inputs = data(x), x.shape[1], x.shape[2]
    whole = True
    for n in range(x.shape[0]):
        whole &= lengths[n] == time
    if whole and acceptable(xs, x.size, program[frames.TOKENS]):
        return -1
    for n in range(x.shape[0]):
        start = at(xs, n * time * inputs)
        if not acceptable(start, lengths[n] * inputs, program[frames.TOKENS]):
            for t in range(lengths[n]):
                if not acceptable(at(start, t * inputs), inputs, program[frames.TOKENS]):
                    return n * time + t
    return -1


@kernel(int64(int64, int64[::1]))
def first_gone(chunks, handles):
    """The first handle whose stream was closed; -1 if none was."""
    chunks = fields(chunks)
    for n in range(handles.shape[0]):
        if not current(chunks, handles[n]):
            return n
    return -1


STEPS = types.void(int64, int64, int64[::1], float32[:, :, ::1], int64[::1], float32[:, :, ::1], int64, int64, int64, int64, int64)


@kernel(STEPS)
def steps(program, chunks, handles, x, lengths, y, first, last, work, distinct, far):
    """lengths[n] steps of the stream of handles[n], for n in [first, last): x (n, time, inputs) -> y (n, time, outputs).

    Streams go through in groups, time inside, so that a group's rows stay in L1 and the weights in L2. Samples must be
    fine (first_wrong), lengths must not grow. Unless all handles are `distinct`, streams go one by one, in order. Rows
    that are too many to stay in the cache from batch to batch (`far`) are asked for a group ahead.
    """
    program, chunks = fields(program), fields(chunks)
    arena, stride, size = pointer(program[frames.ARENA]), program[frames.STRIDE], program[frames.WORK_SIZE]
    inputs, outputs, time = x.shape[2], y.shape[2], x.shape[1]
    xs, ys, work = data(x), data(y), pointer(work)
    one, group = room_for_one(), room_for_group()
    turn = 0
    for start in range(first, last, GROUP):
        stop = min(start + GROUP, last)
        for n in range(stop, min(stop + GROUP, last) if far else stop):
            row = row_of(chunks, handles[n], stride)
            for line in range(0, stride, BLOCK):
                prefetch(row, line)
        tiles = (stop - start) // STREAMS if distinct else 0
        for s in range(tiles * STREAMS):
            n = start + s
            set_frame(group, GROUP, s, at(xs, n * time * inputs), at(work, s * size), row_of(chunks, handles[n], stride),
                      at(ys, n * time * outputs))
        done = 0
        for left in range(tiles, 0, -1):  # the shortest tile is the last one: it leaves first
            shared = lengths[start + left * STREAMS - 1]
            for t in range(done, shared):
                if t > 0:
                    next_sample(group, GROUP, left * STREAMS, inputs, outputs)
                advance_many(program, arena, group, left, turn)
                turn = 1 - turn
            done = max(done, shared)
            for n in range(start + (left - 1) * STREAMS, start + left * STREAMS):
                if lengths[n] > done:
                    turn = alone(program, arena, one, chunks, handles[n], xs, ys, n * time + done, lengths[n] - done, work, turn)
        for n in range(start + tiles * STREAMS, stop):
            turn = alone(program, arena, one, chunks, handles[n], xs, ys, n * time, lengths[n], work, turn)


@inline
def alone(program, arena, frame, chunks, handle, xs, ys, sample, count, work, turn):
    """`count` steps of one stream by itself, from a sample on."""
    inputs, outputs = program[frames.INPUTS_OF_MODEL], program[frames.OUTPUTS_OF_MODEL]
    set_frame(frame, 1, 0, at(xs, sample * inputs), work, row_of(chunks, handle, program[frames.STRIDE]), at(ys, sample * outputs))
    for _ in range(count):
        advance_one(program, arena, frame, 1, turn)
        next_sample(frame, 1, 1, inputs, outputs)
        turn = 1 - turn
    return turn
