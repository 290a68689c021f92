"""Stages as a resident kernel runs them: what of a step needs no sample, then the rest, for the slice that a block has."""
from typing import NamedTuple

from streamrnn.cells.base import NEW, OLD, WORK, X, Y
from streamrnn.cuda import parts
from streamrnn.cuda.pieces import each
from streamrnn.cuda.resident_sums import products, quads
from streamrnn.cuda.signals import look, pause, step_of, tell, value_of
from streamrnn.cuda.step import ZERO
from streamrnn.cuda.words import barrier, set_value, value, works
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.lanes import BLOCK, LANES, at


class Seat(NamedTuple):
    """What a block works with: pointers to its spaces (`row` in the GPU's memory), the board, which thread this is of how many."""
    x: object
    y: object
    vector: object
    work: object
    row: object
    arena: object
    board: object
    vector_at: object
    x_at: object
    block: object
    thread: object
    threads: object


@inline
def place(seat, code):
    space = code & 7
    if space == X:
        base = seat.x
    elif space == WORK:
        base = seat.work
    elif space == Y:
        base = seat.y
    else:
        base = seat.row
    return at(base, code >> 3)


@inline
def take(seat, region, count, to, step):
    """A vector from the board when it is this step's, with zeros behind it to a multiple of 16."""
    for i in range(seat.thread, (count + BLOCK - 1) // BLOCK * BLOCK, seat.threads):
        if i < count:
            word = look(seat.board, region + i)
            while step_of(word) != step:
                pause()
                word = look(seat.board, region + i)
            set_value(to, i, value_of(word))
        else:
            set_value(to, i, ZERO)
    barrier()


# -- gated stages ------------------------------------------------------------------------------------------------------

def gated_before(stage):
    """before(row, seat, shared, last, fresh): what of a step needs no sample. `last` is the step before; `fresh`: its h is in the row."""
    sums, reads = stage.sums, stage.reads
    add = products(stage.hidden_gates, sums)

    @inline
    def before(row, seat, shared, last, fresh):
        units, columns, total = row[parts.COUNT], row[parts.COUNT] * sums, row[parts.SUMS_AT]
        for i in range(seat.thread, columns, seat.threads):
            if row[parts.NEAR_AT] >= 0:
                shared[total + i] = shared[row[parts.NEAR_AT] + i]
            else:
                shared[total + i] = value(seat.arena, row[parts.FAR_AT] + i)
        for r in range(reads):
            code = row[frames.BUFFERS + r]
            if code & 7 == OLD:
                for u in range(seat.thread, units, seat.threads):
                    shared[row[parts.OLD_AT] + r * units + u] = value(seat.row, (code >> 3) + row[parts.FIRST] + u)
        if row[frames.HIDDENS] > 0 and row[frames.HIDDEN] & 7 == OLD:
            count = row[frames.HIDDENS]
            if fresh:
                for k in range(seat.thread, count, seat.threads):
                    set_value(seat.vector, k, value(place(seat, row[frames.HIDDEN]), k))
                barrier()
            else:
                take(seat, row[parts.HIDDEN_AT], count, seat.vector, last)
            add(row, seat, shared, seat.vector_at, count, quads(columns))

    return before


def gated(stage):
    """step(row, weights, seat, shared, now): the rest of it."""
    sums = stage.sums
    add_hidden, add_inputs, finish = products(stage.hidden_gates, sums), products(stage.input_gates, sums), finisher(stage)

    @inline
    def step(row, weights, seat, shared, now):
        inputs, hiddens, columns = row[frames.INPUTS], row[frames.HIDDENS], row[parts.COUNT] * sums
        if row[parts.SPREAD] > 0 and seat.block == 0:
            source = place(seat, row[frames.SOURCE])
            for k in range(seat.thread, inputs, seat.threads):
                tell(seat.board, row[parts.SOURCE_AT] + k, now, value(source, k))
        if columns > 0:
            if hiddens > 0 and row[frames.HIDDEN] & 7 != OLD:
                take(seat, row[parts.HIDDEN_AT], hiddens, seat.vector, now)
                add_hidden(row, seat, shared, seat.vector_at, hiddens, quads(columns))
                barrier()
            v = seat.x_at
            if row[parts.SOURCE_AT] >= 0:
                v = seat.vector_at
                take(seat, row[parts.SOURCE_AT], inputs, seat.vector, now)
            add_inputs(row, seat, shared, v, inputs, quads(columns) + quads(hiddens) * columns)
            barrier()
            for u in range(seat.thread, row[parts.COUNT], seat.threads):
                finish(row, seat, shared, u, now)

    return step


def finisher(stage):
    """finish(row, seat, shared, u, now): the slice's unit u, from its sums to the board and the row."""
    take_sums, read, write = each(stage.sums, _sum), each(stage.reads, _old_value), _writer(stage)
    unit, sums = stage.unit, stage.sums

    @inline
    def finish(row, seat, shared, u, now):
        write(row, seat, u, now, unit(*(take_sums(shared, row[parts.SUMS_AT] + u * sums) + read(row, seat, shared, u))))

    return finish


@inline
def _sum(i, shared, first):
    return shared[first + i]


@inline
def _old_value(r, row, seat, shared, u):
    code = row[frames.BUFFERS + r]
    if code & 7 == OLD:
        return shared[row[parts.OLD_AT] + r * row[parts.COUNT] + u]
    return value(place(seat, code), row[parts.FIRST] + u)


def _writer(stage):
    """What others wait for goes first: vectors from the last to the first, for a layer's output is its last."""
    reads, alone = stage.reads, stage.writes + (stage.kept if stage.grad else 0) == 1
    if alone:
        return inline(lambda row, seat, u, now, new: _write(row, seat, u, now, new, frames.BUFFERS + reads, parts.TOLD))

    write = _nothing
    for i in range(stage.writes):
        write = _write_also(write, i, frames.BUFFERS + reads + i)
    return write


@inline
def _nothing(row, seat, u, now, new):
    pass


def _write_also(others, i, column):
    @inline
    def write(row, seat, u, now, new):
        _write(row, seat, u, now, new[i], column, parts.TOLD + i)
        others(row, seat, u, now, new)
    return write


@inline
def _write(row, seat, u, now, new, column, told):
    if row[told] >= 0:
        tell(seat.board, row[told] + row[parts.FIRST] + u, now, new)
    set_value(place(seat, row[column]), row[parts.FIRST] + u, new)


# -- rowwise stages ----------------------------------------------------------------------------------------------------

def rowwise(stage):
    """One team of block 0 does it."""
    body, _ = stage.inlined

    @inline
    def step(row, weights, seat, shared, now):
        source = place(seat, row[frames.SOURCE])
        if row[parts.SOURCE_AT] >= 0:
            if row[frames.SOURCE] & 7 != WORK:  # work space is the block's own, a row's vectors are those of their blocks
                source = seat.vector
            take(seat, row[parts.SOURCE_AT], row[frames.INPUTS], source, now)
        if seat.thread < LANES and works(seat.thread):
            state = row[frames.STATE] * 8
            body((row[frames.INPUTS], row[frames.UNITS]), weights, source, place(seat, row[frames.BUFFERS]),
                 place(seat, state + OLD), place(seat, state + NEW))

    return step


@inline
def nothing_before(row, seat, shared, last, fresh):
    pass
