"""Operators that only lay values out: the walk follows their axes, no layer comes of them."""
import numpy as np

from streamrnn.interop.onnx_in.values import Refused, reshaped


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
    value, shape = given[0], [int(n) for n in constant_of(given[1], "shape")]
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
        axes = [int(n) for n in np.ravel(constant_of(given[1], "axes"))]
    return axes


def constant_of(value, name):
    if not isinstance(value, np.ndarray):
        raise Refused(f"its {name} must be a constant")
    return value


READERS = {"Identity": _identity, "Dropout": _dropout, "Cast": _cast, "Transpose": _transpose, "Reshape": _reshape,
           "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Flatten": _flatten, "Shape": _shape}
