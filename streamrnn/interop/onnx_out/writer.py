"""From a model to a ModelProto: the graph around its layers, states in and out, results by name.

Within the graph values are (time, batch, features); a step is a time of 1.
"""
from streamrnn import __version__
from streamrnn.errors import ConfigError
from streamrnn.interop.onnx_out import ahead, plain, recurrent, states, steps
from streamrnn.interop.onnx_out.graph import Graph

OPSET, IR = 17, 8
KINDS = sorted({*recurrent.OPERATORS, *steps.FORMS, *plain.LAYERS, *ahead.LAYERS})


class Writer:
    def __init__(self, onnx, model, sequence):
        self.onnx, self.model, self.sequence = onnx, model, sequence
        self.to, self.inputs, self.outputs = Graph(onnx, sequence), [], []

    def write(self):
        model, to, helper = self.model, self.to, self.onnx.helper
        tokens = model.layers[0].kind == "embedding"
        axes = ["batch", "time"] if self.sequence else ["batch"]
        kind = self.onnx.TensorProto.INT64 if tokens else to.float
        self.inputs.append(helper.make_tensor_value_info("x", kind, [*axes, model.inputs]))
        value = to.node("Transpose", ["x"], perm=[1, 0, 2]) if self.sequence else to.node("Unsqueeze", ["x", to.whole([0])])
        trunk, heads = model.named_layers()
        value, width = self.stack(trunk, value, model.inputs)
        for name, layers in (heads or {"y": []}).items():
            end, size = self.stack(layers, value, width)
            self.outputs.append(to.info(name, *axes, size))
            to.layer = name
            if self.sequence:
                to.node("Transpose", [end], name, perm=[1, 0, 2])
            else:
                to.node("Squeeze", [end, to.whole([0])], name)
        self.outputs.sort(key=lambda info: info.name.endswith(".new"))  # results first, then states
        graph = helper.make_graph(to.nodes, "streamrnn", self.inputs, self.outputs,
                                  [self.onnx.numpy_helper.from_array(value, name) for name, value in to.constants.items()])
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="streamrnn",
                                  producer_version=__version__)
        proto.doc_string = repr(model)
        return proto

    def stack(self, layers, value, width):
        for name, layer in layers:
            own = {key.removeprefix(f"{name}."): tensor for key, tensor in self.model.tensors.items() if key.startswith(f"{name}.")}
            self.to.layer = name
            value, width = self.layer(name, layer, own, value, width), layer.outputs(width)
        return value, width

    def layer(self, name, layer, own, value, width):
        for one in [branch for _, branch, _ in layer.branches] if layer.looks_ahead else [layer]:
            if one.kind not in KINDS:
                raise ConfigError(f"{name} ({type(one).__name__}) has no form in ONNX: these have: {', '.join(KINDS)}. A detector's parts "
                                  "and cells of your own run where streamrnn does (streamrnn serve)")
        if layer.kind in plain.LAYERS:
            return plain.LAYERS[layer.kind](self.to, layer, own, value)
        if layer.kind in ahead.LAYERS:
            return ahead.LAYERS[layer.kind](self.to, layer, own, value, width)
        came = []
        for part, shape in states.parts(layer, width):
            self.inputs.append(self.to.info(f"{name}.{part}", "batch", *shape))
            self.outputs.append(self.to.info(f"{name}.{part}.new", "batch", *shape))
            came.append(f"{name}.{part}")
        return steps.form_of(layer)(self.to, layer, own, value, came, [f"{state}.new" for state in came])
