"""A model as an ONNX graph with its state as inputs and outputs: one step a call, or a whole sequence a call.

Inputs and outputs are named as the state's parts are: "x", "layers.0.h", "layers.0.c" in; "y" (or a head's name),
"layers.0.h.new", "layers.0.c.new" out.
"""
import numpy as np

from streamrnn.errors import ConfigError, MissingExtra
from streamrnn.interop.onnx_out import states
from streamrnn.interop.onnx_out.writer import Writer
from streamrnn.model.files import write_whole


def to_onnx(model, path=None, *, sequence=False):
    """The ModelProto of a model, written to `path` if there is one.

    A step takes x (batch, inputs) and the states (batch, size), and gives y (batch, outputs) and the new states. With
    `sequence` x is (batch, time, inputs) and y (batch, time, outputs). A first call takes `first_states(model, batch)`.
    A layer that looks ahead has no states, and is a sequence.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtra("writing ONNX needs onnx: pip install 'streamrnn[onnx]'") from None
    if model.looks_ahead and not sequence:
        raise ConfigError(f"{model.looks_ahead} reads each sequence from its end: export the whole sequence, sequence=True (--sequence)")
    proto = Writer(onnx, model, sequence).write()
    onnx.checker.check_model(proto)
    if path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def first_states(model, batch=1):
    """{input name: (batch, size)} that a fresh stream starts from; an Attention's keys and values are (batch, window, units)."""
    found = {}
    for name, layer, width in model.stacks():
        own = {key.removeprefix(f"{name}."): tensor for key, tensor in model.tensors.items() if key.startswith(f"{name}.")}
        for part, start in states.first(layer, own, width).items():
            found[f"{name}.{part}"] = np.broadcast_to(start, (batch, *start.shape)).astype(np.float32)
    return found
