"""Backwards through time on a GPU, a window a launch: a block owns some slots of the tape from the last step to the first.

A gated stage first turns what was kept into the gradients of its sums, a thread a unit; they stay on the tape, for the weights
(cuda/weigh.py). Then come the gradients of what it was fed: the sums' gradients times the weights packed the other way,
[sweep][sum, unit][WIDE], in chunks of DEPTH through shared memory. A thread owns 4 values of 4 slots, and some of the products:
shares of one sum are added up in shared memory, in order. A rowwise stage's own derivative is run by a team for each slot, which
adds the weights' gradient to a share of its own (shares: [block][team][weights of all rowwise stages]).
A frame says where values lie, [space][slot], then where their gradients do, then the first four numbers of MORE.
"""
from functools import cache

from numba import cuda, types

from streamrnn.cells.base import NEW, OLD, Gated
from streamrnn.cuda.pieces import by_kind, each
from streamrnn.cuda.tape import (
    BACK,
    PROGRAM,
    SAMPLE,
    SHARE,
    SHARES,
    TEAMS,
    d_step,
    gradient_setter,
    value_setter,
)
from streamrnn.cuda.tile import THREADS
from streamrnn.cuda.words import (
    all_but_last_copied,
    all_copied,
    barrier,
    copies_asked,
    copy4,
    load4,
    registers,
    set_value,
    store4,
    value,
    works,
)
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import beyond, fields
from streamrnn.kernels.tile import kept_gap
from streamrnn.lanes import LANES, at, fma, pointer

int64 = types.int64
BACKWARDS = types.void(*(int64,) * 3)
WIDE, DEPTH, PAD = 64, 64, 4   # values of a sweep; sums' gradients of a chunk
QUADS = WIDE // 4
PACKED, D_WEIGHTS, ONE_SHARE, SHARERS, MORE = range(5)  # addresses of the weights packed the other way and of the block's shares; sizes


def slots_of(groups):
    """How many slots a block takes at once."""
    return 4 * groups


def frame_size(groups):
    return 2 * frames.SPACES * slots_of(groups) + MORE


def placers(groups):
    """place(frame, code, s) of values and of gradients, and more(frame, i): the numbers behind them."""
    most = slots_of(groups)
    second, behind = frames.SPACES * most, 2 * frames.SPACES * most
    return (inline(lambda frame, code, s: at(pointer(frame[(code & 7) * most + s]), code >> 3)),
            inline(lambda frame, code, s: at(pointer(frame[second + (code & 7) * most + s]), code >> 3)),
            inline(lambda frame, i: frame[behind + i]))


def shared_size(groups):
    return 2 * (DEPTH * WIDE + slots_of(groups) * (DEPTH + PAD))


def back_size(size, count):
    """Floats of the weights that lead from `count` sums' gradients to `size` values, packed the other way."""
    return -(-size // WIDE) * WIDE * count


def gated(stage, groups):
    derive, to_source, per_slot, more = _derive(stage, groups), _to_source(groups), THREADS // slots_of(groups), placers(groups)[2]
    hidden_first, hidden_gates = (stage.hidden_gates or (0,))[0], len(stage.hidden_gates)
    input_first, input_gates = (stage.input_gates or (0,))[0], len(stage.input_gates)

    @inline
    def step(row, weights, frame, shared, thread, here):
        wide, hiddens = kept_gap(row), row[frames.HIDDENS]
        if thread // per_slot < here:
            derive(row, frame, thread // per_slot, thread % per_slot, per_slot, wide)
        barrier()
        back = at(pointer(more(frame, PACKED)), row[frames.BACK])
        if hidden_gates > 0 and hiddens > 0:
            to_source(row[frames.HIDDEN], hiddens, row[frames.KEPT] + hidden_first * wide * 8, hidden_gates * wide, back,
                      frame, shared, thread, here)
            back = at(back, (hiddens + WIDE - 1) // WIDE * WIDE * hidden_gates * wide)
        if row[frames.DEEPER] != 0:
            to_source(row[frames.SOURCE], row[frames.INPUTS], row[frames.KEPT] + input_first * wide * 8, input_gates * wide, back,
                      frame, shared, thread, here)
    return step


# -- a unit's derivative -----------------------------------------------------------------------------------------------

def _derive(stage, groups):
    """What was kept makes way for the sums' gradients, those of what was read are added to: units first, first + by, ... of a slot."""
    (place, d_place, _), kept, reads, writes, sums = placers(groups), stage.kept, stage.reads, stage.writes, stage.sums
    values, d_writes, d_reads = (_places(frames.BUFFERS, reads + writes, place), _places(frames.BUFFERS + reads, writes, d_place),
                                 _places(frames.BUFFERS, reads, d_place))
    take, read, read_d = each(kept, _kept_value), each(reads + writes, _value_there), each(writes, _value_there)
    put, add, grad = _put_down(sums, alone=sums + reads == 1), _added(sums, reads), stage.grad

    @inline
    def derive(row, frame, s, first, by, wide):
        sums_here = place(frame, row[frames.KEPT], s)
        here, d_new, d_old = values(row, frame, s), d_writes(row, frame, s), d_reads(row, frame, s)
        for u in range(first, wide, by):
            found = grad(*(take(sums_here, wide, u) + read(here, u) + read_d(d_new, u)))
            put(sums_here, wide, u, found)
            add(d_old, u, found)
    return derive


def _places(first, count, place):
    """The places of these columns of a stage's row."""
    return each(count, inline(lambda i, row, frame, s: place(frame, row[first + i], s)))


@inline
def _value_there(i, places, u):
    return value(places[i], u)


@inline
def _kept_value(i, p, wide, u):
    return value(p, i * wide + u)


def _put_down(count, alone):
    if alone:
        return inline(lambda p, wide, u, found: set_value(p, u, found))
    if count == 0:
        return inline(lambda p, wide, u, found: None)
    before, last = _put_down(count - 1, False), count - 1

    @inline
    def put(p, wide, u, found):
        before(p, wide, u, found)
        set_value(p, last * wide + u, found[last])
    return put


def _added(sums, count):
    if count == 0:
        return inline(lambda places, u, found: None)
    before, last = _added(sums, count - 1), count - 1

    @inline
    def add(places, u, found):
        before(places, u, found)
        set_value(places[last], u, value(places[last], u) + found[sums + last])
    return add


# -- the gradient of what a stage was fed -------------------------------------------------------------------------------

def _to_source(groups):
    """target[slot][i] += sum of d_sums[slot][j] weights[sweep of i][j][i], j below count"""
    together, shares = slots_of(groups), QUADS // groups
    room, long, half, (place, d_place, _) = registers(16), DEPTH + PAD, shared_size(groups) // 2, placers(groups)

    @inline
    def fetch(weights, frame, d_sums, shared, to, first, depth, thread):
        """A chunk of weights and of the sums' gradients from `first` on; depth is a multiple of 16."""
        for i in range(thread, depth * QUADS, THREADS):
            copy4(shared, to + 4 * i, weights, first * WIDE + 4 * i)
        part = 4 * (thread % (DEPTH // 4))
        if part < depth:
            for s in range(thread // (DEPTH // 4), together, THREADS // (DEPTH // 4)):
                copy4(shared, to + DEPTH * WIDE + s * long + part, place(frame, d_sums, s), first + part)
        copies_asked()

    @inline
    def to_source(target, size, d_sums, count, weights, frame, shared, thread, here):
        quad, group, share = thread % QUADS, thread // QUADS % groups, thread // (QUADS * groups)
        chunks, acc = (count + DEPTH - 1) // DEPTH, room()
        for start in range(0, size, WIDE):
            for i in range(16):
                set_value(acc, i, 0)
            fetch(weights, frame, d_sums, shared, 0, 0, min(DEPTH, count), thread)
            for chunk in range(chunks):
                if chunk + 1 < chunks:
                    first = (chunk + 1) * DEPTH
                    fetch(weights, frame, d_sums, shared, (chunk + 1) % 2 * half, first, min(DEPTH, count - first), thread)
                    all_but_last_copied()
                else:
                    all_copied()
                barrier()
                weight = chunk % 2 * half + share * 4 * WIDE + quad * 4
                source = chunk % 2 * half + DEPTH * WIDE + group * 4 * long + share * 4
                for _ in range(share * 4, min(DEPTH, count - chunk * DEPTH), 4 * shares):
                    a, b = load4(shared, weight), load4(shared, weight + WIDE)
                    c, d = load4(shared, weight + 2 * WIDE), load4(shared, weight + 3 * WIDE)
                    for s in range(4):
                        v = load4(shared, source + s * long)
                        for g in range(4):
                            sums = fma(v[1], b[g], fma(v[0], a[g], value(acc, 4 * s + g)))
                            set_value(acc, 4 * s + g, fma(v[3], d[g], fma(v[2], c[g], sums)))
                    weight += 4 * WIDE * shares
                    source += 4 * shares
                barrier()
            for s in range(4):
                store4(shared, ((share * groups + group) * 4 + s) * WIDE + quad * 4, value(acc, 4 * s), value(acc, 4 * s + 1),
                       value(acc, 4 * s + 2), value(acc, 4 * s + 3))
            barrier()
            o = thread % WIDE
            if start + o < size:
                for s in range(thread // WIDE, here, THREADS // WIDE):
                    p = d_place(frame, target, s)
                    total = value(p, start + o)
                    for n in range(shares):
                        total += shared[(n * together + s) * WIDE + o]
                    set_value(p, start + o, total)
            barrier()
            weights = at(weights, count * WIDE)

    return to_source


# -- rowwise stages ----------------------------------------------------------------------------------------------------

def rowwise(stage, groups):
    (_, body), (place, d_place, more) = stage.inlined, placers(groups)

    @inline
    def step(row, weights, frame, shared, thread, here):
        shape, state = (row[frames.INPUTS], row[frames.UNITS]), row[frames.STATE] * 8
        source, target, team, teams = row[frames.SOURCE], row[frames.BUFFERS], thread // LANES, more(frame, SHARERS)
        if works(thread) and team < teams:
            d_weights = at(pointer(more(frame, D_WEIGHTS)), team * more(frame, ONE_SHARE) + row[frames.BACK])
            for s in range(team, here, teams):
                body(shape, weights, place(frame, source, s), place(frame, target, s), place(frame, state + OLD, s),
                     place(frame, state + NEW, s), d_weights, d_place(frame, source, s), d_place(frame, target, s),
                     d_place(frame, state + OLD, s), d_place(frame, state + NEW, s))
    return step


# -- through time ------------------------------------------------------------------------------------------------------

@inline
def clear_step(desk, program, first, here, t, thread, per_slot):
    """No gradient yet of the sample, the work and the row before step t."""
    s, stride, k = thread // per_slot, program[frames.STRIDE], thread % per_slot
    if s < here:
        step, before = pointer(d_step(desk, program, first + s)), desk[SAMPLE] + program[frames.WORK_SIZE]
        for i in range(k, before, per_slot):
            set_value(step, i, 0)
        for i in range(k, stride, per_slot):
            set_value(step, before + (1 - (t & 1)) * stride + i, 0)


@inline
def clear_behind(desk, program, first, here, t, thread, per_slot):
    """Nor of the row behind it, if it is the last."""
    s, stride = thread // per_slot, program[frames.STRIDE]
    if s < here:
        row = at(pointer(d_step(desk, program, first + s)), desk[SAMPLE] + program[frames.WORK_SIZE] + (t & 1) * stride)
        for i in range(thread % per_slot, stride, per_slot):
            set_value(row, i, 0)


@cache
def backwards(stages, groups):
    """backwards(desk, slots, time): the gradients of sums and rowwise weights, from those of the results of `time` steps."""
    dispatch = by_kind([(number, gated(stage, groups) if isinstance(stage, Gated) else rowwise(stage, groups))
                        for number, stage in enumerate(stages)])
    size, places, together = shared_size(groups), frame_size(groups), slots_of(groups)
    per_slot, behind = THREADS // together, places - MORE
    point, point_gradients = value_setter(together), gradient_setter(together)

    def backwards(desk, slots, time):
        shared = cuda.shared.array(size, types.float32)
        frame = cuda.shared.array(places, types.int64)
        thread, block, blocks = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x), int64(cuda.gridDim.x)
        desk = fields(desk)
        program = fields(desk[PROGRAM])
        arena, share = pointer(program[frames.ARENA]), desk[SHARE] * desk[TEAMS]
        d_weights = desk[SHARES] + block * share * 4
        for k in range(thread, share, THREADS):
            set_value(pointer(d_weights), k, 0)
        if thread == 0:
            frame[behind + PACKED], frame[behind + D_WEIGHTS] = desk[BACK], d_weights
            frame[behind + ONE_SHARE], frame[behind + SHARERS] = desk[SHARE], desk[TEAMS]
        for first in range(block * together, slots, blocks * together):
            here = min(together, slots - first)
            clear_behind(desk, program, first, here, time - 1, thread, per_slot)
            for t in range(time - 1, -1, -1):
                point(frame, desk, program, slots, first, here, t, thread)
                point_gradients(frame, desk, program, slots, first, here, t, thread)
                clear_step(desk, program, first, here, t, thread, per_slot)
                barrier()
                row = beyond(program, frames.HEADER + program[frames.STAGES] * frames.COLUMNS)
                for _ in range(program[frames.STAGES]):
                    row = beyond(row, -frames.COLUMNS)
                    dispatch(row[frames.KIND], row, at(arena, row[frames.WEIGHTS]), frame, shared, thread, here)
                    barrier()

    return backwards
