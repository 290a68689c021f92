"""The end of a tile on a GPU: a thread's sums and the old values of its units become new ones.

A loop over a thread's streams would keep their sums in memory, where they can be counted through; so units are written out, by
doubling, and every index is known when it is compiled. Where values lie is read from the stage's row once for all of them.
"""
from streamrnn.cuda.words import address_of, afresh, set_value, value
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import fields
from streamrnn.lanes import BLOCK, at, pointer


def units_of_a_thread(stage):
    return 4 // stage.sums if stage.sums < 3 else 1


def opener(tile, column, count):
    """opened(row): `count` places from a column of the row on, as (start in the frame, offset) each: read once for many streams."""
    most = tile.most
    if count == 0:
        return inline(lambda row: ())

    before, last = opener(tile, column, count - 1), column + count - 1
    return inline(lambda row: before(row) + ((row[last] & 7) * most, row[last] >> 3))


def reached(number):
    """where(frame, places, s, u): the u-th value of one of such places."""
    first, second = 2 * number, 2 * number + 1
    return inline(lambda frame, places, s, u: at(pointer(frame[places[first] + s]), places[second] + u))


def finisher(stage, tile):
    """unit(sums, old values) -> new values, for the thread's units of each of its streams."""
    per, sums, unit = units_of_a_thread(stage), stage.sums, stage.unit
    take, read, write = _taker(sums), _reader(stage.reads), _writer(stage, tile.keeps)
    opened = opener(tile, frames.BUFFERS, stage.reads + stage.writes)
    kept = opener(tile, frames.KEPT, int(tile.keeps))

    @inline
    def one(acc, places, frame, u, s, here, wide, i):
        if s < here:
            write(places, frame, u, s, unit(*(take(acc, i) + read(places, frame, u, s))), wide)

    each = one
    for by in _doublings(per):
        each = _twice(each, 0, by, by * sums)
    for by in _doublings(tile.streams):
        each = _twice(each, by, 0, 4 * by)

    @inline
    def finish(acc, row, frame, u, first, here):
        row = fields(afresh(address_of(row)))  # what units need beside their sums is worked out here
        wide = (row[frames.UNITS] + BLOCK - 1) // BLOCK * BLOCK
        if u < wide:
            each(acc, opened(row) + kept(row), frame, u, first, here, wide, 0)

    return finish


def _doublings(count):
    return [1 << i for i in range(count.bit_length() - 1)]


def _twice(half, stream, unit, i):
    """Twice as many of a thread's units."""
    @inline
    def both(acc, places, frame, u, s, here, wide, start):
        half(acc, places, frame, u, s, here, wide, start)
        half(acc, places, frame, u + unit, s + stream, here, wide, start + i)
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
        return inline(lambda places, frame, u, s: ())
    before, where = _reader(count - 1), reached(count - 1)
    return inline(lambda places, frame, u, s: before(places, frame, u, s) + (value(where(frame, places, s, u), 0),))


def _writer(stage, keeps):
    """Store what a unit gave: its first values to their places; what is kept for the way back, if anyone wants it."""
    if stage.writes + (stage.kept if stage.grad else 0) == 1:
        where = reached(stage.reads)
        return inline(lambda places, frame, u, s, new, wide: set_value(where(frame, places, s, u), 0, new))

    write = inline(lambda places, frame, u, s, new, wide: None)
    for i in range(stage.writes):
        write = _also(write, i, reached(stage.reads + i), 0)
    for i in range(stage.kept if keeps else 0):
        write = _also(write, stage.writes + i, reached(stage.reads + stage.writes), i)
    return write


def _also(before, i, where, part):
    """And the i-th value, as the part-th vector at its place."""
    @inline
    def write(places, frame, u, s, new, wide):
        before(places, frame, u, s, new, wide)
        set_value(where(frame, places, s, u), part * wide, new[i])
    return write
