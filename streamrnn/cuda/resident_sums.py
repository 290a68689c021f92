"""Sums of a resident kernel's slices: one chain of fma a thread, its operands read from shared memory a turn ahead.

A sum is unit * sums + gate of its slice; weights lie as cuda/parts.py says, in shared memory or behind L2.
"""
from streamrnn.cuda import parts
from streamrnn.cuda.words import get4, load4, value
from streamrnn.jit import inline
from streamrnn.lanes import fma


def chain(four, one):
    """add(sum, weights, w, far, quad, shared, v, count): sum + weight[k] source[k], k in order; loads run a turn ahead of sums.

    A quad of one sum's weights is read by four(weights, place); quads of a sum lie `far` apart.
    """
    @inline
    def sixteen(weights, w, far, shared, v):
        return (four(weights, w), four(weights, w + far), four(weights, w + 2 * far), four(weights, w + 3 * far),
                load4(shared, v), load4(shared, v + 4), load4(shared, v + 8), load4(shared, v + 12))

    @inline
    def add(acc, weights, w, far, shared, v, count):
        whole = count // 16
        if whole > 0:
            a = sixteen(weights, w, far, shared, v)
            for _ in range((whole - 1) // 2):  # by turns, or the registers of one turn would be moved to those of the other
                b = sixteen(weights, w + 4 * far, far, shared, v + 16)
                acc = added_sixteen(acc, a)
                w += 8 * far
                v += 32
                a = sixteen(weights, w, far, shared, v)
                acc = added_sixteen(acc, b)
            acc = added_sixteen(acc, a)
            w += 4 * far
            v += 16
            if whole % 2 == 0:
                acc = added_sixteen(acc, sixteen(weights, w, far, shared, v))
                w += 4 * far
                v += 16
        for _ in range(count % 16 // 4):
            acc = added(acc, four(weights, w), load4(shared, v))
            w += far
            v += 4
        for k in range(count % 4):
            acc = fma(shared[v + k], one(weights, w + k), acc)
        return acc

    return add


@inline
def added_sixteen(acc, a):
    return added(added(added(added(acc, a[0], a[4]), a[1], a[5]), a[2], a[6]), a[3], a[7])


@inline
def added(acc, a, b):
    return fma(b[3], a[3], fma(b[2], a[2], fma(b[1], a[1], fma(b[0], a[0], acc))))


@inline
def element(array, index):
    return array[index]


add_near, add_far = chain(load4, element), chain(get4, value)


def products(fed, sums):
    """add(row, seat, shared, v, count, skip): every sum of the slice that is fed goes on by sources[k] weight[k].

    `skip` floats of the slice's weights stand before these.
    """
    begin, end = min(fed, default=0), max(fed, default=-1) + 1

    @inline
    def add(row, seat, shared, v, count, skip):
        columns, total = row[parts.COUNT] * sums, row[parts.SUMS_AT]
        near, there = row[parts.NEAR_AT], row[parts.FAR_AT]
        for i in range(seat.thread, columns, seat.threads):
            if begin <= i % sums and i % sums < end:
                acc = shared[total + i]
                if near >= 0:
                    acc = add_near(acc, shared, near + skip + 4 * i, 4 * columns, shared, v, count)
                else:
                    acc = add_far(acc, seat.arena, there + skip + 4 * i, 4 * columns, shared, v, count)
                shared[total + i] = acc

    return add


@inline
def quads(count):
    return (count + 3) // 4 * 4
