"""Operators that are layers: products, embeddings, activations, norms, scalers."""
from dataclasses import replace

import numpy as np

from streamrnn.cells.dense import Dense
from streamrnn.cells.embedding import Embedding
from streamrnn.cells.general.elementwise import Activation
from streamrnn.cells.layernorm import LayerNorm
from streamrnn.cells.scale import Scale, Unscale
from streamrnn.interop.onnx_in.directions import together
from streamrnn.interop.onnx_in.layout import constant_of
from streamrnn.interop.onnx_in.values import Atom, Entry, Refused, Value, per_feature

FUNCTIONS = {"Relu": ("relu",), "Tanh": ("tanh",), "Sigmoid": ("sigmoid",), "Softsign": ("softsign",), "Softplus": ("softplus",),
             "LeakyRelu": ("leaky_relu", "alpha", 0.01), "Elu": ("elu", "alpha", 1.0),
             "ThresholdedRelu": ("thresholded_relu", "alpha", 1.0), "HardSigmoid": ("hard_sigmoid", "alpha", 0.2, "beta", 0.5)}
IN_DENSE = ("relu", "tanh", "sigmoid", "softmax")


def _ready(walk, value):
    """A value that a layer takes in."""
    value = walk.ready(value)
    walk.take(value)
    return value


def _origin(node):
    return f"{node.op_type} {node.name or node.output[0]}"


def embedding(walk, node, table, index, axis):
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
        bias = np.broadcast_to(constant_of(bias, "C") * np.float32(at["beta"]), (1, weight.shape[1]))
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
        c = per_feature(value, constant_of(constant, "other input"))
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
    value, slope = _ready(walk, given[0]), np.unique(constant_of(given[1], "slope"))
    if slope.size != 1:
        raise Refused("has a slope for each feature: one for all is known")
    return _activated(walk, value, "leaky_relu", [float(slope[0])], _origin(node))


def _layernorm(walk, node, given):
    value = _ready(walk, given[0])
    at = walk.attributes(node, axis=-1, epsilon=1e-5, stash_type=1)
    if at["axis"] % len(value.axes) != len(value.axes) - 1 or value.feature_axis() != len(value.axes) - 1:
        raise Refused("attribute 'axis': a norm over the features of each step, the last axis, is known")
    weight = np.broadcast_to(constant_of(given[1], "scale"), (value.width,)).astype(np.float32)
    bias = np.zeros_like(weight) if len(given) < 3 or given[2] is None else np.broadcast_to(constant_of(given[2], "bias"), weight.shape)
    if not 0 < at["epsilon"] < 1:
        raise Refused(f"attribute 'epsilon' is {at['epsilon']}")
    return value.then(LayerNorm(float(np.float32(at["epsilon"]))), {"weight": weight, "bias": bias.astype(np.float32)}, _origin(node))


def _batchnorm(walk, node, given):
    value = _ready(walk, given[0])
    at = walk.attributes(node, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1)
    if at["training_mode"] or value.feature_axis() != 1:
        raise Refused("attribute 'training_mode' is set, or the features are not axis 1")
    scale, bias, mean, variance = (constant_of(one, "statistics").astype(np.float64) for one in given[1:5])
    factor = scale / np.sqrt(variance + at["epsilon"])
    return _shift_and_factor(walk, node, value, (bias - mean * factor).astype(np.float32), factor.astype(np.float32))


def _scaler(walk, node, given):
    value = _ready(walk, given[0])
    at = walk.attributes(node, offset=[0.0], scale=[1.0])
    shift, factor = (np.broadcast_to(np.asarray(at[name], np.float32), (value.width,)).copy() for name in ("offset", "scale"))
    return value.then(Scale(), {"shift": shift, "factor": factor}, _origin(node))


READERS = {"MatMul": _matmul, "Gemm": _gemm, "Add": _by_constant("Add"), "Sub": _by_constant("Sub"), "Mul": _by_constant("Mul"),
           "Div": _by_constant("Div"), "Neg": _negative, "Softmax": _softmax, "PRelu": _prelu, "LayerNormalization": _layernorm,
           "BatchNormalization": _batchnorm, **dict.fromkeys(FUNCTIONS, _function)}
ML_READERS = {"Scaler": _scaler}  # of the domain ai.onnx.ml
