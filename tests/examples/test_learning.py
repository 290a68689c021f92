"""The examples that train reach what they say, on data that the training has not seen. Seeds are fixed; nothing is mocked."""
import numpy as np
import pytest
from scripts import example, printed

import streamrnn as sr
from streamrnn import metrics

BRIEF = {"adding": (["--length", 8, "--count", 50, "--epochs", 1], "squared error on 1,000 others"),
         "copy_memory": (["--delay", 3, "--count", 50, "--epochs", 1], "of the symbols recalled"),
         "gradient_flow": (["--length", 20, "--count", 50, "--epochs", 1], "RNN, large weights: the gradient of layers.0 (RNN) explodes"),
         "explain": (["--length", 8, "--count", 50, "--epochs", 1], "the two strongest numbers are the marked ones in"),
         "digits": (["--epochs", 1], "as a stream, row by row")}


@pytest.mark.parametrize("cell", [sr.LSTM, sr.GRU])
def test_gates_carry_a_number_over_a_hundred_steps(cell):
    _, error, _ = example("adding").train(cell, epochs=18)
    assert error < 0.01


def test_the_plain_rnn_does_not():
    adding = example("adding")
    _, error, _ = adding.train(sr.RNN, epochs=10)
    assert 0.8 * adding.GUESS < error < 1.3 * adding.GUESS


def test_saliency_points_at_the_two_marked_steps():
    explain = example("explain")
    model = explain.train()
    x, y = explain.sequences(50, 50, np.random.default_rng(7))
    assert np.abs(model.run(x)[:, -1] - y).max() < 0.2
    for part in x:
        steps, shares = explain.found(model, part)
        assert steps == np.flatnonzero(part[:, 1]).tolist() and sum(shares) > 0.5
        gradient = sr.saliency(model, part).gradient[:, 0]
        assert np.abs(gradient[steps] - 1).max() < 0.35  # the sum moves with each of them, one for one
        assert np.abs(np.delete(gradient, steps)).max() < 0.2


def test_ten_symbols_are_recalled_after_a_silence(rng):
    copy, delay = example("copy_memory"), 20
    model, _ = copy.train(delay, epochs=4)
    loss, right = copy.measure(model, delay, rng)
    assert loss < copy.baseline(delay) / 20
    assert right > 0.95


def test_memory_free_answers_have_the_baselines_loss(rng):
    copy, delay = example("copy_memory"), 20
    _, y = copy.sequences(2000, delay, rng)
    p = np.zeros((*y.shape, copy.SYMBOLS + 1))
    p[:, :-copy.REMEMBER, copy.BLANK] = 1
    p[:, -copy.REMEMBER:, :copy.SYMBOLS] = 1 / copy.SYMBOLS
    assert np.log(metrics.perplexity(y, p, logits=False)) == pytest.approx(copy.baseline(delay))


@pytest.fixture(scope="module")
def reader():
    """(a model that reads digits, pictures that it has not seen, their labels)"""
    pytest.importorskip("sklearn")
    digits = example("digits")
    learn, test = digits.pictures(seed=0)
    return digits.train(*learn)[0], *test


def test_digits_are_read(reader):
    model, x, truth = reader
    called = model.run(x).argmax(-1)
    assert metrics.accuracy(truth, called[:, -1]) >= 0.95
    assert metrics.accuracy(truth, called[:, 4]) >= 0.85  # the belief before the picture is complete is worth something


def test_the_belief_of_a_stream_is_the_models(reader, capsys):
    model, x, _ = reader
    example("digits").belief(model, x[0])
    lines, p = capsys.readouterr().out.splitlines(), model.run(x[0])
    assert len(lines) == 8
    for line, p_t in zip(lines, p, strict=True):
        assert f"|  {p_t.argmax()} {p_t.max():>4.0%} #" in line


@pytest.mark.parametrize("name", BRIEF)
def test_the_script_runs_and_says_what_it_takes(name):
    if name == "digits":
        pytest.importorskip("sklearn")
    arguments, words = BRIEF[name]
    assert words in printed(name, *arguments)
    assert "--epochs" in printed(name, "--help")
