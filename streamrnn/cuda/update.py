"""An optimiser's step on a GPU: the gradient's norm, the update of weights and moments, and the weights packed the other way again.

Arenas are float32 (size,) in the layout of cuda/tile.py. The norm is added up in float64: a sum for each CHUNK of entries, then
these, both in a fixed order, so that its bits are the same in every run.
"""
from functools import cache
from math import sqrt

import numpy as np
from numba import cuda, types

from streamrnn.cuda.pieces import each
from streamrnn.cuda.words import barrier, set_value, value
from streamrnn.jit import inline
from streamrnn.kernels.frame import fields
from streamrnn.lanes import pointer

int64, float64, doubles = types.int64, types.float64, types.float64[::1]
THREADS, CHUNK = 256, 4096
ZERO = np.float32(0)

SQUARES = types.void(int64, int64, doubles)


@inline
def folded(shared, thread):
    """The sum of a block's numbers, in halves."""
    half = THREADS // 2
    while half:
        barrier()
        if thread < half:
            shared[thread] += shared[thread + half]
        half //= 2
    barrier()
    return shared[0]


def squares(gradient, size, sums):
    """sums[block] = the sum of squares of the block's CHUNK of a gradient."""
    shared = cuda.shared.array(THREADS, types.float64)
    thread, block = int64(cuda.threadIdx.x), int64(cuda.blockIdx.x)
    gradient, total = pointer(gradient), float64(0)
    for i in range(block * CHUNK + thread, min(size, (block + 1) * CHUNK), THREADS):
        x = float64(value(gradient, i))
        total += x * x
    shared[thread] = total
    total = folded(shared, thread)
    if thread == 0:
        sums[block] = total


@inline
def _number(i, numbers):
    return numbers[i]


def _moments(count):
    """(the pointers of an entry's moments, as many as an optimiser keeps; how they are read and written)"""
    if count == 1:
        @inline
        def put(first, second, i, new):
            set_value(first, i, new[0])
        return inline(lambda first, second, i: (value(first, i),)), put

    @inline
    def put(first, second, i, new):
        set_value(first, i, new[0])
        set_value(second, i, new[1])
    return inline(lambda first, second, i: (value(first, i), value(second, i))), put


UPDATE = types.void(*(int64,) * 7, types.float32[::1], float64, doubles, doubles)


@cache
def update(one, moments, count):
    """update(values, gradient, first moment, second, decays, size, chunks, numbers, longest, sums, norm): the step of an optimiser.

    numbers: the `count` that its `one` takes behind the factor. A norm that is not finite changes nothing.
    """
    numbers_of, (take, put) = each(count, _number), _moments(moments)

    def update(values, gradient, first, second, decays, size, chunks, numbers, longest, sums, norm):
        shared = cuda.shared.array(THREADS, types.float64)
        thread, start, by = int64(cuda.threadIdx.x), int64(cuda.grid(1)), int64(cuda.gridDim.x) * THREADS
        total = float64(0)
        for i in range(thread, chunks, THREADS):
            total += sums[i]
        shared[thread] = total
        length = sqrt(folded(shared, thread))
        if start == 0:
            norm[0] = length
        if length - length == 0:
            factor = min(float64(1), longest / (length + 1e-6))  # torch's guard against 0
            rest = (np.float32(factor),) + numbers_of(numbers)
            values, gradient, decays = pointer(values), pointer(gradient), pointer(decays)
            first, second = pointer(first), pointer(second)
            for i in range(start, size, by):
                p, new = one(value(values, i), value(gradient, i), value(decays, i), take(first, second, i), rest)
                set_value(values, i, p)
                put(first, second, i, new)

    return update


REPACK = types.void(*(int64,) * 4)


def repack(back, values, index, size):
    """back[i] = values[index[i]], 0 where the index is below 0."""
    back, values, index = pointer(back), pointer(values), fields(index)
    for i in range(int64(cuda.grid(1)), size, int64(cuda.gridDim.x) * THREADS):
        k = index[i]
        set_value(back, i, value(values, k) if k >= 0 else ZERO)
