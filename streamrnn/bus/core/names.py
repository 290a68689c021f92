"""The streams of a house by their ids: an open table of uint32, each a slot's number and some bits of the id's hash.

A slot's record holds where its id lies in a heap of 8-byte granules; blocks of each size that were given back are chained
through their first bytes. The hash is seeded, so that nobody outside can choose ids that collide.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.memory import (
    address_of,
    clear,
    copy,
    fold_product,
    get_i64,
    get_u8,
    get_u16,
    get_u32,
    get_u64,
    put_i64,
    put_u8,
    put_u16,
    put_u32,
    put_u64,
)
from streamrnn.jit import inline, kernel, part
from streamrnn.kernels.frame import fields

int64, uint64 = types.int64, types.uint64
A, B = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93


@inline
def _tail(at, size):
    """The last 1 to 8 bytes of an id; up to 7 more are read, but not used."""
    return get_u64(at) & (~uint64(0) >> uint64(64 - 8 * size))


@inline
def hash_of(at, size, seed):
    h = uint64(seed) ^ uint64(size)
    while size > 8:
        h = fold_product(h ^ get_u64(at), uint64(A))
        at += 8
        size -= 8
    h = fold_product(h ^ _tail(at, size), uint64(A))
    return fold_product(h, uint64(B))


@inline
def slot_record(house, slot):
    return house[L.SLOTS] + slot * L.SLOT_RECORD


@inline
def id_of(house, slot):
    """(where the id of a slot lies, its bytes)"""
    record = slot_record(house, slot)
    return house[L.HEAP] + int64(get_u32(record + L.SLOT_ID)) * L.GRANULE, int64(get_u8(record + L.SLOT_ID_SIZE))


@inline
def _same(at, other, size):
    """Is the id at `at` the one in the heap, where it is padded with zeros?"""
    while size > 8:
        if get_u64(at) != get_u64(other):
            return False
        at += 8
        other += 8
        size -= 8
    return _tail(at, size) == get_u64(other)


@inline
def _tag(house, h):
    """The hash's bits that stand beside the slot's number."""
    return int64(h >> uint64(32)) & 0xFFFFFFFF & ~((1 << house[L.SLOT_BITS]) - 1)


@inline
def find(house, at, size, h):
    """The slot of an id, -1 if it is not open."""
    mask, tag, low = house[L.MASK], _tag(house, h), (1 << house[L.SLOT_BITS]) - 1
    place = int64(h) & mask
    while True:
        entry = int64(get_u32(house[L.TABLE] + 4 * place))
        if entry == 0:
            return int64(-1)
        if entry & ~low == tag:
            slot = (entry & low) - 1
            other, its_size = id_of(house, slot)
            if its_size == size and _same(at, other, size):
                return slot
        place = (place + 1) & mask


@part
def open_slot(house, at, size, h):
    """A slot for an id that is not open, its record cleared; -1 when all are taken."""
    if house[L.OPEN] == house[L.CAPACITY]:
        return int64(-1)
    if house[L.FREES] > 0:
        house[L.FREES] -= 1
        slot = int64(get_u32(house[L.FREE] + 4 * house[L.FREES]))
    else:
        slot = house[L.NEXT]
        house[L.NEXT] += 1
    _seat(house, slot, at, size, h)
    return slot


@part
def _seat(house, slot, at, size, h):
    """Give a free slot to an id: its record, and the table's entry."""
    house[L.OPEN] += 1
    record = slot_record(house, slot)
    put_i64(record + L.SLOT_SEQ, 0)
    put_u16(record + L.SLOT_LIFE, get_u16(record + L.SLOT_LIFE) + 1)
    if house[L.DURABLE] != 0:
        put_i64(house[L.DURABLE] + 8 * slot, 0)
    put_u32(record + L.SLOT_MARK, 0)
    put_u32(record + L.SLOT_SEEN, 0)
    put_u32(record + L.SLOT_ID, _keep(house, at, size))
    put_u8(record + L.SLOT_ID_SIZE, size)
    mask = house[L.MASK]
    place = int64(h) & mask
    while get_u32(house[L.TABLE] + 4 * place) != 0:
        place = (place + 1) & mask
    put_u32(house[L.TABLE] + 4 * place, _tag(house, h) | (slot + 1))


@inline
def _keep(house, at, size):
    """The id copied into the heap: its granule."""
    granules = (size + L.GRANULE - 1) // L.GRANULE
    chain = house[L.HEAP_FREE] + 8 * granules
    granule = get_i64(chain) - 1
    if granule >= 0:
        put_i64(chain, int64(get_u64(house[L.HEAP] + granule * L.GRANULE)))
    else:
        granule = house[L.HEAP_NEXT]
        house[L.HEAP_NEXT] += granules
    block = house[L.HEAP] + granule * L.GRANULE
    put_u64(block + (granules - 1) * L.GRANULE, uint64(0))
    copy(block, at, size)
    return granule


@part
def close_slot(house, slot):
    """Forget the id; the slot is free for another. Its flags stay: a store still has to hear of it."""
    at, size = id_of(house, slot)
    mask, seed = house[L.MASK], house[L.SEED]
    low = (1 << house[L.SLOT_BITS]) - 1
    place = int64(hash_of(at, size, seed)) & mask
    while int64(get_u32(house[L.TABLE] + 4 * place)) & low != slot + 1:
        place = (place + 1) & mask
    hole = place
    while True:  # what stands behind the hole moves up, unless its own place lies behind the hole
        place = (place + 1) & mask
        entry = get_u32(house[L.TABLE] + 4 * place)
        if entry == 0:
            break
        its_at, its_size = id_of(house, (int64(entry) & low) - 1)
        wanted = int64(hash_of(its_at, its_size, seed)) & mask
        if (place - wanted) & mask >= (place - hole) & mask:
            put_u32(house[L.TABLE] + 4 * hole, entry)
            hole = place
    put_u32(house[L.TABLE] + 4 * hole, 0)
    record = slot_record(house, slot)
    granules = (size + L.GRANULE - 1) // L.GRANULE
    chain = house[L.HEAP_FREE] + 8 * granules
    clear(at, granules * L.GRANULE)
    put_i64(at, get_i64(chain))
    put_i64(chain, int64(get_u32(record + L.SLOT_ID)) + 1)
    put_u8(record + L.SLOT_ID_SIZE, 0)
    put_i64(record + L.SLOT_SEQ, 0)
    put_u32(house[L.FREE] + 4 * house[L.FREES], slot)
    house[L.FREES] += 1
    house[L.OPEN] -= 1


@inline
def flags_of(house, slot):
    return get_u8(slot_record(house, slot) + L.SLOT_FLAGS)


@inline
def set_flags(house, slot, flags):
    put_u8(slot_record(house, slot) + L.SLOT_FLAGS, flags)


@kernel(types.void(int64, int64[::1], types.uint8[:, ::1], types.uint8[::1], int64[::1]))
def seat_many(house, slots, ids, sizes, seqs):
    """Streams that come with their slots, from a store: each slot is free, and below the capacity."""
    house = fields(house)
    for n in range(slots.shape[0]):
        at, size = address_of(ids) + n * ids.shape[1], int64(sizes[n])
        _seat(house, slots[n], at, size, hash_of(at, size, house[L.SEED]))
        put_i64(slot_record(house, slots[n]) + L.SLOT_SEQ, seqs[n])
        house[L.NEXT] = max(house[L.NEXT], slots[n] + 1)


@kernel(types.void(int64))
def free_the_rest(house):
    """After that: slots in between that nobody has are free."""
    house = fields(house)
    for slot in range(house[L.NEXT]):
        if get_u8(slot_record(house, slot) + L.SLOT_ID_SIZE) == 0:
            put_u32(house[L.FREE] + 4 * house[L.FREES], slot)
            house[L.FREES] += 1


@kernel(int64(int64, types.uint8[::1]))
def slot_of(house, id):
    """The slot of an id (with 8 bytes to spare behind it), -1 if it is not open."""
    house = fields(house)
    size = int64(id.shape[0]) - 8
    return find(house, address_of(id), size, hash_of(address_of(id), size, house[L.SEED]))
