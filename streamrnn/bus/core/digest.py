"""A 64-bit check of each row of the state file, over all that stands in it, so that a damaged, moved or stale row shows.

Every step takes different words to different values: one changed word always changes the check, more of them as good as always.
"""
from numba import types

from streamrnn.jit import inline, kernel

int64, uint8, uint32, uint64 = types.int64, types.uint8, types.uint32, types.uint64
ODD = 0x9E3779B97F4A7C15


@inline
def _stir(check, word):
    check = (check ^ uint64(word)) * uint64(ODD)
    return check ^ (check >> uint64(32))


@kernel(types.void(int64[::1], uint8[:, ::1], uint8[::1], int64[::1], int64[::1], uint32[:, ::1], uint64[::1]))
def checks_of(places, ids, id_sizes, seqs, stamps, states, checks):
    """ids (n, 64), padded with anything; states (n, width), the bits of float32; checks (n,) are filled, and never 0."""
    width = states.shape[1]
    for n in range(places.shape[0]):
        a, b, c, d = uint64(1), uint64(2), uint64(3), uint64(4)  # four chains side by side: each waits for its own product
        for k in range(0, width - 3, 4):
            a = _stir(a, states[n, k])
            b = _stir(b, states[n, k + 1])
            c = _stir(c, states[n, k + 2])
            d = _stir(d, states[n, k + 3])
        for k in range(width - width % 4, width):
            a = _stir(a, states[n, k])
        a = _stir(_stir(_stir(a, b), c), d)
        for k in range(int64(id_sizes[n])):
            a = _stir(a, ids[n, k])
        a = _stir(_stir(_stir(_stir(a, id_sizes[n]), places[n]), seqs[n]), stamps[n])
        checks[n] = max(a, uint64(1))
