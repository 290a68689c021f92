"""One reply's bytes, key by key in the order of docs/protocol.md: results, errors, and answers to controls.

Each function writes at an address that has room enough (core.answer sees to it) and answers where the reply ends.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.memory import copy, get_i64, get_u8, put_big16, put_big32, put_u8
from streamrnn.bus.core.msgpack import (
    after_number,
    constant,
    count_of,
    first_of,
    put_bin_header,
    put_map,
    put_text_header,
    put_true,
    put_whole,
)
from streamrnn.bus.core.names import find, hash_of, slot_record
from streamrnn.bus.core.save import note_kept
from streamrnn.bus.core.verdict import is_alert, numbers, verdict
from streamrnn.jit import inline, part
from streamrnn.kernels.frame import fields

int64 = types.int64

STREAM, SEQ, T, Y, JUMP, DUPLICATE = map(constant, ("stream", "seq", "t", "y", "jump", "duplicate"))
EPOCH_KEY, TAG, MODEL, STREAMS, SEQS = map(constant, ("epoch", "tag", "model", "streams", "seqs"))
JUMPS, DUPLICATES, ALERTS, ERROR, DETAIL, OP = map(constant, ("jumps", "duplicates", "alerts", "error", "detail", "op"))
W_PING, W_RESUME, W_RESET, W_CLOSE, W_DURABLE, W_LAST, W_STORE = map(
    constant, ("ping", "resume", "reset", "close", "durable", "last", "store"))


@inline
def _raw(out, message, column):
    """A value as it came in."""
    copy(out, message[column], message[column + 1])
    return out + message[column + 1]


@inline
def _y(out, house, n, as_bin):
    """The result of a sample: y, or what a detector says; and how many pairs that is."""
    if house[L.SENSORS]:
        return verdict(out, house, n, as_bin)
    outputs = house[L.OUTPUTS]
    return numbers(Y(out), house[L.YS] + 4 * outputs * n, outputs, as_bin), int64(1)


@inline
def _last_seq(house, n):
    """Of a duplicate: the seq whose result it gets, noted where its handle stood."""
    return -get_i64(house[L.HANDLES] + 8 * n)


@inline
def _positions(out, house, message, note):
    """Where in a block samples have this note, as an array; the first one, and none at all, cost nothing to find."""
    first, count = message[L.FIRST_SAMPLE], message[L.SAMPLES]
    head, found = out, 0
    out += 3
    for n in range(count):
        if get_u8(house[L.NOTES] + first + n) & note:
            out = put_whole(out, n)
            found += 1
    put_u8(head, 0xDC)
    put_big16(head + 1, found)
    return out, found


@inline
def _alerts(out, house, message):
    """Which samples of a block are alerts."""
    head, found = out, 0
    out += 3
    for n in range(message[L.SAMPLES]):
        if is_alert(house, message[L.FIRST_SAMPLE] + n):
            out = put_whole(out, n)
            found += 1
    put_u8(head, 0xDC)
    put_big16(head + 1, found)
    return out, found


@inline
def block_result(desk, house, message, out):
    start, pairs = out, 2
    size = 4 * house[L.OUTPUTS] * message[L.SAMPLES]
    out = _raw(STREAMS(out + 1), message, L.STREAM_AT)
    if message[L.SEQ_AT] != 0:
        pairs += 1
        out = _raw(SEQS(out), message, L.SEQ_AT)
    if message[L.T_AT] != 0:
        pairs += 1
        out = _raw(T(out), message, L.T_AT)
    out = put_bin_header(Y(out), size)
    copy(out, house[L.YS] + 4 * house[L.OUTPUTS] * message[L.FIRST_SAMPLE], size)
    out += size
    if message[L.MODEL_AT] != 0:
        pairs += 1
        out = _raw(MODEL(out), message, L.MODEL_AT)
    if message[L.SEQ_AT] != 0:  # without seqs nothing jumps or comes again
        end, found = _positions(JUMPS(out), house, message, L.JUMPED)
        if found:
            pairs += 1
            out = end
        end, found = _positions(DUPLICATES(out), house, message, L.REPEATED)
        if found:
            pairs += 1
            out = end
    if house[L.SENSORS]:
        end, found = _alerts(ALERTS(out), house, message)
        if found:
            pairs += 1
            out = end
    out, more = _epoch_and_tag(desk, message, out)
    put_map(start, pairs + more)
    return out


@inline
def _digits(out, value):
    size, rest = 1, value // 10
    while rest > 0:
        size, rest = size + 1, rest // 10
    for i in range(size):
        put_u8(out + size - 1 - i, 0x30 + value % 10)
        value //= 10
    return out + size


@inline
def error(desk, message, out):
    """A failure's reply: the code, and the detail with its two numbers filled in."""
    start, pairs = out, 2
    texts = fields(desk[L.TEXTS] + message[L.DETAIL] * 32)  # code: address, size; text: address, size
    out = put_text_header(ERROR(out + 1), texts[1])
    copy(out, texts[0], texts[1])
    out = DETAIL(out + texts[1])
    text = out + 3
    end, at, stop = text, texts[2], texts[2] + texts[3]
    while at < stop:
        c = get_u8(at)
        if c == 0x24:  # $1 or $2
            end = _digits(end, message[L.EXPECTED] if get_u8(at + 1) == 0x31 else message[L.CAME])
            at += 2
        else:
            put_u8(end, c)
            end += 1
            at += 1
    put_u8(out, 0xDA)
    put_big16(out + 1, end - text)
    out = end
    if message[L.STREAM_AT] != 0 and message[L.STREAM_SIZE] != 0:
        pairs += 1
        out = _raw(STREAM(out), message, L.STREAM_AT)
    if message[L.SEQ_AT] != 0:
        pairs += 1
        out = _raw(SEQ(out), message, L.SEQ_AT)
    if message[L.TAG_AT] != 0:
        pairs += 1
        out = _raw(TAG(out), message, L.TAG_AT)
    put_map(start, pairs)
    return out


@inline
def _seqs(house, message, out, durable):
    """{id: seq} of the streams that a resume asks for."""
    count, at = count_of(message[L.STREAM_AT]), first_of(message[L.STREAM_AT])
    put_u8(out, 0xDF)
    put_big32(out + 1, count)
    out += 5
    for _ in range(count):
        id_at, id_size = first_of(at), count_of(at)
        copy(out, at, id_at + id_size - at)
        out += id_at + id_size - at
        slot = find(house, id_at, id_size, hash_of(id_at, id_size, house[L.SEED]))
        at = id_at + id_size
        seq = int64(0)
        if slot >= 0 and not durable:
            seq = get_i64(slot_record(house, slot) + L.SLOT_SEQ)
        elif slot >= 0 and house[L.DURABLE] != 0:
            seq = get_i64(house[L.DURABLE] + 8 * slot)
        out = put_whole(out, seq)
    return out


@part
def control_reply(desk, message, out):
    start, kind, pairs = out, message[L.KIND], 2
    out = OP(out + 1)
    if kind == L.PING:
        out = put_whole(EPOCH_KEY(W_PING(out)), desk[L.EPOCH])
    elif kind == L.RESUME:
        house = fields(message[L.OF_HOUSE])
        if desk[L.KEEPS]:
            note_kept(house)
        pairs = 4
        out = _seqs(house, message, W_DURABLE(W_RESUME(out)), True)
        out = _seqs(house, message, W_LAST(out), False)
        out = W_STORE(out)
        put_u8(out, 0xC3 if desk[L.KEEPS] else 0xC2)
        out += 1
    else:
        out = W_RESET(out) if kind == L.RESET else W_CLOSE(out)
        out = _raw(STREAM(out), message, L.STREAM_AT)
    if message[L.TAG_AT] != 0:
        pairs += 1
        out = _raw(TAG(out), message, L.TAG_AT)
    put_map(start, pairs)
    return out


@part
def sample_result(desk, house, message, out, n, id_at, id_end, seq_at, t_at, as_bin, alone):
    """Of the sample at place n; the raw values of its id, seq and t lie where they came. `alone`: not as one of a block."""
    start, pairs = out, 1
    notes = get_u8(house[L.NOTES] + n)
    out = _span(STREAM(out + 1), id_at, id_end)
    if seq_at != 0:
        pairs += 1
        out = SEQ(out)
        if notes & L.REPEATED:
            out = put_whole(out, _last_seq(house, n))
        else:
            out = _span(out, seq_at, after_number(seq_at))
    if t_at != 0:
        pairs += 1
        out = _span(T(out), t_at, after_number(t_at))
    out, more = _y(out, house, n, as_bin)
    pairs += more
    if message[L.MODEL_AT] != 0:
        pairs += 1
        out = _raw(MODEL(out), message, L.MODEL_AT)
    if notes & L.JUMPED:
        pairs += 1
        out = put_true(JUMP(out))
    if notes & L.REPEATED:
        pairs += 1
        out = put_true(DUPLICATE(out))
    if alone:
        out, more = _epoch_and_tag(desk, message, out)
        pairs += more
    put_map(start, pairs)
    return out


@inline
def _span(out, at, end):
    copy(out, at, end - at)
    return out + end - at


@inline
def _epoch_and_tag(desk, message, out):
    """What ends a reply, if it was asked for; and how many pairs that is."""
    pairs = 0
    if message[L.WANTS_EPOCH]:
        pairs += 1
        out = put_whole(EPOCH_KEY(out), desk[L.EPOCH])
    if message[L.TAG_AT] != 0:
        pairs += 1
        out = _raw(TAG(out), message, L.TAG_AT)
    return out, pairs
