"""The module in torch: the same results, whole or in pieces, and the model's own tensor names."""
import numpy as np
import pytest

import streamrnn as sr
from streamrnn.cells import CELLS, GENERAL
from streamrnn.cells.general.functions import NAMES

torch = pytest.importorskip("torch")

from streamrnn.interop import probes  # noqa: E402
from streamrnn.interop import torch as to_torch  # noqa: E402
from streamrnn.interop.torch_out.make import MAKE  # noqa: E402
from streamrnn.interop.torch_out.recurrent import General  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
MODELS = {
    "lstm": lambda: sr.Model(2, [sr.LSTM(5), sr.LSTM(33), sr.Dense(1)]),
    "gru": lambda: sr.Model(3, [sr.GRU(17), sr.Dense(9, "relu")], init="torch"),
    "gru-before": lambda: sr.Model(3, [sr.GRU(17, reset_after=False), sr.GRU(4, reset_after=False)], init="torch"),
    "rnn": lambda: sr.Model(1, [sr.RNN(40), sr.RNN(7, "relu")], init="torch"),
    "embedding": lambda: sr.Model(2, [sr.Embedding(31, 7), sr.LSTM(9), sr.Dense(31, "softmax")], init="torch"),
    "layernorm": lambda: sr.Model(37, [sr.LayerNorm(), sr.GRU(5), sr.Dropout(0.5), sr.LayerNorm(1e-3), sr.Dropout(0.5, variational=True)]),
    "scaled": lambda: sr.Model(3, [sr.Scale(), sr.LSTM(20), sr.Dense(2, "sigmoid"), sr.Unscale()]),
    "heads": lambda: sr.Model(3, [sr.LSTM(6)], heads={"mean": sr.Dense(3), "spread": [sr.Dense(16, "tanh"), sr.GRU(3)]}),
}
ODD = sr.Recurrence("lstm", 6, ("hard_sigmoid", ("scaled_tanh", 0.9, 0.7), ("elu", 0.5)), clip=0.6, peepholes=True, starts=True)
MODELS |= {
    "mingru": lambda: sr.Model(5, [sr.MinGRU(17), sr.MinGRU(3), sr.Dense(2)]),
    "minlstm": lambda: sr.Model(5, [sr.MinLSTM(33)], init="torch"),
    "lru": lambda: sr.Model(3, [sr.LRU(17, r_max=0.9), sr.Dense(9, "relu"), sr.LRU(5, states=21, r_min=0.5, r_max=0.9)]),
    "attention": lambda: sr.Model(3, [sr.MinGRU(6), sr.Attention(6, window=4, heads=2), sr.Attention(5, window=300)]),
    "attention-of-one": lambda: sr.Model(3, sr.Attention(17, window=1), init="torch"),
    "projection": lambda: sr.Model(3, [sr.Recurrence("lstm", 18, projection=5), sr.Dense(2)]),
    "projection-odd": lambda: sr.Model(3, [sr.Recurrence("lstm", 4, projection=5, peepholes=True, input_forget=True)]),
    "lstm-odd": lambda: sr.Model(3, [ODD]),
    "usual": lambda: sr.Model(3, [sr.Recurrence("lstm", 4), sr.Recurrence("gru", 4), sr.Recurrence("gru", 4, reset_after=False),
                                  sr.Recurrence("rnn", 4, ("relu",))]),
    "gru-odd": lambda: sr.Model(3, [sr.Recurrence("gru", 6, ("hard_sigmoid", "softplus"), clip=1.0, starts=True)]),
    "gru-odd-before": lambda: sr.Model(3, [sr.Recurrence("gru", 6, ("sigmoid", ("affine", 0.2, -0.3)), reset_after=False)]),
    "rnn-odd": lambda: sr.Model(3, [sr.Recurrence("rnn", 6, (("leaky_relu", -0.2),)), sr.Recurrence("rnn", 3, clip=0.5, starts=True)]),
    **{f"activation-{name}": lambda name=name: sr.Model(3, [sr.Activation(name), sr.Dense(5), sr.Activation(name)])
       for name in (*NAMES, "softmax")},
}
OFFLINE = {
    "bidirectional": lambda: sr.Model(3, [sr.Bidirectional(sr.LSTM(6)), sr.Dense(2)], heads={"a": sr.GRU(3), "b": sr.Dense(1)}),
    "two": lambda: sr.Model(3, [sr.Bidirectional(sr.MinGRU(4), sr.LRU(3, r_max=0.9)), sr.Reverse(sr.Attention(4, 5))]),
    **{merge: lambda merge=merge: sr.Model(3, sr.Bidirectional(sr.GRU(6), merge=merge)) for merge in ("sum", "mean", "product")},
    "final": lambda: sr.Model(3, [sr.Bidirectional(sr.RNN(4), sr.Dense(3), final=True), sr.Reverse(ODD, final=True)]),
}
BOTH = MODELS | OFFLINE


def test_every_layer_is_here():
    assert {layer.kind for name in BOTH for _, layer, _ in BOTH[name]().stacks()} == set(MAKE) == {
        layer.kind for cell in CELLS + GENERAL for layer in cell.LAYERS}


@pytest.mark.parametrize("name", MODELS)
def test_results_agree(name):
    model = MODELS[name]()
    net = to_torch.module(model)
    assert to_torch.parity(model, net).largest <= 1e-5
    x = probes.samples(model, 600).reshape(3, 200, model.inputs)
    ours = model.run(x)
    with torch.no_grad():
        whole, _ = net(torch.from_numpy(x))
        states, pieces = None, []
        for first, last in ((0, 1), (1, 120), (120, 200)):
            y, states = net(torch.from_numpy(x[:, first:last]), states)
            pieces.append(y)
    assert whole.shape == ours.shape
    assert np.abs(whole.numpy() - ours).max() <= 1e-5
    assert np.abs(torch.cat(pieces, 1).numpy() - ours).max() <= 1e-5


@pytest.mark.parametrize("name", OFFLINE)
def test_whole_sequences_agree_where_a_layer_looks_ahead(name):
    model = OFFLINE[name]()
    net = to_torch.module(model)
    assert to_torch.parity(model, net).largest <= 1e-5
    x = probes.samples(model, (3, 50))
    with torch.no_grad():
        y, states = net(torch.from_numpy(x))
    assert np.abs(y.numpy() - model.run(x)).max() <= 1e-5
    assert set(states) == ({"heads.a.0"} if name == "bidirectional" else set())


@pytest.mark.parametrize("name", BOTH)
def test_names_are_the_models(name):
    model = BOTH[name]()
    state = to_torch.module(model).state_dict()
    assert set(state) == set(model.tensors)
    assert all(np.array_equal(tensor.numpy(), model.tensors[key]) for key, tensor in state.items())


@pytest.mark.parametrize("name", BOTH)
def test_a_file_goes_both_ways(name, tmp_path):
    model = BOTH[name]()
    to_torch.export(model, tmp_path / "m.pt")
    content = torch.load(tmp_path / "m.pt", weights_only=True)
    back = sr.Model.from_config(content["config"], tensors={key: tensor.numpy() for key, tensor in content["state_dict"].items()})
    assert back.digest == model.digest
    assert to_torch.parity(model, to_torch.load(tmp_path / "m.pt")).largest <= 1e-5


@pytest.mark.parametrize("name", ["gru-before", "mingru", "minlstm", "lru", "attention", "lstm-odd", "projection", "two"])
def test_the_module_learns(name, rng):
    model = BOTH[name]()
    net = to_torch.module(model).train()
    net(torch.from_numpy(rng.standard_normal((2, 9, model.inputs)).astype(np.float32)))[0].square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any() for parameter in net.parameters())


def test_gates_far_out_stay_numbers(rng):
    model = sr.Model(3, sr.MinLSTM(4))
    model = model.with_tensors({name: tensor * 400 for name, tensor in model.tensors.items()})
    net, x = to_torch.module(model), rng.standard_normal((25, 3)).astype(np.float32)
    y = net(torch.from_numpy(x))[0]
    assert np.abs(y.detach().numpy() - model.run(x)).max() <= 1e-5 * y.abs().max()
    y.square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_torchs_own_modules_are_taken_where_they_say_it_all():
    usual = [torch.nn.LSTM, torch.nn.GRU, General, torch.nn.RNN]
    assert [type(layer) for layer in to_torch.module(MODELS["usual"]()).layers] == usual
    lstm = to_torch.module(MODELS["projection"]()).layers[0]
    assert isinstance(lstm, torch.nn.LSTM) and lstm.proj_size == 5


def test_variational_dropout_keeps_its_mask():
    torch.manual_seed(1)
    net = to_torch.module(sr.Model(8, sr.Dropout(0.5, variational=True))).train()
    y = net(torch.ones(2, 50, 8))[0]
    assert (y == y[:, :1]).all() and {*y.unique().tolist()} == {0.0, 2.0}


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "m.pt"
    path.write_bytes(b"hello")
    with pytest.raises(sr.FileError, match="export the model again"):
        to_torch.load(path)
    torch.save({"config": {"inputs": 1, "layers": [{"kind": "dense", "units": 2}]}, "state_dict": {}}, path)
    with pytest.raises(sr.FileError, match=r"layers\.0\.weight is missing"):
        to_torch.load(path)
    with pytest.raises(FileNotFoundError):
        to_torch.load(tmp_path / "none.pt")


def test_what_torch_cannot_hold_is_refused_by_name():
    with pytest.raises(sr.ConfigError, match=r"layers\.0, Intake.*has no form in torch"):
        to_torch.module(sr.Detector.cold(["a", "b"]).model)
    with pytest.raises(sr.ConfigError, match=r"heads\['items'\]: torch.nn.ModuleDict takes no such name"):
        to_torch.module(sr.Model(1, sr.LSTM(2), heads={"items": sr.Dense(1)}))
