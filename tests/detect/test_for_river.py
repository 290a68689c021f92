"""StreamDetector: river's own checks, and what they do not ask."""
import pickle
import sys

import numpy as np
import pytest

from streamrnn.errors import InputError, MissingExtra

pytest.importorskip("river", minversion="0.26")
from river import checks, datasets, metrics

from streamrnn.detect.detector import Detector
from streamrnn.detect.for_river import StreamDetector


class Payments:
    """In place of river's CreditCard, which is a download of 150 MB: as many features, a few frauds far off."""

    def __init__(self):
        self.features = [f"V{k}" for k in range(6)]

    def take(self, rows):
        rng = np.random.default_rng(3)
        for k in range(rows):
            fraud = k % 97 == 96
            yield dict(zip(self.features, rng.normal(size=len(self.features)) + 6 * fraud, strict=True)), int(fraud)


def rivers_checks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "CreditCard", Payments)
        return list(checks.yield_checks(StreamDetector()))


@pytest.mark.parametrize("check", rivers_checks(), ids=lambda check: check.__name__)
def test_river_says(check):
    check(StreamDetector())


def waves(rng, rows):
    t = np.arange(rows)[:, None]
    return [dict(zip("ab", row, strict=True)) for row in (np.sin(t / 7 + np.arange(2)) + 0.1 * rng.normal(size=(rows, 2))).tolist()]


def learnt(rows, **settings):
    detector = StreamDetector(**settings)
    for x in rows:
        detector.learn_one(x)
    return detector


@pytest.mark.parametrize("size", [2, 8])
def test_a_spike_is_the_strangest_row_once_it_has_learnt(rng, size):
    """Among all rows behind the first 200; where nothing is learnt, all rows are the same: an AUC of 0.5."""
    rows = waves(rng, 1000)
    rows[900]["a"] += size
    learning, idle, nothing, scores = StreamDetector(), StreamDetector(), metrics.ROCAUC(), []
    for k, x in enumerate(rows):
        scores.append(learning.score_one(x))
        nothing.update(k == 900, idle.score_one(x))
        learning.learn_one(x)
    assert 700 <= np.argmax(scores[200:]) <= 703  # the row, or those whose forecast it spoils
    assert nothing.get() == 0.5


def test_score_one_says_what_the_row_would_score_and_changes_nothing(rng):
    rows = waves(rng, 200)
    detector, twin = learnt(rows[:150]), learnt(rows[:150])
    before = detector.detector.state()
    scores = [detector.score_one(x) for x in rows[150:]]
    assert (detector.detector.state() == before).all()
    assert scores[0] == twin.detector.update(list(rows[150].values())).score
    assert scores[1] == learnt(rows[:150]).score_one(rows[151])


def test_scores_are_those_of_a_cold_detector(rng):
    rows, detector, scores = waves(rng, 120), StreamDetector(), []
    for x in rows:
        scores.append(detector.score_one(x))
        detector.learn_one(x)
    cold = Detector.cold(("a", "b"), clock=False).detect([list(x.values()) for x in rows])
    assert scores[1:] == cold[1:].tolist()


def test_a_key_that_is_missing_is_a_missing_reading(rng):
    detector = learnt(waves(rng, 100))
    assert detector.score_one({"a": 0.5}) == detector.score_one({"a": 0.5, "b": None}) == detector.score_one({"a": 0.5, "b": float("nan")})
    assert detector.score_one({"a": 0.5, "b": 0.1, "c": 9.0}) == detector.score_one({"a": 0.5, "b": 0.1})


def test_sensors_may_be_given_before_the_first_row(rng):
    detector = learnt([{"b": 1.0}, *waves(rng, 50)], sensors=["a", "b"])
    assert detector.detector.sensors == ("a", "b")
    assert learnt([{}, {"x": 1.0}]).detector.sensors == ("x",)  # an empty row says nothing about the sensors


def test_a_reading_that_is_no_number_is_refused_and_changes_nothing(rng):
    detector = learnt(waves(rng, 100))
    before = detector.detector.state()
    with pytest.raises(InputError, match="must be numbers"):
        detector.learn_one({"a": "high", "b": 1.0})
    assert (detector.detector.state() == before).all()


def test_pickled_it_goes_on_where_it_was(rng):
    rows = waves(rng, 200)
    detector = learnt(rows[:150])
    twin = pickle.loads(pickle.dumps(detector))
    for x in rows[150:]:
        assert twin.score_one(x) == detector.score_one(x)
        twin.learn_one(x)
        detector.learn_one(x)


def test_without_river_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "river.base", None)
    monkeypatch.delitem(sys.modules, "streamrnn.detect.for_river")
    with pytest.raises(MissingExtra, match="pip install"):
        import streamrnn.detect.for_river  # noqa: F401
