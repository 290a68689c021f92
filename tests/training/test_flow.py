"""The gradient's way back through time: measured against the float64 twin, and said in words."""
import numpy as np
import pytest
import reference

from streamrnn import GRU, LSTM, RNN, ConfigError, Dense, Dropout, Model, fit, gradient_flow, plot_flows
from streamrnn.training.flow import Flow

TIME = 12


def data(rng, count=5, time=TIME):
    return rng.standard_normal((count, time, 3)).astype(np.float32), rng.standard_normal((count, 1)).astype(np.float32)


def test_norms_are_those_of_the_twin(rng):
    model = Model(3, [LSTM(9), GRU(5), Dense(1)], seed=1)
    x, y = data(rng)
    flow, squares = gradient_flow(model, x, y), {"layers.0": np.zeros(TIME + 1), "layers.1": np.zeros(TIME + 1)}
    for sequence, target in zip(x, y, strict=True):
        d_last = 2 * (reference.run(model, sequence)[-1] - target)
        for back in range(1, TIME + 1):  # the last `back` steps only, from the state before them
            states = {}
            for _ in reference.steps(model, sequence[:TIME - back], {}, states):
                pass
            d_y = np.zeros((back, 1))
            d_y[-1] = d_last
            _, _, d_first = reference.gradient_from(model, sequence[TIME - back:], d_y, states=states)
            for layer in squares:
                squares[layer][back] += sum((part ** 2).sum() for part in d_first[layer].values())
    for layer in squares:
        np.testing.assert_allclose(flow.norms[layer][1:], np.sqrt(squares[layer][1:]), rtol=1e-4)
    assert all(norms[0] > 0 for norms in flow.norms.values())  # the newest state: through the layers above it
    assert flow.steps == TIME


def scaled(model, factor):
    hidden = "layers.0.weight_hh_l0"
    return model.with_tensors({**model.tensors, hidden: model.tensors[hidden] * np.float32(factor)})


@pytest.mark.parametrize(("factor", "word"), [(0.2, "vanishes"), (1.0, None), (3.0, "explodes")])
def test_what_happens_is_said_in_words(rng, factor, word):
    model = scaled(Model(3, [RNN(16, "relu"), Dense(1)], seed=0), factor)
    x, y = data(rng, time=60)
    flow = gradient_flow(model, abs(x), y)
    assert [word in warning and "layers.0 (RNN)" in warning for warning in flow.warnings] == ([True] if word else [])
    assert "steps back" in repr(flow)


def test_fit_leaves_the_words_in_its_history(rng):
    x, y = data(rng, time=60)
    history = fit(scaled(Model(3, [RNN(16), Dense(1)]), 0.1), x, y, epochs=1)
    assert len(history.warnings) == 1 and "vanishes" in history.warnings[0] and history.warnings[0] in repr(history)
    assert fit(Model(3, [Dense(1)]), x, y, epochs=1).warnings == []


def test_it_takes_what_fit_takes(rng):
    x, y = data(rng)
    spread, classes = Model(3, [Dropout(0.5), LSTM(4), Dense(2)]), Model(3, [GRU(4), Dense(3, "softmax")])
    for model, loss in ((spread, "gaussian"), (classes, "cross_entropy")):
        flow = gradient_flow(model, x, np.abs(np.round(y)) % 3, loss=loss, lengths=[TIME, 7, 9, 8, TIME], steps=30)
        assert flow.steps == 7 and all(np.isfinite(norms).all() and norms[1] > 0 for norms in flow.norms.values())
    with pytest.raises(ConfigError, match="no gradient through time"):
        gradient_flow(Model(3, [Dense(1)]), x, y)


def test_pictures(rng, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    x, y = data(rng)
    flows = {name: gradient_flow(Model(3, [layer(6), Dense(1)]), x, y) for name, layer in (("RNN", RNN), ("LSTM", LSTM))}
    plot_flows(flows, tmp_path / "both.png")
    flows["RNN"].plot(tmp_path / "one.png")
    assert (tmp_path / "both.png").stat().st_size > 10_000 and (tmp_path / "one.png").stat().st_size > 10_000
    assert isinstance(flows["RNN"], Flow)
