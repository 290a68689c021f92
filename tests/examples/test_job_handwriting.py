"""The handwriting job: the net beats templates on unseen words, even those that are told where each letter ends."""
import re

import numpy as np
import pytest
from scripts import example, printed

import streamrnn as sr

job = example("jobs/handwriting")


@pytest.fixture(scope="module")
def model():
    return job.train(count=3000, epochs=4, seed=1)[0]


def test_words_that_were_not_learnt_are_read(model):
    rng = np.random.default_rng(9)
    lifted, told = job.baselines(job.WORDS * 3, rng)
    error = job.measure(model, job.WORDS * 3, rng)
    assert error < 0.06 and error < told / 3 and told < lifted / 2
    assert not set(job.strings(5000, rng, 4, 4)) & set(job.WORDS)


def test_a_stream_of_points_reads_what_the_whole_word_gives(model):
    rng = np.random.default_rng(3)
    x = job.moves(*job.write("thousand", rng)[:2])
    y, stream = model.run(x), model.stream()
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x]), y)
    assert "".join(letter for _, letter in job.read(model, x)) == job.text(sr.best_path(y))


def test_a_letter_lies_where_it_was_written():
    rng = np.random.default_rng(0)
    for word in job.WORDS[:10]:
        places, down, owners = job.write(word, rng)
        assert len(places) == len(down) == len(owners) and sorted(set(owners)) == list(range(len(word)))
        assert not down[0] and (np.diff(owners) >= 0).all() and 20 < len(places) < 250


def test_the_script_runs(tmp_path):
    pytest.importorskip("matplotlib")
    out = printed("jobs/handwriting", "--count", 60, "--epochs", 1, "--units", 8, "--plot", tmp_path / "word.png")
    assert re.search(r"told where each letter ends, nearest letter +[\d.]+%\n  GRU, point by point +[\d.]+%", out)
    assert (tmp_path / "word.png").read_bytes().startswith(b"\x89PNG")
