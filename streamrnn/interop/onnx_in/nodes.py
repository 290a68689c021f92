"""What each operator means: a recurrent layer, a layer around it, another layout, or nothing. What is not here is refused."""
from dataclasses import replace

import numpy as np

from streamrnn.interop.onnx_in import choosing, layers, layout, recurrences
from streamrnn.interop.onnx_in.values import Outside, Refused, Stack

READERS = {("ai.onnx", name): reader for name, reader in (layout.READERS | choosing.READERS | layers.READERS).items()}
READERS |= {("ai.onnx.ml", name): reader for name, reader in layers.ML_READERS.items()}


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


def _if(walk, node, given):
    """The branch of a condition that is known."""
    if not isinstance(given[0], np.ndarray):
        raise Refused("its condition depends on the samples")
    name = "then_branch" if bool(given[0].ravel()[0]) else "else_branch"
    branch = next(attribute.g for attribute in node.attribute if attribute.name == name)
    walk.env |= {tensor.name: walk.array(tensor) for tensor in branch.initializer}
    walk.go(branch.node)
    return [walk.env[value.name] for value in branch.output]
