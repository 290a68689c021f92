"""The end of a tile on a GPU: a thread's sums and the old values of its units become new ones.

A loop over a thread's streams would keep their sums in memory, where they can be counted through; so units are written out, by
doubling, and every index is known when it is compiled. Where values lie is read from the stage's row once for all of them.
"""
from streamrnn.cuda.pieces import each
from streamrnn.cuda.words import address, afresh, set_value, value
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import fields
from streamrnn.kernels.tile import kept_gap
from streamrnn.lanes import at, pointer


def units_of_a_thread(stage):
    return 4 // stage.sums if stage.sums < 3 else 1


def opener(tile, column, count):
    """opened(row): `count` places from a column of the row on, as (start in the frame, offset) each: read once for many streams."""
    most = tile.most
    return each(count, inline(lambda i, row: ((row[column + i] & 7) * most, row[column + i] >> 3)))


@inline
def reach(frame, places, i, s, u):
    """The u-th value of the i-th of such places."""
    return at(pointer(frame[places[i][0] + s]), places[i][1] + u)


def finisher(stage, tile):
    """unit(sums, old values) -> new values, for the thread's units of each of its streams."""
    per, sums, unit = units_of_a_thread(stage), stage.sums, stage.unit
    take, read, write = each(sums, _sum), each(stage.reads, _old_value), _writer(stage, tile.keeps)
    opened = opener(tile, frames.BUFFERS, stage.reads + stage.writes)
    kept = opener(tile, frames.KEPT, int(tile.keeps))

    @inline
    def one(acc, places, frame, u, s, here, wide, i):
        if s < here:
            write(places, frame, u, s, unit(*(take(acc, i) + read(places, frame, u, s))), wide)

    units = one
    for by in _doublings(per):
        units = _twice(units, 0, by, by * sums)
    for by in _doublings(tile.streams):
        units = _twice(units, by, 0, 4 * by)

    @inline
    def finish(acc, row, frame, u, first, here):
        row = fields(afresh(address(row)))  # what units need beside their sums is worked out here
        wide = kept_gap(row)
        if u < wide:
            units(acc, opened(row) + kept(row), frame, u, first, here, wide, 0)

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


@inline
def _sum(i, acc, first):
    return value(acc, first + i)


@inline
def _old_value(i, places, frame, u, s):
    return value(reach(frame, places, i, s, u), 0)


def _writer(stage, keeps):
    """Store what a unit gave: its first values to their places; what is kept for the way back, if anyone wants it."""
    reads, writes = stage.reads, stage.writes
    if writes + (stage.kept if stage.grad else 0) == 1:
        return inline(lambda places, frame, u, s, new, wide: set_value(reach(frame, places, reads, s, u), 0, new))

    write = inline(lambda places, frame, u, s, new, wide: None)
    for i in range(writes):
        write = _also(write, i, reads + i, 0)
    for i in range(stage.kept if keeps else 0):
        write = _also(write, writes + i, reads + writes, i)
    return write


def _also(before, i, place, part):
    """And the i-th value, as the part-th vector at its place."""
    @inline
    def write(places, frame, u, s, new, wide):
        before(places, frame, u, s, new, wide)
        set_value(reach(frame, places, place, s, u), part * wide, new[i])
    return write
