"""A model as an ONNX graph with its state as inputs and outputs: one step a call, or a whole sequence a call.

Inputs and outputs are named as the state's parts are: "x", "layers.0.h", "layers.0.c" in; "y" (or a head's name),
"layers.0.h.new", "layers.0.c.new" out. Within the graph values are (time, batch, features); a step is a time of 1.
"""
import numpy as np

from streamrnn import __version__
from streamrnn.cells.general.functions import DEFAULTS, WITH_BETA
from streamrnn.cells.general.recurrence import USUAL
from streamrnn.errors import ConfigError, MissingExtra
from streamrnn.model.files import write_whole

OPSET, IR = 17, 8
OPERATORS = {"lstm": "LSTM", "gru": "GRU", "rnn": "RNN"}
ORDER = {"lstm": (0, 3, 1, 2), "gru": (1, 0, 2), "rnn": (0,)}  # of i f g o and r z n: to ONNX's iofc and zrh
FUNCTIONS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "affine": "Affine", "leaky_relu": "LeakyRelu", "elu": "Elu",
             "thresholded_relu": "ThresholdedRelu", "scaled_tanh": "ScaledTanh", "hard_sigmoid": "HardSigmoid", "softsign": "Softsign",
             "softplus": "Softplus", "softmax": "Softmax"}


def to_onnx(model, path=None, *, sequence=False):
    """The ModelProto of a model, written to `path` if there is one.

    A step takes x (batch, inputs) and the states (batch, size), and gives y (batch, outputs) and the new states. With
    `sequence` x is (batch, time, inputs) and y (batch, time, outputs). A first call takes `first_states(model, batch)`.
    A model that looks ahead has no states, and is a sequence.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtra("writing ONNX needs onnx: pip install 'streamrnn[onnx]'") from None
    if model.looks_ahead and not sequence:
        raise ConfigError(f"{model.looks_ahead} reads each sequence from its end: export the whole sequence, sequence=True (--sequence)")
    proto = _Writer(onnx, model, sequence).write()
    onnx.checker.check_model(proto)
    if path is not None:
        write_whole(path, proto.SerializeToString())
    return proto


def first_states(model, batch=1):
    """{input name: (batch, size)} that a fresh stream starts from."""
    states = {}
    for name, layer, width in model.stacks():
        for part, size in ([] if layer.looks_ahead else _parts(layer, width)):
            start = model.tensors.get(f"{name}.start_{part}", np.zeros(size, np.float32))
            states[f"{name}.{part}"] = np.broadcast_to(start, (batch, size)).astype(np.float32)
    return states


def _cell(layer):
    """The kind of a recurrent layer: lstm, gru or rnn; None for others."""
    kind = layer.cell if layer.kind == "recurrence" else layer.kind
    return kind if kind in OPERATORS else None


def _parts(layer, width):
    """A recurrent layer's state: [(part, size)]."""
    cell = _cell(layer)
    if cell is None:
        return []
    return [("h", layer.outputs(width)), *([("c", layer.units)] if cell == "lstm" else [])]


class _Writer:
    def __init__(self, onnx, model, sequence):
        self.onnx, self.helper, self.model, self.sequence = onnx, onnx.helper, model, sequence
        self.nodes, self.constants, self.inputs, self.outputs, self._count = [], {}, [], [], 0
        self.float = onnx.TensorProto.FLOAT

    def write(self):
        model, helper = self.model, self.helper
        tokens = model.layers[0].kind == "embedding"
        axes = ["batch", "time"] if self.sequence else ["batch"]
        self.inputs.append(helper.make_tensor_value_info("x", self.onnx.TensorProto.INT64 if tokens else self.float, [*axes, model.inputs]))
        value = self.node("Transpose", ["x"], perm=[1, 0, 2]) if self.sequence else self.node("Unsqueeze", ["x", self.whole([0])])
        trunk, heads = model.named_layers()
        value, width = self.stack(trunk, value, model.inputs)
        for name, layers in (heads or {"y": []}).items():
            end, size = self.stack(layers, value, width)
            self.outputs.append(helper.make_tensor_value_info(name, self.float, [*axes, size]))
            if self.sequence:
                self.node("Transpose", [end], name, perm=[1, 0, 2])
            else:
                self.node("Squeeze", [end, self.whole([0])], name)
        self.outputs.sort(key=lambda info: info.name.endswith(".new"))  # results first, then states
        graph = helper.make_graph(self.nodes, "streamrnn", self.inputs, self.outputs,
                                  [self.onnx.numpy_helper.from_array(value, name) for name, value in self.constants.items()])
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR, producer_name="streamrnn",
                                  producer_version=__version__)
        proto.doc_string = repr(model)
        return proto

    # -- pieces -------------------------------------------------------------------------------------------------------

    def name(self, hint):
        self._count += 1
        return f"{hint}_{self._count}"

    def node(self, operator, inputs, output=None, **attributes):
        output = output or self.name(operator.lower())
        self.nodes.append(self.helper.make_node(operator, inputs, [output], name=f"{operator}_{output}", **attributes))
        return output

    def constant(self, value, hint):
        name = self.name(hint)
        self.constants[name] = np.ascontiguousarray(value)
        return name

    def numbers(self, value, hint="constant"):
        return self.constant(np.asarray(value, np.float32), hint)

    def whole(self, value):
        return self.constant(np.asarray(value, np.int64), "axes")

    # -- layers -------------------------------------------------------------------------------------------------------

    def stack(self, layers, value, width):
        for name, layer in layers:
            own = {key.removeprefix(f"{name}."): tensor for key, tensor in self.model.tensors.items() if key.startswith(f"{name}.")}
            value, width = self.layer(name, layer, own, value, width), layer.outputs(width)
        return value, width

    def layer(self, name, layer, own, value, width):
        if _cell(layer):
            return self.streamed(name, layer, own, value, width)
        writer = getattr(self, f"write_{layer.kind}", None)
        if writer is None:
            raise ConfigError(f"{name} ({type(layer).__name__}) has no form in ONNX yet: known are {', '.join(KINDS)}")
        return writer(layer, own, value)

    def write_dense(self, layer, own, value):
        value = self.node("MatMul", [value, self.numbers(own["weight"].T, "weight")])
        value = self.node("Add", [value, self.numbers(own["bias"], "bias")])
        return self.function(layer.activation, 0, 0, value) if layer.activation else value

    def write_activation(self, layer, own, value):
        return self.function(layer.function, layer.alpha, layer.beta, value)

    def function(self, name, alpha, beta, value):
        if name == "affine":
            return self.node("Add", [self.node("Mul", [value, self.numbers(alpha)]), self.numbers(beta)])
        if name == "scaled_tanh":
            return self.node("Mul", [self.node("Tanh", [self.node("Mul", [value, self.numbers(beta)])]), self.numbers(alpha)])
        attributes = {"axis": -1} if name == "softmax" else {"alpha": alpha} if name in DEFAULTS else {}
        if name == "hard_sigmoid":
            attributes["beta"] = beta
        return self.node(FUNCTIONS[name], [value], **attributes)

    def write_embedding(self, layer, own, value):
        value = self.node("Gather", [self.numbers(own["weight"], "table"), value], axis=0)
        return self.node("Reshape", [value, self.whole([0, 0, -1])])

    def write_layernorm(self, layer, own, value):
        return self.node("LayerNormalization", [value, self.numbers(own["weight"], "scale"), self.numbers(own["bias"], "bias")],
                         axis=-1, epsilon=layer.epsilon)

    def write_dropout(self, layer, own, value):
        return value

    def write_scale(self, layer, own, value):
        return self.node("Mul", [self.node("Sub", [value, self.numbers(own["shift"], "shift")]), self.numbers(own["factor"], "factor")])

    def write_unscale(self, layer, own, value):
        return self.node("Add", [self.node("Mul", [value, self.numbers(own["factor"], "factor")]), self.numbers(own["shift"], "shift")])

    def write_reverse(self, layer, own, value):
        return self.branch(layer.branches[0], own, value, layer.final)

    def write_bidirectional(self, layer, own, value):
        there, back = (self.branch(branch, own, value, layer.final) for branch in layer.branches)
        if layer.merge == "concat":
            return self.node("Concat", [there, back], axis=2)
        if layer.merge == "product":
            return self.node("Mul", [there, back])
        both = self.node("Add", [there, back])
        return self.node("Mul", [both, self.numbers(0.5)]) if layer.merge == "mean" else both

    # -- recurrent layers ---------------------------------------------------------------------------------------------

    def streamed(self, name, layer, own, value, width):
        """A recurrent layer whose state comes in and goes out."""
        states = []
        for part, size in _parts(layer, width):
            self.inputs.append(self.helper.make_tensor_value_info(f"{name}.{part}", self.float, ["batch", size]))
            self.outputs.append(self.helper.make_tensor_value_info(f"{name}.{part}.new", self.float, ["batch", size]))
            states.append(f"{name}.{part}")
        return self.recurrence(layer, own, value, states, [f"{state}.new" for state in states])

    def branch(self, branch, own, value, final):
        """One direction of a layer that looks ahead, its first state a constant."""
        prefix, layer, reverse = branch
        if not _cell(layer):
            raise ConfigError(f"{type(layer).__name__} in two directions has no form in ONNX: recurrent layers have")
        own = {key.removeprefix(f"{prefix}."): tensor for key, tensor in own.items() if key.startswith(f"{prefix}.")}
        batch = self.node("Gather", [self.node("Shape", [value]), self.whole([1])], axis=0)
        states = []
        for part, size in _parts(layer, own["weight_ih_l0"].shape[1]):
            start = self.numbers(own.get(f"start_{part}", np.zeros(size)), f"start_{part}")
            states.append(self.node("Expand", [start, self.node("Concat", [batch, self.whole([size])], axis=0)]))
        value = self.recurrence(layer, own, value, states, [None] * len(states), reverse)
        if reverse and final:  # at the first step it has seen everything
            first = self.node("Slice", [value, self.whole([0]), self.whole([1]), self.whole([0])])
            value = self.node("Expand", [first, self.node("Shape", [value])])
        return value

    def recurrence(self, layer, own, value, states, news, reverse=False):
        """values, states (batch, size), names of the new states or None -> values"""
        if layer.kind == "recurrence" and layer.projection:
            return self.projected(layer, own, value, states, news, reverse)
        cell, units = _cell(layer), layer.units
        turn = lambda part: part.reshape(len(ORDER[cell]), units, *part.shape[1:])[list(ORDER[cell])].reshape(part.shape)[None]
        inputs = [value, self.numbers(turn(own["weight_ih_l0"]), "W"), self.numbers(turn(own["weight_hh_l0"]), "R"),
                  self.numbers(np.concatenate([turn(own["bias_ih_l0"]), turn(own["bias_hh_l0"])], 1), "B"), ""]
        inputs += [self.node("Unsqueeze", [state, self.whole([0])]) for state in states]
        attributes = {"hidden_size": units} | ({"direction": "reverse"} if reverse else {})
        if cell == "rnn" and layer.kind == "rnn":
            attributes["activations"] = [FUNCTIONS[layer.activation]]
        if cell == "gru":
            attributes["linear_before_reset"] = int(layer.reset_after)
        if layer.kind == "recurrence":
            if tuple(name for name, _, _ in layer.activations) != USUAL[cell]:
                attributes["activations"] = [FUNCTIONS[name] for name, _, _ in layer.activations]
                for what, known, n in (("activation_alpha", DEFAULTS, 1), ("activation_beta", WITH_BETA, 2)):
                    numbers = [function[n] for function in layer.activations if function[0] in known]
                    attributes |= {what: numbers} if numbers else {}
            attributes |= {"clip": layer.clip} if layer.clip else {}
            if layer.peepholes:
                inputs.append(self.numbers(own["peephole_l0"].reshape(3, units)[[0, 2, 1]].reshape(1, -1), "P"))
            if layer.input_forget:
                attributes["input_forget"] = 1
        outputs = [self.name("Y"), *(self.name("last") if new else "" for new in news)]
        self.nodes.append(self.helper.make_node(OPERATORS[cell], inputs, outputs, name=self.name(OPERATORS[cell]), **attributes))
        for last, new in zip(outputs[1:], news, strict=True):
            if new:
                self.node("Squeeze", [last, self.whole([0])], new)
        return self.node("Squeeze", [outputs[0], self.whole([1])])

    def projected(self, layer, own, value, states, news, reverse):
        """An LSTM with a projection, which ONNX's operator has not: one step as the body of a Scan."""
        body = _Writer(self.onnx, self.model, self.sequence)
        body.name = self.name  # names of a body must not hide those around it
        h, c, x = (self.name(what) for what in ("h", "c", "x"))
        sums = body.node("Add", [body.node("MatMul", [h, self.numbers(own["weight_hh_l0"].T, "R")]),
                                 body.node("MatMul", [x, self.numbers(own["weight_ih_l0"].T, "W")])])
        sums = body.node("Add", [sums, self.numbers(own["bias_ih_l0"] + own["bias_hh_l0"], "B")])
        gates = [self.name(gate) for gate in "ifgo"]
        body.nodes.append(self.helper.make_node("Split", [sums, self.whole([layer.units] * 4)], gates, axis=1))
        peep = own.get("peephole_l0", np.zeros(3 * layer.units, np.float32)).reshape(3, -1)

        def gate(value, which, state=None, weights=None):
            if layer.peepholes and state:
                value = body.node("Add", [value, body.node("Mul", [state, self.numbers(weights, "P")])])
            if layer.clip:
                value = body.node("Clip", [value, self.numbers(-layer.clip), self.numbers(layer.clip)])
            return body.function(*layer.activations[which], value)

        body.numbers, body.whole = self.numbers, self.whole  # a body reads the constants around it
        i, g = gate(gates[0], 0, c, peep[0]), gate(gates[2], 1)
        f = body.node("Sub", [self.numbers(1.0), i]) if layer.input_forget else gate(gates[1], 0, c, peep[1])
        new_c = body.node("Add", [body.node("Mul", [f, c]), body.node("Mul", [i, g])])
        seen = body.node("Mul", [gate(gates[3], 0, new_c, peep[2]), body.function(*layer.activations[2], new_c)])
        new_h = body.node("MatMul", [seen, self.numbers(own["weight_hr_l0"].T, "projection")])
        each = body.node("Identity", [new_h])
        info = lambda name, size: self.helper.make_tensor_value_info(name, self.float, ["batch", size])
        out, width = len(own["weight_hr_l0"]), own["weight_ih_l0"].shape[1]
        graph = self.helper.make_graph(body.nodes, self.name("step"), [info(h, out), info(c, layer.units), info(x, width)],
                                       [info(new_h, out), info(new_c, layer.units), info(each, out)])
        y = self.name("Y")
        turned = {"scan_input_directions": [1], "scan_output_directions": [1]} if reverse else {}
        self.nodes.append(self.helper.make_node("Scan", [*states, value], [*(new or self.name("last") for new in news), y],
                                                name=self.name("Scan"), body=graph, num_scan_inputs=1, **turned))
        return y


KINDS = [*OPERATORS, "recurrence", *sorted(name.removeprefix("write_") for name in vars(_Writer) if name.startswith("write_"))]
