"""The pieces of an ONNX graph: nodes, constants, names that are used once. A body within it has nodes of its own, no more."""
from itertools import count

import numpy as np


class Graph:
    """Each method that adds a node answers the name of its result. Nodes are called after the layer that they belong to.

    `sequence`: is the first axis of the values, time, longer than one step?
    """

    def __init__(self, onnx, sequence, around=None):
        self.onnx, self.helper, self.float, self.sequence = onnx, onnx.helper, onnx.TensorProto.FLOAT, sequence
        self.nodes, self.layer = [], around.layer if around else ""
        self.constants = around.constants if around else {}  # a body reads those around it
        self._numbers = around._numbers if around else count(1)  # and its names must not hide theirs

    def body(self):
        return Graph(self.onnx, self.sequence, self)

    def name(self, hint):
        return f"{hint}_{next(self._numbers)}"

    def node(self, operator, inputs, output=None, **attributes):
        return self.several(operator, inputs, [output or self.name(operator.lower())], **attributes)[0]

    def several(self, operator, inputs, outputs, **attributes):
        """A node with these outputs."""
        self.nodes.append(self.helper.make_node(operator, inputs, outputs, name=self.name(f"{self.layer}/{operator}"), **attributes))
        return outputs

    def constant(self, value, hint):
        name = self.name(hint)
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def numbers(self, value, hint="constant"):
        return self.constant(np.asarray(value, np.float32), hint)

    def whole(self, value):
        return self.constant(np.asarray(value, np.int64), "axes")

    def info(self, name, *shape):
        return self.helper.make_tensor_value_info(name, self.float, shape)

    def product(self, value, weight, bias=None, hint="weight"):
        """weight value + bias, over the last axis"""
        value = self.node("MatMul", [value, self.numbers(weight.T, hint)])
        return value if bias is None else self.node("Add", [value, self.numbers(bias, "bias")])

    def split(self, value, names, size):
        """Equal parts of the last axis."""
        return self.several("Split", [value, self.whole([size] * len(names))], [self.name(name) for name in names], axis=-1)
