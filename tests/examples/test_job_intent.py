"""Commands are understood in combinations never seen, where a bag of words is not; a stream believes what model.run does."""
import numpy as np
import pytest
from scripts import example, printed

import streamrnn as sr
from streamrnn import metrics


@pytest.fixture(scope="module")
def intent():
    return example("jobs/intent")


@pytest.fixture(scope="module")
def trained(intent):
    """(a model, what it learnt from, other sentences)"""
    learn, test = intent.commands(0)
    return intent.train(learn)[0], learn, test


def test_test_sentences_are_new_and_their_words_are_not(intent):
    learn, test = intent.commands(3)
    assert not {text for text, _ in learn} & {text for text, _ in test}
    words = sr.Words.of([text for text, _ in learn])
    assert all((words.encode(text) > 1).all() for text, _ in test)
    assert set(dict(test).values()) == set(range(len(intent.CLASSES)))


def test_order_is_understood(intent, trained):
    model, learn, test = trained
    right = metrics.accuracy(np.array([said for _, said in test]), intent.called(model, [text for text, _ in test]))
    assert right > 0.9
    assert max(intent.bag(learn, test, longest) for longest in (1, 2)) < right - 0.3


def test_a_bag_cannot_tell_what_the_net_tells(intent, trained):
    model, _, _ = trained
    same_words = ["turn on the fan, no, the light", "turn on the light, no, the fan"]
    assert [intent.CLASSES[k] for k in intent.called(model, same_words)] == ["light on", "fan on"]


def test_the_bag_is_a_logistic_regression(intent, trained):
    linear = pytest.importorskip("sklearn.linear_model")
    learn, test = trained[1][:800], trained[2]
    words = sr.Words.of([text for text, _ in learn])
    x = [np.stack([np.bincount(words.encode(text), minlength=len(words)) for text, _ in texts]) for texts in (learn, test)]
    truth = [[said for _, said in texts] for texts in (learn, test)]
    theirs = linear.LogisticRegression(max_iter=1000).fit(x[0], truth[0]).score(x[1], truth[1])
    assert intent.bag(learn, test) > theirs - 0.03


def test_a_stream_believes_what_run_does(intent, trained):
    model, _, test = trained
    for text, _ in test[:5]:
        believed = intent.believe(model, text)
        assert np.array_equal([p for _, p in believed], model.run(model.tokens.encode(text)[:, None]))
        assert [word for word, _ in believed] == sr.Words.pieces(text)


def test_the_script(tmp_path):
    out = printed("jobs/intent", "--epochs", 1, "--units", 8, "--say", "turn the radio off")
    assert "bag of words and pairs" in out and "LSTM, word by word" in out and "  radio     " in out
    assert "--epochs" in printed("jobs/intent", "--help")


def test_the_picture(intent, trained, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    intent.draw(intent.believe(trained[0], "turn on the fan, no, the light"), tmp_path / "intent.png")
    assert (tmp_path / "intent.png").read_bytes().startswith(b"\x89PNG")
