"""A detector's result, key by key: what stands where other models have y."""
from streamrnn.bus.core import layout as L
from streamrnn.bus.core.memory import copy, get_f32, put_u8
from streamrnn.bus.core.msgpack import constant, put_array, put_bin_header, put_float
from streamrnn.cells.monitors.board import CAUSES
from streamrnn.cells.monitors.report import BY_SENSOR, FIRST
from streamrnn.jit import inline, part

SCORE, ALERT, CAUSE, MISSING = map(constant, ("score", "alert", "cause", "missing"))
EXPECTED, SPREAD, BLAME = map(constant, BY_SENSOR)
W_SURPRISE, W_LEVEL, W_RANGE, W_SEASON, W_PATTERN, W_MEMORY, W_HEALTH = map(constant, CAUSES)
A_SCORE, AN_ALERT, A_CAUSE, A_MISSING = range(4)  # columns of a result


@inline
def numbers(out, at, count, as_bin):
    """Some float32s, in the form that x had."""
    if as_bin:
        out = put_bin_header(out, 4 * count)
        copy(out, at, 4 * count)
        return out + 4 * count
    if count < 16:
        put_u8(out, 0x90 | count)
        out += 1
    else:
        out = put_array(out, count)
    for i in range(count):
        out = put_float(out, get_f32(at + 4 * i))
    return out


@inline
def is_alert(house, n):
    return house[L.SENSORS] > 0 and get_f32(house[L.YS] + 4 * (house[L.OUTPUTS] * n + AN_ALERT)) > 0


@inline
def cause(out, which):
    if which == 0:
        return W_SURPRISE(out)
    if which == 1:
        return W_LEVEL(out)
    if which == 2:
        return W_RANGE(out)
    if which == 3:
        return W_SEASON(out)
    if which == 4:
        return W_PATTERN(out)
    return W_MEMORY(out) if which == 5 else W_HEALTH(out)


@part
def verdict(out, house, n, as_bin):
    """Of the sample at place n: where it ends, and how many pairs it took."""
    sensors, y, pairs = house[L.SENSORS], house[L.YS] + 4 * house[L.OUTPUTS] * n, 6
    out = put_float(SCORE(out), get_f32(y))
    out = ALERT(out)
    put_u8(out, 0xC3 if get_f32(y + 4 * AN_ALERT) > 0 else 0xC2)
    out = cause(CAUSE(out + 1), int(get_f32(y + 4 * A_CAUSE)))
    if get_f32(y + 4 * A_MISSING) > 0:
        pairs += 1
        out = put_float(MISSING(out), get_f32(y + 4 * A_MISSING))
    out = numbers(EXPECTED(out), y + 4 * FIRST, sensors, as_bin)
    out = numbers(SPREAD(out), y + 4 * (FIRST + sensors), sensors, as_bin)
    return numbers(BLAME(out), y + 4 * (FIRST + 2 * sensors), sensors, as_bin), pairs
