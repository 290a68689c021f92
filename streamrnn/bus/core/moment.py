"""t for detectors: seconds since the epoch become the two numbers that they take behind the readings (cells/monitors/intake.py)."""
import math

from numba import types

from streamrnn.bus.core.memory import f32_of_bits, f64_of_bits, get_big32, get_big64, get_u8, put_f32
from streamrnn.bus.core.msgpack import FLOAT32, FLOAT64, NIL, is_whole, whole
from streamrnn.bus.core.msgpack import number as number_at
from streamrnn.jit import inline, part

float32, float64 = types.float32, types.float64
MONDAY, WEEK = 4 * 86_400, 604_800


@inline
def seconds_at(at):
    """A number as float64; nil and nothing (0) are not a number."""
    if at == 0 or get_u8(at) == NIL:
        return float64(float("nan"))
    if get_u8(at) == FLOAT64:
        return f64_of_bits(get_big64(at + 1))
    if get_u8(at) == FLOAT32:
        return float64(f32_of_bits(types.uint32(get_big32(at + 1))))
    return float64(whole(at)) if is_whole(at) else float64(number_at(at)[0])


@part
def put_moment(target, at):
    """The seconds since Monday 00:00 and the fraction of a second at an address, of the number at `at`; NaN twice without one."""
    seconds = seconds_at(at)
    if not abs(seconds) < 1e15:
        seconds = float64(float("nan"))
    down = math.floor(seconds)
    week = (down - MONDAY) / WEEK
    put_f32(target, float32((down - MONDAY) - math.floor(week) * WEEK))
    put_f32(target + 4, float32(seconds - down))
