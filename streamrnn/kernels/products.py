"""The one tile behind every product: sums[s][v] += scalar s times vector v, for k in order, all sums in registers.

A step takes a stream's values as scalars and weights as vectors. Its gradient takes the gradients of the sums as scalars
and the weights packed the other way as vectors. The gradient of the weights takes inputs as scalars and the gradients of
the sums as vectors, with k running over streams and time. Each vector is loaded once and used for every scalar, each
scalar is splat once and used for every vector.
"""
from numba import types
from numba.extending import intrinsic

from streamrnn.lanes import LONG, REGISTERS, emit_fma, emit_load, emit_splat, emit_store, floats, lanes

UNROLL = 4
SUMS = 16 if REGISTERS == 32 else 8  # in registers at once, beside vectors and a scalar
INT64 = types.int64


def tile_type(sums):
    return types.UniTuple(lanes, sums)


def emit_products(builder, acc, scalars, scalar_step, vectors, vector_step, count, slot):
    """acc with the products of k = 0 .. count-1 added; `slot(s, v)` is the place of a sum in acc."""
    def once(k, acc):
        acc = list(acc)
        here, there = builder.mul(k, scalar_step), builder.mul(k, vector_step)
        values = [emit_splat(builder, builder.load(builder.gep(p, [here]), align=4)) for p in scalars]
        for v, p in enumerate(vectors):
            vector = emit_load(builder, p, there)
            for s, value in enumerate(values):
                acc[slot(s, v)] = emit_fma(builder, value, vector, acc[slot(s, v)])
        return acc

    def several(k, acc):
        for q in range(UNROLL):
            acc = once(builder.add(k, LONG(q)), acc)
        return acc

    whole = builder.and_(count, LONG(-UNROLL))
    acc = emit_loop(builder, LONG(0), whole, UNROLL, acc, several)
    return emit_loop(builder, whole, count, 1, acc, once)


def emit_loop(builder, start, stop, step, carried, body):
    """for k in range(start, stop, step): carried = body(k, carried); the values leave in registers."""
    before = builder.block
    loop, after = builder.append_basic_block("k"), builder.append_basic_block("done")
    builder.cbranch(builder.icmp_signed("<", start, stop), loop, after)
    builder.position_at_end(loop)
    k = builder.phi(LONG)
    phis = [builder.phi(v.type) for v in carried]
    new = body(k, phis)
    following = builder.add(k, LONG(step))
    for phi, first, then in zip([k, *phis], [start, *carried], [following, *new], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed("<", following, stop), loop, after)
    builder.position_at_end(after)
    out = [builder.phi(v.type) for v in carried]
    for phi, first, then in zip(out, carried, new, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    return out


def add_products(scalars, vectors):
    """add(target, rows, scalar, steps, vector, count): memory[s][v] += products, for a tile of scalars x vectors.

    target, scalar and vector are pointers; target and vector advance by `target_step`, `vector_gap` from one vector to the
    next, target by `target_row`, scalar by `scalar_gap` from one scalar to the next; k advances by scalar_step, vector_step.
    """
    @intrinsic
    def add(typing, target, target_row, target_step, scalar, scalar_gap, scalar_step, vector, vector_gap, vector_step, count):
        def lower(context, builder, sig, args):
            target, target_row, target_step, scalar, scalar_gap, scalar_step, vector, vector_gap, vector_step, count = args
            along = lambda p, gap, n: [builder.gep(p, [builder.mul(gap, LONG(i))]) for i in range(n)]
            places = [p for row in along(target, target_row, scalars) for p in along(row, target_step, vectors)]
            acc = [emit_load(builder, p, LONG(0)) for p in places]
            acc = emit_products(builder, acc, along(scalar, scalar_gap, scalars), scalar_step, along(vector, vector_gap, vectors),
                                vector_step, count, slot=lambda s, v: s * vectors + v)
            for value, p in zip(acc, places, strict=True):
                emit_store(builder, value, p, LONG(0))
            return context.get_dummy_value()
        longs = INT64, INT64
        return types.void(floats, *longs, floats, *longs, floats, *longs, INT64), lower
    return add
