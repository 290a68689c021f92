"""The host's end of a talk with a resident kernel, compiled: post a sample, look for the answer a while.

A machine, int64 [inbox, outbox, sample, result, inputs, outputs, tokens], is behind one number. inbox: [which launch is to end]
[sample], outbox: [which launch has ended][result], words of cuda/signals.py in memory that the GPU reaches.
"""
from numba import types
from numba.extending import intrinsic

from streamrnn.cuda.signals import _emit_word, pause, step_of, value_of
from streamrnn.cuda.signals import look as look_plainly
from streamrnn.cuda.signals import tell as tell_plainly
from streamrnn.jit import inline, kernel
from streamrnn.kernels.frame import fields, table
from streamrnn.kernels.step import acceptable
from streamrnn.lanes import DISABLE_JIT, at, get, pointer, put

INBOX, OUTBOX, SAMPLE, RESULT, INPUTS, OUTPUTS, TOKENS, MACHINE = range(8)
ANSWERED, WAITING, ENDED, REFUSED = range(4)
int64 = types.int64


@intrinsic
def tell(typing, words, index, step, value):
    def lower(context, builder, sig, args):
        words, index, step, value = args
        builder.store_atomic(_emit_word(builder, step, value), builder.gep(words, [index]), "release", 8)
        return context.get_dummy_value()
    return types.void(table, types.int64, types.int64, types.float32), lower


@intrinsic
def look(typing, words, index):
    def lower(context, builder, sig, args):
        return builder.load_atomic(builder.gep(args[0], [args[1]]), "acquire", 8)
    return types.int64(table, types.int64), lower


@intrinsic
def breathe(typing):
    """Between two looks: leave the memory to others for a moment."""
    def lower(context, builder, sig, args):
        builder.fence("seq_cst")
        return context.get_dummy_value()
    return types.void(), lower


if DISABLE_JIT:
    tell, look, breathe = tell_plainly, look_plainly, pause


@inline
def looked(machine, step, launch, turns):
    """The answer to this step, if it comes within so many looks."""
    outbox, outputs, result = fields(machine[OUTBOX]), machine[OUTPUTS], pointer(machine[RESULT])
    for _ in range(turns):
        have = 0
        while have < outputs and step_of(look(outbox, have + 1)) == step:
            have += 1
        if have == outputs:
            for u in range(outputs):
                put(result, u, value_of(look(outbox, u + 1)))
            return ANSWERED
        if step_of(look(outbox, 0)) == launch:
            return ENDED
        breathe()
    return WAITING


@kernel(int64(int64, int64, int64, int64))
def ask(machine, step, launch, turns):
    """Post the sample as this step's, if it is one that the model takes, and look for the answer."""
    machine = fields(machine)
    inbox, inputs, sample = fields(machine[INBOX]), machine[INPUTS], pointer(machine[SAMPLE])
    if not acceptable(sample, inputs, machine[TOKENS]):
        return REFUSED
    for k in range(inputs):
        tell(inbox, k + 1, step, get(sample, k))
    return looked(machine, step, launch, turns)


@kernel(int64(int64, int64, int64, int64))
def answer(machine, step, launch, turns):
    """Look for it once more."""
    return looked(fields(machine), step, launch, turns)


@kernel(int64(int64, int64, int64, int64))
def first_wrong(samples, count, inputs, tokens):
    """The first of some samples that a step would refuse; -1 if all are fine."""
    for n in range(count):
        if not acceptable(at(pointer(samples), n * inputs), inputs, tokens):
            return n
    return -1
