"""The one tile: sums of products for some streams times some blocks of units, all of them in registers.

A tile holds streams x blocks x sums lanes. Each weight is loaded once and used for every stream; each stream's value is
splat once and used for every weight. Sums run in the order bias, hidden, inputs, whatever the shape of the tile: that
order is the arithmetic contract. Hidden comes first because it is known before the sample is: a sample that depends on
the last result (a control loop) is waited for while the hidden products run.

Weights of one block of LANES units: [bias: sums][each hidden unit: its gates][each input: its gates], a vector each.
"""
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn.jit import inline, part
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import place
from streamrnn.lanes import (
    FLOAT,
    LANES,
    LONG,
    REGISTERS,
    VECTOR,
    at,
    emit_fma,
    emit_load,
    emit_splat,
    emit_store,
    floats,
    lanes,
    load,
    store,
)

UNROLL = 4
MOST_BLOCKS = 4
ONE_STREAM, MANY_STREAMS = 8, 16 if REGISTERS == 32 else 8  # sums in flight: enough to hide the latency of an fma
STREAMS = 4 if REGISTERS == 32 else 2  # that share a tile
TILES = 4                              # of one call
GROUP = STREAMS * TILES                # streams of one call


class Width(NamedTuple):
    """Streams in one tile, and how many a frame has room for."""
    streams: int
    frame: int


ONE, MANY = Width(1, 1), Width(STREAMS, GROUP)


def blocks_of(stage, streams):
    """How many blocks of units go through the registers together."""
    return max(1, min(MOST_BLOCKS, (ONE_STREAM if streams == 1 else MANY_STREAMS) // (streams * stage.sums)))


def needs_copy(stage, units):
    """Does some kernel take several sweeps over the units, so that it writes what a later sweep still has to read?"""
    count = -(-units // LANES)
    return any(count > 1 and count != blocks_of(stage, width.streams) for width in (ONE, MANY))


def gated(stage, width):
    """The step of one gated stage for some tiles of streams."""
    streams, room = width
    blocks = blocks_of(stage, streams)
    wide = _sweep(stage, width, blocks)
    last = wide if blocks == 1 else _sweep(stage, width, 1)

    @part
    def step(row, arena, frame, tiles, turn):
        units, spare, hidden = row[frames.UNITS], row[frames.SPARE], row[frames.HIDDEN]
        count = (units + LANES - 1) // LANES
        whole = count // blocks
        keep = whole + count % blocks > 1 and spare >= 0  # h is written while later sweeps still need the old one
        source = spare if keep else hidden
        w = at(arena, row[frames.WEIGHTS])
        # every other step sweeps back: what the last one left in L1 is used first (blocks turn, never a sum)
        first, by = (whole - 1) * turn, 1 - 2 * turn
        for tile in range(0, tiles * streams, streams):
            if keep:
                for s in range(tile, tile + streams):
                    old, copy = place(frame, room, hidden, s), place(frame, room, spare, s)
                    for u in range(0, units, LANES):
                        store(copy, u, load(old, u))
            for i in range(whole):
                wide(row, w, frame, source, tile, (first + by * i) * blocks * LANES)
            for i in range(whole * blocks, count):
                last(row, w, frame, source, tile, i * LANES)

    return step


def _sweep(stage, width, blocks):
    """One pass over the weights of `blocks` blocks of units, from unit u on, for the tile of streams from s on."""
    streams, room = width
    biases, add_hidden = _biases(stage, streams, blocks), _products(stage, streams, blocks, stage.hidden_gates)
    add_inputs, finish = _products(stage, streams, blocks, stage.input_gates), _finish(stage, width, blocks)
    sums, per_hidden, per_input = stage.sums, len(stage.hidden_gates), len(stage.input_gates)
    gather = frames.gather(room, streams)

    @inline
    def sweep(row, weights, frame, hidden, s, u):
        hiddens, inputs = row[frames.HIDDENS], row[frames.INPUTS]
        stride = (sums + hiddens * per_hidden + inputs * per_input) * LANES
        w = at(weights, u // LANES * stride)
        acc = biases(w, stride)
        w = at(w, sums * LANES)
        acc = add_hidden(acc, w, stride, gather(frame, hidden, s), hiddens)
        w = at(w, hiddens * per_hidden * LANES)
        acc = add_inputs(acc, w, stride, gather(frame, row[frames.SOURCE], s), inputs)
        finish(acc, row, frame, s, u)

    return sweep


def _tile_type(stage, streams, blocks):
    return types.UniTuple(lanes, streams * blocks * stage.sums)


def _biases(stage, streams, blocks):
    shape = _tile_type(stage, streams, blocks)

    @intrinsic
    def biases(typing, w, stride):
        def lower(context, builder, sig, args):
            w, stride = args
            values = [emit_load(builder, builder.gep(w, [builder.mul(stride, LONG(b))]), LONG(a * LANES))
                      for b in range(blocks) for a in range(stage.sums)]
            return context.make_tuple(builder, sig.return_type, values * streams)
        return shape(floats, types.int64), lower

    return biases


def _products(stage, streams, blocks, gates):
    """acc[stream, block, gate] += source[stream][k] * w[block][k][gate], k in order"""
    shape, pointers = _tile_type(stage, streams, blocks), types.UniTuple(floats, streams)
    row = len(gates) * LANES

    @intrinsic
    def products(typing, acc, w, stride, sources, count):
        def lower(context, builder, sig, args):
            acc, w, stride, sources, count = args
            acc, sources = cgutils.unpack_tuple(builder, acc), cgutils.unpack_tuple(builder, sources)
            bases = [builder.gep(w, [builder.mul(stride, LONG(b))]) for b in range(blocks)]

            def once(k, acc):
                acc = list(acc)
                values = [emit_splat(builder, builder.load(builder.gep(source, [k]), align=4)) for source in sources]
                start = builder.mul(k, LONG(row))
                for b, base in enumerate(bases):
                    for g, gate in enumerate(gates):
                        weight = emit_load(builder, base, builder.add(start, LONG(g * LANES)))
                        for s, value in enumerate(values):
                            i = (s * blocks + b) * stage.sums + gate
                            acc[i] = emit_fma(builder, value, weight, acc[i])
                return acc

            def several(k, acc):
                for q in range(UNROLL):
                    acc = once(builder.add(k, LONG(q)), acc)
                return acc

            whole = builder.and_(count, LONG(-UNROLL))
            acc = _loop(builder, LONG(0), whole, UNROLL, acc, several)
            acc = _loop(builder, whole, count, 1, acc, once)
            return context.make_tuple(builder, sig.return_type, acc)
        return shape(shape, floats, types.int64, pointers, types.int64), lower

    return products


def _finish(stage, width, blocks):
    """unit(sums, old values) -> new values, for every stream and block of the tile.

    One stream's sums stay in registers: the shortest way from sample to result. A tile of many puts them down and calls
    a loop over its streams: inlined, sums and the constants of the maths together would not fit the registers.
    """
    apply = _apply(stage, width, blocks)
    if width.streams == 1:
        return apply
    put_down, take_up = _put_down(stage, width.streams, blocks), _take_up(stage, blocks)
    streams, size = width.streams, blocks * stage.sums * LANES

    @part
    def units(sums, row, frame, first, u):
        for s in range(streams):
            apply(take_up(at(sums, s * size)), row, frame, first + s, u)

    call = frames.caller(units, (floats, frames.table, frames.frame_type, types.int64, types.int64))

    @inline
    def finish(acc, row, frame, first, u):
        call(put_down(acc), row, frame, first, u)

    return finish


def _put_down(stage, streams, blocks):
    @intrinsic
    def put_down(typing, acc):
        def lower(context, builder, sig, args):
            values = cgutils.unpack_tuple(builder, args[0])
            space = cgutils.alloca_once(builder, ir.ArrayType(VECTOR, len(values)))
            space.align = 64
            place = builder.bitcast(space, FLOAT.as_pointer())
            for i, value in enumerate(values):
                emit_store(builder, value, place, LONG(i * LANES), align=64)
            return place
        return floats(_tile_type(stage, streams, blocks)), lower
    return put_down


def _take_up(stage, blocks):
    @intrinsic
    def take_up(typing, p):
        def lower(context, builder, sig, args):
            values = [emit_load(builder, args[0], LONG(i * LANES), align=64) for i in range(blocks * stage.sums)]
            return context.make_tuple(builder, sig.return_type, values)
        return _tile_type(stage, 1, blocks)(floats), lower
    return take_up


def _apply(stage, width, blocks):
    """The units of one stream: sums in registers, old and new values in its places."""
    @intrinsic
    def apply(typing, acc, row, frame, stream, u):
        unit = typing.resolve_value_type(stage.unit)
        signature = unit.get_call_type(typing, (lanes,) * (stage.sums + stage.reads), {})

        def lower(context, builder, sig, args):
            acc, row, frame, stream, u = args
            acc = cgutils.unpack_tuple(builder, acc)
            call = context.get_function(unit, signature)
            context.add_linking_libs(getattr(call, "libs", ()))
            places = [frames.emit_gather(builder, frame, frames.emit_field(builder, row, frames.BUFFERS + i), width.frame, stream, 1)[0]
                      for i in range(stage.reads + stage.writes)]
            for b in range(blocks):
                here = builder.add(u, LONG(b * LANES))
                old = [emit_load(builder, places[i], here) for i in range(stage.reads)]
                new = call(builder, acc[b * stage.sums:(b + 1) * stage.sums] + old)
                several = isinstance(signature.return_type, types.BaseTuple)
                for i, value in enumerate(cgutils.unpack_tuple(builder, new) if several else [new]):
                    emit_store(builder, value, places[stage.reads + i], here)
            return context.get_dummy_value()
        return types.void(_tile_type(stage, 1, blocks), frames.table, frames.frame_type, types.int64, types.int64), lower

    return apply


def _loop(builder, start, stop, step, carried, body):
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
