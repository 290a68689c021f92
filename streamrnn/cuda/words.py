"""What a kernel on a GPU says besides the words of lanes.py; each also in plain Python, for the simulator.

A lane is a thread: `lanes` hold one float a thread, and LANES neighbouring threads, a team, work on one stream. So a rowwise
stage runs here as it stands. In the simulator the first thread of a team does it all, on arrays.
Shared memory is an array of float32 (`load4` reads four of them at once), global memory is pointers.
"""
import threading

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn import plain
from streamrnn.lanes import DISABLE_JIT, FLOAT, INT, LANES, LONG, LanesType, floats

FOUR = ir.VectorType(FLOAT, 4)
SHARED = 3  # the address space
VOID = ir.VoidType()

if not DISABLE_JIT:
    from numba.cuda.extending import models, register_model

    @register_model(LanesType)
    class LaneModel(models.PrimitiveModel):
        def __init__(self, manager, kind):
            super().__init__(manager, kind, FLOAT)


def _assembler(builder, code, constraints, arguments, result=VOID):
    kind = ir.FunctionType(result, [a.type for a in arguments])
    return builder.call(ir.InlineAsm(kind, code, constraints, side_effect=True), arguments)


def _in_shared(context, builder, kind, array, index):
    """The 32-bit address of a place in shared memory."""
    data = context.make_array(kind)(context, builder, array).data
    place = builder.addrspacecast(builder.gep(data, [index]), FLOAT.as_pointer(SHARED))
    return builder.ptrtoint(place, INT)


@intrinsic
def barrier(typing):
    """Wait for all threads of the block, and see what they stored."""
    def lower(context, builder, sig, args):
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(VOID, []), "llvm.nvvm.barrier0"), [])
        return context.get_dummy_value()
    return types.void(), lower


@intrinsic
def load4(typing, array, index):
    """Four floats from a place of an array that is a multiple of four."""
    def lower(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        place = builder.bitcast(builder.gep(data, [args[1]]), FOUR.as_pointer(data.type.addrspace))
        four = builder.load(place, align=16)
        return context.make_tuple(builder, sig.return_type, [builder.extract_element(four, INT(i)) for i in range(4)])
    return types.UniTuple(types.float32, 4)(array, types.int64), lower


@intrinsic
def get4(typing, p, index):
    """The same from global memory."""
    def lower(context, builder, sig, args):
        four = builder.load(builder.bitcast(builder.gep(args[0], [args[1]]), FOUR.as_pointer()), align=16)
        return context.make_tuple(builder, sig.return_type, [builder.extract_element(four, INT(i)) for i in range(4)])
    return types.UniTuple(types.float32, 4)(floats, types.int64), lower


@intrinsic
def store4(typing, array, index, a, b, c, d):
    """Four floats to a place of an array that is a multiple of four."""
    def lower(context, builder, sig, args):
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        four = ir.Constant(FOUR, ir.Undefined)
        for i, x in enumerate(args[2:]):
            four = builder.insert_element(four, x, INT(i))
        builder.store(four, builder.bitcast(builder.gep(data, [args[1]]), FOUR.as_pointer(data.type.addrspace)), align=16)
        return context.get_dummy_value()
    return types.void(array, types.int64, *(types.float32,) * 4), lower


def _copier(count, instruction):
    @intrinsic
    def copy(typing, array, index, p, offset):
        def lower(context, builder, sig, args):
            array, index, p, offset = args
            target, source = _in_shared(context, builder, sig.args[0], array, index), builder.ptrtoint(builder.gep(p, [offset]), LONG)
            _assembler(builder, f"{instruction} [$0], [$1], {4 * count};", "r,l,~{memory}", [target, source])
            return context.get_dummy_value()
        return types.void(array, types.int64, floats, types.int64), lower
    return copy


copy1 = _copier(1, "cp.async.ca.shared.global")  # a float from global memory to shared, in the background
copy4 = _copier(4, "cp.async.cg.shared.global")  # four floats, both places multiples of four


def _waiter(code):
    @intrinsic
    def wait(typing):
        def lower(context, builder, sig, args):
            _assembler(builder, code, "~{memory}", [])
            return context.get_dummy_value()
        return types.void(), lower
    return wait


copies_asked = _waiter("cp.async.commit_group;")       # what was asked for since the last word of this is a group
all_copied = _waiter("cp.async.wait_group 0;")         # wait for all groups
all_but_last_copied = _waiter("cp.async.wait_group 1;")


@intrinsic
def address(typing, p):
    """Of a pointer to floats or of a table."""
    def lower(context, builder, sig, args):
        return builder.ptrtoint(args[0], LONG)
    return types.int64(p), lower


@intrinsic
def afresh(typing, number):
    """The same number, but the compiler does not know it: what follows from it is computed here, not kept in registers from afar."""
    def lower(context, builder, sig, args):
        return _assembler(builder, "mov.u64 $0, $1;", "=l,l", [args[0]], LONG)
    return types.int64(types.int64), lower


@intrinsic
def value(typing, p, index):
    """A float that this thread, or a block that is done, stored: no other lane is waited for, as `get` does."""
    def lower(context, builder, sig, args):
        return builder.load(builder.gep(args[0], [args[1]]), align=4)
    return types.float32(floats, types.int64), lower


@intrinsic
def set_value(typing, p, index, x):
    def lower(context, builder, sig, args):
        builder.store(args[2], builder.gep(args[0], [args[1]]), align=4)
        return context.get_dummy_value()
    return types.void(floats, types.int64, types.float32), lower


def registers(count):
    """room(): `count` float32s in registers, as long as every index is known when it is compiled."""
    @intrinsic
    def room(typing):
        def lower(context, builder, sig, args):
            space = cgutils.alloca_once(builder, ir.ArrayType(FLOAT, count))
            return builder.bitcast(space, FLOAT.as_pointer())
        return floats(), lower

    def plain_room():
        space = np.zeros(count, np.float32)
        threading.current_thread().__dict__.setdefault("rooms", []).append(space)  # it lives as long as the thread
        return space.ctypes.data
    return plain_room if DISABLE_JIT else room


@intrinsic
def works(typing, thread):
    """Does this thread work for its team?"""
    def lower(context, builder, sig, args):
        return ir.Constant(ir.IntType(1), 1)
    return types.boolean(types.int64), lower


if DISABLE_JIT:
    value, set_value = plain.get, plain.put

    def address(p):
        return getattr(p, "address", p)

    def afresh(number):
        return number

    def barrier():
        threading.current_thread().syncthreads()

    def load4(array, index):
        return array[index], array[index + 1], array[index + 2], array[index + 3]

    def store4(array, index, a, b, c, d):
        array[index], array[index + 1], array[index + 2], array[index + 3] = a, b, c, d

    def get4(p, index):
        return tuple(plain.get(p, index + i) for i in range(4))

    def _copies():
        """This thread's, in groups; the last group is still being asked for."""
        return threading.current_thread().__dict__.setdefault("copies", [[]])

    def copy1(array, index, p, offset):
        _copies()[-1].append((array, index, p, offset, 1))

    def copy4(array, index, p, offset):
        _copies()[-1].append((array, index, p, offset, 4))

    def copies_asked():
        _copies().append([])

    def _wait(under_way):
        """Copies are done when they are waited for, no sooner: whoever does not wait, or for too few, finds what was there before."""
        groups = _copies()
        while len(groups) - 1 > under_way:
            for array, index, p, offset, count in groups.pop(0):
                for i in range(count):
                    array[index + i] = plain.get(p, offset + i)

    def all_copied():
        _wait(0)

    def all_but_last_copied():
        _wait(1)

    def works(thread):
        return thread % LANES == 0
