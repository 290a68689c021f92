"""Where a sample that came too early is put aside (core.reorder lets it in again)."""
from streamrnn.bus.core import layout as L
from streamrnn.bus.core.batch import count_up
from streamrnn.bus.core.memory import copy
from streamrnn.jit import part
from streamrnn.kernels.frame import fields


@part
def put_aside(desk, message, house, seq, id_at, id_size):
    """Keep the message for later: was there room?"""
    size = message[L.PEER_SIZE] + message[L.FRAME_SIZE]
    if desk[L.HELD_COUNT] == desk[L.HELD_ROOM] or size + 8 > desk[L.HELD_BYTES]:
        return False
    held = fields(desk[L.HELD])
    for n in range(desk[L.HELD_ROOM]):
        held = fields(desk[L.HELD] + n * 8 * L.HELD_RECORD)
        if held[L.HELD_SEQ] == 0:
            break
    held[L.HELD_SEQ], held[L.HELD_HOUSE], held[L.HELD_UNTIL] = seq, house, desk[L.NOW] + desk[L.REORDER]
    held[L.HELD_PEER_SIZE], held[L.HELD_FRAME_SIZE] = message[L.PEER_SIZE], message[L.FRAME_SIZE]
    held[L.HELD_ORIGIN], held[L.HELD_ENVELOPE] = message[L.ORIGIN], message[L.ENVELOPE]
    held[L.HELD_ID], held[L.HELD_ID_SIZE] = message[L.PEER_SIZE] + id_at - message[L.FRAME_AT], id_size
    copy(held[L.HELD_AT], message[L.PEER_AT], message[L.PEER_SIZE])
    copy(held[L.HELD_AT] + message[L.PEER_SIZE], message[L.FRAME_AT], message[L.FRAME_SIZE])
    desk[L.HELD_COUNT] += 1
    count_up(desk, L.HELD_BACK, 1)
    return True
