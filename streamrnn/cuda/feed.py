"""What goes onto a tape on a GPU before its steps, as kernels/feed.py puts it there: samples of some sequences, dropout's masks."""
import numpy as np
from numba import cuda, types

from streamrnn.cuda.tape import FIRSTS, KEYS, LENGTHS, PROGRAM, RECORD, RECORDS, SAMPLE, SAMPLES
from streamrnn.cuda.words import set_value, value
from streamrnn.jit import inline
from streamrnn.kernels import frame as frames
from streamrnn.kernels.feed import mixed
from streamrnn.kernels.frame import fields
from streamrnn.lanes import at, pointer

int64, uint64 = types.int64, types.uint64
THREADS, TOGETHER = 256, 16  # threads that share a row
ZERO, POSITIVE = np.float32(0), (1 << 63) - 1
GATHER, DROP_MASKS = types.void(*(int64,) * 4), types.void(*(int64,) * 8, types.float32)


def gather(desk, rows, slots, time):
    """samples[t, s] = rows[firsts[s] + t] for t below lengths[s], then zeros; what lies beyond a row's width stays."""
    desk, rows = fields(desk), pointer(rows)
    samples, firsts, lengths = pointer(desk[SAMPLES]), fields(desk[FIRSTS]), fields(desk[LENGTHS])
    width, column = fields(desk[PROGRAM])[frames.INPUTS_OF_MODEL], int64(cuda.threadIdx.x) % TOGETHER
    for i in range(int64(cuda.grid(1)) // TOGETHER, slots * time, int64(cuda.gridDim.x) * (THREADS // TOGETHER)):
        t = i // slots
        s = i - t * slots
        here, target, there = at(rows, (firsts[s] + t) * width), at(samples, i * desk[SAMPLE]), t < lengths[s]
        for k in range(column, width, TOGETHER):
            set_value(target, k, value(here, k) if there else ZERO)


@inline
def unsigned(bits):
    """An int64's bits as a uint64's."""
    return uint64(bits >> 1 & POSITIVE) * uint64(2) + uint64(bits & 1)


def drop_masks(desk, offset, size, number, start, slots, time, limit, kept):
    """A mask of `size` in the work of each step: `kept` where mixed bits are below `limit`, else 0 (kernels.feed.drop_masks)."""
    desk = fields(desk)
    records, keys = pointer(desk[RECORDS]), fields(desk[KEYS])
    column = int64(cuda.threadIdx.x) % TOGETHER
    for i in range(int64(cuda.grid(1)) // TOGETHER, slots * time, int64(cuda.gridDim.x) * (THREADS // TOGETHER)):
        t = i // slots
        s = i - t * slots
        key = unsigned(keys[s] + number)
        step = mixed(key + uint64(0 if start < 0 else start + t) * uint64(0x9E3779B97F4A7C15))
        target = at(records, (slots + i) * desk[RECORD] + offset)
        for u in range(column, size, TOGETHER):
            set_value(target, u, kept if int64(mixed(step + uint64(u)) >> uint64(32)) < limit else ZERO)
