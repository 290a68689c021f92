"""Bytes by their address: single values in any alignment, little endian as they lie there, and copies of runs of them.

Nothing here knows a length: who calls has checked it.
"""
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn.lanes import LONG

BYTE = ir.IntType(8)


def _typed(kind, value):
    """get(address) and put(address, value) for one type."""
    @intrinsic
    def get(typing, address):
        def lower(context, builder, sig, args):
            return builder.load(builder.inttoptr(args[0], value.as_pointer()), align=1)
        return kind(types.int64), lower

    @intrinsic
    def put(typing, address, number):
        def lower(context, builder, sig, args):
            builder.store(context.cast(builder, args[1], sig.args[1], kind), builder.inttoptr(args[0], value.as_pointer()), align=1)
            return context.get_dummy_value()
        return types.void(types.int64, number), lower

    return get, put


get_u8, put_u8 = _typed(types.uint8, BYTE)
get_u16, put_u16 = _typed(types.uint16, ir.IntType(16))
get_u32, put_u32 = _typed(types.uint32, ir.IntType(32))
get_u64, put_u64 = _typed(types.uint64, LONG)
get_i64, put_i64 = _typed(types.int64, LONG)
get_f32, put_f32 = _typed(types.float32, ir.FloatType())
get_f64, put_f64 = _typed(types.float64, ir.DoubleType())


def _swapped(bits):
    """get(address): an unsigned number that lies there with its highest byte first."""
    kind = ir.IntType(bits)

    @intrinsic
    def get(typing, address):
        def lower(context, builder, sig, args):
            value = builder.load(builder.inttoptr(args[0], kind.as_pointer()), align=1)
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.bswap.i{bits}")
            value = builder.call(function, [value])
            return value if bits == 64 else builder.zext(value, LONG)
        return types.uint64(types.int64), lower

    @intrinsic
    def put(typing, address, number):
        def lower(context, builder, sig, args):
            value = args[1] if bits == 64 else builder.trunc(args[1], kind)
            function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), f"llvm.bswap.i{bits}")
            builder.store(builder.call(function, [value]), builder.inttoptr(args[0], kind.as_pointer()), align=1)
            return context.get_dummy_value()
        return types.void(types.int64, types.int64), lower

    return get, put


get_big16, put_big16 = _swapped(16)
get_big32, put_big32 = _swapped(32)
get_big64, put_big64 = _swapped(64)


def _reinterpreted(source, source_ir, target, target_ir):
    @intrinsic
    def convert(typing, value):
        def lower(context, builder, sig, args):
            return builder.bitcast(args[0], target_ir)
        return target(source), lower
    return convert


bits_of_f32 = _reinterpreted(types.float32, ir.FloatType(), types.uint32, ir.IntType(32))
f32_of_bits = _reinterpreted(types.uint32, ir.IntType(32), types.float32, ir.FloatType())
f64_of_bits = _reinterpreted(types.uint64, LONG, types.float64, ir.DoubleType())


@intrinsic
def address_of(typing, array):
    """Where an array's first element lies."""
    def lower(context, builder, sig, args):
        return builder.ptrtoint(context.make_array(sig.args[0])(context, builder, args[0]).data, LONG)
    return types.int64(array), lower


@intrinsic
def copy(typing, target, source, count):
    """`count` bytes from one address to another; they may overlap."""
    def lower(context, builder, sig, args):
        target, source = (builder.inttoptr(arg, BYTE.as_pointer()) for arg in args[:2])
        cgutils.raw_memmove(builder, target, source, args[2], 1)
        return context.get_dummy_value()
    return types.void(types.int64, types.int64, types.int64), lower


@intrinsic
def clear(typing, target, count):
    """`count` bytes of zero."""
    def lower(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [BYTE.as_pointer(), BYTE, LONG, ir.IntType(1)])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.memset.p0i8.i64")
        builder.call(function, [builder.inttoptr(args[0], BYTE.as_pointer()), BYTE(0), args[1], ir.IntType(1)(0)])
        return context.get_dummy_value()
    return types.void(types.int64, types.int64), lower


@intrinsic
def ask_for(typing, address):
    """The cache line at this address will be wanted soon."""
    def lower(context, builder, sig, args):
        place, number = builder.inttoptr(args[0], BYTE.as_pointer()), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [place.type, number, number, number])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8"), [place, number(1), number(3), number(1)])
        return context.get_dummy_value()
    return types.void(types.int64), lower


@intrinsic
def fold_product(typing, a, b):
    """The two halves of the 128-bit product of two 64-bit numbers, one xor the other: a fast and thorough mixing."""
    def lower(context, builder, sig, args):
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(arg, wide) for arg in args))
        return builder.xor(builder.trunc(product, LONG), builder.trunc(builder.lshr(product, wide(64)), LONG))
    return types.uint64(types.uint64, types.uint64), lower
