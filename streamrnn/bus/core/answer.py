"""Answers: what waits is stepped, and each message's reply is written into the outbox, with an entry for each recipient.

`settle` answers how many messages are left to answer: not 0 if the outbox is full, then the caller sends it and calls again.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.batch import flush
from streamrnn.bus.core.memory import copy, put_u64
from streamrnn.bus.core.msgpack import after_number, count_of, first_of
from streamrnn.bus.core.replies import block_result, control_reply, error, sample_result
from streamrnn.bus.core.verdict import is_alert
from streamrnn.jit import inline, kernel, part
from streamrnn.kernels.frame import fields

int64 = types.int64

ALERT_SIZE = 7
ALERT_TOPIC = types.uint64(int.from_bytes(b"!alert/", "little"))
SMALL = 512  # more than the keys and short values of any reply take


@inline
def _entry(desk, destination, head, head_size, between, body, body_size):
    entry = fields(desk[L.ENTRIES] + desk[L.ENTRY_COUNT] * 8 * L.ENTRY)
    entry[L.DESTINATION], entry[L.HEAD_AT], entry[L.HEAD_SIZE], entry[L.BETWEEN] = destination, head, head_size, between
    entry[L.BODY_AT], entry[L.BODY_SIZE] = body, body_size
    desk[L.ENTRY_COUNT] += 1


@inline
def _reply(desk, message, body, size):
    if message[L.ORIGIN] == L.ROUTER:
        _entry(desk, L.ROUTER, message[L.PEER_AT], message[L.PEER_SIZE], message[L.ENVELOPE], body, size)


@inline
def _has_room(desk, size):
    return desk[L.OUTBOX_USED] + size <= desk[L.OUTBOX_SIZE] and desk[L.ENTRY_COUNT] + 3 <= desk[L.ENTRY_ROOM]


@inline
def _largest(message):
    """A bound on the bytes of a message's reply."""
    kind = message[L.KIND]
    if kind == L.RESUME:
        return SMALL + 12 * message[L.FRAME_SIZE]
    size = SMALL + message[L.MODEL_SIZE] + message[L.TAG_SIZE]
    if kind == L.SAMPLE or kind == L.BLOCK:
        outputs = fields(message[L.OF_HOUSE])[L.OUTPUTS]
        size += message[L.SAMPLES] * (5 * outputs + 9) + message[L.STREAM_SIZE] + message[L.SEQ_SIZE] + message[L.T_SIZE]
    return size


@inline
def _publish(desk, house, n, id_at, start, end):
    """A result under its stream's id, and an alert once more under the topic of alerts; where what it wrote ends."""
    _entry(desk, L.PUB, first_of(id_at), count_of(id_at), 0, start, end - start)
    if is_alert(house, n):
        put_u64(end, ALERT_TOPIC)
        copy(end + ALERT_SIZE, first_of(id_at), count_of(id_at))
        _entry(desk, L.PUB, end, ALERT_SIZE + count_of(id_at), 0, start, end - start)
        end += ALERT_SIZE + count_of(id_at)
    return end


@part
def _publish_block(desk, house, message):
    """The results of a block's samples from ANSWERED_PART on, as far as there is room; has it reached the end?"""
    count, outputs = message[L.SAMPLES], house[L.OUTPUTS]
    id_at = first_of(message[L.STREAM_AT])
    seq_at = first_of(message[L.SEQ_AT]) if message[L.SEQ_AT] != 0 else int64(0)
    t_at = first_of(message[L.T_AT]) if message[L.T_AT] != 0 else int64(0)
    for n in range(count):
        id_end = first_of(id_at) + count_of(id_at)
        if n >= desk[L.ANSWERED_PART] - 1:
            if not _has_room(desk, SMALL + message[L.MODEL_SIZE] + 5 * outputs):
                desk[L.ANSWERED_PART] = n + 1
                return False
            start = desk[L.OUTBOX] + desk[L.OUTBOX_USED]
            end = sample_result(desk, house, message, start, message[L.FIRST_SAMPLE] + n, id_at, id_end, seq_at, t_at, 1, 0)
            desk[L.OUTBOX_USED] = _publish(desk, house, message[L.FIRST_SAMPLE] + n, id_at, start, end) - desk[L.OUTBOX]
        id_at = id_end
        if seq_at != 0:
            seq_at = after_number(seq_at)
        if t_at != 0:
            t_at = after_number(t_at)
    return True


@part
def settle(desk):
    """Step what waits and write answers; how many messages are left."""
    houses = fields(desk[L.HOUSES])
    for n in range(desk[L.HOUSE_COUNT]):
        house = fields(houses[n])
        if house[L.FIRST] < house[L.COUNT]:
            flush(desk, house)
    while desk[L.ANSWERED] < desk[L.MESSAGE_COUNT]:
        message = fields(desk[L.MESSAGES] + desk[L.ANSWERED] * 8 * L.MESSAGE)
        kind, body_end = message[L.KIND], int64(0)
        house = fields(message[L.OF_HOUSE])
        if desk[L.ANSWERED_PART] == 0:
            if not _has_room(desk, _largest(message)):
                return desk[L.MESSAGE_COUNT] - desk[L.ANSWERED]
            start = desk[L.OUTBOX] + desk[L.OUTBOX_USED]
            if kind == L.CONTROL:
                _entry(
                    desk, L.PIPE, message[L.PEER_AT], message[L.PEER_SIZE], message[L.ENVELOPE], message[L.FRAME_AT], message[L.FRAME_SIZE]
                )
                end = start
            elif kind == L.SAMPLE:
                id_at = message[L.STREAM_AT]
                end = sample_result(desk, house, message, start, message[L.FIRST_SAMPLE], id_at, id_at + message[L.STREAM_SIZE],
                                    message[L.SEQ_AT], message[L.T_AT], message[L.AS_BIN], 1)
                body_end = end
                if desk[L.PUBLISHES]:
                    end = _publish(desk, house, message[L.FIRST_SAMPLE], id_at, start, end)
            elif kind == L.BLOCK:
                end = block_result(desk, house, message, start)
            elif kind == L.FAILURE:
                end = error(desk, message, start)
            else:
                end = control_reply(desk, message, start)
            if kind != L.CONTROL:
                _reply(desk, message, start, (body_end if kind == L.SAMPLE else end) - start)
            desk[L.OUTBOX_USED] = end - desk[L.OUTBOX]
        if kind == L.BLOCK and desk[L.PUBLISHES]:
            desk[L.ANSWERED_PART] = max(desk[L.ANSWERED_PART], 1)
            if not _publish_block(desk, house, message):
                return desk[L.MESSAGE_COUNT] - desk[L.ANSWERED]
        desk[L.ANSWERED_PART] = 0
        desk[L.ANSWERED] += 1
    return int64(0)


@part
def start_over(desk):
    """All is answered and sent: room for the next round."""
    houses = fields(desk[L.HOUSES])
    for n in range(desk[L.HOUSE_COUNT]):
        house = fields(houses[n])
        house[L.FIRST] = house[L.COUNT] = 0
    desk[L.MESSAGE_COUNT] = desk[L.ANSWERED] = desk[L.INBOX_USED] = 0


@kernel(int64(int64))
def answer(desk):
    """`settle` for who sends from Python: empties the outbox it wrote last time."""
    desk = fields(desk)
    desk[L.OUTBOX_USED] = desk[L.ENTRY_COUNT] = 0
    left = settle(desk)
    if left == 0:
        start_over(desk)
    return left
