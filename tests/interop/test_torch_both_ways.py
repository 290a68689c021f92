"""Bidirectional layers and projections of torch: every way to take a result of them is the same here, or is refused by name."""
import numpy as np
import pytest

import streamrnn as sr

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
quiet = lambda source, **more: sr.from_torch(source, say=None, **more)
H = 5
KINDS = {"LSTM": {}, "GRU": {}, "RNN": {"nonlinearity": "relu"}, "LSTM, projected": {"proj_size": H}}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(5)


class Net(nn.Module):
    """how(y, h): what of a bidirectional layer goes on; y is (batch, time, 2 H), h (layers * 2, batch, H)."""

    def __init__(self, rnn, how, width):
        super().__init__()
        self.rnn, self.how, self.head = rnn, how, nn.Linear(width, 3)

    def forward(self, x):
        y, state = self.rnn(x)
        return self.head(torch.relu(self.how(y, state[0] if isinstance(state, tuple) else state)))


def net(how, width=2 * H, kind="LSTM", layers=2):
    more = KINDS[kind]
    rnn = getattr(nn, kind.split(",")[0])(4, H + 3 if "proj_size" in more else H, layers, batch_first=True, bidirectional=True, **more)
    return Net(rnn, how, width)


def last_of(layer):
    """(what kind of layer it is, its `final`, its merge)"""
    return type(layer).__name__, getattr(layer, "final", None), getattr(layer, "merge", None)


BOTH, ENDS, SUM, SUM_OF_ENDS = (("Bidirectional", final, merge) for merge in ("concat", "sum") for final in (False, True))
BACK, BACK_AT_ITS_END, FORTH = ("Reverse", False, None), ("Reverse", True, None), ("LSTM", None, None)
TAKEN = {
    "every step": (lambda y, h: y, 2 * H, BOTH),
    "the last step": (lambda y, h: y[:, -1], 2 * H, BOTH),
    "the final states": (lambda y, h: torch.cat((h[-2], h[-1]), dim=-1), 2 * H, ENDS),
    "the final states, by name": (lambda y, h: torch.cat(tensors=[h[-2, :, :], h[-1, :, :]], dim=1), 2 * H, ENDS),
    "the final states, reshaped": (lambda y, h: h[-2:].permute(1, 0, 2).flatten(1), 2 * H, ENDS),
    "the final states, viewed": (lambda y, h: h.view(2, 2, len(y), H)[-1].transpose(0, 1).reshape(len(y), -1), 2 * H, ENDS),
    "the ends of both halves": (lambda y, h: torch.cat((y[:, -1, :H], y[:, 0, H:]), 1), 2 * H, ENDS),
    "an end and a state": (lambda y, h: torch.cat((y[:, -1, :H], h[-1]), 1), 2 * H, ENDS),
    "their sum": (lambda y, h: y[..., :H] + y[..., H:], H, SUM),
    "the sum of the final states": (lambda y, h: torch.add(h[-1], h[-2]), H, SUM_OF_ENDS),
    "the last state alone": (lambda y, h: h[-1], H, BACK_AT_ITS_END),
    "the end of the way back": (lambda y, h: y[:, 0, H:], H, BACK_AT_ITS_END),
    "the beginning of the way back": (lambda y, h: y[:, -1, H:], H, BACK),
    "the way back": (lambda y, h: y[..., H:], H, BACK),
    "the forward state alone": (lambda y, h: h[-2], H, FORTH),
    "the forward half": (lambda y, h: y[:, :, :H], H, FORTH),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TAKEN)
def test_what_is_taken_of_both_halves_is_the_same_here(name, kind):
    how, width, wanted = TAKEN[name]
    theirs = net(how, width, kind)
    model, report = quiet(theirs)
    assert report.error <= 1e-5
    found = last_of(model.layers[1])
    assert found == wanted if wanted is not FORTH else found[0] in ("LSTM", "GRU", "RNN", "Recurrence")
    assert any("the other one is left out" in note for note in report.notes) == (width == H and "sum" not in name)

    x = np.random.default_rng(1).standard_normal((2, 11, 4)).astype(np.float32)  # and once more without the import's own proof
    with torch.no_grad():
        y = theirs.eval()(torch.tensor(x)).numpy()
    ours = model.run(x) if y.ndim == 3 else model.run(x)[:, -1]
    assert np.abs(ours - y).max() <= 1e-5


def test_one_layer_is_taken_by_its_numbers_too():
    _, report = quiet(net(lambda y, h: torch.cat((h[0], h[1]), -1), layers=1))
    assert report.error <= 1e-5
    _, report = quiet(net(lambda y, h: h.transpose(0, 1).reshape(len(y), 2 * H), layers=1))
    assert report.error <= 1e-5


REFUSED = {
    "halves the wrong way round": (lambda y, h: torch.cat((h[-1], h[-2]), -1), r"cat: puts together \[backward, final\] and \[forward\]"),
    "halves of different steps": (lambda y, h: y[:, :, :H] + y[:, -1:, H:], "function add: puts together"),
    "halves along the batch": (lambda y, h: torch.cat((h[-2], h[-1]), 0), "function cat: puts together"),
    "a weighted sum": (lambda y, h: torch.add(h[-2], h[-1], alpha=2), "function add: puts together"),
    "twice the same": (lambda y, h: torch.cat((h[-1], h[-1]), -1), "function cat"),
    "states of different layers": (lambda y, h: torch.cat((h[0], h[-1]), -1), r"takes \[0\] of the axis directions"),
    "the first layer's state": (lambda y, h: h[0], r"takes \[0\] of the axis directions"),
    "the first step": (lambda y, h: y[:, 0], r"takes \[0\] of the axis time"),
    "a function of the states first": (lambda y, h: torch.tanh(h)[-1], r"takes \[-1\] of the axis directions"),
    "all layers' states": (lambda y, h: h.transpose(0, 1).reshape(len(y), -1), "function reshape: turns shape"),
    "some features": (lambda y, h: y[..., 1:H], r"of the axis features"),
}


class Headless(Net):
    def forward(self, x):
        return self.how(*self.rnn(x))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_neither_is_refused_by_name(name):
    how, words = REFUSED[name]
    with pytest.raises(sr.ConfigError, match=words):
        quiet(Headless(nn.GRU(4, H, 2, batch_first=True, bidirectional=True), how, H))


def test_states_as_a_result_are_refused():
    class States(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(3, 4, bidirectional=True)

        def forward(self, x):
            return self.rnn(x)[1]

    with pytest.raises(sr.ConfigError, match="gives the states of all layers"):
        quiet(States())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_a_bare_layer_of_both_directions_is_a_model(bias, batch_first):
    model, report = quiet(nn.GRU(3, 4, 2, bias=bias, batch_first=batch_first, bidirectional=True))
    assert report.error <= 1e-5
    assert model.layers == (sr.Bidirectional(sr.GRU(4)),) * 2


def test_tokens_and_a_network_that_is_taken_in_order():
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.rnn, self.head = nn.Embedding(9, 4), nn.LSTM(4, H, batch_first=True, bidirectional=True), nn.Linear(2 * H, 3)

        def forward(self, x):
            return self.head(self.rnn(self.embed(x))[0])

    model, report = quiet(Tagger())
    assert report.error <= 1e-5
    assert model.vocabulary == 9
    _, report = quiet([nn.Embedding(9, 4), nn.LSTM(4, H, bidirectional=True), nn.Linear(2 * H, 3)])
    assert report.error <= 1e-5


def test_that_it_cannot_be_streamed_is_said_by_the_report_and_by_stream():
    model, report = quiet(net(lambda y, h: y))
    assert any(note.startswith("layers.0 (Bidirectional) reads each sequence from its end") for note in report.notes)
    with pytest.raises(sr.ConfigError, match=r"layers\.0 \(Bidirectional\).*model\.run\(x\).*cannot be stepped, streamed"):
        model.stream()
    model, report = quiet(nn.LSTM(3, 6, 2, proj_size=2))
    assert not any("from its end" in note for note in report.notes)
    assert model.stream().step(np.zeros(3, np.float32)).shape == (2,)
    assert report.parts[0][1] == "Recurrence(cell='lstm', units=6, projection=2)"


def numpys(module):
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("end", "how"), [("steps", lambda y, h: y), ("final", TAKEN["the final states"][0])])
def test_a_state_dict_of_both_directions_is_asked_what_goes_on(kind, end, how):
    class Plain(Net):
        def forward(self, x):
            y, state = self.rnn(x)
            return self.head(self.how(y, state[0] if isinstance(state, tuple) else state))

    source = net(how, kind=kind)
    source.__class__ = Plain
    name, function = kind.split(",")[0], ":relu" if kind == "RNN" else ""
    with pytest.raises(sr.ConfigError, match=f'bidirectional: .* layers="rnn={name}{function}:steps" .* or {name}{function}:final'):
        quiet(numpys(source), layers="rnn=RNN:relu" if function else None)
    model, report = quiet(numpys(source), layers=f"rnn={name}{function}:{end}")
    assert model.digest == quiet(source).model.digest
    assert report.error <= 1e-5


def test_a_state_dict_says_no_more_than_it_must():
    lower = nn.ModuleDict({"a": nn.LSTM(3, 4, bidirectional=True), "b": nn.GRU(8, 2)})
    assert quiet(lower.state_dict()).report.error <= 1e-5  # a sequence goes into b
    for words, message in (("a=LSTM:final", "a: its final states are no sequence that b could take"),
                           ("b=GRU:final", "b: GRU:final says more than there is to say"),
                           ("a=LSTM:relu", "a: LSTM:relu says more than there is to say. It takes steps or final")):
        with pytest.raises(sr.ConfigError, match=message):
            quiet(lower.state_dict(), layers=words)
    state = numpys(nn.LSTM(3, 6, proj_size=2))
    assert quiet(state).report.error <= 1e-5
    with pytest.raises(sr.ConfigError, match=r"its hidden weights must be \(4 H, P\)"):
        quiet(state | {"weight_hr_l0": np.zeros((3, 6), np.float32)})
    state = numpys(nn.LSTM(3, 6, bidirectional=True))
    del state["weight_hh_l0_reverse"]
    with pytest.raises(sr.ConfigError, match="weight_hh_l0_reverse does not fit"):
        quiet(state, layers="=LSTM:steps")
