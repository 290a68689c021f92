"""The reorder window: a sample whose seq leaves some out waits for those before it, up to a time, then goes in with its jump.

What waits is the message as it came, in a record of fixed size. Records are few and looked through in turn; when all are taken,
or a frame is too long for one, the sample does not wait.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.memory import copy, get_i64
from streamrnn.bus.core.names import find, hash_of, slot_record
from streamrnn.bus.core.take import SLACK, put_down, room_for_another
from streamrnn.jit import inline, kernel, part
from streamrnn.kernels.frame import fields

int64 = types.int64


@inline
def _due(desk, held):
    """May it go in: its time is up, or nothing before it is missing?"""
    if held[L.HELD_UNTIL] <= desk[L.NOW]:
        return True
    house = fields(held[L.HELD_HOUSE])
    at, size = held[L.HELD_AT] + held[L.HELD_ID], held[L.HELD_ID_SIZE]
    slot = find(house, at, size, hash_of(at, size, house[L.SEED]))
    last = get_i64(slot_record(house, slot) + L.SLOT_SEQ) if slot >= 0 else int64(0)
    return held[L.HELD_SEQ] <= last + 1


@part
def release(desk):
    """Let in what need not wait any more, earlier seqs first; how many."""
    released = 0
    while desk[L.HELD_COUNT] > 0 and room_for_another(desk):
        best, found = fields(desk[L.HELD]), False
        for n in range(desk[L.HELD_ROOM]):
            held = fields(desk[L.HELD] + n * 8 * L.HELD_RECORD)
            if held[L.HELD_SEQ] > 0 and (not found or held[L.HELD_SEQ] < best[L.HELD_SEQ]) and _due(desk, held):
                best, found = held, True
        if not found:
            break
        peer = desk[L.INBOX] + desk[L.INBOX_USED]
        peer_size, size = best[L.HELD_PEER_SIZE], best[L.HELD_FRAME_SIZE]
        copy(peer, best[L.HELD_AT], peer_size + size)
        best[L.HELD_SEQ] = 0
        desk[L.HELD_COUNT] -= 1
        desk[L.RELEASING] = 1
        put_down(desk, best[L.HELD_ORIGIN], peer, peer_size, best[L.HELD_ENVELOPE], peer + peer_size, size, 1)
        desk[L.RELEASING] = 0
        desk[L.INBOX_USED] += peer_size + size + SLACK
        released += 1
    return released


@inline
def first_deadline(desk):
    """Microseconds from now; only if something waits."""
    first = int64(1 << 62)
    for n in range(desk[L.HELD_ROOM]):
        held = fields(desk[L.HELD] + n * 8 * L.HELD_RECORD)
        if held[L.HELD_SEQ] > 0:
            first = min(first, held[L.HELD_UNTIL])
    return max(first - desk[L.NOW], 0)


@kernel(int64(int64))
def let_in(desk):
    """`release` for who runs the loop in Python."""
    return release(fields(desk))
