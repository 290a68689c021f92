"""Copies of streams that changed, for the store: a few rows between two ticks, so that no client waits for them.

Streams do not depend on each other, so each row is copied by itself, with its seq and its last result, at a moment when it
has been stepped. A page is handed to the store's thread when it is full, or at the end of a cycle: all streams that had changed
when the cycle began. A page that came back as durable is noted, unless a slot has another stream by now.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.batch import count_up
from streamrnn.bus.core.controls import row_at
from streamrnn.bus.core.memory import copy, get_i64, get_u8, get_u16, get_u32, put_i64, put_u8, put_u16
from streamrnn.bus.core.names import id_of, slot_record
from streamrnn.jit import inline, kernel, part
from streamrnn.kernels.frame import fields

int64 = types.int64
PAGES = 2
GOES_ON, WAITS, ENDED = -1, -2, -3
SLICE = 1 << 16  # bytes between two ticks: some 10 microseconds


@inline
def page_of(house, n):
    return fields(house[L.PAGES] + n * 8 * L.PAGE_RECORD)


@inline
def _copy_one(house, page, slot):
    n = page[L.PAGE_COUNT]
    record = slot_record(house, slot)
    put_u8(record + L.SLOT_FLAGS, get_u8(record + L.SLOT_FLAGS) & ~L.IS_DIRTY)
    id_at, id_size = id_of(house, slot)
    put_i64(page[L.PAGE_SLOTS] + 8 * n, slot)
    put_i64(page[L.PAGE_SEQS] + 8 * n, get_i64(record + L.SLOT_SEQ))
    put_u16(page[L.PAGE_LIVES] + 2 * n, get_u16(record + L.SLOT_LIFE))
    put_u8(page[L.PAGE_ID_SIZES] + n, id_size)  # 0: the stream was closed
    copy(page[L.PAGE_IDS] + 64 * n, id_at, id_size)
    row, last = 4 * house[L.STRIDE], 4 * house[L.OUTPUTS]
    target = page[L.PAGE_ROWS] + n * (row + last)
    copy(target, row_at(house, slot), row)
    copy(target + row, house[L.LASTS] + last * slot, last)
    page[L.PAGE_COUNT] = n + 1


@part
def note_kept(house):
    """Pages that came back: their seqs are durable, and they can be filled again."""
    for p in range(PAGES):
        page = page_of(house, p)
        if page[L.PAGE_STATE] == L.KEPT_PAGE:
            for n in range(page[L.PAGE_COUNT]):
                slot = get_i64(page[L.PAGE_SLOTS] + 8 * n)
                record = slot_record(house, slot)
                if get_u16(record + L.SLOT_LIFE) == get_u16(page[L.PAGE_LIVES] + 2 * n) and get_u8(record + L.SLOT_ID_SIZE) > 0:
                    put_i64(house[L.DURABLE] + 8 * slot, get_i64(page[L.PAGE_SEQS] + 8 * n))
            page[L.PAGE_COUNT] = 0
            page[L.PAGE_STATE] = L.FREE_PAGE


@part
def note_all_kept(desk):
    houses = fields(desk[L.HOUSES])
    for n in range(desk[L.HOUSE_COUNT]):
        note_kept(fields(houses[n]))


@part
def save_some(desk, house):
    """One slice of this cycle: the number of a page to hand over, or GOES_ON, WAITS (no page is free), ENDED."""
    note_kept(house)
    if house[L.DIRTY_FIRST] == house[L.DIRTY_GOAL]:
        return int64(ENDED)
    page = page_of(house, house[L.PAGE])
    if page[L.PAGE_STATE] != L.FREE_PAGE:
        return int64(WAITS)
    most = max(1, SLICE // (4 * (house[L.STRIDE] + house[L.OUTPUTS])))
    while most > 0 and page[L.PAGE_COUNT] < house[L.PAGE_ROOM] and house[L.DIRTY_FIRST] < house[L.DIRTY_GOAL]:
        slot = int64(get_u32(house[L.DIRTY] + 4 * (house[L.DIRTY_FIRST] % house[L.CAPACITY])))
        house[L.DIRTY_FIRST] += 1
        _copy_one(house, page, slot)
        most -= 1
    if page[L.PAGE_COUNT] == house[L.PAGE_ROOM] or house[L.DIRTY_FIRST] == house[L.DIRTY_GOAL]:
        number = house[L.PAGE]
        page[L.PAGE_STATE] = L.FULL_PAGE
        house[L.PAGE] = (number + 1) % PAGES
        count_up(desk, L.PAGES_COPIED, 1)
        return number
    return int64(GOES_ON)


@kernel(int64(int64, int64))
def save(desk, house):
    """`save_some` for who runs the loop in Python."""
    return save_some(fields(desk), fields(house))
