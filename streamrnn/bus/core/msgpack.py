"""msgpack as compiled code reads and writes it: positions are addresses, `end` is the first byte that is not ours.

`skip` is the one function that distrusts: it walks over a whole value and answers where it ends, or that it is no value.
Everything else reads values that `skip` has been over, so that lengths have been checked once, in one place.
"""
from numba import types

from streamrnn.bus.core.memory import (
    bits_of_f32,
    f32_of_bits,
    f64_of_bits,
    get_big16,
    get_big32,
    get_big64,
    get_i64,
    get_u8,
    put_big16,
    put_big32,
    put_big64,
    put_i64,
    put_u8,
    put_u64,
)
from streamrnn.jit import inline, part

int64, uint64, float32, float64 = types.int64, types.uint64, types.float32, types.float64

CUT_OFF, NO_VALUE, TOO_DEEP = -1, -2, -3
DEEPEST = 32
NIL, FALSE, TRUE = 0xC0, 0xC2, 0xC3
UINT8, UINT64, INT8, INT64, FLOAT32, FLOAT64 = 0xCC, 0xCF, 0xD0, 0xD3, 0xCA, 0xCB
BIN8, STR8, ARRAY16, MAP16 = 0xC4, 0xD9, 0xDC, 0xDE


@inline
def _sized(at, end, width, more):
    """Behind a length of `width` bytes at `at` and the value (and `more`) that it measures; CUT_OFF beyond the end."""
    if at + width > end:
        return int64(CUT_OFF)
    n = int64(get_u8(at)) if width == 1 else int64(get_big16(at)) if width == 2 else int64(get_big32(at))
    return at + width + n + more if n + more <= end - at - width else int64(CUT_OFF)


@part
def skip(at, end, stack):
    """Where the value at `at` ends, or CUT_OFF, NO_VALUE, TOO_DEEP. `stack`: room for DEEPEST int64."""
    depth, left = 0, int64(1)
    while True:
        while left == 0:
            if depth == 0:
                return at
            depth -= 1
            left = get_i64(stack + 8 * depth)
        left -= 1
        if at >= end:
            return int64(CUT_OFF)
        t = int64(get_u8(at))
        at += 1
        inside = int64(-1)  # values in a container
        if t < 0x80 or t >= 0xE0:
            pass
        elif t < 0x90:
            inside = 2 * (t & 15)
        elif t < 0xA0:
            inside = t & 15
        elif t < 0xC0:
            at += t & 31
        elif t == 0xC1:
            return int64(NO_VALUE)
        elif t <= TRUE:
            pass
        elif t <= 0xC6:    # bin
            at = _sized(at, end, 1 << (t - 0xC4), 0)
        elif t <= 0xC9:    # ext
            at = _sized(at, end, 1 << (t - 0xC7), 1)
        elif t <= 0xCB:
            at += 4 if t == FLOAT32 else 8
        elif t <= 0xCF:
            at += 1 << (t - 0xCC)
        elif t <= 0xD3:
            at += 1 << (t - 0xD0)
        elif t <= 0xD8:    # fixext
            at += 1 + (1 << (t - 0xD4))
        elif t <= 0xDB:    # str
            at = _sized(at, end, 1 << (t - 0xD9), 0)
        else:
            width = 2 if t & 1 == 0 else 4
            if at + width > end:
                return int64(CUT_OFF)
            inside = (int64(get_big16(at)) if width == 2 else int64(get_big32(at))) * (1 if t < MAP16 else 2)
            at += width
        if at < 0 or at > end:
            return int64(CUT_OFF)
        if inside > 0:
            if depth == DEEPEST:
                return int64(TOO_DEEP)
            put_i64(stack + 8 * depth, left)
            depth += 1
            left = inside


# -- reading what has been skipped -------------------------------------------------------------------------------------

@inline
def is_text(at):
    t = get_u8(at)
    return 0xA0 <= t < 0xC0 or STR8 <= t <= 0xDB


@inline
def is_bin(at):
    t = get_u8(at)
    return BIN8 <= t <= 0xC6


@inline
def is_array(at):
    t = get_u8(at)
    return 0x90 <= t < 0xA0 or t == ARRAY16 or t == ARRAY16 + 1


@inline
def is_whole(at):
    """An integer of any width, not negative?"""
    t = int64(get_u8(at))
    if t < 0x80 or UINT8 <= t <= UINT64:
        return True
    return INT8 <= t <= INT64 and get_u8(at + 1) < 0x80


@inline
def is_number(at):
    t = get_u8(at)
    return t < 0x80 or t >= 0xE0 or FLOAT32 <= t <= INT64


@inline
def whole(at):
    """The value of such an integer, as uint64."""
    t = int64(get_u8(at))
    if t < 0x80:
        return uint64(t)
    width = t & 3
    if width == 0:
        return uint64(get_u8(at + 1))
    return get_big16(at + 1) if width == 1 else get_big32(at + 1) if width == 2 else get_big64(at + 1)


@inline
def first_of(at):
    """Where the content of a str, bin or array starts."""
    t = int64(get_u8(at))
    if t < 0xC0:
        return at + 1
    if t >= ARRAY16:
        return at + (3 if t & 1 == 0 else 5)
    return at + 1 + (1 << (t - (BIN8 if t < STR8 else STR8)))


@inline
def count_of(at):
    """Bytes of a str or bin, elements of an array or pairs of a map."""
    t = int64(get_u8(at))
    if t < 0xA0:
        return t & 15
    if t < 0xC0:
        return t & 31
    width = (1 if t & 1 == 0 else 2) if t >= ARRAY16 else t - (BIN8 if t < STR8 else STR8)
    if width == 0:
        return int64(get_u8(at + 1))
    return int64(get_big16(at + 1)) if width == 1 else int64(get_big32(at + 1))


@inline
def number(at):
    """A number as float32 (nil: NaN), and where it ends."""
    t = int64(get_u8(at))
    if t < 0x80:
        return float32(t), at + 1
    if t >= 0xE0:
        return float32(t - 256), at + 1
    if t == FLOAT32:
        return f32_of_bits(types.uint32(get_big32(at + 1))), at + 5
    if t == FLOAT64:
        return float32(f64_of_bits(get_big64(at + 1))), at + 9
    if t == NIL:
        return float32(float("nan")), at + 1
    if t <= UINT64:
        return float32(whole(at)), at + 1 + (1 << (t - UINT8))
    width = t - INT8
    if width == 0:
        return float32(types.int8(get_u8(at + 1))), at + 2
    if width == 1:
        return float32(types.int16(get_big16(at + 1))), at + 3
    if width == 2:
        return float32(types.int32(get_big32(at + 1))), at + 5
    return float32(types.int64(get_big64(at + 1))), at + 9


@inline
def after_number(at):
    """Where a number (or nil) ends."""
    t = int64(get_u8(at))
    if t < 0x80 or t >= 0xE0 or t == NIL:
        return at + 1
    return at + (5 if t == FLOAT32 else 9 if t == FLOAT64 else 1 + (1 << (t & 3)))


# -- writing: each answers where the next byte goes ----------------------------------------------------------------------

def constant(text):
    """The bytes of a short key or word with its header, as a function that writes them; at most 16 bytes."""
    content = bytes([0xA0 | len(text)]) + text.encode()
    low, high, size = (int.from_bytes(content[i:i + 8], "little") for i in (0, 8)), None, len(content)
    low, high = low

    @inline
    def write(at):
        put_u64(at, uint64(low))
        if size > 8:
            put_u64(at + 8, uint64(high))
        return at + size
    return write


@inline
def put_map(at, pairs):
    put_u8(at, 0x80 | pairs)
    return at + 1


@inline
def put_array(at, count):
    put_u8(at, 0xDD)
    put_big32(at + 1, count)
    return at + 5


@inline
def put_whole(at, value):
    """An integer of 0 or more, as short as may be."""
    if value < 0x80:
        put_u8(at, value)
        return at + 1
    if value < 1 << 16:
        put_u8(at, 0xCD)
        put_big16(at + 1, value)
        return at + 3
    if value < 1 << 32:
        put_u8(at, 0xCE)
        put_big32(at + 1, value)
        return at + 5
    put_u8(at, UINT64)
    put_big64(at + 1, value)
    return at + 9


@inline
def put_text_header(at, size):
    """For a str of at most 65,535 bytes."""
    if size < 32:
        put_u8(at, 0xA0 | size)
        return at + 1
    if size < 256:
        put_u8(at, STR8)
        put_u8(at + 1, size)
        return at + 2
    put_u8(at, STR8 + 1)
    put_big16(at + 1, size)
    return at + 3


@inline
def put_bin_header(at, size):
    if size < 256:
        put_u8(at, BIN8)
        put_u8(at + 1, size)
        return at + 2
    if size < 1 << 16:
        put_u8(at, BIN8 + 1)
        put_big16(at + 1, size)
        return at + 3
    put_u8(at, BIN8 + 2)
    put_big32(at + 1, size)
    return at + 5


@inline
def put_float(at, value):
    put_u8(at, FLOAT32)
    put_big32(at + 1, int64(bits_of_f32(value)))
    return at + 5


@inline
def put_true(at):
    put_u8(at, TRUE)
    return at + 1
