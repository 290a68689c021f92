"""Sums over a vector: 16 partial sums, folded in halves, whatever LANES is. The same bits on every host, and on a GPU.

Where a lane is a thread (streamrnn.cuda), a thread holds the partial sums of its lane, and all of them get the whole.
"""
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn.lanes import BLOCK, DISABLE_JIT, FLOAT, INT, LANES, LONG, by_thread, emit_fma, emit_lane, emit_meet, floats, lanes

DOUBLE = ir.DoubleType()
FOLDED, DOUBLES = ir.VectorType(FLOAT, BLOCK), ir.VectorType(DOUBLE, BLOCK)


def _fold(builder, value):
    width = value.type.count
    while width > 1:
        width //= 2
        halves = [builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(INT, width), list(range(start, start + width))))
                  for start in (0, width)]
        value = builder.fadd(*halves)
    return builder.extract_element(value, INT(0))


def _fold_threads(builder, partial):
    """The same halves: first of the sums in one thread, then between threads."""
    while len(partial) > 1:
        half = len(partial) // 2
        partial = [builder.fadd(a, b) for a, b in zip(partial[:half], partial[half:], strict=True)]
    value, mask, distance = partial[0], emit_meet(builder), LANES // 2
    while distance:
        value = builder.fadd(value, _from_lane(builder, mask, value, distance))
        distance //= 2
    return value


def _from_lane(builder, mask, value, distance):
    """The value of the lane whose number differs in this bit."""
    kind = ir.FunctionType(INT, [INT] * 4)
    shuffle = cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.shfl.sync.bfly.i32")
    move = lambda bits: builder.call(shuffle, [mask, bits, INT(distance), INT(31)])
    if value.type == FLOAT:
        return builder.bitcast(move(builder.bitcast(value, INT)), FLOAT)
    bits = builder.bitcast(value, LONG)
    low, high = move(builder.trunc(bits, INT)), move(builder.trunc(builder.lshr(bits, LONG(32)), INT))
    return builder.bitcast(builder.or_(builder.zext(low, LONG), builder.shl(builder.zext(high, LONG), LONG(32))), DOUBLE)


def _summed(context, builder, count, kind, add):
    """add(load, partial sums) over blocks of 16, then folded; load(p) is a block of p, or a thread's values of it one by one."""
    if not by_thread(context):
        vector = ir.VectorType(kind, BLOCK)
        return _fold(builder, _looped(builder, count, [ir.Constant(vector, [0.0] * BLOCK)], lambda k, acc: [
            add(lambda p: builder.load(builder.bitcast(builder.gep(p, [k]), FOLDED.as_pointer()), align=4), acc[0], vector)])[0])
    emit_meet(builder)
    lane = builder.zext(emit_lane(builder), LONG)

    def block(k, acc):
        here = [builder.add(builder.add(k, lane), LONG(j * LANES)) for j in range(len(acc))]
        return [add(lambda p, i=i: builder.load(builder.gep(p, [i]), align=4), value, kind) for i, value in zip(here, acc, strict=True)]

    return _fold_threads(builder, _looped(builder, count, [kind(0.0)] * (BLOCK // LANES), block))


def _looped(builder, count, zeros, step):
    before = builder.block
    loop, after = builder.append_basic_block("sum"), builder.append_basic_block("fold")
    builder.branch(loop)
    builder.position_at_end(loop)
    k, acc = builder.phi(LONG), [builder.phi(zero.type) for zero in zeros]
    new, following = step(k, acc), builder.add(k, LONG(BLOCK))
    for phi, first, last in ((k, LONG(0), following), *zip(acc, zeros, new, strict=True)):
        phi.add_incoming(first, before)
        phi.add_incoming(last, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    return new


@intrinsic
def dot(typing, p, q, count):
    """Sum of p[k] q[k] for k below count (1 or more); both are zero from there to a multiple of 16."""
    def lower(context, builder, sig, args):
        p, q, count = args
        return _summed(context, builder, count, FLOAT, lambda load, acc, kind: emit_fma(builder, load(p), load(q), acc))
    return types.float32(floats, floats, types.int64), lower


@intrinsic
def total(typing, p, count):
    """Sum of p[k] for k below count (1 or more); zero from there to a multiple of 16."""
    def lower(context, builder, sig, args):
        p, count = args
        return _summed(context, builder, count, FLOAT, lambda load, acc, kind: builder.fadd(acc, load(p)))
    return types.float32(floats, types.int64), lower


@intrinsic
def squares(typing, p, count):
    """Sum of p[k]^2 for k below count, a multiple of 16: 16 partial sums in float64, folded in halves, on every host."""
    def lower(context, builder, sig, args):
        p, count = args

        def add(load, acc, kind):
            x = builder.fpext(load(p), kind)
            return builder.fadd(builder.fmul(x, x), acc)
        return _summed(context, builder, count, DOUBLE, add)
    return types.float64(floats, types.int64), lower


@intrinsic
def fold(typing, value):
    """The sum over lanes, in halves."""
    def lower(context, builder, sig, args):
        return _fold_threads(builder, [args[0]]) if by_thread(context) else _fold(builder, args[0])
    return types.float32(lanes), lower


if DISABLE_JIT:
    from streamrnn.plain import dot, fold, squares, total  # noqa: F401
