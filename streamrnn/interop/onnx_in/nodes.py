"""What each operator around the recurrent ones means: a layer more, another layout, or nothing. What is not here is refused."""
from dataclasses import replace

import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.embedding import Embedding
from streamrnn.cells.general.both_ways import Bidirectional, Reverse
from streamrnn.cells.general.elementwise import Activation
from streamrnn.cells.layernorm import LayerNorm
from streamrnn.cells.scale import Scale, Unscale
from streamrnn.interop.onnx_in import recurrences
from streamrnn.interop.onnx_in.values import Atom, Entry, Outside, Refused, Stack, Value, per_feature, reshaped

FUNCTIONS = {"Relu": ("relu",), "Tanh": ("tanh",), "Sigmoid": ("sigmoid",), "Softsign": ("softsign",), "Softplus": ("softplus",),
             "LeakyRelu": ("leaky_relu", "alpha", 0.01), "Elu": ("elu", "alpha", 1.0),
             "ThresholdedRelu": ("thresholded_relu", "alpha", 1.0), "HardSigmoid": ("hard_sigmoid", "alpha", 0.2, "beta", 0.5)}
IN_DENSE = ("relu", "tanh", "sigmoid", "softmax")


def read(walk, node, given):
    """The node's outputs, one for each it names."""
    if node.op_type in ("LSTM", "GRU", "RNN"):
        return recurrences.read(walk, node, given)
    if node.op_type == "If":
        return _if(walk, node, given)
    if given and all(isinstance(one, (Outside, np.ndarray, type(None))) for one in given):
        outside = next(one for one in given if isinstance(one, Outside))
        if node.op_type in ("Shape", "Size"):
            raise Refused(f"asks for the shape of input {outside.name!r}")
        return [replace(outside, direct=outside.direct and node.op_type in ("Identity", "Cast"))] * len(node.output)
    if any(isinstance(one, Outside) for one in given):
        raise Refused(f"mixes the samples with input {next(one.name for one in given if isinstance(one, Outside))!r}")
    if any(isinstance(one, Stack) for one in given) and node.op_type not in ("Gather", "Slice", "Concat", "Identity"):
        raise Refused("works on the final states of several layers at once: take one of them")
    reader = READERS.get((node.domain or "ai.onnx", node.op_type))
    if reader is None:
        known = ", ".join(sorted(name for _, name in READERS))
        raise Refused(f"no layer computes this operator; known around RNN, LSTM and GRU are {known}")
    return [reader(walk, node, given)]


# -- layout -------------------------------------------------------------------------------------------------------------

def _identity(walk, node, given):
    return given[0]


def _dropout(walk, node, given):
    walk.attributes(node, ratio=0.5, seed=None, is_test=1)
    if len(given) > 2 and given[2] is not None and bool(np.asarray(given[2]).any()):
        raise Refused("is in training mode: export the model in evaluation mode")
    return given[0]


def _cast(walk, node, given):
    to, value = walk.attributes(node, to=None, saturate=1)["to"], given[0]
    if to in (1, 10, 11, 16):
        if to != 1:
            walk.note(f"node {node.name!r} casts to {walk.onnx.TensorProto.DataType.Name(to)}: here everything is float32")
        return value
    if to in (6, 7) and not value.chain:
        return value
    raise Refused(f"casts to {walk.onnx.TensorProto.DataType.Name(to)}: a model's values are float32")


def _transpose(walk, node, given):
    value, = given
    order = walk.attributes(node, perm=list(range(len(value.axes)))[::-1])["perm"]
    return value.with_axes(value.axes[n] for n in order)


def _reshape(walk, node, given):
    value, shape = given[0], [int(n) for n in _constant(given[1], "shape")]
    if not walk.attributes(node, allowzero=0)["allowzero"]:
        shape = [value.shape[n] if size == 0 else size for n, size in enumerate(shape)]
    whole = int(np.prod(value.shape))
    if -1 in shape:
        shape[shape.index(-1)] = whole // max(1, -int(np.prod(shape)))
    return reshaped(value, shape)


def _squeeze(walk, node, given):
    value, axes = given[0], _axes(walk, node, given)
    axes = [n for n, size in enumerate(value.shape) if size == 1] if axes is None else [n % len(value.shape) for n in axes]
    for n in axes:
        if value.shape[n] != 1:
            raise Refused(f"squeezes axis {n} of {value.shape}")
    return reshaped(value, [size for n, size in enumerate(value.shape) if n not in axes])


def _unsqueeze(walk, node, given):
    value, axes = given[0], _axes(walk, node, given)
    rank, shape = len(value.shape) + len(axes), list(value.shape)
    for n in sorted(axis % rank for axis in axes):
        shape.insert(n, 1)
    left = list(value.axes)
    return value.with_axes([() if n in {axis % rank for axis in axes} else left.pop(0) for n in range(rank)])


def _flatten(walk, node, given):
    value, axis = given[0], walk.attributes(node, axis=1)["axis"]
    axis %= len(value.shape) + 1
    return reshaped(value, [int(np.prod(value.shape[:axis])), int(np.prod(value.shape[axis:]))])


def _shape(walk, node, given):
    at = walk.attributes(node, start=0, end=None)
    return np.array(given[0].shape, np.int64)[at["start"]:at["end"]]


def _axes(walk, node, given):
    """Squeeze's and Unsqueeze's: an attribute up to opset 12, then an input."""
    axes = walk.attributes(node, axes=None)["axes"]
    if len(given) > 1 and given[1] is not None:
        axes = [int(n) for n in np.ravel(_constant(given[1], "axes"))]
    return axes


def _constant(value, name):
    if not isinstance(value, np.ndarray):
        raise Refused(f"its {name} must be a constant")
    return value


# -- choosing -----------------------------------------------------------------------------------------------------------

def _gather(walk, node, given):
    axis, (source, index) = walk.attributes(node, axis=0)["axis"], given
    if isinstance(source, np.ndarray):
        return _embedding(walk, node, source, index, axis)
    index = _constant(index, "indices")
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
        starts, ends, axes, steps = (None if one is None else np.ravel(_constant(one, "bounds")) for one in bounds)
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


def direction(value, index):
    """One half of a bidirectional layer."""
    entry = value.chain[-1]
    if not isinstance(entry.layer, Bidirectional):
        raise Refused("takes a direction after another operation on both")
    name, layer, reverse = entry.layer.branches[index]
    tensors = {key.removeprefix(f"{name}."): tensor for key, tensor in entry.tensors.items() if key.startswith(f"{name}.")}
    half = Entry(Reverse(layer, entry.layer.final), {f"backward.{k}": v for k, v in tensors.items()}, entry.origin) if reverse \
        else Entry(layer, tensors, entry.origin)
    return replace(value, chain=(*value.chain[:-1], half), features=tuple(atom for atom in value.features if atom.name != "directions"))


def together(there, back, merge):
    """Two directions as one layer; None if these are no two directions of the same samples."""
    if not (isinstance(there, Value) and isinstance(back, Value) and there.chain and back.chain and there.last == back.last):
        return None
    first, second = there.chain[-1], back.chain[-1]
    if there.cell or back.cell:
        return None
    prefix = len(there.chain) == len(back.chain) and all(a is b for a, b in zip(there.chain[:-1], back.chain[:-1], strict=True))
    if not prefix or not isinstance(second.layer, Reverse) or first.layer.looks_ahead or first.layer.kind not in RECURRENT:
        return None
    tensors = {f"forward.{name}": value for name, value in first.tensors.items()} | second.tensors
    origin = first.origin if first.origin == second.origin else f"{first.origin}, {second.origin}"
    return Entry(Bidirectional(first.layer, second.layer.layer, merge, second.layer.final), tensors, origin)


RECURRENT = ("lstm", "gru", "rnn", "recurrence")


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


# -- layers -------------------------------------------------------------------------------------------------------------

def _ready(walk, value):
    """A value that a layer takes in."""
    value = walk.ready(value)
    walk.take(value)
    return value


def _origin(node):
    return f"{node.op_type} {node.name or node.output[0]}"


def _embedding(walk, node, table, index, axis):
    if not isinstance(index, Value) or index.chain or axis != 0 or table.ndim != 2:
        raise Refused("gathers from a constant: as an embedding it takes the graph's own tokens and a table (vocabulary, size)")
    size = Atom("features", table.shape[1])
    if walk.batch is None and walk.time is None:  # (batch, time) in some order: the recurrent node says which
        index = replace(index, features=tuple(atom for axis in index.axes[2:] for atom in axis))
    else:
        index = walk.as_samples(index)
    walk.take(index)
    entry = Entry(Embedding(*table.shape), {"weight": table.astype(np.float32)}, _origin(node))
    return replace(index, chain=(entry,), features=(*index.features, size), axes=(*index.axes, (size,)))


def _dense(walk, value, weight, bias, origin):
    """weight (inputs, units)"""
    value = _ready(walk, value)
    if value.feature_axis() != len(value.axes) - 1 or weight.ndim != 2 or len(weight) != value.width:
        raise Refused(f"a product of {value.shape} with a constant of shape {weight.shape}: the features must be the last axis")
    units = weight.shape[1]
    tensors = {"weight": weight.T.astype(np.float32), "bias": np.zeros(units, np.float32) if bias is None else bias}
    return value.then(Dense(units), tensors, origin, units)


def _matmul(walk, node, given):
    value, weight = given
    if not isinstance(value, Value) or not isinstance(weight, np.ndarray):
        raise Refused("multiplies two values that depend on the samples, or a constant from the left")
    while weight.ndim > 2 and weight.shape[0] == 1:
        weight = weight[0]
    return _dense(walk, value, weight, None, _origin(node))


def _gemm(walk, node, given):
    at = walk.attributes(node, alpha=1.0, beta=1.0, transA=0, transB=0)
    value, weight, bias = (*given, *[None] * (3 - len(given)))
    if at["transA"] or not isinstance(value, Value) or not isinstance(weight, np.ndarray):
        raise Refused("attribute 'transA' is set, or its B is not a constant")
    weight = (weight.T if at["transB"] else weight) * np.float32(at["alpha"])
    if bias is not None:
        bias = np.broadcast_to(_constant(bias, "C") * np.float32(at["beta"]), (1, weight.shape[1]))
        bias = np.array(bias, np.float32).reshape(-1)
    return _dense(walk, value, weight, bias, _origin(node))


def _shift_and_factor(walk, node, value, shift, factor):
    """y = x factor + shift, put into what stands before where that says the same."""
    value = _ready(walk, value)
    last = value.chain[-1] if value.chain else None
    ones = np.ones(value.width, np.float32)
    if last and isinstance(last.layer, Dense) and last.layer.activation is None and factor is None:
        return value.instead(last.layer, {**last.tensors, "bias": last.tensors["bias"] + shift}, _origin(node))
    if last and isinstance(last.layer, Unscale) and factor is None and not last.tensors["shift"].any():
        return value.instead(last.layer, {**last.tensors, "shift": shift}, _origin(node))
    tensors = {"shift": 0 * ones if shift is None else shift, "factor": ones if factor is None else factor}
    return value.then(Unscale(), tensors, _origin(node))


def _by_constant(operation):
    def reader(walk, node, given):
        walk.attributes(node)
        a, b = given
        if isinstance(a, Value) and isinstance(b, Value):
            merge = {"Add": "sum", "Mul": "product"}.get(operation)
            entry = merge and (together(a, b, merge) or together(b, a, merge))
            if not entry:
                raise Refused("joins values of several layers: only the two directions of one layer can be joined")
            return replace(a, chain=(*a.chain[:-1], entry), hidden=False)
        left = isinstance(b, Value)          # the constant stands on the left
        value, constant = (b, a) if left else (a, b)
        value = _ready(walk, value)
        c = per_feature(value, _constant(constant, "other input"))
        if operation == "Add":
            return _shift_and_factor(walk, node, value, c, None)
        if operation == "Sub":
            return _shift_and_factor(walk, node, value, c if left else -c, -np.ones_like(c) if left else None)
        if operation == "Mul":
            return _shift_and_factor(walk, node, value, None, c)
        if left or not c.all():
            raise Refused("divides a constant by a value, or by zero")
        return _shift_and_factor(walk, node, value, None, 1 / c)
    return reader


def _negative(walk, node, given):
    value = _ready(walk, given[0])
    return _shift_and_factor(walk, node, value, None, -np.ones(value.width, np.float32))


def _function(walk, node, given):
    name, *pairs = FUNCTIONS[node.op_type]
    at = walk.attributes(node, **dict(zip(pairs[::2], pairs[1::2], strict=True)))
    return _activated(walk, given[0], name, [float(at[key]) for key in pairs[::2]], _origin(node))


def _activated(walk, value, name, numbers, origin):
    value = _ready(walk, value)
    last = value.chain[-1] if value.chain else None
    if last and isinstance(last.layer, Dense) and last.layer.activation is None and name in IN_DENSE:
        return value.instead(Dense(last.layer.units, name), last.tensors, origin)
    return value.then(Activation(name, *numbers), {}, origin)


def _softmax(walk, node, given):
    value = _ready(walk, given[0])
    axis = walk.attributes(node, axis=-1 if walk.opset >= 13 else 1)["axis"] % len(value.axes)
    if axis != value.feature_axis() or (walk.opset < 13 and axis != len(value.axes) - 1):
        raise Refused(f"attribute 'axis' is {axis}: a softmax over the features of each step is known")
    return _activated(walk, value, "softmax", [], _origin(node))


def _prelu(walk, node, given):
    value, slope = _ready(walk, given[0]), np.unique(_constant(given[1], "slope"))
    if slope.size != 1:
        raise Refused("has a slope for each feature: one for all is known")
    return _activated(walk, value, "leaky_relu", [float(slope[0])], _origin(node))


def _layernorm(walk, node, given):
    value = _ready(walk, given[0])
    at = walk.attributes(node, axis=-1, epsilon=1e-5, stash_type=1)
    if at["axis"] % len(value.axes) != len(value.axes) - 1 or value.feature_axis() != len(value.axes) - 1:
        raise Refused("attribute 'axis': a norm over the features of each step, the last axis, is known")
    weight = np.broadcast_to(_constant(given[1], "scale"), (value.width,)).astype(np.float32)
    bias = np.zeros_like(weight) if len(given) < 3 or given[2] is None else np.broadcast_to(_constant(given[2], "bias"), weight.shape)
    if not 0 < at["epsilon"] < 1:
        raise Refused(f"attribute 'epsilon' is {at['epsilon']}")
    return value.then(LayerNorm(float(np.float32(at["epsilon"]))), {"weight": weight, "bias": bias.astype(np.float32)}, _origin(node))


def _batchnorm(walk, node, given):
    value = _ready(walk, given[0])
    at = walk.attributes(node, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1)
    if at["training_mode"] or value.feature_axis() != 1:
        raise Refused("attribute 'training_mode' is set, or the features are not axis 1")
    scale, bias, mean, variance = (_constant(one, "statistics").astype(np.float64) for one in given[1:5])
    factor = scale / np.sqrt(variance + at["epsilon"])
    return _shift_and_factor(walk, node, value, (bias - mean * factor).astype(np.float32), factor.astype(np.float32))


def _scaler(walk, node, given):
    value = _ready(walk, given[0])
    at = walk.attributes(node, offset=[0.0], scale=[1.0])
    shift, factor = (np.broadcast_to(np.asarray(at[name], np.float32), (value.width,)).copy() for name in ("offset", "scale"))
    return value.then(Scale(), {"shift": shift, "factor": factor}, _origin(node))


def _if(walk, node, given):
    """The branch of a condition that is known."""
    if not isinstance(given[0], np.ndarray):
        raise Refused("its condition depends on the samples")
    name = "then_branch" if bool(given[0].ravel()[0]) else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == name)
    walk.env |= {tensor.name: walk.array(tensor) for tensor in branch.initializer}
    walk.go(branch.node)
    return [walk.env[value.name] for value in branch.output]


READERS = {("ai.onnx", name): reader for name, reader in {
    "Identity": _identity, "Dropout": _dropout, "Cast": _cast, "Transpose": _transpose, "Reshape": _reshape, "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze, "Flatten": _flatten, "Shape": _shape, "Gather": _gather, "Slice": _slice, "Concat": _concat,
    "Split": _split, "MatMul": _matmul, "Gemm": _gemm, "Add": _by_constant("Add"), "Sub": _by_constant("Sub"),
    "Mul": _by_constant("Mul"), "Div": _by_constant("Div"), "Neg": _negative, "Softmax": _softmax, "PRelu": _prelu,
    "LayerNormalization": _layernorm, "BatchNormalization": _batchnorm, **dict.fromkeys(FUNCTIONS, _function)}.items()}
READERS["ai.onnx.ml", "Scaler"] = _scaler

