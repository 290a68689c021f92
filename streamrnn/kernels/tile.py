"""A step of a gated stage: sums of products for some streams times some blocks of units, then the unit over them.

Sums run in the order bias, hidden, inputs, whatever the shape of the tile (kernels/products.py): that order is the
arithmetic contract. Hidden comes first because it is known before the sample is: a sample that depends on the last result
(a control loop) is waited for while the hidden products run.

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
from streamrnn.kernels.products import SUMS, emit_products, tile_type
from streamrnn.lanes import (
    BLOCK,
    FLOAT,
    LANES,
    LONG,
    REGISTERS,
    VECTOR,
    at,
    emit_load,
    emit_store,
    floats,
    lanes,
    load,
    store,
)

MOST_BLOCKS = 4
ONE_STREAM, MANY_STREAMS = 8, SUMS     # sums in flight: enough to hide the latency of an fma
STREAMS = 4 if REGISTERS == 32 else 2  # that share a tile
TILES = 4                              # of one call
GROUP = STREAMS * TILES                # streams of one call


class Width(NamedTuple):
    """Streams in one tile, how many a frame has room for, and whether the sums are kept for the way back."""
    streams: int
    frame: int
    keeps: bool = False


ONE, MANY, KEEPING = Width(1, 1), Width(STREAMS, GROUP), Width(STREAMS, GROUP, keeps=True)


def blocks_of(stage, streams):
    """How many blocks of units go through the registers together."""
    return max(1, min(MOST_BLOCKS, (ONE_STREAM if streams == 1 else MANY_STREAMS) // (streams * stage.sums)))


def needs_copy(stage, units):
    """Does some kernel take several sweeps over the units, so that it writes what a later sweep still has to read?"""
    count = -(-units // LANES)
    return any(count > 1 and count != blocks_of(stage, width.streams) for width in (ONE, MANY))


def gated(stage, width):
    """The step of one gated stage for some tiles of streams."""
    streams, room, _ = width
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
    streams, room, _ = width
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


def _biases(stage, streams, blocks):
    shape = tile_type(streams * blocks * stage.sums)

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
    shape, pointers = tile_type(streams * blocks * stage.sums), types.UniTuple(floats, streams)

    @intrinsic
    def products(typing, acc, w, stride, sources, count):
        def lower(context, builder, sig, args):
            acc, w, stride, sources, count = args
            acc, sources = cgutils.unpack_tuple(builder, acc), cgutils.unpack_tuple(builder, sources)
            vectors = [builder.gep(w, [builder.add(builder.mul(stride, LONG(b)), LONG(g * LANES))])
                       for b in range(blocks) for g in range(len(gates))]
            slot = lambda s, v: (s * blocks + v // len(gates)) * stage.sums + gates[v % len(gates)]
            acc = emit_products(builder, acc, sources, LONG(1), vectors, LONG(len(gates) * LANES), count, slot)
            return context.make_tuple(builder, sig.return_type, acc)
        return shape(shape, floats, types.int64, pointers, types.int64), lower

    return products


def _finish(stage, width, blocks):
    """unit(sums, old values) -> new values, for every stream and block of the tile.

    One stream's sums stay in registers: the shortest way from sample to result. A tile of many puts them down and calls
    a loop over its streams: inlined, sums and the constants of the maths together would not fit the registers. Training
    puts them down on its tape, where what is kept for the way back takes their place.
    """
    apply = _apply(stage, width, blocks)
    if width.streams == 1:
        return inline(lambda acc, row, frame, first, u: apply(acc, row, frame, first, u, 0))
    streams, room, keeps = width
    put_down, take_up = _put_down(stage, streams, blocks), _take_up(stage, blocks)
    gather, stack = frames.gather(room, streams), _stack(stage, streams, blocks)
    size, gap = blocks * stage.sums * LANES, blocks * LANES

    if keeps:
        @part
        def units(sums, row, frame, first, u):
            gap = kept_gap(row)
            for s in range(first, first + streams):
                apply(take_up(at(place(frame, room, row[frames.KEPT], s), u), gap), row, frame, s, u, gap)
    else:
        @part
        def units(sums, row, frame, first, u):
            for s in range(streams):
                apply(take_up(at(sums, s * size), gap), row, frame, first + s, u, gap)

    call = frames.caller(units, (floats, frames.table, frames.frame_type, types.int64, types.int64))

    if keeps:
        @inline
        def finish(acc, row, frame, first, u):
            places = gather(frame, row[frames.KEPT] + u * 8, first)
            put_down(acc, places, kept_gap(row))
            call(places[0], row, frame, first, u)
    else:
        @inline
        def finish(acc, row, frame, first, u):
            places = stack()
            put_down(acc, places, gap)
            call(places[0], row, frame, first, u)

    return finish


@inline
def kept_gap(row):
    """Kept sums lie one after the other, each over all units."""
    return (row[frames.UNITS] + BLOCK - 1) // BLOCK * BLOCK


def _stack(stage, streams, blocks):
    size = blocks * stage.sums

    @intrinsic
    def stack(typing):
        def lower(context, builder, sig, args):
            space = cgutils.alloca_once(builder, ir.ArrayType(VECTOR, streams * size))
            space.align = 64
            place = builder.bitcast(space, FLOAT.as_pointer())
            return context.make_tuple(builder, sig.return_type, [builder.gep(place, [LONG(s * size * LANES)]) for s in range(streams)])
        return types.UniTuple(floats, streams)(), lower
    return stack


def _put_down(stage, streams, blocks):
    """The sums of each stream to its place: a sum's blocks side by side, `gap` from one sum to the next."""
    @intrinsic
    def put_down(typing, acc, places, gap):
        def lower(context, builder, sig, args):
            acc, places, gap = args
            values, places = cgutils.unpack_tuple(builder, acc), cgutils.unpack_tuple(builder, places)
            offsets = _offsets(builder, stage, blocks, gap)
            for i, value in enumerate(values):
                emit_store(builder, value, places[i // len(offsets)], offsets[i % len(offsets)])
            return context.get_dummy_value()
        return types.void(tile_type(streams * blocks * stage.sums), types.UniTuple(floats, streams), types.int64), lower
    return put_down


def _take_up(stage, blocks):
    @intrinsic
    def take_up(typing, p, gap):
        def lower(context, builder, sig, args):
            p, gap = args
            return context.make_tuple(builder, sig.return_type, [emit_load(builder, p, i) for i in _offsets(builder, stage, blocks, gap)])
        return tile_type(blocks * stage.sums)(floats, types.int64), lower
    return take_up


def _offsets(builder, stage, blocks, gap):
    return [builder.add(builder.mul(gap, LONG(a)), LONG(b * LANES)) for b in range(blocks) for a in range(stage.sums)]


def _apply(stage, width, blocks):
    """The units of one stream: sums in registers, old and new values in its places, and what is kept where the sums were."""
    @intrinsic
    def apply(typing, acc, row, frame, stream, u, gap):
        unit = typing.resolve_value_type(stage.unit)
        signature = unit.get_call_type(typing, (lanes,) * (stage.sums + stage.reads), {})

        def lower(context, builder, sig, args):
            acc, row, frame, stream, u, gap = args
            acc = cgutils.unpack_tuple(builder, acc)
            call = context.get_function(unit, signature)
            context.add_linking_libs(getattr(call, "libs", ()))
            places = [frames.emit_gather(builder, frame, frames.emit_field(builder, row, frames.BUFFERS + i), width.frame, stream, 1)[0]
                      for i in range(stage.reads + stage.writes)]
            if width.keeps:
                kept = frames.emit_gather(builder, frame, frames.emit_field(builder, row, frames.KEPT), width.frame, stream, 1)[0]
            for b in range(blocks):
                here = builder.add(u, LONG(b * LANES))
                old = [emit_load(builder, places[i], here) for i in range(stage.reads)]
                new = call(builder, acc[b * stage.sums:(b + 1) * stage.sums] + old)
                new = cgutils.unpack_tuple(builder, new) if isinstance(signature.return_type, types.BaseTuple) else [new]
                for i, value in enumerate(new[:stage.writes]):
                    emit_store(builder, value, places[stage.reads + i], here)
                for i, value in enumerate(new[stage.writes:] if width.keeps else ()):
                    emit_store(builder, value, kept, builder.add(here, builder.mul(gap, LONG(i))))
            return context.get_dummy_value()
        return types.void(tile_type(blocks * stage.sums), frames.table, frames.frame_type, *(types.int64,) * 3), lower

    return apply
