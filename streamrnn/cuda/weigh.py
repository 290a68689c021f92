"""The weights' gradients on a GPU, when a window has been gone back through: products over all its slots and steps.

The rows of a tape (step by step, slot by slot) are shared out in fixed slices; a block multiplies TALL values that a stage was fed
with BROAD gradients of its sums over one slice, ROWS rows at a time through shared memory. A thread owns 8 x 8 of the products.
What the slices give lies apart, [slice][weights as cuda/tile.py packs them], and `add_up` adds it in order: the same bits in every run.
"""
from functools import cache

import numpy as np
from numba import cuda, types

from streamrnn.cells.base import NEW, OLD, SUMS, X
from streamrnn.cuda.tape import PROGRAM, RECORD, RECORDS, SAMPLE, SAMPLES, record
from streamrnn.cuda.tile import width_there
from streamrnn.cuda.units import units_of_a_thread
from streamrnn.cuda.words import (
    all_but_last_copied,
    all_copied,
    barrier,
    copies_asked,
    copy1,
    copy4,
    load4,
    registers,
    set_value,
    store4,
    value,
)
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import beyond, fields
from streamrnn.kernels.tile import kept_gap
from streamrnn.lanes import at, fma, pointer

ROWS, TALL, BROAD, WORKERS = 16, 32, 128, 64
SLICES, BLOCKS = 64, 1024      # at most so many slices, and no more than give so many blocks
HALF = ROWS * (TALL + BROAD)   # floats of a chunk
SHARED = 2 * HALF
ONE, ZERO = np.float32(1), np.float32(0)
int64 = types.int64
room = registers(64)


def tiles_of(stage, hiddens, inputs, wide):
    """Blocks of one slice."""
    return -(-(hiddens + inputs + 1) // TALL) * -(-stage.sums * wide // BROAD)


def slices_of(tiles, rows):
    """Told by sizes alone, so that a gradient's bits are."""
    return max(1, min(SLICES, BLOCKS // tiles, rows // (4 * ROWS)))


WEIGH = types.void(*(int64,) * 6)


@inline
def start_of(desk, program, slots, code):
    """Where a place lies for the first slot at the first step; the next row of the tape is a record behind it, or a sample."""
    space, new = code & 7, record(desk, program, slots, 0, 0)
    if space == X:
        start = desk[SAMPLES]
    elif space == OLD:
        start = desk[RECORDS] + program[frames.WORK_SIZE] * 4
    elif space == NEW:
        start = new + program[frames.WORK_SIZE] * 4
    elif space == SUMS:
        start = new + (program[frames.WORK_SIZE] + program[frames.STRIDE]) * 4
    else:
        start = new
    return at(pointer(start), code >> 3)


@cache
def weigh(stage):
    """weigh(desk, number, slots, rows, parts, slices): the weights' gradient of stage `number`, apart for each slice of `rows` rows."""
    sums, per = stage.sums, units_of_a_thread(stage)
    hidden_first, hidden_end = (stage.hidden_gates or (0,))[0], (stage.hidden_gates or (-1,))[-1] + 1
    input_first, input_end = (stage.input_gates or (0,))[0], (stage.input_gates or (-1,))[-1] + 1

    def weigh(desk, number, slots, rows, parts, slices):
        shared = cuda.shared.array(SHARED, types.float32)
        thread, block = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)
        desk = fields(desk)
        program = fields(desk[PROGRAM])
        row = beyond(program, frames.HEADER + number * frames.COLUMNS)
        hiddens, inputs, wide, units = row[frames.HIDDENS], row[frames.INPUTS], kept_gap(row), row[frames.UNITS]
        fed, size = hiddens + inputs, sums * wide
        across = (size + BROAD - 1) // BROAD
        tiles = across * ((fed + TALL) // TALL)
        part, tile = block // tiles, block % tiles
        down, along = tile // across * TALL, tile % across * BROAD
        each = ((rows + slices - 1) // slices + ROWS - 1) // ROWS * ROWS
        begin, end = part * each, min(rows, part * each + each)
        size_of_record, column, line = desk[RECORD], thread % TALL, thread // TALL
        k = down + column
        if k < hiddens:
            source, step = at(start_of(desk, program, slots, row[frames.HIDDEN]), k), size_of_record
        else:
            source = at(start_of(desk, program, slots, row[frames.SOURCE]), k - hiddens)
            step = desk[SAMPLE] if row[frames.SOURCE] & 7 == X else size_of_record
        d_sums, there = at(start_of(desk, program, slots, row[frames.KEPT]), along + 4 * column), along + 4 * column < size
        if k >= fed:  # the bias, if it learns, and nothing behind it
            one = ONE if k == fed and row[frames.BIASED] != 0 else ZERO
            for r in range(line, ROWS, WORKERS // TALL):
                shared[r * TALL + column] = one
                shared[HALF + r * TALL + column] = one
        acc = room()
        for i in range(64):
            set_value(acc, i, 0)
        chunks = (end - begin + ROWS - 1) // ROWS
        if chunks > 0:
            fetch(shared, 0, source, step, k < fed, d_sums, size_of_record, there, begin, min(ROWS, end - begin), column, line)
        for chunk in range(chunks):
            if chunk + 1 < chunks:
                first = begin + (chunk + 1) * ROWS
                fetch(shared, (chunk + 1) % 2 * HALF, source, step, k < fed, d_sums, size_of_record, there, first, min(ROWS, end - first),
                      column, line)
                all_but_last_copied()
            else:
                all_copied()
            barrier()
            multiply(acc, shared, chunk % 2 * HALF + thread // 16 * 8, chunk % 2 * HALF + ROWS * TALL + thread % 16 * 4,
                     min(ROWS, end - begin - chunk * ROWS))
            barrier()
        put_down(acc, shared, thread)
        barrier()
        count = wide // per
        quads = width_there(count)
        sweeps = (count + quads - 1) // quads
        target = at(pointer(parts), part * sweeps * (1 + fed) * 4 * quads)
        for b in range(thread, BROAD, WORKERS):
            gate = (along + b) // wide
            u = along + b - gate * wide
            if gate < sums and u < units:
                quad = u // per
                p = at(target, quad // quads * (1 + fed) * 4 * quads + quad % quads * 4 + u % per * (4 // per) + gate)
                for i in range(down, min(down + TALL, fed + 1)):
                    if i == fed:
                        set_value(p, 0, shared[(i - down) * BROAD + b])
                    elif i < hiddens:
                        if hidden_first <= gate and gate < hidden_end:
                            set_value(p, (1 + i) * 4 * quads, shared[(i - down) * BROAD + b])
                    elif input_first <= gate and gate < input_end:
                        set_value(p, (1 + i) * 4 * quads, shared[(i - down) * BROAD + b])

    return weigh


@inline
def fetch(shared, to, source, step, fed, d_sums, record, there, first, rows, column, line):
    """A chunk of what was fed, [row][TALL], and of the sums' gradients, [row][BROAD]: a thread has one column of both."""
    for r in range(line, rows, WORKERS // TALL):
        if fed:
            copy1(shared, to + r * TALL + column, source, (first + r) * step)
        if there:
            copy4(shared, to + ROWS * TALL + r * BROAD + 4 * column, d_sums, (first + r) * record)
    copies_asked()


@inline
def multiply(acc, shared, source, d_sums, rows):
    for _ in range(rows):
        a, b = load4(shared, d_sums), load4(shared, d_sums + BROAD // 2)
        for half in range(0, 8, 4):
            v = load4(shared, source + half)
            for m in range(4):
                for g in range(4):
                    set_value(acc, 8 * (half + m) + g, fma(v[m], a[g], value(acc, 8 * (half + m) + g)))
                    set_value(acc, 8 * (half + m) + 4 + g, fma(v[m], b[g], value(acc, 8 * (half + m) + 4 + g)))
        source += TALL
        d_sums += BROAD


@inline
def put_down(acc, shared, thread):
    for m in range(8):
        for half in range(2):
            i = 8 * m + 4 * half
            store4(shared, (thread // 16 * 8 + m) * BROAD + half * (BROAD // 2) + thread % 16 * 4, value(acc, i), value(acc, i + 1),
                   value(acc, i + 2), value(acc, i + 3))


# -- sums of what lies apart ---------------------------------------------------------------------------------------------

TARGET, PARTS, SIZE, STRIDE, COUNT, TAKES, SUMMANDS = range(7)  # a line of a table: addresses, sizes, and how many blocks it takes
THREADS, WIDE = 256, 32
ADD_UP = types.void(int64)


def add_up(table):
    """target[i] = the sum of parts[n][i], n in order within eighths, then over these: a block for WIDE numbers of a line."""
    shared = cuda.shared.array(THREADS, types.float32)
    thread, block = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)
    line = fields(table)
    while block >= line[TAKES]:
        block -= line[TAKES]
        line = beyond(line, SUMMANDS)
    i, share = block * WIDE + thread % WIDE, thread // WIDE
    shares = THREADS // WIDE
    each = (line[COUNT] + shares - 1) // shares
    parts, total, stride = pointer(line[PARTS]), ZERO, line[STRIDE]
    if i < line[SIZE]:
        for n in range(share * each, min(line[COUNT], (share + 1) * each)):
            total += value(parts, n * stride + i)
    shared[thread] = total
    barrier()
    if thread < WIDE and i < line[SIZE]:
        for n in range(1, shares):
            total += shared[thread + n * WIDE]
        set_value(pointer(line[TARGET]), i, total)
