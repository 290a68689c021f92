"""The kernel that stays: launched once, its weights in shared memory, it steps one stream as samples come.

A step of a block: before the sample, the bias and hidden products of its slices, for last step's h is there; then the sample;
then stage by stage the inputs' products, the units, and what others need of them onto the board. A unit's sum is one chain of
fma, in one thread. Block 0 listens to the host, does the rowwise stages and answers.

Nothing on the board is written anew before all have read it: every block says when it is done with a step (it stands before the
next sample), and block 0 hands the next sample out when all have. Words that were read cannot be read again later, and a word
goes whole, so there are no fences. Rows lie in the GPU's memory; each of a row's numbers is written by one block, which alone reads
it while the kernel runs, and the host when it has ended.
shared memory: the block's table, sample, result, a vector, work space, sums and old values of its slices, weights (cuda/parts.py).

What a step should cost on an H200, from the machine code, in cycles; not measured yet. A product 4 (a chain of fma; loads stay ahead
of it), and 12 a turn of 32: 560 for 128 inputs, 1,120 for 256. A vector by way of the board 700: a store to L2, then 1.5 looks of 270.
A unit 300, barriers and the way through the program 200. So a layer of 128 takes 1,760, one of 256 2,320, the first one (of few
inputs) 1,200 with its sample, a dense head 1,200: 2 x 128 4,200 cycles, 3 x 256 7,000, or 2.4 and 4 us at 1.75 GHz. The bus adds some
1.2 us on the way in (1.5 looks of 0.8 us) and 0.6 us on the way out. Hidden products, 2,500 cycles with what goes before and after,
fall into the time that the host takes to come back.
"""
from functools import cache
from typing import NamedTuple

from numba import cuda, types

from streamrnn.cells.base import NEW, OLD, WORK, Gated, X, Y
from streamrnn.cuda import parts
from streamrnn.cuda.signals import (
    STOP,
    all_say,
    following,
    in_shared,
    look,
    look_host,
    nanoseconds,
    pause,
    some_say,
    step_of,
    tell,
    tell_host,
    value_of,
)
from streamrnn.cuda.step import ZERO
from streamrnn.cuda.words import address, all_copied, barrier, copies_asked, copy4, get4, load4, set_value, value, works
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import beyond, fields
from streamrnn.lanes import BLOCK, LANES, at, fma, pointer

# a desk, int64: addresses, places on the board, sizes
TABLES, SIZE, ARENA, ROW, WORKS, WORK_SIZE, BOARD, DONE, INBOX, OUTBOX, INPUTS, OUTPUTS, IDLE, TERM, DESK = range(15)
# the host's memory: the inbox is [which launch is to end][sample], the outbox [which launch has ended][result]
THREADS = 256
int64 = types.int64
KERNEL = types.void(int64, int64, int64)
next_step = inline(following)


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


# -- sums --------------------------------------------------------------------------------------------------------------

def chain(four, one):
    """add(sum, weights, w, far, quad, shared, v, count): sum + weight[k] source[k], k in order; loads run a turn ahead of sums.

    A quad of one sum's weights is read by four(weights, place); quads of a sum lie `far` apart.
    """
    @inline
    def sixteen(weights, w, far, shared, v):
        return (four(weights, w), four(weights, w + far), four(weights, w + 2 * far), four(weights, w + 3 * far),
                load4(shared, v), load4(shared, v + 4), load4(shared, v + 8), load4(shared, v + 12))

    @inline
    def add(acc, weights, w, far, shared, v, count):
        whole = count // 16
        if whole > 0:
            a = sixteen(weights, w, far, shared, v)
            for _ in range((whole - 1) // 2):  # by turns, or the registers of one turn would be moved to those of the other
                b = sixteen(weights, w + 4 * far, far, shared, v + 16)
                acc = added_sixteen(acc, a)
                w += 8 * far
                v += 32
                a = sixteen(weights, w, far, shared, v)
                acc = added_sixteen(acc, b)
            acc = added_sixteen(acc, a)
            w += 4 * far
            v += 16
            if whole % 2 == 0:
                acc = added_sixteen(acc, sixteen(weights, w, far, shared, v))
                w += 4 * far
                v += 16
        for _ in range(count % 16 // 4):
            acc = added(acc, four(weights, w), load4(shared, v))
            w += far
            v += 4
        for k in range(count % 4):
            acc = fma(shared[v + k], one(weights, w + k), acc)
        return acc

    return add


@inline
def added_sixteen(acc, a):
    return added(added(added(added(acc, a[0], a[4]), a[1], a[5]), a[2], a[6]), a[3], a[7])


@inline
def added(acc, a, b):
    return fma(b[3], a[3], fma(b[2], a[2], fma(b[1], a[1], fma(b[0], a[0], acc))))


@inline
def element(array, index):
    return array[index]


add_near, add_far = chain(load4, element), chain(get4, value)


def products(fed, sums):
    """add(row, seat, shared, v, count, skip): every sum of the slice that is fed goes on by sources[k] weight[k].

    `skip` floats of the slice's weights stand before these.
    """
    begin, end = min(fed, default=0), max(fed, default=-1) + 1

    @inline
    def add(row, seat, shared, v, count, skip):
        columns, total = row[parts.COUNT] * sums, row[parts.SUMS_AT]
        near, there = row[parts.NEAR_AT], row[parts.FAR_AT]
        for i in range(seat.thread, columns, seat.threads):
            if begin <= i % sums and i % sums < end:
                acc = shared[total + i]
                if near >= 0:
                    acc = add_near(acc, shared, near + skip + 4 * i, 4 * columns, shared, v, count)
                else:
                    acc = add_far(acc, seat.arena, there + skip + 4 * i, 4 * columns, shared, v, count)
                shared[total + i] = acc

    return add


@inline
def quads(count):
    return (count + 3) // 4 * 4


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
    take_sums, read, write, unit, sums = _taker(stage.sums), _reader(stage.reads), _writer(stage), stage.unit, stage.sums

    @inline
    def finish(row, seat, shared, u, now):
        write(row, seat, u, now, unit(*(take_sums(shared, row[parts.SUMS_AT] + u * sums) + read(row, seat, shared, u))))

    return finish


def _taker(count):
    if count == 1:
        return inline(lambda shared, i: (shared[i],))

    before, last = _taker(count - 1), count - 1
    return inline(lambda shared, i: before(shared, i) + (shared[i + last],))


def _reader(count):
    if count == 0:
        return inline(lambda row, seat, shared, u: ())

    before, last = _reader(count - 1), count - 1
    return inline(lambda row, seat, shared, u: before(row, seat, shared, u) + (_old_value(row, seat, shared, u, last),))


@inline
def _old_value(row, seat, shared, u, r):
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
    body = stage.inlined

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


def before_of(pieces):
    """The part before the sample of each kind of stage, by its number."""
    (number, first), rest = pieces[0], pieces[1:]
    if not rest:
        return inline(lambda kind, row, seat, shared, last, fresh: first(row, seat, shared, last, fresh))
    others = before_of(rest)

    @inline
    def before(kind, row, seat, shared, last, fresh):
        if kind == number:
            first(row, seat, shared, last, fresh)
        else:
            others(kind, row, seat, shared, last, fresh)
    return before


def step_by_kind(pieces):
    (number, first), rest = pieces[0], pieces[1:]
    if not rest:
        return inline(lambda kind, row, weights, seat, shared, now: first(row, weights, seat, shared, now))
    others = step_by_kind(rest)

    @inline
    def step(kind, row, weights, seat, shared, now):
        if kind == number:
            first(row, weights, seat, shared, now)
        else:
            others(kind, row, weights, seat, shared, now)
    return step


# -- samples -----------------------------------------------------------------------------------------------------------

@inline
def hear(seat, count, now):
    """The sample from the board, as much of it as this block reads; False: block 0 says that this is the end."""
    ends = False
    for i in range(seat.thread, count, seat.threads):
        word = look(seat.board, i)
        while step_of(word) != now and step_of(word) != STOP:
            pause()
            word = look(seat.board, i)
        ends |= step_of(word) == STOP
        set_value(seat.x, i, value_of(word))
    return not some_say(ends)


@inline
def hear_host(seat, desk, blocks, now, launch, born):
    """Block 0: the sample from the host when all blocks are ready, handed on; False at the end: asked for, idle, or its term over."""
    inbox, board, inputs, done, first = fields(desk[INBOX]), seat.board, desk[INPUTS], desk[DONE], nanoseconds()
    ready = False
    while True:
        fine = True
        if not ready:
            for b in range(seat.thread, blocks, seat.threads):
                fine &= step_of(look(board, done + b)) == now
        if ready or all_say(fine):
            ready = True
            fine, asked = True, False
            for i in range(seat.thread, inputs + 1, seat.threads):
                word = look_host(inbox, i)
                if i == 0:
                    asked = step_of(word) == launch or step_of(word) == STOP
                else:
                    fine &= step_of(word) == now
                    set_value(seat.x, i - 1, value_of(word))
            if all_say(fine):
                for i in range(seat.thread, inputs, seat.threads):
                    tell(board, i, now, value(seat.x, i))
                barrier()
                return True
        else:
            asked = False
        time = nanoseconds()
        if some_say(asked or (seat.thread == 0 and (time - first > desk[IDLE] or time - born > desk[TERM]))):
            for i in range(seat.thread, inputs, seat.threads):
                tell(board, i, STOP, ZERO)
            return False
        pause()


# -- the kernel --------------------------------------------------------------------------------------------------------

@cache
def kernel(stages):
    """resident(desk, first, launch): steps of plans of these stages, from step `first` on, until the end of this launch."""
    pieces = list(enumerate(stages))
    before = before_of([(n, gated_before(stage) if isinstance(stage, Gated) else nothing_before) for n, stage in pieces])
    step = step_by_kind([(n, gated(stage) if isinstance(stage, Gated) else rowwise(stage)) for n, stage in pieces])

    def resident(desk, first, launch):
        shared = cuda.shared.array(0, types.float32)
        thread, threads = int64(cuda.threadIdx.x), int64(cuda.blockDim.x)
        block, blocks = int64(cuda.blockIdx.x), int64(cuda.gridDim.x)
        desk = fields(desk)
        arena, table = pointer(desk[ARENA]), fields(address(in_shared(shared, 0)))
        block_table = beyond(fields(desk[TABLES]), block * desk[SIZE])
        for i in range(thread, desk[SIZE], threads):
            table[i] = block_table[i]
        barrier()
        for i in range(4 * thread, table[parts.WEIGHTS_COUNT], 4 * threads):
            copy4(shared, table[parts.WEIGHTS_AT] + i, arena, table[parts.WEIGHTS_FROM] + i)
        copies_asked()
        work = at(pointer(desk[WORKS]), block * desk[WORK_SIZE])
        if table[parts.WORK_AT] >= 0:
            work = in_shared(shared, table[parts.WORK_AT])
            for i in range(thread, desk[WORK_SIZE], threads):
                set_value(work, i, ZERO)
        x, y, vector = in_shared(shared, table[parts.X_AT]), in_shared(shared, table[parts.Y_AT]), in_shared(shared, table[parts.VECTOR_AT])
        for i in range(thread, (desk[INPUTS] + BLOCK - 1) // BLOCK * BLOCK, threads):
            set_value(x, i, ZERO)
        rowwise_weights = arena
        if table[parts.ROWWISE_AT] >= 0:
            rowwise_weights = in_shared(shared, table[parts.ROWWISE_AT])
        seat = Seat(x, y, vector, work, pointer(desk[ROW]), arena, fields(desk[BOARD]), table[parts.VECTOR_AT], table[parts.X_AT],
                    block, thread, threads)
        all_copied()
        barrier()
        last, now, fresh, born = int64(0), first, True, nanoseconds()
        while True:
            row = beyond(table, parts.HEAD)
            for _ in range(table[parts.ROWS]):
                if row[parts.COUNT] > 0:
                    before(row[frames.KIND], row, seat, shared, last, fresh)
                    barrier()
                row = beyond(row, parts.WIDTH)
            if thread == 0:
                tell(seat.board, desk[DONE] + block, now, ZERO)
            heard = hear_host(seat, desk, blocks, now, launch, born) if block == 0 else hear(seat, table[parts.HEARS], now)
            if not heard:
                break
            row = beyond(table, parts.HEAD)
            for _ in range(table[parts.ROWS]):
                step(row[frames.KIND], row, at(rowwise_weights, row[frames.WEIGHTS]), seat, shared, now)
                barrier()
                row = beyond(row, parts.WIDTH)
            if block == 0:
                outbox = fields(desk[OUTBOX])
                for i in range(thread, desk[OUTPUTS], threads):
                    tell_host(outbox, i + 1, now, value(y, i))
            last, now, fresh = now, next_step(now), False
        if block == 0 and thread == 0:
            tell_host(fields(desk[OUTBOX]), 0, launch, ZERO)

    return resident
