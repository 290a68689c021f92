"""Models in from torch: random networks are the same numbers here, and what is no chain of known parts is refused by name."""
import numpy as np
import pytest

import streamrnn as sr

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

quiet = lambda source, **more: sr.from_torch(source, say=None, **more)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


class Net(nn.Module):
    """What people write: an Embedding or not, recurrent layers, a norm, a head; whole sequences or the last step."""

    def __init__(self, rng):
        super().__init__()
        pick = lambda *values: values[rng.integers(len(values))]
        self.kind, units, inputs, self.layers = pick("RNN", "LSTM", "GRU"), int(rng.integers(1, 20)), int(rng.integers(1, 9)), pick(1, 2, 3)
        more = {"nonlinearity": pick("tanh", "relu")} if self.kind == "RNN" else {}
        self.batch_first, self.swap, self.end = pick(True, False), pick(True, False), pick("all", "last", "h", "keep")
        self.zeros = pick(True, False)
        self.embed = nn.Embedding(13, inputs, padding_idx=0) if pick(True, False, False) else None
        self.rnn = getattr(nn, self.kind)(inputs, units, self.layers, bias=pick(True, False), batch_first=self.batch_first,
                                          dropout=pick(0.0, 0.3) if self.layers > 1 else 0.0, **more)
        self.norm = nn.LayerNorm(units, eps=1e-3, elementwise_affine=pick(True, False)) if pick(True, False) else nn.Identity()
        self.head = nn.Sequential(nn.Linear(units, 7, bias=pick(True, False)), pick(nn.ReLU(inplace=True), nn.Tanh(), nn.Sigmoid()),
                                  nn.Dropout(0.4), nn.Linear(7, pick(1, 4)))
        self.final, self.squeeze = pick("", "relu", "softmax", "sigmoid"), pick(True, False)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.4, 0.4)

    def forward(self, x):
        if self.embed is not None:
            x = self.embed(x)
        x = x.transpose(0, 1) if self.swap else x
        h0 = x.new_zeros(self.layers, x.size(0) if self.batch_first else x.shape[1], self.rnn.hidden_size)
        y, state = self.rnn(x, None if not self.zeros else (h0, h0) if self.kind == "LSTM" else h0)
        y = y.contiguous()
        if self.end == "h":
            y = (state[0] if self.kind == "LSTM" else state)[-1]
        elif self.end == "last":
            y = y[:, -1, :] if self.batch_first else y[-1]
        elif self.end == "keep":
            y = y[:, -1:] if self.batch_first else y[-1:, ...]
        y = F.dropout(self.head(self.norm(y)), 0.2, training=self.training)
        if self.final == "softmax":
            return F.softmax(y, dim=y.dim() - 1)
        y = {"": lambda y: y, "relu": F.relu, "sigmoid": torch.sigmoid}[self.final](y)
        return y.squeeze(-1) if self.squeeze else y


@pytest.mark.parametrize("number", range(40))
def test_random_networks_are_the_same_here(number):
    net = Net(np.random.default_rng(number)).train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    model, report = quiet(net)
    assert report.error <= 2e-5
    assert report.values >= 48
    assert net.training, "the module is left as it was"
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())

    net.eval()  # and once more without the import's own proof: the whole of one sequence, stepped
    steps = 9
    x = (np.random.default_rng(1).integers(0, 13, (steps, 1)) if net.embed is not None
         else np.random.default_rng(1).standard_normal((steps, model.inputs))).astype(np.float32)
    given = torch.tensor(x)[None] if net.embed is None else torch.tensor(x[:, 0]).long()[None]
    entered = given if net.swap != net.batch_first else given.transpose(0, 1)
    with torch.no_grad():
        theirs = net(entered).numpy()
    stream = model.stream()
    ours = np.stack([stream.step(x_t) for x_t in x])
    theirs = theirs.reshape(-1, model.outputs)
    assert np.abs(ours[-len(theirs):] - theirs).max() <= 2e-5


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_bare_layer_is_a_model(kind, batch_first):
    _, report = quiet(getattr(nn, kind)(3, 5, 2, batch_first=batch_first))
    assert report.error <= 1e-5
    assert [name for name, _ in report.parts] == [f"{kind}, layer 0", f"{kind}, layer 1"]
    assert "states" in report.notes[0]


def test_a_sequential_that_torch_cannot_run_is_taken_in_order():
    model, report = quiet([nn.Dropout(0.1), nn.GRU(4, 6), nn.ReLU(), nn.Linear(6, 2)])
    assert model.layers == (sr.Dropout(0.1), sr.GRU(6), sr.Activation("relu"), sr.Dense(2))
    assert any("taken in order" in note for note in report.notes)
    assert report.error <= 1e-5


def test_what_changes_is_said():
    net = nn.LSTM(2, 3, 2, dropout=0.5, batch_first=True).double()
    _, report = quiet(net)
    said = "\n".join(report.notes)
    for words in ("dropout of 0.5", "float64", "states"):
        assert words in said
    _, report = quiet(nn.Sequential(nn.Linear(2, 3), nn.Dropout(1.0)))
    assert "a dropout of 1.0 is left out" in str(report)


def test_the_report_is_told_and_returned(capsys):
    _, report = sr.from_torch(nn.Linear(2, 1))
    printed = capsys.readouterr().out
    assert printed == f"{report}\n"
    assert "parity: largest error" in printed
    assert f"torch {torch.__version__}" in printed


def test_a_part_that_takes_no_part_is_said():
    class Aside(nn.Module):
        def __init__(self):
            super().__init__()
            self.main, self.aside = nn.Linear(2, 3), nn.Linear(2, 4)

        def forward(self, x):
            self.aside(x)
            return self.main(x)

    _, report = quiet(Aside())
    assert any(note.startswith("aside (Linear) takes no part") for note in report.notes)


class Formed(nn.Module):
    """A network by its forward, over a few common parts."""

    def __init__(self, forward):
        super().__init__()
        self.rnn, self.fc, self.two = nn.GRU(4, 4, batch_first=True), nn.Linear(4, 4), nn.GRU(4, 4, 2, batch_first=True)
        self.how = forward

    def forward(self, x):
        return self.how(self, x)


REFUSED = {
    "a residual": (lambda n, x: n.rnn(x)[0] + x, r"function add: takes two things that come from the input"),
    "a product": (lambda n, x: n.rnn(x)[0] * 2, r"function mul: is not among the functions"),
    "the first step": (lambda n, x: n.rnn(x)[0][:, 0], r"takes \[0\] of the axis time"),
    "a step by its number": (lambda n, x: n.rnn(x)[0][:, 6], r"runs on 7 steps, but not on 1"),
    "some features": (lambda n, x: n.rnn(x)[0][..., :2], r"takes \[None:2\] of the axis features"),
    "some steps": (lambda n, x: n.rnn(x[:, 2:])[0], r"of the axis time"),
    "a mean over time": (lambda n, x: n.fc(n.rnn(x)[0].mean(1)), r"function mean"),
    "a cell state": (lambda n, x: nn.LSTM(4, 4, batch_first=True)(x)[1][1][-1], r"function"),
    "states of all layers": (lambda n, x: n.two(x)[1], r"gives the states of all layers"),
    "a state of its own": (lambda n, x: n.rnn(x, torch.ones(1, len(x), 4))[0], r"rnn: starts from a state that is not zero"),
    "a state handed on": (lambda n, x: n.rnn(x, n.rnn(x)[1])[0], r"rnn: starts from a state that is not zero"),
    "a softmax over time": (lambda n, x: torch.softmax(n.rnn(x)[0], 1), r"dim=1 is not over the features"),
    "the wrong axis": (lambda n, x: n.rnn(n.rnn(x)[0].transpose(0, 1))[0], r"rnn: batch_first=True reads"),
    "a dropout that stays": (lambda n, x: F.dropout(n.rnn(x)[0], 0.5), r"p=0.5 is on outside training too"),
    "a change in place": (
        lambda n, x: (lambda y: (y[:, 0].zero_(), n.fc(y))[1])(n.rnn(x)[0]), r"function zero_: changes a tensor in place"),
    "a look at values": (lambda n, x: n.fc(x) if x.sum().item() > 0 else n.rnn(x)[0], r"function item: looks at values"),
    "a reshape": (lambda n, x: n.fc(n.rnn(x)[0].reshape(-1, 4)), r"function reshape: turns shape \(3, 7, 4\) into \(21, 4\)"),
    "layers after the last step": (lambda n, x: n.rnn(n.rnn(x)[0][:, -1:])[0], r"rnn: gets the last step alone"),
    "a dictionary": (lambda n, x: {"y": n.fc(x)}, r"gives a dict"),
    "nothing of the input": (lambda n, x: n.fc(torch.ones(3, 7, 4)), r"function ones: is not a step of a chain"),
    "two inputs": (lambda n, x: torch.cat([n.fc(x), x], -1), r"function cat"),
    "a functional layer": (lambda n, x: F.linear(x, n.fc.weight), r"function linear"),
    "no run at all": (lambda n, x: n.fc(x)[17], r"Formed does not run on a probe \(IndexError"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_chain_is_refused_by_name(name):
    forward, words = REFUSED[name]
    with pytest.raises(sr.ConfigError, match=words):
        quiet(Formed(forward).eval())


@pytest.mark.parametrize(("module", "words"), [
    (lambda: nn.Sequential(nn.Linear(3, 2), nn.GELU()), "1: GELU is not among the modules"),
    (lambda: nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2)), "0: BatchNorm1d is not among the modules"),
    (lambda: nn.Sequential(nn.Embedding(9, 3, max_norm=1.0)), "0: max_norm=1.0"),
    (lambda: nn.Sequential(nn.Linear(3, 7), nn.LayerNorm((7, 7))), "1: normalized_shape"),
    (lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(1)), "1: dim=1 is not over the features"),
    (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), "has parametrizations"),
    (lambda: nn.ReLU(), "no part of it says how wide"),
    (lambda: nn.LSTMCell(3, 4), "LSTMCell is not among the modules"),
    (lambda: nn.Sequential(nn.Linear(3, 2), nn.Embedding(3, 4)), "Embedding"),
])
def test_what_cannot_be_carried_is_refused_by_name(module, words):
    with pytest.raises(sr.ConfigError, match=words):
        quiet(module())


def test_hooks_are_refused():
    net = nn.Linear(3, 2)
    net.register_forward_hook(lambda module, args, result: 2 * result)
    with pytest.raises(sr.ConfigError, match="the network: has a hook in _forward_hooks"):
        quiet(net)


def test_a_proof_that_fails_refuses_and_can_be_told():
    class Sly(nn.Linear):
        """Of another class, so that its parts are looked at, and they are not known."""

        def forward(self, x):
            return super().forward(x)

    with pytest.raises(sr.ConfigError, match="function linear"):
        quiet(Sly(3, 2))
    net = nn.LSTM(3, 8)
    with pytest.raises(sr.ConfigError, match=r"parity: the largest error is .*, above the tolerance of 1e-09.*--tolerance"):
        quiet(net, tolerance=1e-9)
    assert quiet(net, tolerance=float("inf")).report.error < 1e-5


def test_a_probe_is_taken_where_none_can_be_guessed():
    net = Formed(lambda n, x: n.fc(n.rnn(x)[0]) if x.shape[-1] == 4 else 1 / 0)
    assert quiet(net, probe=np.zeros((1, 1, 4))).report.error <= 1e-5
    with pytest.raises(sr.ConfigError, match="probe must be"):
        quiet(net, probe=np.zeros(4))
    net = nn.Sequential(nn.Embedding(5, 3))
    assert quiet(net, probe=np.array([[0, 4]])).model.inputs == 1


@pytest.mark.parametrize("thing", [3, None, object()])
def test_other_things_are_refused(thing):
    with pytest.raises(sr.ConfigError, match=r"from_torch takes a torch.nn.Module"):
        quiet(thing)
