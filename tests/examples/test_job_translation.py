"""With attention lines are read aloud exactly; without it, and by counting, far fewer. Half the lines of the script's run."""
import numpy as np
import pytest
from scripts import example, printed

import streamrnn as sr


@pytest.fixture(scope="module")
def job():
    return example("jobs/translation")


@pytest.fixture(scope="module")
def trained(job):
    """(a model, what it learnt from, other lines)"""
    learn, test = job.lines(4000, 200)
    return job.train(learn, epochs=8)[0], learn, test


def answer(job, model):
    return lambda written: model.tokens.join(list(job.say(model, written)))


@pytest.mark.parametrize(("n", "words"), [
    (0, "zero"), (13, "thirteen"), (40, "forty"), (85, "eighty five"), (100, "one hundred"), (412, "four hundred twelve"),
    (1000, "one thousand"), (20_006, "twenty thousand six"), (999_999, "nine hundred ninety nine thousand nine hundred ninety nine")])
def test_numbers_in_words(job, n, words):
    assert job.spoken(n) == words


def test_ordinals(job):
    assert [job.ordinal(n) for n in (1, 2, 3, 4, 5, 8, 9, 12, 20, 21, 28)] == [
        "first", "second", "third", "fourth", "fifth", "eighth", "ninth", "twelfth", "twentieth", "twenty first", "twenty eighth"]


def test_lines_are_new(job):
    learn, test = job.lines(500, 100, seed=5)
    assert (len(learn), len(test)) == (500, 100) and not dict(learn).keys() & dict(test).keys()
    words = sr.Words.of([f"{job.spelt(written)} {said} {job.END}" for written, said in learn])
    for written, said in learn[:50]:
        assert words.decode(words.encode(said)) == said and len(words.encode(job.spelt(written))) == len(written) + 1


def test_attention_reads_lines_aloud(job, trained):
    model, learn, test = trained
    right = job.exact(answer(job, model), test)
    assert right > 0.6
    assert job.exact(job.phrasebook(learn), test) < right - 0.1


def test_without_attention_it_forgets(job, trained):
    _, learn, test = trained
    assert job.exact(answer(job, job.train(learn, attention=False, epochs=8)[0]), test) < 0.2


def test_a_stream_says_what_run_finds_most_likely(job, trained):
    model, _, test = trained
    for written, _ in test[:5]:
        said = list(job.say(model, written))
        x = np.concatenate([model.tokens.encode(job.spelt(written)), model.tokens.encode(" ".join(said))])
        stream, y = model.stream(), model.run(x[:, None])
        assert np.array_equal([stream.step([token]) for token in x], y)
        assert [model.tokens.vocabulary[token] for token in y[len(written):-1].argmax(-1)] == said


def test_shares_look_at_the_line(job, trained):
    model, _, test = trained
    said, looks = job.shares(model, test[0][0])
    assert looks.shape == (len(said), len(test[0][0])) and (looks >= 0).all() and (looks.sum(1) < 1 + 1e-5).all()


def test_the_script(tmp_path):
    out = printed("jobs/translation", "--count", 100, "--epochs", 1, "--units", 16)
    assert "phrasebook" in out and "without attention" in out and "as a stream" in out
    assert "--epochs" in printed("jobs/translation", "--help")


def test_the_picture(job, trained, tmp_path):
    pytest.importorskip("matplotlib").use("Agg")
    job.draw(trained[0], "nov 21, 2026; $4,085.12", tmp_path / "shares.png")
    assert (tmp_path / "shares.png").read_bytes().startswith(b"\x89PNG")
