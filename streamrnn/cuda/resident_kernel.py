"""The kernel that stays: launched once, its weights in shared memory, it steps one stream as samples come.

A step of a block: before the sample, the bias and hidden products of its slices, for last step's h is there; then the sample;
then stage by stage the inputs' products, the units, and what others need of them onto the board. A unit's sum is one chain of
fma, in one thread. Block 0 listens to the host, does the rowwise stages and answers.

Nothing on the board is written anew before all have read it: every block says when it is done with a step (it stands before the
next sample), and block 0 hands the next sample out when all have. A read that is done does not move behind that, and a word goes
whole, so there are no fences. Rows lie in the GPU's memory; each of a row's numbers is written by one block, which alone reads
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

from numba import cuda, types

from streamrnn.cells.base import Gated
from streamrnn.cuda import parts
from streamrnn.cuda.pieces import by_kind
from streamrnn.cuda.resident_stages import Seat, gated, gated_before, nothing_before, rowwise
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
from streamrnn.cuda.words import address, all_copied, barrier, copies_asked, copy4, set_value, value
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import beyond, fields
from streamrnn.lanes import BLOCK, at, pointer

# a desk, int64: addresses, places on the board, sizes
TABLES, SIZE, ARENA, ROW, WORKS, WORK_SIZE, BOARD, DONE, INBOX, OUTBOX, INPUTS, OUTPUTS, IDLE, TERM, DESK = range(15)
# the host's memory: the inbox is [which launch is to end][sample], the outbox [which launch has ended][result]
THREADS = 256
int64 = types.int64
KERNEL = types.void(int64, int64, int64)
next_step = inline(following)


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
    before = by_kind([(n, gated_before(stage) if isinstance(stage, Gated) else nothing_before) for n, stage in pieces])
    step = by_kind([(n, gated(stage) if isinstance(stage, Gated) else rowwise(stage)) for n, stage in pieces])

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
