"""The tile on a GPU: a gated stage for many streams at once, its sums in registers, its operands through shared memory.

A thread owns a quad, four sums, of each of `streams` streams: the four gates of a unit, two gates of two units, or one sum of
four units. A block of THREADS threads is `wide` quads by some groups of streams; `wide` is 16, 32 or 64, by the stage's size. A
stage of more quads takes several sweeps over its sources. Sources and weights come in chunks of DEPTH, the next one while this
one is worked on.
weights: [sweep][bias, then hidden, then inputs][quad of the sweep][4]; shared memory: two times [chunk of weights][chunk of the sources],
the sources as [k][stream], a row PAD longer than the streams, so that copies meet fewer banks twice.
"""
from typing import NamedTuple

import numpy as np

from streamrnn.cells.base import NEW, OLD, WORK, X
from streamrnn.cuda.words import (
    address,
    address_of,
    afresh,
    all_but_last_copied,
    all_copied,
    barrier,
    copies_asked,
    copy1,
    copy4,
    get4,
    load4,
    registers,
    set_value,
    value,
)
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import fields
from streamrnn.lanes import BLOCK, at, fma, pointer

THREADS, DEPTH, PAD = 256, 16, 4
WIDTHS = (16, 32, 64)


class Tile(NamedTuple):
    """`streams` of a thread; does training keep sums?"""
    streams: int
    keeps: bool = False


MANY, FEW = Tile(16), Tile(4)


def shared_size(tile):
    """Floats of shared memory."""
    return 2 * max(DEPTH * (4 * wide + THREADS // wide * tile.streams + PAD) for wide in WIDTHS)


def units_of_a_thread(stage):
    return 4 // stage.sums if stage.sums < 3 else 1


def quads(stage, units):
    return -(-units // BLOCK) * BLOCK // units_of_a_thread(stage)


def width(count):
    """How many quads a sweep takes."""
    return next((wide for wide in WIDTHS if wide >= count), WIDTHS[-1])


def sub_tile(stage, units, tile):
    """How many streams a block takes at once."""
    return THREADS // width(quads(stage, units)) * tile.streams


def pack(stage, gates):
    """The weights of a gated stage in the tile's order."""
    per, units = units_of_a_thread(stage), gates.bias.shape[1]
    count = quads(stage, units)
    wide = width(count)
    sweeps = -(-count // wide)
    hidden, inputs = gates.hidden.shape[2], gates.inputs.shape[2]
    rows = np.zeros((1 + hidden + inputs, sweeps * wide * per, 4 // per), np.float32)  # k, unit, sum
    rows[0, :units, :stage.sums] = gates.bias.T
    for start, part, fed in ((1, gates.hidden, stage.hidden_gates), (1 + hidden, gates.inputs, stage.input_gates)):
        if part.shape[2]:
            rows[start:start + part.shape[2], :units, list(fed)] = part.transpose(2, 1, 0)
    return np.ascontiguousarray(rows.reshape(len(rows), sweeps, wide * 4).swapaxes(0, 1)).ravel()


class Job(NamedTuple):
    """What a block works on: streams first, first + 1, ... of a batch, at step t of `time`."""
    program: object
    slots: object
    x: object
    y: object
    rows: object
    work: object
    first: int
    t: int
    time: int


@inline
def place(job, code, s):
    """Where a place (cells.base) lies for the s-th stream of the block."""
    program, space, n = job.program, code & 7, job.first + s
    if space == X:
        base = at(job.x, (n * job.time + job.t) * program[frames.INPUTS_OF_MODEL])
    elif space == WORK:
        base = at(job.work, s * program[frames.WORK_SIZE])
    elif space == NEW or space == OLD:
        base = at(job.rows, job.slots[n] * program[frames.STRIDE])
    else:
        base = at(job.y, (n * job.time + job.t) * program[frames.OUTPUTS_OF_MODEL])
    return at(base, code >> 3)


def gated(stage, tile):
    """step(row, weights, job, shared, bases, thread, here): one step of a stage for the block's `here` streams."""
    per, streams = units_of_a_thread(stage), tile.streams
    add_hidden, add_inputs = (_products(fed, per, streams) for fed in (stage.hidden_gates, stage.input_gates))
    room, finish = registers(4 * streams), _finish(stage, tile)

    @inline
    def step(row, weights, job, shared, bases, thread, here):
        hiddens, inputs, hidden, spare = row[frames.HIDDENS], row[frames.INPUTS], row[frames.HIDDEN], row[frames.SPARE]
        count = (row[frames.UNITS] + BLOCK - 1) // BLOCK * BLOCK // per
        wide = 16 if count <= 16 else 32 if count <= 32 else 64
        quad, group = thread % wide, thread // wide
        together = THREADS // wide * streams
        if count > wide and spare >= 0:  # h is written while later sweeps still need the old one
            keep_old(job, hidden, spare, hiddens, thread, here)
            hidden = spare
        for start in range(0, here, together):
            w = weights
            for sweep in range(0, count, wide):
                acc = room()
                first = get4(w, quad * 4)
                for s in range(streams):
                    for g in range(4):
                        set_value(acc, 4 * s + g, first[g])
                w = at(w, 4 * wide)
                add_hidden(acc, job, hidden, hiddens, w, shared, bases, thread, wide, start, here)
                w = at(w, hiddens * 4 * wide)
                add_inputs(acc, job, row[frames.SOURCE], inputs, w, shared, bases, thread, wide, start, here)
                w = at(w, inputs * 4 * wide)
                finish(acc, row, job, (sweep + quad) * per, start + group * streams, here)

    return step


@inline
def keep_old(job, hidden, spare, count, thread, here):
    for i in range(thread, count * here, THREADS):
        s, k = i // count, i % count
        set_value(place(job, spare, s), k, value(place(job, hidden, s), k))
    barrier()


def _products(fed, per, streams):
    """acc[stream][sum] += source[stream][k] * w[k][sum], k in order"""
    begin, end = (0, 4) if per > 1 else (min(fed, default=0), max(fed, default=-1) + 1)

    @inline
    def add(acc, job, code, count, w, shared, bases, thread, wide, start, here):
        quad, group = thread % wide, thread // wide
        long = THREADS // wide * streams + PAD
        sources, half = DEPTH * 4 * wide, DEPTH * (4 * wide + long)
        chunks = (count + DEPTH - 1) // DEPTH
        if chunks > 0:
            for s in range(thread, long - PAD, THREADS):  # a stream that is not there is another's double
                bases[s] = address(place(job, code, min(start + s, here - 1)))
            barrier()
            fetch(w, shared, bases, 0, thread, wide, long, 0, min(DEPTH, count))
        for chunk in range(chunks):
            if chunk + 1 < chunks:
                first = (chunk + 1) * DEPTH
                fetch(w, shared, bases, (chunk + 1) % 2 * half, thread, wide, long, first, min(DEPTH, count - first))
                all_but_last_copied()
            else:
                all_copied()
            barrier()
            weight, source = chunk % 2 * half + quad * 4, chunk % 2 * half + sources + group * streams
            for _ in range(min(DEPTH, count - chunk * DEPTH)):
                by = load4(shared, weight)
                for j in range(0, streams, 4):
                    v = load4(shared, source + j)
                    for m in range(4):
                        for g in range(begin, end):
                            set_value(acc, 4 * (j + m) + g, fma(v[m], by[g], value(acc, 4 * (j + m) + g)))
                weight += 4 * wide
                source += long
            barrier()

    return add


@inline
def fetch(w, shared, bases, to, thread, wide, long, first, depth):
    """A chunk of weights and sources from k = first on."""
    for i in range(thread, depth * wide, THREADS):
        copy4(shared, to + 4 * i, w, first * 4 * wide + 4 * i)
    k = thread % DEPTH
    if k < depth:
        to += DEPTH * 4 * wide + k * long
        for s in range(thread // DEPTH, long - PAD, THREADS // DEPTH):
            copy1(shared, to + s, pointer(bases[s]), first + k)
    copies_asked()


def _finish(stage, tile):
    """unit(sums, old values) -> new values, for the thread's units of each of its streams."""
    per, streams, sums = units_of_a_thread(stage), tile.streams, stage.sums
    take, read, write = _taker(sums), _reader(stage.reads), _writer(stage, tile.keeps)
    unit = stage.unit

    @inline
    def one(acc, row, job, u, s, here, wide, i):
        if s < here and u < wide:
            write(row, job, u, s, unit(*(take(acc, i) + read(row, job, u, s))), wide)

    each = one
    for by in _doublings(per):
        each = _twice(each, 0, by, by * sums)
    for by in _doublings(streams):
        each = _twice(each, by, 0, 4 * by)

    @inline
    def finish(acc, row, job, u, first, here):
        row = again(row)
        job = renewed(job)
        each(acc, row, job, afresh(u), afresh(first), here, (row[frames.UNITS] + BLOCK - 1) // BLOCK * BLOCK, 0)

    return finish


@inline
def again(table):
    return fields(afresh(address_of(table)))


@inline
def renewed(job):
    return Job(again(job.program), again(job.slots), pointer(afresh(address(job.x))), pointer(afresh(address(job.y))),
               pointer(afresh(address(job.rows))), pointer(afresh(address(job.work))), job.first, job.t, job.time)


def _doublings(count):
    return [1 << i for i in range(count.bit_length() - 1)]


def _twice(half, stream, unit, i):
    """Twice as many of a thread's units: a loop over them would keep the sums in memory, where they can be counted through."""
    @inline
    def both(acc, row, job, u, s, here, wide, start):
        half(acc, row, job, u, s, here, wide, start)
        half(acc, row, job, u + unit, s + stream, here, wide, start + i)
    return both


def _taker(sums):
    if sums == 1:
        return inline(lambda acc, i: (value(acc, i),))
    if sums == 2:
        return inline(lambda acc, i: (value(acc, i), value(acc, i + 1)))
    if sums == 3:
        return inline(lambda acc, i: (value(acc, i), value(acc, i + 1), value(acc, i + 2)))
    return inline(lambda acc, i: (value(acc, i), value(acc, i + 1), value(acc, i + 2), value(acc, i + 3)))


def _reader(count):
    if count == 0:
        return inline(lambda row, job, u, s: ())
    if count == 1:
        return inline(lambda row, job, u, s: (value(place(job, row[frames.BUFFERS], s), u),))

    before, last = _reader(count - 1), frames.BUFFERS + count - 1
    return inline(lambda row, job, u, s: before(row, job, u, s) + (value(place(job, row[last], s), u),))


def _writer(stage, keeps):
    """Store what a unit gave: its first values to their places; what is kept for the way back, if anyone wants it."""
    alone = stage.writes + (stage.kept if stage.grad else 0) == 1
    if alone:
        column = frames.BUFFERS + stage.reads

        @inline
        def write(row, job, u, s, new, wide):
            set_value(place(job, row[column], s), u, new)
        return write

    first = _nothing
    for i in range(stage.writes):
        first = _write_also(first, i, frames.BUFFERS + stage.reads + i)
    if keeps:
        for i in range(stage.kept):
            first = _keep_also(first, stage.writes + i, i)
    return first


@inline
def _nothing(row, job, u, s, new, wide):
    pass


def _write_also(before, i, column):
    @inline
    def write(row, job, u, s, new, wide):
        before(row, job, u, s, new, wide)
        set_value(place(job, row[column], s), u, new[i])
    return write


def _keep_also(before, i, part):
    @inline
    def write(row, job, u, s, new, wide):
        before(row, job, u, s, new, wide)
        set_value(place(job, row[frames.KEPT], s), part * wide + u, new[i])
    return write

