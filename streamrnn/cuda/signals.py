"""How blocks of a resident kernel and the host tell each other floats: words of 8 bytes, a step's number over a float's bits.

Eight bytes are written whole, so whoever sees the number has the float with it: no flag to wait for besides, no fence, one way
through L2 (or over the bus) instead of two. `tell` and `look` are for a board in the GPU's memory, `tell_host` and `look_host`
for memory of the host that the GPU reaches; `talk.py` is the host's end. Each also in plain Python, for the simulator.
"""
import struct
import threading
import time

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn import plain
from streamrnn.cuda.words import _assembler
from streamrnn.kernels.frame import table
from streamrnn.lanes import DISABLE_JIT, FLOAT, INT, LONG, floats

LAST = (1 << 31) - 2  # steps are numbered from 1 to LAST, and round again; 0 is a word that nobody wrote
STOP = -1             # in place of a step's number: this kernel ends


def following(step):
    """The next step's number."""
    return 1 if step == LAST else step + 1


def _emit_word(builder, step, value):
    return builder.or_(builder.shl(step, LONG(32)), builder.zext(builder.bitcast(value, INT), LONG))


def _teller(scope):
    @intrinsic
    def tell(typing, words, index, step, value):
        """words[index] = (step, value)"""
        def lower(context, builder, sig, args):
            words, index, step, value = args
            place = builder.ptrtoint(builder.gep(words, [index]), LONG)
            _assembler(builder, f"st.relaxed.{scope}.global.u64 [$0], $1;", "l,l,~{memory}", [place, _emit_word(builder, step, value)])
            return context.get_dummy_value()
        return types.void(table, types.int64, types.int64, types.float32), lower
    return tell


def _looker(scope):
    @intrinsic
    def look(typing, words, index):
        """The word that stands there now."""
        def lower(context, builder, sig, args):
            place = builder.ptrtoint(builder.gep(args[0], [args[1]]), LONG)
            return _assembler(builder, f"ld.relaxed.{scope}.global.u64 $0, [$1];", "=l,l,~{memory}", [place], LONG)
        return types.int64(table, types.int64), lower
    return look


tell, look = _teller("gpu"), _looker("gpu")
tell_host, look_host = _teller("sys"), _looker("sys")


@intrinsic
def step_of(typing, word):
    def lower(context, builder, sig, args):
        return builder.ashr(args[0], LONG(32))
    return types.int64(types.int64), lower


@intrinsic
def value_of(typing, word):
    def lower(context, builder, sig, args):
        return builder.bitcast(builder.trunc(args[0], INT), FLOAT)
    return types.float32(types.int64), lower


def _vote(name):
    @intrinsic
    def vote(typing, mine):
        def lower(context, builder, sig, args):
            kind = ir.FunctionType(INT, [INT])
            barrier = cgutils.get_or_insert_function(builder.module, kind, f"llvm.nvvm.barrier0.{name}")
            return builder.icmp_signed("!=", builder.call(barrier, [builder.zext(args[0], INT)]), INT(0))
        return types.boolean(types.boolean), lower
    return vote


all_say, some_say = _vote("and"), _vote("or")  # a barrier of the block, and what its threads think


@intrinsic
def nanoseconds(typing):
    def lower(context, builder, sig, args):
        return _assembler(builder, "mov.u64 $0, %globaltimer;", "=l", [], LONG)
    return types.int64(), lower


@intrinsic
def pause(typing):
    """Before looking again: nothing on a GPU, a turn for other threads in the simulator."""
    def lower(context, builder, sig, args):
        return context.get_dummy_value()
    return types.void(), lower


@intrinsic
def in_shared(typing, array, index):
    """A place in shared memory as a pointer like any other."""
    def lower(context, builder, sig, args):
        return builder.gep(context.make_array(sig.args[0])(context, builder, args[0]).data, [args[1]])
    return floats(array, types.int64), lower


def word(step, value):
    """(step, value) as the host writes and reads it."""
    return step << 32 | struct.unpack("<I", struct.pack("<f", value))[0]


if DISABLE_JIT:
    def tell(words, index, step, value):
        words[index] = word(int(step), value)

    def look(words, index):
        return words[index]

    tell_host, look_host = tell, look

    def step_of(word):
        return word >> 32

    def value_of(word):
        return plain.F(struct.unpack("<f", struct.pack("<I", word & 0xFFFFFFFF))[0])

    def all_say(mine):
        return bool(threading.current_thread().syncthreads_and(mine))

    def some_say(mine):
        return bool(threading.current_thread().syncthreads_or(mine))

    nanoseconds = time.monotonic_ns

    def pause():
        time.sleep(1e-4)

    def in_shared(array, index):
        return array.ctypes.data + 4 * int(index)
