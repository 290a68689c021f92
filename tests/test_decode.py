"""Label sequences from logits: the two forms of the greedy decoder agree, and the beam finds what all alignments add up to."""
from itertools import pairwise, product

import numpy as np
import pytest
import reference

from streamrnn import Collapse, ConfigError, InputError, beam_search, best_path


def logits(labels, outputs=4):
    return np.eye(outputs)[labels].astype(np.float32)


def test_a_label_counts_when_it_appears():
    y = logits([0, 2, 2, 0, 2, 1, 1, 3, 0, 0])
    collapse = Collapse()
    assert [collapse.step(y_t) for y_t in y] == [None, 2, None, None, 2, 1, None, 3, None, None]
    assert best_path(y) == [2, 2, 1, 3]
    assert best_path(y, blank=2) == [0, 0, 1, 3, 0]
    assert best_path(np.stack([y, y[::-1]]), lengths=[4, 10]) == [[2], [3, 1, 2, 2]]
    assert best_path(np.zeros((0, 4), np.float32)) == [] and best_path(logits([0, 0])) == []


def test_a_stream_says_what_the_whole_says(rng):
    y = rng.normal(size=(200, 5))
    for blank in (0, 3):
        collapse = Collapse(blank)
        for _ in range(2):
            assert [label for label in map(collapse.step, y) if label is not None] == best_path(y, blank)
            collapse.reset()


@pytest.mark.parametrize("blank", [0, 1])
def test_a_wide_beam_finds_the_most_probable_labels(blank, rng):
    others = [label for label in range(3) if label != blank]
    for _ in range(5):
        y = rng.normal(size=(5, 3))
        loss = {labels: reference.ctc(y, labels, blank)[0] * max(1, len(labels)) for n in range(6)
                for labels in product(others, repeat=n) if n + sum(a == b for a, b in pairwise(labels)) <= 5}
        assert tuple(beam_search(y, width=50, blank=blank)) == min(loss, key=loss.get)


def test_a_beam_may_know_better_than_the_best_path():
    y = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert best_path(y) == [] and beam_search(y) == [1]  # 0.36 for nothing, 0.64 for one label in three alignments
    assert beam_search(np.zeros((0, 2))) == []


@pytest.mark.parametrize(("call", "message"), [
    (lambda: Collapse().step(np.zeros((1, 3))), r"numbers \(outputs,\).*got shape \(1, 3\)"),
    (lambda: Collapse(3).step(np.zeros(3)), "blank is output 3"),
    (lambda: best_path(np.zeros(3)), r"got shape \(3,\)"), (lambda: best_path(np.zeros((2, 3)), lengths=[2]), r"lengths= goes with y \(B"),
    (lambda: best_path(np.zeros((2, 2, 3)), lengths=[3, 1]), "length"), (lambda: beam_search(np.full((2, 3), np.nan)), "must be finite"),
    (lambda: beam_search(np.zeros((2, 1))), r"got shape \(2, 1\)"), (lambda: best_path([["a", "b"]]), "dtype <U1")])
def test_what_are_no_logits_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_options_are_whole_numbers():
    y = np.zeros((2, 3))
    for call in (lambda: Collapse(-1), lambda: best_path(y, 0.5), lambda: beam_search(y, 0), lambda: Collapse(True)):
        with pytest.raises(ConfigError, match="must be a whole number"):
            call()
