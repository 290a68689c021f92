"""A bare state_dict: kinds and order by names and shapes; what these do not tell is asked for."""
import numpy as np
import pytest
import safetensors.numpy

import streamrnn as sr

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

quiet = lambda source, **more: sr.from_torch(source, say=None, **more)


class Net(nn.Module):
    def __init__(self, kind="LSTM"):
        super().__init__()
        self.embed, self.rnn, self.norm = nn.Embedding(11, 3), getattr(nn, kind)(3, 6, 2, batch_first=True), nn.LayerNorm(6)
        self.fc1, self.fc2 = nn.Linear(6, 5), nn.Linear(5, 2)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(self.norm(self.rnn(self.embed(x))[0]))))


@pytest.mark.parametrize(("kind", "words"), [("LSTM", "fc1=Linear:relu"), ("GRU", "fc1=Linear:relu"),
                                             ("RNN", "rnn=RNN:tanh,fc1=Linear:relu")])
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_file_gives_the_modules_own_model(kind, words, suffix, tmp_path):
    net, path = Net(kind), tmp_path / f"net{suffix}"
    if suffix == ".pt":
        torch.save(net.state_dict(), path)
    else:
        safetensors.numpy.save_file({name: tensor.numpy() for name, tensor in net.state_dict().items()}, path)
    model, report = quiet(path, layers=words)
    assert model.digest == quiet(net).model.digest
    assert report.error <= 1e-5
    assert any("holds no functions" in note for note in report.notes)
    assert any("epsilon" in note for note in report.notes)


def test_checkpoints_and_cells_are_found(tmp_path):
    net, cell = nn.LSTM(3, 4), nn.LSTMCell(3, 4)
    torch.save({"epoch": 3, "state_dict": net.state_dict()}, tmp_path / "last.ckpt")
    assert quiet(tmp_path / "last.ckpt").model.digest == quiet(net).model.digest
    cell.load_state_dict({name.removesuffix("_l0"): tensor for name, tensor in net.state_dict().items()})
    assert quiet(cell.state_dict()).model.digest == quiet(net).model.digest


def test_words_for_everything_give_the_order():
    net = nn.ModuleDict({"b": nn.Linear(4, 4), "a": nn.Linear(4, 4)})
    one = quiet(net.state_dict(), layers="a=Linear:tanh,b=Linear").model
    assert np.array_equal(one.tensors["layers.0.weight"], net["a"].weight.detach().numpy())
    assert [layer.activation for layer in one.layers] == ["tanh", None]


def numpys(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def test_a_sequentials_numbers_are_its_order_and_its_gaps_are_asked_for():
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 3), nn.Linear(3, 2))
    with pytest.raises(sr.ConfigError, match=r'^1: a module without tensors stands here.*layers="1=ReLU"'):
        quiet(numpys(net))
    assert quiet(numpys(net), layers="1=Tanh").model.digest == quiet(net).model.digest


REFUSED = {
    "two functions": ({"a": nn.Linear(3, 3), "b": nn.Linear(3, 1)}, None, "a: a Linear right before b: there is a function between"),
    "an order": ({"a": nn.Linear(3, 3), "b": nn.LSTM(3, 3)}, None, "read in more than one way"),
    "tanh or relu": ({"a": nn.RNN(3, 3)}, None, 'a: an RNN of tanh or of relu.*layers="a=RNN:tanh"'),
    "an embedding or a linear": ({"a": nn.Linear(3, 3, bias=False), "b": nn.LSTM(3, 4)}, None,
                                 "read in more than one way: a=Linear, b=LSTM or a=Embedding"),
    "two ways": ({"a": nn.LSTM(3, 4, bidirectional=True)}, None, r'a: bidirectional: .* [Ss]ay it with layers="a=LSTM:steps"'),
    "a norm over batches": ({"a": nn.BatchNorm1d(3)}, None, "a: a BatchNorm cannot be carried"),
    "a convolution": ({"a": nn.Conv1d(3, 3, 2)}, None, r"a: nothing that can be carried has weight \(3, 3, 2\)"),
    "a norm without bias": ({"a": nn.LayerNorm(3, bias=False)}, None, "a: weight .* a LayerNorm without bias or another norm"),
    "no chain": ({"a": nn.Linear(3, 4), "b": nn.Linear(5, 1)}, None, "make no chain in any order"),
    "a wrong word": ({"a": nn.LSTM(3, 4)}, "a=GRU", "a: layers says GRU, but its tensors are those of LSTM"),
    "a word for nothing": ({"a": nn.LSTM(3, 4)}, "b=GRU", "no module is called 'b'"),
    "no word": ({"a": nn.LSTM(3, 4)}, "a:LSTM", "'a:LSTM' is not NAME=KIND"),
    "a function that is none": ({"a": nn.Linear(3, 4)}, "a=Linear:gelu", "a: no function 'gelu'"),
    "a place that is none": ({"a": nn.LSTM(3, 4), "b": nn.Linear(4, 3), "c": nn.Linear(3, 2)}, "x=ReLU", "where x runs cannot be told"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_names_do_not_tell_is_asked_for(name):
    modules, words, message = REFUSED[name]
    with pytest.raises(sr.ConfigError, match=message):
        quiet(numpys(nn.ModuleDict(modules)), layers=words)


@pytest.mark.parametrize("thing", [{}, {"a": 3}, {"epoch": 3, "net": {}}])
def test_what_is_no_state_dict_is_refused(thing):
    with pytest.raises(sr.ConfigError, match="this is no state_dict"):
        quiet(thing)


def test_damaged_tensors_are_refused_by_name():
    state = numpys(nn.LSTM(3, 4))
    with pytest.raises(sr.ConfigError, match="weight_ih_l0 does not fit"):
        quiet({name: tensor for name, tensor in state.items() if name != "weight_ih_l0"})
    with pytest.raises(sr.ConfigError, match="bias_ih_l0 has shape"):
        quiet(state | {"bias_ih_l0": np.zeros(3)})
    with pytest.raises(sr.ConfigError, match="bias_ih_l0 is not finite"):
        quiet(state | {"bias_ih_l0": np.full(16, np.nan)})
    with pytest.raises(sr.ConfigError, match=r"hidden weights must be \(4 H, H\)"):
        quiet(state | {"weight_hh_l0": np.zeros((7, 4))})


def test_a_pickled_module_is_not_run(tmp_path):
    torch.save(nn.LSTM(3, 4), tmp_path / "net.pt")
    with pytest.raises(sr.FileError, match=r"holds a whole module.*sr.from_torch\(module\)"):
        quiet(tmp_path / "net.pt")
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
    with pytest.raises(sr.FileError, match="is no safetensors file"):
        quiet(tmp_path / "bad.safetensors")


def test_without_torch_a_safetensors_file_is_read_and_the_rest_says_what_it_needs(tmp_path, monkeypatch):
    net = nn.LSTM(3, 4)
    safetensors.numpy.save_file(numpys(net), tmp_path / "net.safetensors")
    torch.save(net.state_dict(), tmp_path / "net.pt")
    whole = quiet(net).model
    monkeypatch.setattr("streamrnn.interop.from_torch._torch", lambda: None)
    model, report = quiet(tmp_path / "net.safetensors")
    assert model.digest == whole.digest
    assert report.error is None
    assert "parity: not proven: torch is not installed: pip install torch" in str(report)
    for source in (tmp_path / "net.pt", net):
        with pytest.raises(sr.MissingExtra, match="pip install torch"):
            quiet(source)
