"""A frame's bytes -> where its parts lie. The whole frame is walked over first; nothing is believed before.

`read` fills a table of int64 fields (addresses into the frame, 0 for what is not there) and answers FINE or the number of
an error's detail (codes.py). The model's own limits (width, values, ids there are) are not its business.
"""
from numba import types

from streamrnn.bus.core.codes import number
from streamrnn.bus.core.memory import get_i64, get_u8, get_u64
from streamrnn.bus.core.msgpack import (
    CUT_OFF,
    FALSE,
    NIL,
    NO_VALUE,
    TRUE,
    after_number,
    count_of,
    first_of,
    is_array,
    is_bin,
    is_number,
    is_text,
    is_whole,
    skip,
    whole,
)
from streamrnn.jit import inline, part
from streamrnn.kernels.frame import fields

int64, uint64 = types.int64, types.uint64
FINE = -1
MOST_STREAMS = 65_535
LONGEST_ID = 64

# the fields; _AT is where the value starts, header included, _END where it ends
(HAS, STREAM, SEQ, T, X, TAG, MODEL, EPOCH, OP, STREAMS, SEQS, STATE, OF, EXTRA, ENDS) = range(15)
KNOWN = ENDS - 1
FIELDS = ENDS + KNOWN + 1  # ENDS + field: where that value ends; EXTRA: the second number of an error


def word(text):
    """A key or an op of at most 8 bytes as one number, with its size in the last byte if that is free."""
    return int.from_bytes(text.encode(), "little") | (len(text) << 56 if len(text) < 8 else 0)


K_STREAM, K_SEQ, K_T, K_X, K_TAG, K_MODEL, K_EPOCH, K_OP, K_STREAMS, K_SEQS, K_STATE, K_OF = map(
    word, ("stream", "seq", "t", "x", "tag", "model", "epoch", "op", "streams", "seqs", "state", "of"))

NOT_A_MAP, CUT, BEHIND = number("bad_frame", "a frame is"), number("bad_frame", "the frame is cut"), number("bad_frame", "$2 bytes")
NO_MSGPACK, NESTED, TWICE = number("bad_frame", "the frame holds"), number("bad_frame", "the frame is nested"), number("bad_frame", "a key")
NO_TEXT, NO_TEXTS = number("bad_key", "stream, model"), number("bad_key", "streams is")
NO_WHOLE, NO_WHOLES = number("bad_key", "seq and tag"), number("bad_key", "seqs is")
NO_NUMBER, NO_BOOL, NO_X = number("bad_key", "t is"), number("bad_key", "epoch"), number("bad_key", "x is an")
NO_BYTES, NO_UTF8, OWN_ID = (number("bad_stream", "a stream id has"),
                             number("bad_stream", "a stream id is"), number("bad_stream", "ids"))


@inline
def short_word(at, size):
    """`word` of a string of at most 8 bytes; reads, but does not use, up to 8 bytes from its start.

    Signed, as Numba compares an unsigned number with a signed one as float64, which holds 53 bits.
    """
    if size == 8:
        return get_i64(at)
    return int64(get_u64(at) & ((uint64(1) << uint64(8 * size)) - uint64(1))) | size << 56


@inline
def _field_of(key):
    if key == K_STREAM:
        return STREAM
    if key == K_SEQ:
        return SEQ
    if key == K_T:
        return T
    if key == K_X:
        return X
    if key == K_TAG:
        return TAG
    if key == K_MODEL:
        return MODEL
    if key == K_EPOCH:
        return EPOCH
    if key == K_OP:
        return OP
    if key == K_STREAMS:
        return STREAMS
    if key == K_SEQS:
        return SEQS
    if key == K_STATE:
        return STATE
    if key == K_OF:
        return OF
    return -1


@inline
def _all_texts(at, count):
    for _ in range(count):
        if not is_text(at):
            return False
        at = first_of(at) + count_of(at)
    return True


@inline
def _all_numbers(at, count, also_nil):
    for _ in range(count):
        if not (is_number(at) or (also_nil and get_u8(at) == NIL)):
            return False
        at = after_number(at)
    return True


@inline
def _all_whole(at, count):
    for _ in range(count):
        if not is_whole(at):
            return False
        at = after_number(at)
    return True


@part
def _wrong_kind(field, at):
    """The detail for a value of a kind that its key does not take, or FINE."""
    if field in (STREAM, MODEL, OP, STATE, OF):
        return FINE if is_text(at) else NO_TEXT
    if field in (SEQ, TAG):
        return FINE if is_whole(at) else NO_WHOLE
    if field == EPOCH:
        return FINE if get_u8(at) == TRUE or get_u8(at) == FALSE else NO_BOOL
    if field == T:
        fine = _all_numbers(first_of(at), count_of(at), False) if is_array(at) else is_number(at)
        return FINE if fine else NO_NUMBER
    if field == X:
        fine = _all_numbers(first_of(at), count_of(at), True) if is_array(at) else is_bin(at)
        return FINE if fine else NO_X
    if field == STREAMS:
        return FINE if is_array(at) and _all_texts(first_of(at), count_of(at)) else NO_TEXTS
    return FINE if is_array(at) and _all_whole(first_of(at), count_of(at)) else NO_WHOLES


@part
def read(frame, size, table, stack):
    """Where the parts of the frame lie; `stack`: room for msgpack.DEEPEST int64."""
    field = fields(table)
    for i in range(FIELDS):
        field[i] = 0
    end = frame + size
    if size < 1:
        return NOT_A_MAP
    kind = get_u8(frame)
    if not (0x80 <= kind < 0x90 or kind == 0xDE or kind == 0xDF):
        return NOT_A_MAP
    stop = skip(frame, end, stack)
    if stop < 0:
        return CUT if stop == CUT_OFF else NO_MSGPACK if stop == NO_VALUE else NESTED
    if stop != end:
        field[EXTRA] = end - stop
        return BEHIND
    wrong = FINE
    at = first_of(frame)
    for _ in range(count_of(frame)):
        known = int64(-1)
        if is_text(at) and count_of(at) <= 8:
            known = int64(_field_of(short_word(first_of(at), count_of(at))))
        value = first_of(at) + count_of(at) if is_text(at) else skip(at, end, stack)
        at = skip(value, end, stack)
        if known < 0:
            continue
        if field[known] != 0:
            return TWICE
        field[known] = value
        field[ENDS + known] = at
        if wrong == FINE:
            wrong = int64(_wrong_kind(known, value))
    field[HAS] = 1
    return wrong


@part
def wrong_id(at, size):
    """The detail for an id that names no stream, or FINE."""
    if not 0 < size <= LONGEST_ID:
        return NO_BYTES
    if get_u8(at) == 0x21:
        return OWN_ID
    return FINE if is_ascii(at, size) or is_utf8(at, size) else NO_UTF8


@inline
def is_ascii(at, size):
    """Eight bytes at a time; up to seven behind the last one are read, but not used."""
    high = uint64(0)
    while size > 8:
        high |= get_u64(at)
        at += 8
        size -= 8
    high |= get_u64(at) & (~uint64(0) >> uint64(64 - 8 * size))
    return high & uint64(0x8080808080808080) == uint64(0)


@inline
def _follows(at):
    return get_u8(at) & 0xC0 == 0x80


@inline
def is_utf8(at, size):
    end = at + size
    while at < end:
        c = int64(get_u8(at))
        if c < 0x80:
            at += 1
        elif c < 0xE0:
            if c < 0xC2 or at + 2 > end or not _follows(at + 1):
                return False
            at += 2
        elif c < 0xF0:
            if at + 3 > end or not (_follows(at + 1) and _follows(at + 2)):
                return False
            second = get_u8(at + 1)
            if (c == 0xE0 and second < 0xA0) or (c == 0xED and second >= 0xA0):  # too long a form, half of a pair
                return False
            at += 3
        else:
            if c > 0xF4 or at + 4 > end or not (_follows(at + 1) and _follows(at + 2) and _follows(at + 3)):
                return False
            second = get_u8(at + 1)
            if (c == 0xF0 and second < 0x90) or (c == 0xF4 and second >= 0x90):
                return False
            at += 4
    return True


@inline
def value_of(at):
    """A whole number as int64; beyond 2^63 - 1 it comes out below 0."""
    return int64(whole(at))
