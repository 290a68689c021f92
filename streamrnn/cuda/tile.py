"""The tile on a GPU: a gated stage for many streams at once, its sums in registers, its operands through shared memory.

A thread owns a quad, four sums, of each of `streams` streams: the four gates of a unit, two gates of two units, or one sum of
four units. A block of THREADS threads is `wide` quads by some groups of streams; `wide` is 32 or 64, by the stage's size. A stage of
more quads takes several sweeps over its sources. Sources and weights come in chunks of DEPTH, the next one while this one is worked on.
weights: [sweep][bias, then hidden, then inputs][quad of the sweep][4]; shared memory: two times [chunk of weights][chunk of the sources],
the sources as [k][stream], a row PAD longer than the streams, so that copies meet fewer banks twice.
A frame, int64 in shared memory, says where the values of the block's streams lie: [space][stream], as on the CPU (kernels/frame.py).
"""
from typing import NamedTuple

import numpy as np

from streamrnn.cuda.units import finisher, units_of_a_thread
from streamrnn.cuda.words import (
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
from streamrnn.kernels.tile import kept_gap
from streamrnn.lanes import BLOCK, at, fma, pointer

THREADS, DEPTH, PAD = 256, 16, 4
WIDTHS = (32, 64)


class Tile(NamedTuple):
    """`streams` of a thread; does training keep sums?"""
    streams: int
    keeps: bool = False

    @property
    def most(self):
        """Streams of a block."""
        return THREADS // WIDTHS[0] * self.streams

    @property
    def shared(self):
        """Floats of shared memory, beside the frame."""
        return 2 * max(DEPTH * (4 * wide + THREADS // wide * self.streams + PAD) for wide in WIDTHS)

    @property
    def frame(self):
        """int64s of a frame."""
        return frames.SPACES * self.most


MANY, FEW = Tile(16), Tile(4)


def quads(stage, units):
    return -(-units // BLOCK) * BLOCK // units_of_a_thread(stage)


def width(count):
    """How many quads a sweep takes."""
    return WIDTHS[0] if count <= WIDTHS[0] else WIDTHS[1]


width_there = inline(width)  # the same in kernels


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


def placer(tile):
    """place(frame, code, s): where a place (cells.base) lies for the s-th stream of the block."""
    most = tile.most

    @inline
    def place(frame, code, s):
        return at(pointer(frame[(code & 7) * most + s]), code >> 3)
    return place


def gated(stage, tile):
    """step(row, weights, frame, shared, thread, here): one step of a stage for the block's `here` streams."""
    per, streams = units_of_a_thread(stage), tile.streams
    add_hidden, add_inputs = (_products(fed, per, tile) for fed in (stage.hidden_gates, stage.input_gates))
    room, finish, keep_old = registers(4 * streams), finisher(stage, tile), _old_keeper(tile)

    @inline
    def step(row, weights, frame, shared, thread, here):
        hiddens, inputs, hidden, spare = row[frames.HIDDENS], row[frames.INPUTS], row[frames.HIDDEN], row[frames.SPARE]
        count = kept_gap(row) // per
        wide = width_there(count)
        quad, group = thread % wide, thread // wide
        together = THREADS // wide * streams
        if spare >= 0:  # h is written while later sweeps still need the old one
            keep_old(frame, hidden, spare, hiddens, thread, here)
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
                add_hidden(acc, frame, hidden, hiddens, w, shared, thread, wide, start)
                w = at(w, hiddens * 4 * wide)
                add_inputs(acc, frame, row[frames.SOURCE], inputs, w, shared, thread, wide, start)
                w = at(w, inputs * 4 * wide)
                finish(acc, row, frame, (sweep + quad) * per, start + group * streams, here)

    return step


def _old_keeper(tile):
    place = placer(tile)

    @inline
    def keep_old(frame, hidden, spare, count, thread, here):
        for i in range(thread, count * here, THREADS):
            s, k = i // count, i % count
            set_value(place(frame, spare, s), k, value(place(frame, hidden, s), k))
        barrier()
    return keep_old


def _products(fed, per, tile):
    """acc[stream][sum] += source[stream][k] * w[k][sum], k in order"""
    begin, end = (0, 4) if per > 1 else (min(fed, default=0), max(fed, default=-1) + 1)
    streams, place = tile.streams, placer(tile)

    @inline
    def fetch(frame, code, w, shared, to, thread, wide, start, first, depth):
        """A chunk of weights and sources from k = first on."""
        for i in range(thread, depth * wide, THREADS):
            copy4(shared, to + 4 * i, w, first * 4 * wide + 4 * i)
        together, k = THREADS // wide * streams, thread % DEPTH
        if k < depth:
            to += DEPTH * 4 * wide + k * (together + PAD)
            for s in range(thread // DEPTH, together, THREADS // DEPTH):
                copy1(shared, to + s, place(frame, code, start + s), first + k)
        copies_asked()

    @inline
    def multiply(acc, shared, weight, source):
        w = load4(shared, weight)
        for j in range(0, streams, 4):
            v = load4(shared, source + j)
            for m in range(4):
                for g in range(begin, end):
                    set_value(acc, 4 * (j + m) + g, fma(v[m], w[g], value(acc, 4 * (j + m) + g)))

    @inline
    def add(acc, frame, code, count, w, shared, thread, wide, start):
        quad, group, by = thread % wide, thread // wide, afresh(4 * wide)
        long = afresh(THREADS // wide * streams + PAD)
        sources, half = DEPTH * by, DEPTH * (by + long)
        chunks = (count + DEPTH - 1) // DEPTH
        if chunks > 0:
            fetch(frame, code, w, shared, 0, thread, wide, start, 0, min(DEPTH, count))
        for chunk in range(chunks):
            if chunk + 1 < chunks:
                first = (chunk + 1) * DEPTH
                fetch(frame, code, w, shared, (chunk + 1) % 2 * half, thread, wide, start, first, min(DEPTH, count - first))
                all_but_last_copied()
            else:
                all_copied()
            barrier()
            weight, source = chunk % 2 * half + quad * 4, chunk % 2 * half + sources + group * streams
            if count - chunk * DEPTH >= DEPTH:
                for k in range(0, DEPTH, 4):  # four at a time: counting costs as much as a tenth of a product
                    multiply(acc, shared, weight + k * by, source + k * long)
                    multiply(acc, shared, weight + k * by + by, source + k * long + long)
                    multiply(acc, shared, weight + k * by + 2 * by, source + k * long + 2 * long)
                    multiply(acc, shared, weight + k * by + 3 * by, source + k * long + 3 * long)
            else:
                for k in range(count - chunk * DEPTH):
                    multiply(acc, shared, weight + k * by, source + k * long)
            barrier()

    return add
