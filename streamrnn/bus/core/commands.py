"""What other threads ask the loop to do to the streams, between two rounds."""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.batch import count_up, touch
from streamrnn.bus.core.controls import clear_row
from streamrnn.bus.core.memory import get_u8, get_u32
from streamrnn.bus.core.names import close_slot, slot_record
from streamrnn.jit import kernel, part
from streamrnn.kernels.frame import fields

int64 = types.int64
MOVES = (L.OPEN, L.NEXT, L.FREES, L.HEAP_NEXT, L.MARK, L.DIRTY_FIRST, L.DIRTY_LAST, L.DIRTY_GOAL)


@part
def close_idle(desk, house, slot, seen):
    """Close a slot's stream, unless it has spoken since it was seen idle."""
    record = slot_record(house, slot)
    if get_u8(record + L.SLOT_ID_SIZE) == 0 or int64(get_u32(record + L.SLOT_SEEN)) != seen:
        return False
    clear_row(house, slot)
    close_slot(house, slot)
    if desk[L.KEEPS]:
        touch(house, slot)
    count_up(desk, L.CLOSED_STREAMS, 1)
    return True


@part
def swap_house(desk, place, address):
    """From now on this house stands at that place. It shares the names and seqs of the one before it; if it has rows of its
    own, they are zeros, and the store has to hear of all of them."""
    houses = fields(desk[L.HOUSES])
    old, new = fields(houses[place]), fields(address)
    for field in MOVES:
        new[field] = old[field]
    if new[L.CHUNKS] == old[L.CHUNKS]:
        new[L.PAGE] = old[L.PAGE]
    elif desk[L.KEEPS]:
        for slot in range(new[L.NEXT]):
            touch(new, slot)
    houses[place] = address


@kernel(int64(int64, int64, int64, int64))
def close_if_idle(desk, house, slot, seen):
    return close_idle(fields(desk), fields(house), slot, seen)


@kernel(types.void(int64, int64, int64))
def exchange(desk, place, address):
    swap_house(fields(desk), place, address)
