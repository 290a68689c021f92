"""A frame comes in: read, checked whole, then its samples enter the batch and a message waits for its answer.

Nothing is changed by a frame until all of it is known to be fine. `take` answers DONE, or LATER when there is no room: the
caller lets the answers out (core.answer) and calls again.
"""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core import read as R
from streamrnn.bus.core.batch import NO_SEQ, count_up, enter
from streamrnn.bus.core.codes import number
from streamrnn.bus.core.controls import NO_MODEL, control, house_of
from streamrnn.bus.core.hold import put_aside
from streamrnn.bus.core.memory import clear, copy, get_i64, get_u8, put_f32, put_u8
from streamrnn.bus.core.moment import put_moment
from streamrnn.bus.core.msgpack import DEEPEST, TRUE, after_number, count_of, first_of, is_array, is_bin, is_text, is_whole
from streamrnn.bus.core.msgpack import number as number_at
from streamrnn.bus.core.names import close_slot, find, hash_of, open_slot, slot_record
from streamrnn.bus.core.peers import may_open, may_send, record_of
from streamrnn.jit import inline, kernel, part
from streamrnn.kernels.frame import fields
from streamrnn.kernels.step import acceptable
from streamrnn.lanes import pointer

int64 = types.int64
DONE, LATER = range(2)
PUT_ASIDE = -2      # besides read.FINE and the details' numbers: there is nothing to answer yet
LONGEST_NAME = 256  # of a peer
SLACK = 16          # bytes behind a frame that may be read, and are not used


(MULTIPART, NO_STREAM, NO_X, NO_BIN, UNEQUAL, BLOCK_SIZE) = (
    number("bad_frame", "a message"), number("bad_key", "a sample needs"), number("bad_key", "x is missing"),
    number("bad_key", "x of a block"), number("bad_key", "streams, seqs"), number("bad_key", "a block has"))
BAD_SEQ, WIDTH, BYTES, VALUE = (number("bad_seq", "a seq"), number("bad_width", "x has $2 values"),
                                number("bad_width", "x has $2 bytes"), number("bad_value", "x has"))
TOO_LARGE = number("too_large", "a")
FULL, PEER_FULL, TOO_FAST, NOT_HERE = (number("full", "this"), number("full", "one"), number("rate", "this"), number("refused", "controls"))
T_KIND = number("bad_key", "t is")


@inline
def _message(desk):
    """The record behind the last message, cleared."""
    address = desk[L.MESSAGES] + desk[L.MESSAGE_COUNT] * 8 * L.MESSAGE
    clear(address, 8 * L.MESSAGE)
    return fields(address)


@inline
def _fail(desk, message, detail, expected, came):
    message[L.KIND], message[L.DETAIL], message[L.EXPECTED], message[L.CAME] = L.FAILURE, detail, expected, came
    count_up(desk, L.ERRORS, 1)
    count_up(desk, L.COUNTERS_BEFORE_ERRORS + detail, 1)


@inline
def _note(message, column, field, key):
    """Where the raw value of a key lies, to be sent back as it came."""
    if field[key] != 0:
        message[column], message[column + 1] = field[key], field[R.ENDS + key] - field[key]


@inline
def _note_what_is_readable(message, field):
    """What an error can name: tag, stream and seq, as far as they are what they should be."""
    if field[R.TAG] != 0 and is_whole(field[R.TAG]):
        _note(message, L.TAG_AT, field, R.TAG)
    if field[R.STREAMS] == 0:
        stream = field[R.STREAM]
        if stream != 0 and is_text(stream) and 0 < count_of(stream) <= R.LONGEST_ID and R.is_utf8(first_of(stream), count_of(stream)):
            _note(message, L.STREAM_AT, field, R.STREAM)
        if field[R.SEQ] != 0 and is_whole(field[R.SEQ]):
            _note(message, L.SEQ_AT, field, R.SEQ)


@part
def _values(house, at, as_bin, t, n):
    """x of one sample, as an array of numbers or bin, into place n; are all values such as the model takes?"""
    inputs = house[L.INPUTS]
    target, told = house[L.XS] + 4 * inputs * n, inputs - house[L.TIMED]
    if as_bin:
        copy(target, at, 4 * told)
    else:
        for i in range(told):
            value, at = number_at(at)
            put_f32(target + 4 * i, value)
    if house[L.TIMED]:
        put_moment(target + 4 * told, t)
    return _fit(house, pointer(target), inputs)


@inline
def _fit(house, x, count):
    return acceptable(x, count, house[L.TOKENS])


@part
def _sample(desk, field, message):
    """One sample: (detail or FINE, expected, came)."""
    if field[R.STREAM] == 0:
        return NO_STREAM, int64(0), int64(0)
    if field[R.X] == 0:
        return NO_X, int64(0), int64(0)
    if field[R.T] != 0 and is_array(field[R.T]):
        return T_KIND, int64(0), int64(0)
    address = house_of(desk, field)
    if address == 0:
        return NO_MODEL, int64(0), int64(0)
    house = fields(address)
    id_at, id_size = first_of(field[R.STREAM]), count_of(field[R.STREAM])
    wrong = R.wrong_id(id_at, id_size)
    if wrong != R.FINE:
        return wrong, int64(0), id_size
    seq = int64(NO_SEQ)
    if field[R.SEQ] != 0:
        seq = R.value_of(field[R.SEQ])
        if seq < 1:
            return BAD_SEQ, int64(0), int64(0)
    x, inputs, count = field[R.X], house[L.INPUTS] - house[L.TIMED], count_of(field[R.X])
    as_bin = is_bin(x)
    if count != (4 * inputs if as_bin else inputs):
        return (BYTES, 4 * inputs, count) if as_bin else (WIDTH, inputs, count)
    if not _values(house, first_of(x), as_bin, field[R.T], house[L.COUNT]):
        return VALUE, int64(0), int64(0)
    h = hash_of(id_at, id_size, house[L.SEED])
    slot = find(house, id_at, id_size, h)
    if desk[L.REORDER] > 0 and desk[L.RELEASING] == 0:
        last = get_i64(slot_record(house, slot) + L.SLOT_SEQ) if slot >= 0 else int64(0)
        if seq > last + 1 and put_aside(desk, message, address, seq, id_at, id_size):
            return int64(PUT_ASIDE), int64(0), int64(0)
    if slot < 0:
        if not may_open(desk, message, 1):
            return PEER_FULL, desk[L.STREAMS_PER_PEER], int64(0)
        slot = open_slot(house, id_at, id_size, h)
        if slot < 0:
            return FULL, house[L.CAPACITY], int64(0)
        _was_opened(desk, message)
    message[L.KIND], message[L.OF_HOUSE], message[L.AS_BIN] = L.SAMPLE, address, as_bin
    message[L.FIRST_SAMPLE], message[L.SAMPLES] = house[L.COUNT], 1
    enter(desk, house, slot, seq)
    return R.FINE, int64(0), int64(0)


@inline
def _was_opened(desk, message):
    count_up(desk, L.OPENED_STREAMS, 1)
    if desk[L.STREAMS_PER_PEER] > 0:
        peer = record_of(desk, message)
        peer[L.PEER_OPENED] += 1


@part
def _block(desk, field, message):
    """Many samples, all of them or none: (detail or FINE, expected, came)."""
    count, x = count_of(field[R.STREAMS]), field[R.X]
    if x == 0:
        return NO_X, int64(0), int64(0)
    if not is_bin(x):
        return NO_BIN, int64(0), int64(0)
    if not 0 < count <= R.MOST_STREAMS:
        return BLOCK_SIZE, int64(0), count
    if field[R.T] != 0 and not is_array(field[R.T]):
        return T_KIND, int64(0), int64(0)
    for key in (R.SEQS, R.T):
        if field[key] != 0 and count_of(field[key]) != count:
            return UNEQUAL, count, count_of(field[key])
    address = house_of(desk, field)
    if address == 0:
        return NO_MODEL, int64(0), int64(0)
    house = fields(address)
    at = first_of(field[R.STREAMS])
    for _ in range(count):
        id_at, id_size = first_of(at), count_of(at)
        wrong = R.wrong_id(id_at, id_size)
        if wrong != R.FINE:
            return wrong, int64(0), id_size
        at = id_at + id_size
    if field[R.SEQS] != 0:
        at = first_of(field[R.SEQS])
        for _ in range(count):
            if R.value_of(at) < 1:
                return BAD_SEQ, int64(0), int64(0)
            at = after_number(at)
    inputs, first = house[L.INPUTS], house[L.COUNT]
    told = inputs - house[L.TIMED]
    if count_of(x) != 4 * told * count:
        return BYTES, 4 * told * count, count_of(x)
    xs = house[L.XS] + 4 * inputs * first
    if house[L.TIMED]:
        t = first_of(field[R.T]) if field[R.T] != 0 else int64(0)
        for n in range(count):
            copy(xs + 4 * inputs * n, first_of(x) + 4 * told * n, 4 * told)
            put_moment(xs + 4 * (inputs * n + told), t)
            t = after_number(t) if t != 0 else t
    else:
        copy(xs, first_of(x), 4 * inputs * count)
    if not _fit(house, pointer(xs), inputs * count):
        return VALUE, int64(0), int64(0)
    detail = _slots(desk, house, field, message, count)
    if detail != R.FINE:
        return detail, house[L.CAPACITY] if detail == FULL else desk[L.STREAMS_PER_PEER], int64(0)
    message[L.KIND], message[L.OF_HOUSE], message[L.AS_BIN] = L.BLOCK, address, 1
    message[L.FIRST_SAMPLE], message[L.SAMPLES] = first, count
    at = first_of(field[R.SEQS]) if field[R.SEQS] != 0 else int64(0)
    for n in range(first, first + count):
        seq = int64(NO_SEQ)
        if at != 0:
            seq = R.value_of(at)
            at = after_number(at)
        enter(desk, house, get_i64(house[L.HANDLES] + 8 * n), seq)
    count_up(desk, L.BLOCKS, 1)
    return R.FINE, int64(0), int64(0)


@inline
def _slots(desk, house, field, message, count):
    """The slots of a block's streams into their handles, new ones opened; if there is no room for all, none is."""
    first = house[L.COUNT]
    at, new = first_of(field[R.STREAMS]), 0
    detail = int64(R.FINE)
    for n in range(first, first + count):
        id_at, id_size = first_of(at), count_of(at)
        at = id_at + id_size
        h = hash_of(id_at, id_size, house[L.SEED])
        slot = find(house, id_at, id_size, h)
        put_u8(house[L.NOTES] + n, 0)
        if slot < 0:
            slot = open_slot(house, id_at, id_size, h) if may_open(desk, message, new + 1) else int64(-1)
            if slot < 0:
                detail = FULL if house[L.OPEN] == house[L.CAPACITY] else PEER_FULL
                for k in range(first, n):
                    if get_u8(house[L.NOTES] + k) == L.OPENED:
                        close_slot(house, get_i64(house[L.HANDLES] + 8 * k))
                return detail
            new += 1
            put_u8(house[L.NOTES] + n, L.OPENED)
        fields(house[L.HANDLES])[n] = slot
    for _ in range(new):
        _was_opened(desk, message)
    return detail


@inline
def room_for_another(desk):
    """Is there room for the largest message there can be?"""
    houses = fields(desk[L.HOUSES])
    if desk[L.MESSAGE_COUNT] == desk[L.MESSAGE_ROOM]:
        return False
    if desk[L.INBOX_SIZE] - desk[L.INBOX_USED] < desk[L.LARGEST_FRAME] + LONGEST_NAME + 2 * SLACK:
        return False
    for n in range(desk[L.HOUSE_COUNT]):
        house = fields(houses[n])
        if house[L.ROOM] - house[L.COUNT] < house[L.MOST]:
            return False
    return True


@part
def put_down(desk, origin, peer, peer_size, envelope, frame, size, parts):
    """Take a message: the peer's name, whether an empty part stood behind it, its frame, and how many parts followed."""
    if not room_for_another(desk):
        return LATER
    message = _message(desk)
    message[L.ORIGIN], message[L.PEER_AT], message[L.PEER_SIZE], message[L.ENVELOPE] = origin, peer, peer_size, envelope
    message[L.FRAME_AT], message[L.FRAME_SIZE] = frame, size
    if desk[L.RELEASING] == 0:
        count_up(desk, L.FRAMES_IN, 1)
        count_up(desk, L.BYTES_IN, size)
    if parts > 1:
        _fail(desk, message, MULTIPART, 0, 0)
    elif size > desk[L.LARGEST_FRAME]:
        _fail(desk, message, TOO_LARGE, desk[L.LARGEST_FRAME], size)
    else:
        field = fields(desk[L.FIELD])
        detail = R.read(frame, size, desk[L.FIELD], desk[L.STACK])
        expected, came = int64(DEEPEST), field[R.EXTRA]
        if field[R.HAS]:
            _note_what_is_readable(message, field)
        if detail == R.FINE:
            detail, expected, came = _sort(desk, field, message)
        if detail == PUT_ASIDE:
            return DONE
        if detail != R.FINE:
            _fail(desk, message, detail, expected, came)
    desk[L.MESSAGE_COUNT] += 1
    return DONE


@inline
def _sort(desk, field, message):
    if field[R.OP] != 0:
        if message[L.ORIGIN] == L.PULL:
            return NOT_HERE, int64(0), int64(0)
        return control(desk, field, message)
    block = field[R.STREAMS] != 0
    if desk[L.RATE] > 0 and desk[L.RELEASING] == 0 and not may_send(desk, message, count_of(field[R.STREAMS]) if block else int64(1)):
        return TOO_FAST, desk[L.RATE], int64(0)
    _note(message, L.T_AT, field, R.T)
    _note(message, L.MODEL_AT, field, R.MODEL)
    message[L.WANTS_EPOCH] = field[R.EPOCH] != 0 and get_u8(field[R.EPOCH]) == TRUE
    if block:
        wrong = _block(desk, field, message)
        if wrong[0] == R.FINE:
            _note(message, L.STREAM_AT, field, R.STREAMS)
            _note(message, L.SEQ_AT, field, R.SEQS)
        return wrong
    return _sample(desk, field, message)


@kernel(int64(int64, int64, int64, int64, int64, int64, int64, int64))
def take(desk, origin, peer, peer_size, envelope, frame, size, parts):
    return put_down(fields(desk), origin, peer, peer_size, envelope, frame, size, parts)
