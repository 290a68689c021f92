"""Sums over a vector: 16 partial sums, folded in halves, whatever LANES is. The same bits on every host."""
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn.lanes import BLOCK, FLOAT, INT, LONG, emit_fma, floats, lanes

FOLDED, DOUBLES = ir.VectorType(FLOAT, BLOCK), ir.VectorType(ir.DoubleType(), BLOCK)


def _fold(builder, value):
    width = value.type.count
    while width > 1:
        width //= 2
        halves = [builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(INT, width), list(range(start, start + width))))
                  for start in (0, width)]
        value = builder.fadd(*halves)
    return builder.extract_element(value, INT(0))


def _summed(builder, count, add):
    """add(offset, partial sums) over blocks of 16, then folded."""
    before = builder.block
    loop, after = builder.append_basic_block("sum"), builder.append_basic_block("fold")
    builder.branch(loop)
    builder.position_at_end(loop)
    k, acc = builder.phi(LONG), builder.phi(FOLDED)
    new, following = add(k, acc), builder.add(k, LONG(BLOCK))
    for phi, first, last in ((k, LONG(0), following), (acc, ir.Constant(FOLDED, [0.0] * BLOCK), new)):
        phi.add_incoming(first, before)
        phi.add_incoming(last, loop)
    builder.cbranch(builder.icmp_signed("<", following, count), loop, after)
    builder.position_at_end(after)
    return _fold(builder, new)


def _block(builder, p, k):
    return builder.load(builder.bitcast(builder.gep(p, [k]), FOLDED.as_pointer()), align=4)


@intrinsic
def dot(typing, p, q, count):
    """Sum of p[k] q[k] for k below count (1 or more); both are zero from there to a multiple of 16."""
    def lower(context, builder, sig, args):
        p, q, count = args
        return _summed(builder, count, lambda k, acc: emit_fma(builder, _block(builder, p, k), _block(builder, q, k), acc))
    return types.float32(floats, floats, types.int64), lower


@intrinsic
def fold(typing, value):
    """The sum over lanes, in halves."""
    def lower(context, builder, sig, args):
        return _fold(builder, args[0])
    return types.float32(lanes), lower


@intrinsic
def total(typing, p, count):
    """Sum of p[k] for k below count (1 or more); zero from there to a multiple of 16."""
    def lower(context, builder, sig, args):
        p, count = args
        return _summed(builder, count, lambda k, acc: builder.fadd(acc, _block(builder, p, k)))
    return types.float32(floats, types.int64), lower


@intrinsic
def squares(typing, p, count):
    """Sum of p[k]^2 for k below count, a multiple of 16: 16 partial sums in float64, folded in halves, on every host."""
    def lower(context, builder, sig, args):
        p, count = args
        sums = cgutils.alloca_once_value(builder, ir.Constant(DOUBLES, [0.0] * BLOCK))
        with cgutils.for_range(builder, builder.udiv(count, LONG(BLOCK))) as loop:
            x = builder.fpext(_block(builder, p, builder.mul(loop.index, LONG(BLOCK))), DOUBLES)
            builder.store(builder.fadd(builder.load(sums), builder.fmul(x, x)), sums)
        return _fold(builder, builder.load(sums))
    return types.float64(floats, types.int64), lower
