"""Controls that the loop answers itself: ping, resume, reset and close. The others go to the control thread."""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core import read as R
from streamrnn.bus.core.batch import count_up, flush, touch
from streamrnn.bus.core.codes import number
from streamrnn.bus.core.memory import clear, get_u8
from streamrnn.bus.core.msgpack import count_of, first_of
from streamrnn.bus.core.names import close_slot, find, hash_of
from streamrnn.jit import inline, part
from streamrnn.kernels.frame import fields
from streamrnn.kernels.step import CHUNK, SHIFT

int64 = types.int64
O_PING, O_RESUME, O_RESET, O_CLOSE, O_INFO, O_STATS, O_SNAPSHOT, O_SWAP = map(
    R.word, ("ping", "resume", "reset", "close", "info", "stats", "snapshot", "swap"))
NO_MODEL, NO_OP, NOBODY = number("unknown_model", "no"), number("unknown_op", "ops"), number("unknown_stream", "no")
NEEDS_STREAM, NEEDS_STREAMS = number("bad_key", "this control needs a stream"), number("bad_key", "this control needs streams")


@inline
def house_of(desk, field):
    """The house that the frame names, the first one if it names none; 0 if there is no such house."""
    houses = fields(desk[L.HOUSES])
    if field[R.MODEL] == 0:
        return houses[0]
    name, size = first_of(field[R.MODEL]), count_of(field[R.MODEL])
    for n in range(desk[L.HOUSE_COUNT]):
        house = fields(houses[n])
        if house[L.NAME_SIZE] == size:
            same = True
            for i in range(size):
                same &= get_u8(house[L.NAME] + i) == get_u8(name + i)
            if same:
                return houses[n]
    return int64(0)


@inline
def row_at(house, slot):
    """Where a slot's row lies."""
    return fields(house[L.CHUNKS])[(slot >> SHIFT) * 2] + 4 * house[L.STRIDE] * (slot & (CHUNK - 1))


@inline
def clear_row(house, slot):
    clear(row_at(house, slot), 4 * house[L.STRIDE])
    clear(house[L.LASTS] + 4 * house[L.OUTPUTS] * slot, 4 * house[L.OUTPUTS])


@part
def control(desk, field, message):
    """(detail or FINE, expected, came)"""
    op_at, op_size = first_of(field[R.OP]), count_of(field[R.OP])
    op = R.short_word(op_at, op_size) if op_size <= 8 else int64(0)
    if op == O_PING:
        message[L.KIND] = L.PING
        return R.FINE, int64(0), int64(0)
    if op in (O_INFO, O_STATS, O_SNAPSHOT, O_SWAP):
        message[L.KIND] = L.CONTROL
        return R.FINE, int64(0), int64(0)
    if op != O_RESUME and op != O_RESET and op != O_CLOSE:
        return NO_OP, int64(0), int64(0)
    if op == O_RESUME and field[R.STREAMS] == 0:
        return NEEDS_STREAMS, int64(0), int64(0)
    if op != O_RESUME and field[R.STREAM] == 0:
        return NEEDS_STREAM, int64(0), int64(0)
    address = house_of(desk, field)
    if address == 0:
        return NO_MODEL, int64(0), int64(0)
    message[L.OF_HOUSE] = address
    house = fields(address)
    if op == O_RESUME:
        at = first_of(field[R.STREAMS])
        for _ in range(count_of(field[R.STREAMS])):
            id_at, id_size = first_of(at), count_of(at)
            wrong = R.wrong_id(id_at, id_size)
            if wrong != R.FINE:
                return wrong, int64(0), id_size
            at = id_at + id_size
        message[L.KIND], message[L.STREAM_AT], message[L.STREAM_SIZE] = L.RESUME, field[R.STREAMS], 0
        flush(desk, house)
        return R.FINE, int64(0), int64(0)
    id_at, id_size = first_of(field[R.STREAM]), count_of(field[R.STREAM])
    wrong = R.wrong_id(id_at, id_size)
    if wrong != R.FINE:
        return wrong, int64(0), id_size
    slot = find(house, id_at, id_size, hash_of(id_at, id_size, house[L.SEED]))
    if slot < 0:
        return NOBODY, int64(0), int64(0)
    flush(desk, house)
    clear_row(house, slot)
    if op == O_RESET:
        message[L.KIND] = L.RESET
    else:
        message[L.KIND] = L.CLOSE
        close_slot(house, slot)
        count_up(desk, L.CLOSED_STREAMS, 1)
    if desk[L.KEEPS]:
        touch(house, slot)
    return R.FINE, int64(0), int64(0)
