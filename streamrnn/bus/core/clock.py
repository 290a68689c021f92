"""The loop's clock, and its histograms of how long things took: four buckets an octave of nanoseconds."""
from numba import types

from streamrnn.bus.core import layout as L
from streamrnn.bus.core.libzmq import CLOCK, clock_gettime
from streamrnn.bus.core.memory import get_i64
from streamrnn.jit import inline
from streamrnn.kernels.frame import fields

int32, int64 = types.int32, types.int64


@inline
def now(loop):
    """Nanoseconds."""
    clock_gettime(int32(CLOCK), loop[L.SCRATCH])
    return get_i64(loop[L.SCRATCH]) * 1_000_000_000 + get_i64(loop[L.SCRATCH] + 8)


@inline
def bucket(nanoseconds):
    """Four an octave."""
    if nanoseconds < 4:
        return max(nanoseconds, 0)
    octave = int64(0)
    n = nanoseconds
    while n >= 8:
        n >>= 1
        octave += 1
    return min(4 * octave + n, L.BUCKETS - 1)


@inline
def note_time(desk, stage, nanoseconds, messages):
    waits = fields(desk[L.WAITS])
    waits[stage * (L.BUCKETS + 1) + bucket(nanoseconds)] += messages
    waits[stage * (L.BUCKETS + 1) + L.BUCKETS] += messages * nanoseconds  # and the sum
