"""What goes onto a tape before its steps: samples of some sequences side by side, and dropout's masks."""
from numba import types, uint64

from streamrnn.jit import inline, kernel

int64, float32 = types.int64, types.float32


@kernel(types.void(float32[:, ::1], int64[::1], int64[::1], float32[:, :, ::1], int64))
def gather(rows, firsts, counts, out, time):
    """out[t, s] = rows[firsts[s] + t] for t below counts[s], then zeros up to `time`; columns of out beyond rows' stay."""
    width = rows.shape[1]
    for t in range(time):
        for s in range(firsts.shape[0]):
            if t < counts[s]:
                for k in range(width):
                    out[t, s, k] = rows[firsts[s] + t, k]
            else:
                for k in range(width):
                    out[t, s, k] = 0
        for s in range(firsts.shape[0], out.shape[1]):
            for k in range(width):
                out[t, s, k] = 0


@inline
def mixed(z):
    """splitmix64's finish: every bit of z in every bit of the answer."""
    z = (z ^ (z >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> uint64(27))) * uint64(0x94D049BB133111EB)
    return z ^ (z >> uint64(31))


@kernel(types.void(types.Array(float32, 3, "A"), int64[::1], int64, int64, types.float64))
def drop_masks(out, keys, start, time, keep):
    """out[t, s, u] (a view) = 1 / keep with probability `keep`, else 0: told by keys[s], start + t and u, nothing else.

    A `start` below 0 gives every step the mask of step 0: one for the sequence.
    """
    limit, kept = uint64(keep * 4294967296.0), float32(1.0 / keep)
    for s in range(keys.shape[0]):
        key = uint64(keys[s])
        for t in range(time):
            step = mixed(key + uint64(0 if start < 0 else start + t) * uint64(0x9E3779B97F4A7C15))
            for u in range(out.shape[2]):
                out[t, s, u] = kept if mixed(step + uint64(u)) >> uint64(32) < limit else float32(0)
