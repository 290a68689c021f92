"""The way back through one step: from the gradients of what a stage wrote to those of what it read and of its weights.

Gradients lie in a frame of their own, with the same places as the values: d_frame. A gated stage first turns what
training kept into the gradients of its sums, a unit at a time (the cell's own derivative), then two products follow, both in the
shape of the one tile (kernels/products.py):
  the source's gradient: the sums' gradients times the weights packed the other way, [block of the source][sum][unit]
  the weights' gradient: the source's values times the sums' gradients, added up over streams and some steps at once
"""
from functools import lru_cache

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from streamrnn.cells import STAGES
from streamrnn.cells.base import APART_GRAD, NEW, OLD, Gated
from streamrnn.jit import called, inline, part
from streamrnn.kernels import frame as frames
from streamrnn.kernels.frame import gap, place
from streamrnn.kernels.products import SUMS, add_products
from streamrnn.kernels.tile import GROUP, STREAMS, kept_gap
from streamrnn.lanes import LANES, at, data, emit_load, emit_store, floats, lanes
from streamrnn.lanes import LONG as INDEX

BACK = (frames.table, floats, floats, frames.frame_type, frames.frame_type, floats, types.int64)
WEIGH = (frames.table, frames.frame_type, floats, types.int64)
call_apart = called(APART_GRAD)
ONES = np.ones(1, np.float32)  # what a bias is multiplied by

add_wide, add_two, add_one = (add_products(STREAMS, blocks) for blocks in (4, 2, 1))


# -- sums and sources --------------------------------------------------------------------------------------------------

def _gated(stage):
    """One gated stage for some tiles of streams."""
    vectors, derive = _vectors(stage), _derive(stage)
    hidden_first, hidden_gates = _run(stage.hidden_gates)
    input_first, input_gates = _run(stage.input_gates)
    call_to_source = frames.caller(to_source, TO_SOURCE)

    @part
    def step(row, arena, back, frame, d_frame, d_arena, tiles):
        units, hiddens, inputs, kept = row[frames.UNITS], row[frames.HIDDENS], row[frames.INPUTS], row[frames.KEPT]
        wide = kept_gap(row)
        w = at(back, row[frames.BACK])
        beyond_hidden = at(w, (hiddens + LANES - 1) // LANES * LANES * hidden_gates * wide)
        for tile in range(0, tiles * STREAMS, STREAMS):
            for s in range(tile, tile + STREAMS):
                here = vectors(row, frame, d_frame, s)
                for u in range(0, units, LANES):
                    derive(here, wide, u)
            sums, between = place(frame, GROUP, kept, tile), gap(frame, GROUP, kept)
            if hidden_gates > 0:
                call_to_source(place(d_frame, GROUP, row[frames.HIDDEN], tile), gap(d_frame, GROUP, row[frames.HIDDEN]), hiddens,
                               at(sums, hidden_first * wide), between, hidden_gates * wide, w)
            if row[frames.DEEPER] != 0:
                call_to_source(place(d_frame, GROUP, row[frames.SOURCE], tile), gap(d_frame, GROUP, row[frames.SOURCE]), inputs,
                               at(sums, input_first * wide), between, input_gates * wide, beyond_hidden)

    return step


def _run(gates):
    return (gates[0] if gates else 0), len(gates)


TO_SOURCE = (floats, types.int64, types.int64, floats, types.int64, types.int64, floats)


@part
def to_source(target, target_gap, size, d_sums, d_gap, count, weights):
    """target[stream][i] += sum of d_sums[stream][j] weights[block of i][j][lane], j below count"""
    blocks, step = (size + LANES - 1) // LANES, count * LANES
    b = 0
    while b + 4 <= blocks:
        add_wide(at(target, b * LANES), target_gap, LANES, d_sums, d_gap, 1, at(weights, b * step), step, LANES, count)
        b += 4
    if b + 2 <= blocks:
        add_two(at(target, b * LANES), target_gap, LANES, d_sums, d_gap, 1, at(weights, b * step), step, LANES, count)
        b += 2
    if b < blocks:
        add_one(at(target, b * LANES), target_gap, LANES, d_sums, d_gap, 1, at(weights, b * step), step, LANES, count)


def _vectors(stage):
    """Where everything lies that a unit's derivative needs of one stream: kept, reads, writes, and both their gradients."""
    reads, writes = range(stage.reads), range(stage.reads, stage.reads + stage.writes)

    @intrinsic
    def vectors(typing, row, frame, d_frame, stream):
        def lower(context, builder, sig, args):
            row, frame, d_frame, stream = args
            def find(table, column):
                return frames.emit_gather(builder, table, frames.emit_field(builder, row, column), GROUP, stream, 1)[0]
            found = [find(frame, frames.KEPT), *(find(frame, frames.BUFFERS + i) for i in [*reads, *writes]),
                     *(find(d_frame, frames.BUFFERS + i) for i in [*writes, *reads])]
            return context.make_tuple(builder, sig.return_type, found)
        kind = types.UniTuple(floats, 1 + 2 * (stage.reads + stage.writes))
        return kind(frames.table, frames.frame_type, frames.frame_type, types.int64), lower
    return vectors


def _derive(stage):
    """The derivative of LANES units: what was kept makes way for the sums' gradients, those of what was read are added to."""
    count = 1 + 2 * (stage.reads + stage.writes)

    @intrinsic
    def derive(typing, vectors, wide, u):
        grad = typing.resolve_value_type(stage.grad)
        signature = grad.get_call_type(typing, (lanes,) * (stage.kept + stage.reads + 2 * stage.writes), {})

        def lower(context, builder, sig, args):
            vectors, wide, u = args
            kept, *others = cgutils.unpack_tuple(builder, vectors)
            d_reads = others[len(others) - stage.reads:]
            call = context.get_function(grad, signature)
            context.add_linking_libs(getattr(call, "libs", ()))
            places = [builder.add(builder.mul(wide, INDEX(a)), u) for a in range(stage.sums)]
            values = [emit_load(builder, kept, i) for i in places[:stage.kept]]
            values += [emit_load(builder, p, u) for p in others[:len(others) - stage.reads]]
            found = call(builder, values)
            found = cgutils.unpack_tuple(builder, found) if isinstance(signature.return_type, types.BaseTuple) else [found]
            for value, i in zip(found[:stage.sums], places, strict=True):
                emit_store(builder, value, kept, i)
            for value, p in zip(found[stage.sums:], d_reads, strict=True):
                emit_store(builder, builder.fadd(emit_load(builder, p, u), value), p, u)
            return context.get_dummy_value()
        return types.void(types.UniTuple(floats, count), types.int64, types.int64), lower
    return derive


def _rowwise(stage):
    body = stage.grad

    @part
    def step(row, arena, back, frame, d_frame, d_arena, tiles):
        shape, state = (row[frames.INPUTS], row[frames.UNITS]), row[frames.STATE] * 8
        source, target, w, d_w = row[frames.SOURCE], row[frames.BUFFERS], at(arena, row[frames.WEIGHTS]), at(d_arena, row[frames.WEIGHTS])
        for s in range(tiles * STREAMS):
            body(shape, w, place(frame, GROUP, source, s), place(frame, GROUP, target, s),
                 place(frame, GROUP, state + OLD, s), place(frame, GROUP, state + NEW, s),
                 d_w, place(d_frame, GROUP, source, s), place(d_frame, GROUP, target, s),
                 place(d_frame, GROUP, state + OLD, s), place(d_frame, GROUP, state + NEW, s))

    return step


@part
def _apart(row, arena, back, frame, d_frame, d_arena, tiles):
    """Grads that are apart. The last stream first: in a chain (kernels/unroll.py) each takes from the one behind it."""
    inputs, units, state = row[frames.INPUTS], row[frames.UNITS], row[frames.STATE] * 8
    source, target, w, d_w = row[frames.SOURCE], row[frames.BUFFERS], at(arena, row[frames.WEIGHTS]), at(d_arena, row[frames.WEIGHTS])
    for s in range(tiles * STREAMS - 1, -1, -1):
        call_apart(row[frames.CODE_BACK], (
            inputs, units, w, place(frame, GROUP, source, s), place(frame, GROUP, target, s),
            place(frame, GROUP, state + OLD, s), place(frame, GROUP, state + NEW, s),
            d_w, place(d_frame, GROUP, source, s), place(d_frame, GROUP, target, s),
            place(d_frame, GROUP, state + OLD, s), place(d_frame, GROUP, state + NEW, s)))


_back = frames.switch([*(None if stage.grad is None else _gated(stage) if isinstance(stage, Gated) else _rowwise(stage)
                         for stage in STAGES), _apart], BACK)


@inline
def retreat(program, arena, back, frame, d_frame, d_arena, tiles):
    """Every stage of one step, the last one first."""
    row = frames.beyond(program, frames.HEADER + program[frames.STAGES] * frames.COLUMNS)
    for _ in range(program[frames.STAGES]):
        row = frames.beyond(row, -frames.COLUMNS)
        _back(row, arena, back, frame, d_frame, d_arena, tiles)


# -- weights -----------------------------------------------------------------------------------------------------------

ACCUMULATE = (floats, floats, types.int64, types.int64, floats, types.int64, types.int64, types.int64)


@lru_cache
def _accumulate(gates):
    """target[i][gate] += sum over rows of source[row][i] d_sums[row][gate], for one block of units."""
    tall = max(1, SUMS // gates)
    some = min(4, tall)
    add_tall, add_some, add_single = (add_products(height, gates) for height in (tall, some, 1))

    @part
    def accumulate(target, source, source_step, size, d_sums, wide, d_step, rows):
        row = gates * LANES
        i = 0
        while i + tall <= size:
            add_tall(at(target, i * row), row, LANES, at(source, i), 1, source_step, d_sums, wide, d_step, rows)
            i += tall
        while i + some <= size:
            add_some(at(target, i * row), row, LANES, at(source, i), 1, source_step, d_sums, wide, d_step, rows)
            i += some
        while i < size:
            add_single(at(target, i * row), row, LANES, at(source, i), 1, source_step, d_sums, wide, d_step, rows)
            i += 1

    return frames.caller(accumulate, ACCUMULATE)


def _weigh(stage):
    """The weights' gradient of one gated stage over `rows` records, the frame's first stream being the first of them."""
    sums, per_hidden, per_input = stage.sums, len(stage.hidden_gates), len(stage.input_gates)
    hidden_first, input_first = _run(stage.hidden_gates)[0], _run(stage.input_gates)[0]
    bias, from_hidden, from_input = _accumulate(sums), _accumulate(max(1, per_hidden)), _accumulate(max(1, per_input))

    @part
    def weigh(row, frame, d_arena, rows):
        hiddens, inputs, kept, wide = row[frames.HIDDENS], row[frames.INPUTS], row[frames.KEPT], kept_gap(row)
        d_sums, step = place(frame, GROUP, kept, 0), gap(frame, GROUP, kept)
        hidden, hidden_step = place(frame, GROUP, row[frames.HIDDEN], 0), gap(frame, GROUP, row[frames.HIDDEN])
        source, source_step = place(frame, GROUP, row[frames.SOURCE], 0), gap(frame, GROUP, row[frames.SOURCE])
        target = at(d_arena, row[frames.WEIGHTS])
        for u in range(0, row[frames.UNITS], LANES):
            here = at(d_sums, u)
            if row[frames.BIASED] != 0:
                bias(target, data(ONES), 0, 1, here, wide, step, rows)
            target = at(target, sums * LANES)
            from_hidden(target, hidden, hidden_step, hiddens, at(here, hidden_first * wide), wide, step, rows)
            target = at(target, hiddens * per_hidden * LANES)
            from_input(target, source, source_step, inputs, at(here, input_first * wide), wide, step, rows)
            target = at(target, inputs * per_input * LANES)

    return weigh


_weights = frames.switch([_weigh(stage) if isinstance(stage, Gated) and stage.grad is not None else None for stage in STAGES], WEIGH)


@inline
def weigh(program, frame, d_arena, rows):
    row = frames.beyond(program, frames.HEADER)
    for _ in range(program[frames.STAGES]):
        _weights(row, frame, d_arena, rows)
        row = frames.beyond(row, frames.COLUMNS)
