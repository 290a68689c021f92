"""A Numba value that is LANES float32s wide, and pointers to float32: a kernel says its SIMD instead of hoping for it.

`load`, `store` and `splat` make and keep lanes; `fma`, `larger`, `smaller`, `power_of_two` and the four operators take floats
and lanes alike, so maths built on them is written once and gives the same bits either way.
LANES follows the processor Numba compiles for: 16 with AVX-512, 8 with AVX, 4 elsewhere (SSE, NEON).
"""
import operator

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, overload, register_model

from streamrnn.jit import FEATURES

DISABLE_JIT = bool(config.DISABLE_JIT)
LANES = 16 if "avx512f" in FEATURES else 8 if "avx" in FEATURES else 4
REGISTERS = 16 if LANES == 8 or ("sse2" in FEATURES and LANES == 4) else 32
BLOCK = 16  # every buffer is padded to a multiple of this, whatever LANES is: a row means the same on every host

FLOAT, INT, LONG = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR, INTS = ir.VectorType(FLOAT, LANES), ir.VectorType(INT, LANES)
floats = types.CPointer(types.float32)


class LanesType(types.Type):
    def __init__(self):
        super().__init__(name=f"float32x{LANES}")


lanes = LanesType()


@register_model(LanesType)
class LanesModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, VECTOR)


# -- LLVM pieces, shared with the tile ---------------------------------------------------------------------------------

def emit_splat(builder, scalar, kind=VECTOR):
    if kind == FLOAT:
        return scalar
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, INT(0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(ir.VectorType(INT, kind.count), [0] * kind.count))


def emit_load(builder, pointer, index, align=4):
    return builder.load(builder.bitcast(builder.gep(pointer, [index]), VECTOR.as_pointer()), align=align)


def emit_store(builder, value, pointer, index, align=4):
    builder.store(value, builder.bitcast(builder.gep(pointer, [index]), VECTOR.as_pointer()), align=align)


def by_thread(context):
    """Is a lane a thread of its own (on a GPU: streamrnn.cuda.words), and a value of this type one float?"""
    return context.get_value_type(lanes) == FLOAT


def _emit_thread(builder):
    return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(INT, []), "llvm.nvvm.read.ptx.sreg.tid.x"), [])


def emit_lane(builder):
    """This thread's lane."""
    return builder.and_(_emit_thread(builder), INT(LANES - 1))


def _emit_own(builder, p, index):
    """Where this thread's element of the lanes at p[index] lies."""
    return builder.gep(p, [builder.add(index, builder.zext(emit_lane(builder), LONG))])


def emit_meet(builder):
    """Wait for the other lanes of this stream, and see what they stored; answers which threads they are, as a mask."""
    mask = builder.shl(INT((1 << LANES) - 1), builder.and_(_emit_thread(builder), INT(32 - LANES)))
    kind = ir.FunctionType(ir.VoidType(), [INT])
    builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.nvvm.bar.warp.sync"), [mask])
    return mask


def emit_call(builder, name, kind, *args):
    """An LLVM intrinsic over one type, named for it: llvm.fma.f32, llvm.fma.v16f32."""
    suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else "f32"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(args)), f"{name}.{suffix}")
    return builder.call(function, args)


def emit_fma(builder, a, b, c):
    return emit_call(builder, "llvm.fma", c.type, a, b, c)


def _widen(context, builder, values, kinds):
    wide = context.get_value_type(lanes)
    return [v if t == lanes else emit_splat(builder, v, wide) for v, t in zip(values, kinds, strict=True)]


def _wide(*kinds):
    """Is this a call on lanes (some argument is; the others may be floats to splat)?"""
    return lanes in kinds and all(k in (lanes, types.float32) for k in kinds)


# -- memory ------------------------------------------------------------------------------------------------------------

@intrinsic
def pointer(typing, address):
    """An integer address as a pointer to float32."""
    def lower(context, builder, sig, args):
        return builder.inttoptr(args[0], FLOAT.as_pointer())
    return floats(types.int64), lower


@intrinsic
def data(typing, array):
    """Where an array's first element lies."""
    def lower(context, builder, sig, args):
        return context.make_array(sig.args[0])(context, builder, args[0]).data
    return floats(array), lower


@intrinsic
def at(typing, p, offset):
    def lower(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])
    return floats(floats, types.int64), lower


@intrinsic
def load(typing, p, index):
    def lower(context, builder, sig, args):
        if not by_thread(context):
            return emit_load(builder, *args)
        return builder.load(_emit_own(builder, *args), align=4)
    return lanes(floats, types.int64), lower


@intrinsic
def across(typing, p, index):
    """`load` of what other lanes may have stored, as when values move on by a place."""
    def lower(context, builder, sig, args):
        if not by_thread(context):
            return emit_load(builder, *args)
        emit_meet(builder)
        value = builder.load(_emit_own(builder, *args), align=4)
        emit_meet(builder)
        return value
    return lanes(floats, types.int64), lower


@intrinsic
def store(typing, p, index, value):
    def lower(context, builder, sig, args):
        if by_thread(context):
            builder.store(args[2], _emit_own(builder, *args[:2]), align=4)
        else:
            emit_store(builder, args[2], args[0], args[1])
        return context.get_dummy_value()
    return types.void(floats, types.int64, lanes), lower


@intrinsic
def get(typing, p, index):
    def lower(context, builder, sig, args):
        if by_thread(context):  # another lane may have stored it, and may store there again
            emit_meet(builder)
        value = builder.load(builder.gep(args[0], [args[1]]), align=4)
        if by_thread(context):
            emit_meet(builder)
        return value
    return types.float32(floats, types.int64), lower


@intrinsic
def put(typing, p, index, value):
    def lower(context, builder, sig, args):
        if by_thread(context):
            emit_meet(builder)
        builder.store(args[2], builder.gep(args[0], [args[1]]), align=4)  # all lanes store the same
        if by_thread(context):
            emit_meet(builder)
        return context.get_dummy_value()
    return types.void(floats, types.int64, types.float32), lower


@intrinsic
def prefetch(typing, p, index):
    """Ask for the cache line of p[index], to be read and written soon."""
    def lower(context, builder, sig, args):
        place = builder.bitcast(builder.gep(args[0], [args[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [place.type, INT, INT, INT])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8"), [place, INT(1), INT(3), INT(1)])
        return context.get_dummy_value()
    return types.void(floats, types.int64), lower


@intrinsic
def splat(typing, scalar):
    def lower(context, builder, sig, args):
        return emit_splat(builder, args[0], context.get_value_type(lanes))
    return lanes(types.float32), lower


# -- arithmetic: floats, lanes and plain Python round the same -----------------------------------------------------------

def fma(a, b, c):
    """a*b + c, rounded once. (Plain Python: rounded from float64, whose product of two float32s is exact.)"""
    return np.float32(float(a) * float(b) + float(c))


@intrinsic
def _fma_lanes(typing, a, b, c):
    def lower(context, builder, sig, args):
        return emit_fma(builder, *_widen(context, builder, args, sig.args))
    return lanes(a, b, c), lower


@intrinsic
def _fma_float(typing, a, b, c):
    def lower(context, builder, sig, args):
        return emit_fma(builder, *args)
    return types.float32(types.float32, types.float32, types.float32), lower


@overload(fma)
def _fma(a, b, c):
    if _wide(a, b, c):
        return lambda a, b, c: _fma_lanes(a, b, c)
    return lambda a, b, c: _fma_float(a, b, c)


def larger(a, b):
    """The larger of two; b where they compare false (llvm's maxnum costs three instructions for NaN's sake)."""
    return a if a > b else b


def smaller(a, b):
    return a if a < b else b


def _pick(comparison):
    @intrinsic
    def pick(typing, a, b):
        def lower(context, builder, sig, args):
            a, b = _widen(context, builder, args, sig.args)
            return builder.select(builder.fcmp_ordered(comparison, a, b), a, b)
        return lanes(a, b), lower
    return pick


_larger_lanes, _smaller_lanes = _pick(">"), _pick("<")


@overload(larger)
def _larger(a, b):
    if _wide(a, b):
        return lambda a, b: _larger_lanes(a, b)
    return lambda a, b: a if a > b else b


@overload(smaller)
def _smaller(a, b):
    if _wide(a, b):
        return lambda a, b: _smaller_lanes(a, b)
    return lambda a, b: a if a < b else b


def where_positive(x, a):
    """a where x > 0, else 0."""
    return a if x > 0 else np.float32(0)


@intrinsic
def _where_positive_lanes(typing, x, a):
    def lower(context, builder, sig, args):
        zero = emit_splat(builder, FLOAT(0.0), args[0].type)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], zero)
    return lanes(lanes, lanes), lower


@overload(where_positive)
def _where_positive(x, a):
    if x == lanes:
        return lambda x, a: _where_positive_lanes(x, a)
    return lambda x, a: a if x > np.float32(0) else np.float32(0)


def choose(x, a, b):
    """a where x > 0, else b; so b where x is no number."""
    return a if x > 0 else b


@intrinsic
def _choose_lanes(typing, x, a, b):
    def lower(context, builder, sig, args):
        x, a, b = _widen(context, builder, args, sig.args)
        return builder.select(builder.fcmp_ordered(">", x, emit_splat(builder, FLOAT(0.0), x.type)), a, b)
    return lanes(x, a, b), lower


@overload(choose)
def _choose(x, a, b):
    if _wide(x, a, b):
        return lambda x, a, b: _choose_lanes(x, a, b)
    return lambda x, a, b: a if x > np.float32(0) else b


def power_of_two(x):
    """2**n for a whole number n in [-126, 127] held in a float: its exponent bits, nothing rounded."""
    return np.int32((int(x) + 127) << 23).view(np.float32)


def _power(kind):
    @intrinsic
    def power(typing, x):
        def lower(context, builder, sig, args):
            value = args[0].type
            whole = lambda n: INT(n) if value == FLOAT else ir.Constant(INTS, [n] * LANES)
            integers = INT if value == FLOAT else INTS
            return builder.bitcast(builder.shl(builder.add(builder.fptosi(args[0], integers), whole(127)), whole(23)), value)
        return kind(kind), lower
    return power


_power_lanes, _power_float = _power(lanes), _power(types.float32)


@overload(power_of_two)
def _power_of_two(x):
    if x == lanes:
        return lambda x: _power_lanes(x)
    return lambda x: _power_float(x)


def exponent(x):
    """The whole number n with 2**n <= x < 2**(n+1), of a normal float above 0, as a float: its exponent bits."""
    return np.float32((int(np.float32(x).view(np.int32)) >> 23) - 127)


@intrinsic
def _exponent(typing, x):
    def lower(context, builder, sig, args):
        bits = builder.lshr(builder.bitcast(args[0], INT), INT(23))
        return builder.sitofp(builder.sub(bits, INT(127)), FLOAT)
    return types.float32(types.float32), lower


@overload(exponent)
def _exponent_of(x):
    return lambda x: _exponent(x)


def root(x):
    return np.sqrt(np.float32(x))


@intrinsic
def _root(typing, x):
    def lower(context, builder, sig, args):
        return emit_call(builder, "llvm.sqrt", FLOAT, args[0])
    return types.float32(types.float32), lower


@intrinsic
def _root_lanes(typing, x):
    def lower(context, builder, sig, args):
        return emit_call(builder, "llvm.sqrt", args[0].type, args[0])
    return lanes(lanes), lower


@overload(root)
def _root_of(x):
    if x == lanes:
        return lambda x: _root_lanes(x)
    return lambda x: _root(x)


def _operator(python_operator, instruction):
    @intrinsic
    def on_lanes(typing, a, b):
        def lower(context, builder, sig, args):
            return getattr(builder, instruction)(*_widen(context, builder, args, sig.args))
        return lanes(a, b), lower

    @overload(python_operator)
    def choose(a, b):
        if _wide(a, b):
            implementation = lambda a, b: on_lanes(a, b)
            implementation.__qualname__ = f"{instruction}_lanes"  # one name for the four would mix them up (jit.own_name)
            return implementation
        return None


_operator(operator.add, "fadd")
_operator(operator.sub, "fsub")
_operator(operator.mul, "fmul")
_operator(operator.truediv, "fdiv")


@intrinsic
def _negative(typing, a):
    def lower(context, builder, sig, args):
        return builder.fsub(FLOAT(-0.0), args[0]) if by_thread(context) else builder.fneg(args[0])  # NVVM knows no fneg
    return lanes(lanes), lower


@overload(operator.neg)
def _negated(a):
    if a == lanes:
        return lambda a: _negative(a)
    return None


if DISABLE_JIT:
    from streamrnn.plain import (  # noqa: F401
        LANES,
        across,
        at,
        choose,
        data,
        fma,
        get,
        larger,
        load,
        pointer,
        power_of_two,
        prefetch,
        put,
        root,
        smaller,
        splat,
        store,
        where_positive,
    )
