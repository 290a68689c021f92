"""A history: in one line, as plain values, and as a picture."""
import json
import sys

import numpy as np
import pytest
from learning import echoes, small

import streamrnn as sr
from streamrnn import LSTM, Adam, Cosine, Dense, History, MissingExtra, fit


@pytest.fixture(scope="module")
def history():
    x, y = echoes(np.random.default_rng(20))
    return fit(small(LSTM(9), Dense(2)), x, y, epochs=12, batch=8, optimizer=Adam(0.03), schedule=Cosine(warmup=5), validation=0.25)


def test_a_training_fills_in_every_epoch(history):
    lists = history.loss, history.validation, history.rate, history.norm, history.seconds
    assert all(len(values) == history.epochs == 12 and all(type(value) is float for value in values) for values in lists)
    assert history.loss[-1] < history.loss[0] and min(history.norm) > 0 and min(history.seconds) > 0
    assert 0 <= history.best < 12 and type(history.best) is int and history.memory.startswith("memory: ")
    assert max(history.rate) <= 0.03 and history.rate[-1] < history.rate[3]


def test_it_says_itself_in_one_line(history):
    assert repr(history) == (f"<History: 12 epochs (epochs), loss {history.loss[0]:.4g} -> {history.loss[-1]:.4g}, "
                             f"validation {history.validation[-1]:.4g}, weights of epoch {history.best + 1}>")
    assert repr(History()) == "<History: nothing done yet>"
    assert "running" in repr(History(loss=[1.0])) and "validation" not in repr(History(loss=[1.0]))


def test_plain_values_make_the_same_history(history):
    config = json.loads(json.dumps(history.config()))
    assert History(**config) == history and History(**config).config() == history.config()
    config["loss"].append(0)
    assert len(history.loss) == 12  # a copy


def pyplot_without_a_screen():
    pytest.importorskip("matplotlib").use("Agg")
    return pytest.importorskip("matplotlib.pyplot")


def drawn(history, path):
    pyplot = pyplot_without_a_screen()
    assert history.plot(path) is None
    assert not pyplot.get_fignums()
    return pyplot.imread(path)


@pytest.mark.parametrize("which", ["whole", "no validation", "one epoch", "below zero", "still"])
def test_it_draws_itself(which, history, tmp_path):
    config = history.config()
    if which == "no validation":
        config["validation"] = []
    if which == "one epoch":
        config |= {name: config[name][:1] for name in ("loss", "validation", "rate", "norm", "seconds")} | {"best": 0}
    if which == "below zero":  # a likelihood may be: no logarithm
        config["loss"] = [value - 2 for value in config["loss"]]
    if which == "still":
        config["norm"] = [0.0] * 12
    picture = drawn(History(**config), tmp_path / "history.png")
    assert picture.shape == (750, 1050, 4) and 0.001 < (picture[..., :3].min(-1) < 0.9).mean() < 0.5


def test_one_epoch_is_a_dot_that_can_be_seen(tmp_path):
    one = History(loss=[1.0], rate=[0.1], norm=[2.0], seconds=[1.0])
    blue = np.abs(drawn(one, tmp_path / "history.png")[100:500, :, :3] - [0.122, 0.467, 0.706]).max(-1) < 0.1  # below the legend's line
    assert blue.sum() > 5


def test_nothing_done_draws_nothing_wrong(tmp_path):
    drawn(History(), tmp_path / "history.png")


def test_without_a_path_the_figure_is_answered(history):
    pyplot = pyplot_without_a_screen()
    figure = history.plot()
    above, below = figure.axes
    assert [line.get_label() for line in above.lines] == ["training", "validation", f"weights of epoch {history.best + 1}"]
    assert [len(line.get_xdata()) for line in below.lines] == [12, 12] and below.get_xlabel() == "epoch" and above.get_yscale() == "log"
    pyplot.close(figure)


def test_without_matplotlib_it_says_how_to_get_it(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match="pip install 'streamrnn"):
        history.plot()


def test_it_is_at_the_door():
    assert sr.History is History and sr.fit is fit
