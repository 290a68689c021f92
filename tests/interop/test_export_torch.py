"""The module in torch: the same results, whole or in pieces, and the model's own tensor names."""
import numpy as np
import pytest

import streamrnn as sr

torch = pytest.importorskip("torch")

from streamrnn.interop import probes  # noqa: E402
from streamrnn.interop import torch as to_torch  # noqa: E402

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


@pytest.mark.parametrize("name", MODELS)
def test_names_are_the_models(name):
    model = MODELS[name]()
    state = to_torch.module(model).state_dict()
    assert set(state) == set(model.tensors)
    assert all(np.array_equal(tensor.numpy(), model.tensors[key]) for key, tensor in state.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_file_goes_both_ways(name, tmp_path):
    model = MODELS[name]()
    to_torch.export(model, tmp_path / "m.pt")
    content = torch.load(tmp_path / "m.pt", weights_only=True)
    back = sr.Model.from_config(content["config"], tensors={key: tensor.numpy() for key, tensor in content["state_dict"].items()})
    assert back.digest == model.digest
    assert to_torch.parity(model, to_torch.load(tmp_path / "m.pt")).largest <= 1e-5


def test_the_module_learns(rng):
    model = MODELS["gru-before"]()
    net = to_torch.module(model).train()
    loss = net(torch.from_numpy(rng.standard_normal((2, 9, 3)).astype(np.float32)))[0].square().mean()
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in net.parameters())


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
