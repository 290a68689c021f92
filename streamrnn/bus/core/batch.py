"""Samples that wait for a step, and the step. A stream stands at most once in what goes through together; order is kept.

A house's waiting samples lie side by side, x (ROOM, inputs) and y (ROOM, outputs): [0, FIRST) have their results, [FIRST,
COUNT) wait. A stream that comes again, or a duplicate, first lets those before it through.
"""
from numba import carray, types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.memory import copy, get_i64, get_u8, get_u32, put_i64, put_u8, put_u32
from streamrnn.bus.core.names import slot_record
from streamrnn.jit import called, inline, part
from streamrnn.kernels.frame import fields
from streamrnn.kernels.step import STEPS
from streamrnn.lanes import pointer

int64 = types.int64
NO_SEQ = -1
call_steps = called(STEPS)
NEAR = 1 << 18  # floats of state that stay in a core's L2 between two batches


@inline
def count_up(desk, counter, by):
    counters = fields(desk[L.COUNTERS])
    counters[counter] += by


@part
def flush(desk, house):
    """One step for every sample that waits: results to y, and to the streams' last results. Answers how many."""
    first, count, outputs = house[L.FIRST], house[L.COUNT], house[L.OUTPUTS]
    if first < count:
        room = house[L.ROOM]
        handles, lengths = carray(fields(house[L.HANDLES]), (room,)), carray(fields(house[L.LENGTHS]), (room,))
        x = carray(pointer(house[L.XS]), (room, 1, house[L.INPUTS]))
        y = carray(pointer(house[L.YS]), (room, 1, outputs))
        far = int64(house[L.NEXT] * house[L.STRIDE] > NEAR)
        call_steps(house[L.STEPS], (house[L.PROGRAM], house[L.CHUNKS], handles, x, lengths, y, first, count, house[L.WORK], int64(1), far))
        for n in range(first, count):
            target, source = house[L.LASTS] + 4 * outputs * handles[n], house[L.YS] + 4 * outputs * n
            for i in range(outputs):
                put_u32(target + 4 * i, get_u32(source + 4 * i))
        count_up(desk, L.SAMPLES_STEPPED, count - first)
        house[L.FIRST] = count
        house[L.MARK] += 1
    return count - first


@inline
def enter(desk, house, slot, seq):
    """The sample whose x lies at the end of the waiting ones now waits as well, or has its result: it is a duplicate."""
    n = house[L.COUNT]
    record = slot_record(house, slot)
    if int64(get_u32(record + L.SLOT_MARK)) == house[L.MARK] & 0xFFFFFFFF:
        flush(desk, house)
    put_i64(house[L.HANDLES] + 8 * n, slot)
    last = get_i64(record + L.SLOT_SEQ)
    notes = int64(0)
    if seq != NO_SEQ and seq <= last:
        flush(desk, house)
        copy(house[L.YS] + 4 * house[L.OUTPUTS] * n, house[L.LASTS] + 4 * house[L.OUTPUTS] * slot, 4 * house[L.OUTPUTS])
        put_i64(house[L.HANDLES] + 8 * n, -last)  # the seq of the result that it gets
        notes = L.REPEATED
        count_up(desk, L.DUPLICATES, 1)
        house[L.FIRST] = n + 1
    else:
        put_u32(record + L.SLOT_MARK, house[L.MARK])
        if seq != NO_SEQ:
            if seq > last + 1:
                notes = L.JUMPED
                count_up(desk, L.JUMPS, 1)
                count_up(desk, L.JUMPED_OVER, seq - last - 1)
            put_i64(record + L.SLOT_SEQ, seq)
        put_u32(record + L.SLOT_SEEN, desk[L.NOW] // L.SEEN_UNIT)
        if desk[L.KEEPS]:
            touch(house, slot)
    put_u8(house[L.NOTES] + n, notes)
    house[L.COUNT] = n + 1
    return notes


@inline
def touch(house, slot):
    """The store has to hear of this slot."""
    flags = slot_record(house, slot) + L.SLOT_FLAGS
    if get_u8(flags) & L.IS_DIRTY == 0:
        put_u8(flags, get_u8(flags) | L.IS_DIRTY)
        put_u32(house[L.DIRTY] + 4 * (house[L.DIRTY_LAST] % house[L.CAPACITY]), slot)
        house[L.DIRTY_LAST] += 1
