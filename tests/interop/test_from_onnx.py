"""ONNX graphs as models: random operators and exporters' graphs against ONNX Runtime; what cannot be carried is refused by name."""
import io
import warnings

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from graphs import TensorProto, graph, node, run, weights

from streamrnn import GRU, LSTM, RNN, ConfigError, FileError, Recurrence, from_onnx
from streamrnn.interop.from_onnx import model_of
from streamrnn.interop.parity import LAST

RUNTIME = ("Sigmoid", "Tanh", "Relu", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus")
CALM = ("Sigmoid", "Tanh", "HardSigmoid", "Softsign", "ScaledTanh")
ALPHA, BETA = {"Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu"}, {"Affine", "ScaledTanh", "HardSigmoid"}


def random_operator(rng, op):
    """A graph of one operator with every attribute drawn, and its sizes."""
    inputs, units, direction = int(rng.integers(1, 9)), int(rng.integers(1, 20)), rng.choice(["forward", "reverse", "bidirectional"])
    ways = 2 if direction == "bidirectional" else 1
    constants = weights(rng, op, inputs, units, ways, bias=rng.random() < 0.8, peepholes=op == "LSTM" and rng.random() < 0.5)
    attributes = {"hidden_size": units, "direction": str(direction)}
    if rng.random() < 0.6:
        each = {"RNN": lambda: [rng.choice(CALM)], "GRU": lambda: [rng.choice(CALM), rng.choice(RUNTIME)],
                "LSTM": lambda: [rng.choice(["Sigmoid", "HardSigmoid"]), rng.choice(CALM), rng.choice(RUNTIME)]}[op]
        names = [str(name) for _ in range(ways) for name in each()]
        attributes |= {"activations": names, "activation_alpha": [float(rng.uniform(0.2, 0.9)) for name in names if name in ALPHA],
                       "activation_beta": [float(rng.uniform(0.1, 0.6)) for name in names if name in BETA]}
    if rng.random() < 0.5:
        attributes["clip"] = float(rng.uniform(0.2, 2))
    if op == "LSTM":
        attributes["input_forget"] = int(rng.random() < 0.3)
    if op == "GRU":
        attributes["linear_before_reset"] = int(rng.random() < 0.5)
    batch = int(rng.integers(1, 4))
    first = rng.uniform(-1, 1, (ways, 1, units)).astype(np.float32)
    names = {"X": "X", "W": "W", "R": "R", "B": "B" if "B" in constants else "", "lens": "lens" if rng.random() < 0.4 else ""}
    names["h"] = "h" if rng.random() < 0.5 else ""
    if names["h"]:
        constants["h"] = np.repeat(first, batch, 1)
    if op == "LSTM":
        names["c"] = "c" if names["h"] and rng.random() < 0.8 else ""
        if names["c"]:
            constants["c"] = np.repeat(-first, batch, 1)
        names["P"] = "P" if "P" in constants else ""
    graph_inputs = {"X": ["time", batch if names["h"] else "batch", inputs]}
    if names["lens"]:
        graph_inputs["lens"] = ([batch if names["h"] else "batch"], TensorProto.INT32)
    return [op, list(names.values()), attributes], graph_inputs, constants


@pytest.mark.parametrize("which", ["Y", "Y_h"])
@pytest.mark.parametrize("seed", range(60))
def test_random_operators(seed, which):
    rng = np.random.default_rng(seed)
    (op, names, attributes), inputs, constants = random_operator(rng, ("RNN", "GRU", "LSTM")[seed % 3])
    made = node(op, names, ["Y", "Y_h"], name="the_cell", **{key: value for key, value in attributes.items() if value != []})
    model, report = model_of(graph([made], inputs, [which], constants))
    assert report.error is not None and report.error <= 2e-5, report
    assert (LAST in report.notes) == (which != "Y")
    assert report.parts[0][0] == f"{op} the_cell"
    assert model.inputs == inputs["X"][2]


@pytest.mark.parametrize(("op", "extra", "layer"), [
    ("LSTM", {}, LSTM(4)), ("GRU", {"linear_before_reset": 1}, GRU(4)), ("GRU", {}, GRU(4, reset_after=False)), ("RNN", {}, RNN(4)),
    ("RNN", {"activations": ["Relu"]}, RNN(4, "relu")), ("LSTM", {"activations": ["SIGMOID", "tanh", "Tanh"]}, LSTM(4)),
    ("LSTM", {"clip": 2.0}, Recurrence("lstm", 4, clip=2.0)), ("LSTM", {"clip": 0.0}, LSTM(4))])
def test_plain_operators_become_the_fast_layers(op, extra, layer, rng):
    made = node(op, ["X", "W", "R"], ["Y"], hidden_size=4, **extra)
    proto = graph([made], {"X": ["t", "b", 3]}, ["Y"], weights(rng, op, 3, 4, bias=False))
    assert model_of(proto).model.layers == (layer,)


# -- exporters -----------------------------------------------------------------------------------------------------------

def exported(module, arguments, axes, names=("x",)):
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), arguments, file, dynamo=False, dynamic_axes=axes, input_names=list(names))
    import onnx
    return onnx.load_from_string(file.getvalue())


def classifier(cell, how, both, layers):
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            wide = 8 * (1 + both)
            self.cell = getattr(nn, cell)(5, 8, layers, batch_first=how != "time first", bidirectional=both)
            self.norm, self.out = nn.LayerNorm(wide), nn.Linear(wide, 3)

        def forward(self, x):
            y, state = self.cell(x)
            h = state[0] if cell == "LSTM" else state
            if how == "last step":
                return torch.softmax(self.out(y[:, -1]), -1)
            if how == "final state":
                return self.out(torch.cat((h[-2], h[-1]), 1) if both else h[-1])
            if how == "with states":
                return self.out(y), state
            return torch.sigmoid(self.out(torch.relu(self.norm(y))) * 0.5 - 0.1)

    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("how", ["every step", "time first", "last step", "final state", "with states"])
@pytest.mark.parametrize("cell", ["LSTM", "GRU", "RNN"])
def test_torch_exports(cell, how, both, layers):
    torch = pytest.importorskip("torch")
    proto = exported(classifier(cell, how, both, layers), (torch.randn(2, 9, 5),), {"x": {0: "a", 1: "b"}})
    model, report = model_of(proto)
    assert report.error is not None and report.error <= 1e-5
    assert (LAST in report.notes) == (how in ("last step", "final state"))
    assert bool(model.looks_ahead) == both


def test_torchs_newer_exporter():
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnxscript")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = classifier("LSTM", "last step", True, 2).eval()
        proto = torch.onnx.export(net, (torch.randn(2, 9, 5),), dynamo=True, verbose=False).model_proto
    _, report = model_of(proto)
    assert report.error is not None and report.error <= 1e-5 and LAST in report.notes


def test_torch_tokens():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.cell, self.out = nn.Embedding(11, 6), nn.GRU(6, 7, batch_first=True), nn.Linear(7, 4)

        def forward(self, x):
            return self.out(self.cell(self.table(x))[0])

    proto = exported(Net(), (torch.randint(0, 11, (2, 9)),), {"x": {0: "b", 1: "t"}})
    model, report = model_of(proto)
    assert [layer.kind for layer in model.layers] == ["embedding", "gru", "dense"] and report.error <= 1e-5


def test_torch_states_in_and_out_are_the_streams_own():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.out = nn.LSTM(5, 7, 2), nn.Linear(7, 4)

        def forward(self, x, h, c):
            y, (h, c) = self.cell(x, (h, c))
            return self.out(y), h, c

    proto = exported(Net(), (torch.randn(9, 2, 5), torch.zeros(2, 2, 7), torch.zeros(2, 2, 7)),
                     {"x": {0: "t", 1: "b"}, "h": {1: "b"}, "c": {1: "b"}}, ("x", "h", "c"))
    model, report = model_of(proto)
    assert model.stream().step(np.zeros(5)).shape == (4,) and report.error <= 1e-5
    assert sum("a first state" in note for note in report.notes) == 2 and sum("is a state" in note for note in report.notes) == 2


def test_tf2onnx_shape_of_a_graph(rng):
    """Batch first, a Transpose around the operator, a Squeeze of the one direction, rows for the dense layer."""
    constants = weights(rng, "GRU", 3, 6) | {"shape": np.array([-1, 6]), "back": np.array([-1, 7, 2]), "V": np.ones((6, 2), np.float32),
                                             "b": np.array([1, -1], np.float32), "one": np.array([1])}
    proto = graph([node("Transpose", ["x"], ["xt"], perm=[1, 0, 2]),
                   node("GRU", ["xt", "W", "R", "B"], ["Y"], hidden_size=6, linear_before_reset=1),
                   node("Squeeze", ["Y", "one"], ["y"]), node("Transpose", ["y"], ["yt"], perm=[1, 0, 2]),
                   node("Reshape", ["yt", "shape"], ["rows"]), node("MatMul", ["rows", "V"], ["m"]), node("Add", ["m", "b"], ["a"]),
                   node("Tanh", ["a"], ["t"]), node("Reshape", ["t", "back"], ["out"])], {"x": ["b", 7, 3]}, ["out"], constants)
    model, report = model_of(proto)
    assert [layer.kind for layer in model.layers] == ["gru", "dense"] and model.layers[1].activation == "tanh" and report.error <= 1e-5


def test_two_operators_one_reversed_are_joined(rng):
    constants = {f"{name}{n}": value for n in "12" for name, value in weights(rng, "LSTM", 3, 6).items()} | {"one": np.array([1])}
    nodes = [node("LSTM", ["x", f"W{n}", f"R{n}", f"B{n}"], [f"Y{n}"], hidden_size=6, direction=way)
             for n, way in (("1", "forward"), ("2", "reverse"))]
    nodes += [node("Squeeze", [f"Y{n}", "one"], [f"y{n}"]) for n in "12"]
    for last, merge in ((node("Concat", ["y1", "y2"], ["out"], axis=2), "concat"), (node("Add", ["y2", "y1"], ["out"]), "sum"),
                        (node("Mul", ["y1", "y2"], ["out"]), "product")):
        model, report = model_of(graph([*nodes, last], {"x": ["t", "b", 3]}, ["out"], constants))
        assert len(model.layers) == 1 and model.layers[0].merge == merge and report.error <= 1e-5


def test_arithmetic_around_a_cell(rng):
    f = lambda *values: np.array(values, np.float32)
    constants = weights(rng, "RNN", 3, 4) | {"mean": f(1, 2, 3), "std": f(2, 4, 0.5), "w": f(1, 2, 3, 4), "half": np.float32(0.5),
                                             "gamma": f(1, 2, 1, 2), "beta": f(0, 0, 1, 1), "one": np.array([1])}
    nodes = [node("Sub", ["x", "mean"], ["x1"]), node("Div", ["x1", "std"], ["x2"]),
             node("RNN", ["x2", "W", "R", "B"], ["Y"], hidden_size=4),
             node("Squeeze", ["Y", "one"], ["y"]), node("LayerNormalization", ["y", "gamma", "beta"], ["n"], axis=-1, epsilon=1e-3),
             node("Mul", ["n", "w"], ["y1"]), node("Sub", ["half", "y1"], ["y2"]), node("Neg", ["y2"], ["y3"]),
             node("Elu", ["y3"], ["y4"], alpha=0.5), node("Softplus", ["y4"], ["y5"]),
             node("LeakyRelu", ["y5"], ["y6"]), node("Softmax", ["y6"], ["out"], axis=2)]
    model, report = model_of(graph(nodes, {"x": ["t", "b", 3]}, ["out"], constants))
    assert report.error <= 1e-5 and model.layers[-1].function == "softmax"


def test_several_outputs_become_heads(rng):
    constants = weights(rng, "LSTM", 3, 4) | {"V": np.ones((4, 2), np.float32), "U": np.ones((4, 1), np.float32), "one": np.array([1])}
    nodes = [node("LSTM", ["x", "W", "R", "B"], ["Y"], hidden_size=4), node("Squeeze", ["Y", "one"], ["y"]),
             node("MatMul", ["y", "V"], ["mean"]), node("MatMul", ["y", "U"], ["u"]), node("Sigmoid", ["u"], ["risk.now"])]
    model, report = model_of(graph(nodes, {"x": ["t", "b", 3]}, ["mean", "risk.now"], constants))
    assert list(model.heads) == ["mean", "risk_now"] and len(model.layers) == 1 and report.error <= 1e-5
    assert model_of(graph(nodes, {"x": ["t", "b", 3]}, ["mean", "risk.now"], constants), outputs=["mean"]).model.outputs == 2


def test_single_samples_without_a_recurrent_node(rng):
    constants = {"W": rng.standard_normal((3, 5)).astype(np.float32), "b": rng.standard_normal(5).astype(np.float32),
                 "V": rng.standard_normal((2, 5)).astype(np.float32)}
    nodes = [node("Gemm", ["x", "W", "b"], ["a"]), node("Relu", ["a"], ["r"]), node("Gemm", ["r", "V"], ["out"], transB=1, alpha=0.5)]
    model, report = model_of(graph(nodes, {"x": ["n", 3]}, ["out"], constants))
    assert [layer.kind for layer in model.layers] == ["dense", "dense"] and report.error <= 1e-5


def test_the_report_reads_well(rng):
    nodes = [node("LSTM", ["x", "W", "R", "B"], ["", "", "c"], hidden_size=4),
             node("LSTM", ["x", "W", "R", "B"], ["Y"], name="l", hidden_size=4)]
    _, report = model_of(graph(nodes, {"x": ["t", "b", 3]}, ["Y", "c"], weights(rng, "LSTM", 3, 4)))
    text = str(report)
    assert "opset 17" in text and "LSTM l  ->  layers.0  LSTM(units=4)" in text and "'c' is a state" in text and "largest error" in text


# -- what cannot be carried ----------------------------------------------------------------------------------------------

def lstm(rng, extra=(), outputs=("Y",), attributes=None, constants=None, inputs=None, names=("x", "W", "R", "B")):
    made = node("LSTM", names, ["Y", "Y_h", "Y_c"], name="the_lstm", hidden_size=4, **(attributes or {}))
    return graph([made, *extra], inputs or {"x": ["t", "b", 3]}, outputs, weights(rng, "LSTM", 3, 4) | (constants or {}))


def gather(value, index, output="out"):
    return node("Gather", [value, index], [output], axis=0)


N = "n"  # a constant's name
STATES = np.arange(8, dtype=np.float32).reshape(1, 2, 4)
EACH_STEP = np.arange(7, dtype=np.float32).reshape(7, 1, 1, 1)
OPEN, FIXED = {"x": ["t", "b", 3]}, {"x": [7, 2, 3]}
ACTIVATIONS = {"activations": ["Sigmoid", "Elu", "Tanh"]}


def after(*nodes, **options):
    """Options of a graph that goes on behind the cell and ends in "out"."""
    return {"extra": list(nodes), "outputs": ["out"], **options}


REFUSED = {
    "an operator": (after(node("Einsum", ["Y"], ["out"], name="e", equation="abcd->abcd")), r"node 'e' \(Einsum\).*no layer"),
    "a domain": (after(node("Attention", ["Y"], ["out"], domain="com.microsoft")), r"com\.microsoft\.Attention"),
    "an activation": ({"attributes": {"activations": ["Sigmoid", "Tanh", "Swish"]}}, r"'the_lstm' \(LSTM\).*'activations' names 'Swish'"),
    "too few activations": ({"attributes": {"activations": ["Sigmoid"]}}, "'activations' has 1 names, 3"),
    "no alpha": ({"attributes": {"activations": ["Sigmoid", "Affine", "Tanh"]}}, "'activation_alpha' is missing"),
    "alphas": ({"attributes": ACTIVATIONS | {"activation_alpha": [1.0, 2.0]}}, "'activation_alpha' has 2 values"),
    "a direction": ({"attributes": {"direction": "sideways"}}, "'direction' is 'sideways'"),
    "an attribute": ({"attributes": {"colour": 3}}, "attribute 'colour'"),
    "weights that come in": ({"inputs": OPEN | {"R2": [1, 16, 4]}, "names": ("x", "W", "R2", "B")}, "its input R is not a constant"),
    "a cell state": (after(node("Tanh", ["Y_c"], ["out"])), r"Tanh.*works on a cell state"),
    "only a cell state": ({"outputs": ["Y_c"]}, "only cell states"),
    "a step in the middle": (after(gather("Y", N), constants={N: np.array(2)}), "takes step 2"),
    "a sum over time": (after(node("ReduceSum", ["Y", N], ["out"]), constants={N: np.array([0])}), "ReduceSum"),
    "a residual": (after(node("Add", ["Y", "Y"], ["out"])), "joins values of several layers"),
    "a constant a step": (after(node("Add", ["Y", N], ["out"]), constants={N: EACH_STEP}, inputs=FIXED), "differs from step to step"),
    "first states that differ": ({"names": ("x", "W", "R", "B", "", N), "inputs": FIXED, "constants": {N: STATES}},
                                 "initial_h differs from sequence to sequence"),
    "a state from the samples": ({"names": ("x", "W", "R", "B", "", "x")}, "initial_h depends on the samples"),
    "lengths that are fixed": ({"names": ("x", "W", "R", "B", N), "inputs": FIXED, "constants": {N: np.array([7, 3], np.int32)}},
                               "sequence_lens"),
    "a cell after the last step": (after(gather("Y", N, "l"), node("LSTM", ["l", "V", "R"], ["out"], hidden_size=4),
                                         constants={N: np.array(-1), "V": np.zeros((1, 16, 4), np.float32)}), "last step"),
    "an output that is not there": ({}, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_by_name(name, rng):
    options, words = REFUSED[name]
    with pytest.raises(ConfigError, match=words or "no output 'z'"):
        from_onnx(lstm(rng, **options), outputs=None if words else ["z"])


def test_a_wrong_import_is_found(rng, monkeypatch):
    from streamrnn.interop.onnx_in import recurrences
    monkeypatch.setitem(recurrences.ORDER, "LSTM", (0, 1, 2, 3))
    with pytest.raises(ConfigError, match=r"in ONNX Runtime and .* here"):
        from_onnx(lstm(rng))


def test_files(rng, tmp_path):
    (tmp_path / "good.onnx").write_bytes(lstm(rng).SerializeToString())
    assert from_onnx(tmp_path / "good.onnx").model.layers == model_of(str(tmp_path / "good.onnx")).model.layers == (LSTM(4),)
    (tmp_path / "bad.onnx").write_bytes(b"not a graph at all")
    with pytest.raises(FileError, match=r"bad\.onnx"):
        from_onnx(tmp_path / "bad.onnx")
    with pytest.raises(FileNotFoundError):
        from_onnx(tmp_path / "none.onnx")
    with pytest.raises(ConfigError, match="a path or an"):
        from_onnx(3)


def test_what_the_graph_gives_is_what_the_model_gives(rng):
    proto, x = lstm(rng), rng.standard_normal((2, 9, 3)).astype(np.float32)
    y, = run(proto, {"x": x.swapaxes(0, 1)})
    assert np.abs(from_onnx(proto, say=None).model.run(x) - y[:, 0].swapaxes(0, 1)).max() <= 1e-6
