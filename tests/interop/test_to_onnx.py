"""Models as ONNX graphs: stepped in ONNX Runtime beside a stream, every layer there is, and read back again."""
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from graphs import run

from streamrnn import (
    GRU,
    LRU,
    LSTM,
    RNN,
    Activation,
    Attention,
    Bidirectional,
    ConfigError,
    Dense,
    Dropout,
    Embedding,
    LayerNorm,
    MinGRU,
    MinLSTM,
    Model,
    Recurrence,
    Reverse,
    Scale,
    Unscale,
    first_states,
    to_onnx,
)
from streamrnn.cells import CELLS, GENERAL
from streamrnn.cells.general.functions import NAMES
from streamrnn.interop.from_onnx import model_of
from streamrnn.interop.onnx_out.writer import KINDS

ODD = Recurrence("lstm", 6, ("hard_sigmoid", ("scaled_tanh", 0.9, 0.7), ("elu", 0.5)), clip=0.6, peepholes=True, starts=True)
PROJECTED = Recurrence("lstm", 6, projection=4, peepholes=True, clip=1.5, activations=("sigmoid", "softsign", ("affine", 0.5, 0.1)))
STACKS = {
    "lstm": [LSTM(6)], "gru": [GRU(6)], "gru before": [GRU(6, reset_after=False)], "rnn": [RNN(6)], "rnn relu": [RNN(6, "relu"), Dense(2)],
    "dense": [Dense(6)], **{f"dense {name}": [Dense(6, name)] for name in ("relu", "tanh", "sigmoid", "softmax")},
    "layernorm": [Dense(6), LayerNorm(1e-3)], "dropout": [Dropout(0.5), Dense(2)], "scale": [Scale(), LSTM(5), Dense(2), Unscale()],
    "lstm odd": [ODD], "projection": [PROJECTED],
    "projection, coupled": [Recurrence("lstm", 3, projection=5, input_forget=True, starts=True)],
    "gru odd": [Recurrence("gru", 6, ("hard_sigmoid", "softplus"), clip=1.0, starts=True)],
    "rnn odd": [Recurrence("rnn", 6, (("affine", 0.2, 0.3),))],
    "coupled": [Recurrence("lstm", 6, input_forget=True)], "deep": [LSTM(6), LayerNorm(), GRU(5), Activation("relu"), Dense(3, "softmax")],
    "mingru": [MinGRU(6), Dense(2)], "minlstm": [MinLSTM(6)], "lru": [LRU(5), Dense(6, "relu"), LRU(3, states=7, r_min=0.8, r_max=0.9)],
    "attention": [Attention(6, window=4)], "attention of one": [Attention(4, window=1, heads=2)],
    "attention, heads": [MinGRU(7), Attention(6, window=10, heads=3), LSTM(4)], "modern": [MinLSTM(5), LRU(4), MinGRU(3), Dense(2)],
    **{f"activation {name}": [Dense(6), Activation(name)] for name in (*NAMES, "softmax")},
}
OFFLINE = {"bidirectional": [Bidirectional(LSTM(6)), Dense(2)], "sum": [Bidirectional(GRU(6), merge="sum")],
           "mean": [Bidirectional(GRU(6), merge="mean")], "product": [Bidirectional(ODD, merge="product")],
           "final": [Bidirectional(RNN(4), final=True)], "reverse": [LSTM(3), Reverse(ODD)], "reverse final": [Reverse(GRU(3), final=True)],
           "projected": [Bidirectional(PROJECTED)], "minimal, both ways": [Bidirectional(MinGRU(4), MinLSTM(3)), Dense(2)],
           "attention, back": [Reverse(Attention(6, window=4, heads=2))],
           "lru, both ways": [Bidirectional(LRU(4), merge="sum", final=True)],
           "dense, both ways": [LSTM(3), Bidirectional(Dense(4, "tanh"))]}


def model_for(layers, **options):
    model = Model(3, layers, seed=5, **options)
    rng, norms = np.random.default_rng(6), "LayerNorm" in repr(model)  # scales, shifts and norms that do something
    odd = lambda name, tensor: name.endswith(("factor", "shift")) or (norms and tensor.ndim == 1)
    return model.with_tensors({name: rng.uniform(0.2, 0.9, tensor.shape).astype(np.float32) if odd(name, tensor) else tensor
                               for name, tensor in model.tensors.items()})


def stepped(proto, model, x):
    """A call for each step of x (B, T, inputs), states handed on: [y (B, T, outputs)] by output."""
    states, found = first_states(model, len(x)), {}
    outputs = [value.name for value in proto.graph.output]
    from onnxruntime import InferenceSession, SessionOptions
    options = SessionOptions()
    options.log_severity_level = 3
    session = InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    for t in range(x.shape[1]):
        results = dict(zip(outputs, session.run(outputs, {"x": x[:, t], **states}), strict=True))
        states = {name: results.pop(f"{name}.new") for name in states}
        for name, y in results.items():
            found.setdefault(name, []).append(y)
    return {name: np.stack(ys, 1) for name, ys in found.items()}


def test_every_layer_has_a_stack_here():
    used = {layer.kind for layers in (*STACKS.values(), *OFFLINE.values()) for layer in layers} | {"embedding"}
    assert used == set(KINDS)
    assert used <= {layer.kind for cell in CELLS + GENERAL for layer in cell.LAYERS}


@pytest.mark.parametrize("name", STACKS)
def test_steps_and_sequences_give_what_a_stream_gives(name, rng):
    model = model_for(STACKS[name])
    x = rng.standard_normal((2, 25, 3)).astype(np.float32)
    want = model.run(x)
    scale = max(1, np.abs(want).max())
    assert np.abs(stepped(to_onnx(model), model, x)["y"] - want).max() <= 1e-5 * scale
    y, *_ = run(to_onnx(model, sequence=True), {"x": x, **first_states(model, 2)})
    assert np.abs(y - want).max() <= 1e-5 * scale


@pytest.mark.parametrize("name", OFFLINE)
def test_models_that_look_ahead_are_sequences(name, rng):
    model = model_for(OFFLINE[name])
    x = rng.standard_normal((2, 25, 3)).astype(np.float32)
    proto = to_onnx(model, sequence=True)
    states = first_states(model, 2)
    assert [value.name for value in proto.graph.input] == ["x", *states]
    y, *_ = run(proto, {"x": x, **states})
    assert np.abs(y - model.run(x)).max() <= 1e-5
    with pytest.raises(ConfigError, match="sequence=True"):
        to_onnx(model)


def test_tokens(rng):
    model = Model(2, [Embedding(9, 4), LSTM(5), Dense(9, "softmax")])
    x = rng.integers(0, 9, (3, 20, 2))
    assert np.abs(stepped(to_onnx(model), model, x)["y"] - model.run(x)).max() <= 1e-5
    y, *_ = run(to_onnx(model, sequence=True), {"x": x, **first_states(model, 3)})
    assert np.abs(y - model.run(x)).max() <= 1e-5


def test_heads_are_outputs_by_name(rng):
    model = Model(3, [LSTM(5)], heads={"mean": Dense(1), "spread": [GRU(4), Dense(2, "sigmoid")]})
    x = rng.standard_normal((2, 12, 3)).astype(np.float32)
    proto = to_onnx(model)
    assert [value.name for value in proto.graph.output][:2] == ["mean", "spread"]
    found, want = stepped(proto, model, x), model.split(model.run(x))
    assert all(np.abs(found[name] - want[name]).max() <= 1e-5 for name in want)


def test_names_are_those_of_the_state(tmp_path):
    model = Model(3, [LSTM(5), GRU(4)])
    proto = to_onnx(model, tmp_path / "m.onnx")
    assert [value.name for value in proto.graph.input] == ["x", "layers.0.h", "layers.0.c", "layers.1.h"]
    assert [value.name for value in proto.graph.output] == ["y", "layers.0.h.new", "layers.0.c.new", "layers.1.h.new"]
    assert (tmp_path / "m.onnx").read_bytes() == proto.SerializeToString()


NO_WAY_BACK = {name: operator for operator, names in {
    "Scan": ("projection", "projection, coupled", "projected", "mingru", "minlstm", "lru", "attention", "attention of one",
             "attention, heads", "modern", "minimal, both ways", "attention, back", "lru, both ways"),
    "Expand": ("final", "reverse final"), "Concat": ("dense, both ways",)}.items() for name in names}
COMES_BACK = [name for name in (*STACKS, *OFFLINE) if name not in NO_WAY_BACK]


@pytest.mark.parametrize("name", COMES_BACK)
def test_what_was_written_is_read_again(name, rng):
    model = model_for({**STACKS, **OFFLINE}[name])
    proto = to_onnx(model, sequence=True)
    again, report = model_of(proto)
    x = rng.standard_normal((2, 15, 3)).astype(np.float32)
    if all(not value.any() for value in first_states(model).values()):
        scale = max(1, np.abs(model.run(x)).max())
        assert np.abs(again.run(x) - model.run(x)).max() <= 1e-5 * scale
    assert report.error is not None and report.error <= 1e-4


@pytest.mark.parametrize("name", NO_WAY_BACK)
def test_what_has_no_way_back_is_refused_by_its_node(name):
    model = model_for({**STACKS, **OFFLINE}[name])
    with pytest.raises(ConfigError, match=rf"node 'layers\.\d/{NO_WAY_BACK[name]}.*streamrnn wrote this graph: load the model file"):
        model_of(to_onnx(model, sequence=True))
    if not model.looks_ahead:
        with pytest.raises(ConfigError, match=r"node 'layers\.\d/.*load the model file"):
            model_of(to_onnx(model))


def test_gates_far_out_stay_numbers(rng):
    model = Model(3, MinLSTM(4))
    model = model.with_tensors({name: tensor * 400 for name, tensor in model.tensors.items()})
    x = rng.standard_normal((2, 25, 3)).astype(np.float32)
    y, *_ = run(to_onnx(model, sequence=True), {"x": x, **first_states(model, 2)})
    assert np.abs(y - model.run(x)).max() <= 1e-5 * np.abs(y).max()


def test_an_attentions_window_is_in_order_of_time(rng):
    """The last keys stand in the last places; a stream's ring has them in whatever place their turn was."""
    model = Model(3, Attention(2, window=3))
    x, states = rng.standard_normal((1, 5, 3)).astype(np.float32), first_states(model)
    assert {name: value.shape for name, value in states.items()} == {
        "layers.0.keys": (1, 3, 2), "layers.0.values": (1, 3, 2), "layers.0.count": (1, 1)}
    _, keys, values, count = run(to_onnx(model, sequence=True), {"x": x[:, :2], **states})
    _, k, v = np.split(x[0] @ model.tensors["layers.0.in_proj_weight"].T + model.tensors["layers.0.in_proj_bias"], 3, axis=1)
    assert count == 2 and not keys[0, 0].any() and not values[0, 0].any()
    assert np.abs(keys[0, 1:] - k[:2]).max() <= 1e-6 and np.abs(values[0, 1:] - v[:2]).max() <= 1e-6
    _, keys, _, count = run(to_onnx(model, sequence=True), {"x": x, **states})
    assert count == 3 and np.abs(keys[0] - k[2:]).max() <= 1e-6


def test_a_detector_is_refused_by_its_layer():
    from streamrnn import Detector
    with pytest.raises(ConfigError, match=r"layers\.0 \(Intake\) has no form in ONNX"):
        to_onnx(Detector.cold(["a", "b"]).model)
