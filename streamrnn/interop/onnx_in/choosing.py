"""Operators that take a part of a value or put parts together: the last step, a direction, final states, a table's row."""
from dataclasses import replace

import numpy as np

from streamrnn.cells.general.both_ways import Reverse
from streamrnn.interop.onnx_in.directions import direction, together
from streamrnn.interop.onnx_in.layers import embedding
from streamrnn.interop.onnx_in.layout import constant_of
from streamrnn.interop.onnx_in.values import Atom, Entry, Refused, Stack, Value


def _gather(walk, node, given):
    axis, (source, index) = walk.attributes(node, axis=0)["axis"], given
    if isinstance(source, np.ndarray):
        return embedding(walk, node, source, index, axis)
    index = constant_of(index, "indices")
    if index.size != 1:
        raise Refused(f"gathers {index.size} places of an axis: one is known, such as the last step")
    return _chosen(walk, source, axis, int(index.ravel()[0]), keep=index.ndim > 0)


def _slice(walk, node, given):
    source = given[0]
    if len(given) == 1:
        at = walk.attributes(node, starts=[], ends=[], axes=None)
        starts, ends, axes, steps = at["starts"], at["ends"], at["axes"], None
    else:
        bounds = *given[1:], *[None] * (5 - len(given))
        starts, ends, axes, steps = (None if one is None else np.ravel(constant_of(one, "bounds")) for one in bounds)
    axes = range(len(starts)) if axes is None else axes
    for n, (axis, start, end) in enumerate(zip(axes, starts, ends, strict=True)):
        size = _size(source, int(axis))
        low, high, stride = slice(int(start), int(end), 1 if steps is None else int(steps[n])).indices(size)
        if (low, high, stride) == (0, size, 1):
            continue
        if isinstance(source, Stack) and axis == source.axis and stride == 1 and high - low > 1:
            source = replace(source, parts=source.parts[low:high])
            continue
        if len(range(low, high, stride)) != 1:
            raise Refused(f"slices {len(range(low, high, stride))} of the {size} places of axis {axis}: known are all, "
                          "or one such as the last step")
        source = _chosen(walk, source, int(axis), low, keep=True)
    return source


def _size(source, axis):
    return len(source.parts) if isinstance(source, Stack) else source.shape[axis]


def _chosen(walk, source, axis, index, keep):
    """One place of an axis: the last step, a direction, a layer's final state."""
    if isinstance(source, Stack):
        if axis != source.axis:
            raise Refused("takes a part of several layers' final states: take one layer's")
        part = source.parts[index]
        return part if keep else part.with_axes(part.axes[:axis] + part.axes[axis + 1:])
    axis %= len(source.axes)
    size, real = source.shape[axis], [atom for atom in source.axes[axis] if atom.size > 1]
    index %= size
    place = () if keep else None
    rest = [place if n == axis else axes for n, axes in enumerate(source.axes)]
    rest = [axes for axes in rest if axes is not None]
    if size == 1 and not set(source.axes[axis]) & {walk.time}:
        return source.with_axes(rest)
    if len(real) == 1 and real[0].name == "directions":
        return replace(direction(source, index), axes=tuple(rest))
    if walk.time is not None and walk.time in source.axes[axis] and len(source.axes[axis]) == 1 and not source.last:
        if walk.lengths:
            raise Refused("takes a step by its number, but sequences differ in length: take Y_h")
        last = source.chain and source.chain[-1].layer
        if index == size - 1 and not (isinstance(last, Reverse) and size > 1):
            return replace(source, axes=tuple(rest), last=True)
        if isinstance(last, Reverse) and index in (0, size - 1):
            entry = source.chain[-1]
            layer = Reverse(last.layer, final=True) if index == 0 else last
            return replace(source, chain=(*source.chain[:-1], Entry(layer, entry.tensors, entry.origin)), axes=tuple(rest), last=True)
        raise Refused(f"takes step {index} of {size}: the last one is known")
    raise Refused(f"takes one of {size} places of axis {axis}, which is no step, direction or layer")


def _concat(walk, node, given):
    axis = walk.attributes(node, axis=None)["axis"]
    if len(given) == 1:
        return given[0]
    if any(isinstance(one, np.ndarray) for one in given):
        raise Refused("joins samples with a constant")
    values = [part for one in given for part in (one.parts if isinstance(one, Stack) else _parts(one))]
    axis %= len(values[0].axes)
    if all((one.hidden or one.cell) and one.shape[axis] == 1 and not _features_in(one, axis) for one in values):
        return Stack(tuple(values), axis)
    if len(given) == 2 and all(_features_in(one, axis) for one in given):
        there, back = given
        entry = together(there, back, "concat")
        if entry is not None:
            atom = Atom("features", there.width + back.width)
            return replace(there, chain=(*there.chain[:-1], entry), features=(atom,), hidden=False,
                           axes=tuple((atom,) if n == axis else a for n, a in enumerate(there.axes)))
    raise Refused("joins values of several layers: only the two directions of one layer, forward first, can be joined")


def _parts(one):
    """A final state's directions one by one."""
    if isinstance(one, Value) and (one.hidden or one.cell) and one.axes and any(atom.name == "directions" for atom in one.axes[0]):
        return [replace(direction(one, n), axes=((), *one.axes[1:])) for n in range(2)]
    return [one]


def _features_in(value, axis):
    return isinstance(value, Value) and bool(set(value.axes[axis]) & set(value.features))


def _split(walk, node, given):
    raise Refused("splits a value that depends on the samples")


READERS = {"Gather": _gather, "Slice": _slice, "Concat": _concat, "Split": _split}
