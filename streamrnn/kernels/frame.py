"""The compiled view of a plan and of the memory that a step works on.

program, int64: [HEADER fields][one row of COLUMNS for each stage]. A frame is a small table of pointers, [space][stream]
with room for `width` streams; spaces are cells.base's X, WORK, NEW, OLD, Y, SUMS; a place in a row is offset * 8 + space.
"""
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn.lanes import DISABLE_JIT, FLOAT, LONG, floats

# the program's header; TOKENS: a vocabulary, 0: any finite numbers, GAPS: and NaN, a missing reading
STAGES, INPUTS_OF_MODEL, OUTPUTS_OF_MODEL, STRIDE, WORK_SIZE, TOKENS, ARENA, HEADER = range(8)
GAPS = -1
# a stage's row; BUFFERS are the places that a gated unit reads, then those it writes
# and, for training, where its sums are kept, where the arena packed for the way back has its weights, and whether the
# gradient of its source is wanted; BIASED: does it learn its biases? CODE, CODE_BACK: the addresses of a step and a grad
# that are apart
KIND, INPUTS, UNITS, HIDDENS, WEIGHTS, SOURCE, HIDDEN, SPARE, STATE, KEPT, BACK, DEEPER, BIASED, CODE, CODE_BACK, BUFFERS = range(16)
COLUMNS = BUFFERS + 6

SPACES = 6
table = types.CPointer(types.int64)
frame_type = types.CPointer(floats)


@intrinsic
def fields(typing, address):
    """An integer address as a pointer to int64."""
    def lower(context, builder, sig, args):
        return builder.inttoptr(args[0], LONG.as_pointer())
    return table(types.int64), lower


@intrinsic
def beyond(typing, fields, offset):
    def lower(context, builder, sig, args):
        return builder.gep(args[0], [args[1]])
    return table(table, types.int64), lower


def room_for(width):
    """room(): a frame on the stack of the kernel that asks."""
    @intrinsic
    def room(typing):
        def lower(context, builder, sig, args):
            space = cgutils.alloca_once(builder, ir.ArrayType(FLOAT.as_pointer(), SPACES * width))
            return builder.bitcast(space, FLOAT.as_pointer().as_pointer())
        return frame_type(), lower
    return room


@intrinsic
def hold(typing, frame, index, p):
    """frame[index] = p; the index is space * width + stream."""
    def lower(context, builder, sig, args):
        frame, index, p = args
        builder.store(p, builder.gep(frame, [index]))
        return context.get_dummy_value()
    return types.void(frame_type, types.int64, floats), lower


@intrinsic
def held(typing, frame, index):
    def lower(context, builder, sig, args):
        return builder.load(builder.gep(args[0], [args[1]]))
    return floats(frame_type, types.int64), lower


def emit_field(builder, row, column):
    return builder.load(builder.gep(row, [LONG(column)]), align=8)


def emit_gather(builder, frame, code, width, first, streams):
    """The pointers of streams first, first + 1, ... that a place stands for."""
    start = builder.add(builder.mul(builder.and_(code, LONG(7)), LONG(width)), first)
    offset = builder.ashr(code, LONG(3))
    return [builder.gep(builder.load(builder.gep(frame, [builder.add(start, LONG(s))])), [offset]) for s in range(streams)]


def gather(width, streams):
    """gather(frame, code, first): those pointers as a tuple."""
    @intrinsic
    def gather(typing, frame, code, first):
        def lower(context, builder, sig, args):
            frame, code, first = args
            return context.make_tuple(builder, sig.return_type, emit_gather(builder, frame, code, width, first, streams))
        return types.UniTuple(floats, streams)(frame_type, types.int64, types.int64), lower
    return gather


@intrinsic
def place(typing, frame, width, code, stream):
    """Where a place lies for one stream."""
    def lower(context, builder, sig, args):
        frame, width, code, stream = args
        index = builder.add(builder.mul(builder.and_(code, LONG(7)), width), stream)
        return builder.gep(builder.load(builder.gep(frame, [index])), [builder.ashr(code, LONG(3))])
    return floats(frame_type, types.int64, types.int64, types.int64), lower


@intrinsic
def gap(typing, frame, width, code):
    """Floats from a place of the first stream to that of the second: the same from any stream to the next on a tape."""
    def lower(context, builder, sig, args):
        frame, width, code = args
        start = builder.mul(builder.and_(code, LONG(7)), width)
        first, second = (builder.ptrtoint(builder.load(builder.gep(frame, [builder.add(start, LONG(s))])), LONG) for s in range(2))
        return builder.ashr(builder.sub(second, first), LONG(2))
    return types.int64(frame_type, types.int64, types.int64), lower


def emit_call(context, builder, function, arguments, args):
    """Call a `part` of a kernel, never inlined: it keeps the registers to itself."""
    compiled = function.get_compile_result(types.void(*arguments))
    context.add_linking_libs([compiled.library])
    target = context.declare_function(builder.module, compiled.fndesc)
    context.call_conv.call_function(builder, target, types.none, arguments, args, attrs=("noinline",))


def caller(function, arguments):
    """call(*args) of such a part from compiled code."""
    @intrinsic
    def call(typing, *args):
        function.compile(arguments)

        def lower(context, builder, sig, args):
            emit_call(context, builder, function, arguments, cgutils.unpack_tuple(builder, args[0]))
            return context.get_dummy_value()
        return types.void(types.Tuple(arguments)), lower
    return call


def switch(functions, arguments):
    """call(*args) of the part whose number stands in the KIND of the first argument, a stage's row."""
    @intrinsic
    def call(typing, *args):
        for function in functions:
            if function is not None:
                function.compile(arguments)

        def lower(context, builder, sig, args):
            args = cgutils.unpack_tuple(builder, args[0])
            done = builder.append_basic_block("stepped")
            switch = builder.switch(emit_field(builder, args[0], KIND), done)
            for kind, function in enumerate(functions):
                if function is None:
                    continue
                case = builder.append_basic_block(f"stage{kind}")
                switch.add_case(kind, case)
                builder.position_at_end(case)
                emit_call(context, builder, function, arguments, args)
                builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()
        return types.void(types.Tuple(arguments)), lower
    return call


if DISABLE_JIT:
    from streamrnn.plain import beyond, fields  # noqa: F401
