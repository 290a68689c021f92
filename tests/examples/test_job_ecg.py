"""Arrhythmia: beats of patients that no training has seen are named better than by rules, from the signal alone."""
import numpy as np
import pytest
from scripts import example, printed, stream_is_the_model

ecg = example("jobs/ecg")


@pytest.fixture(scope="module")
def listener():
    """(a trained model, patients that it learnt from, patients of the test)"""
    rng = np.random.default_rng(0)
    learn, test = ecg.patients(160, 40, rng), ecg.patients(40, 60, rng)
    return ecg.train(learn, epochs=15)[0], learn, test


def test_beats_are_named_better_than_by_rules(listener):
    model, learn, test = listener
    sensitivity, precision, f1 = ecg.measure(test, lambda x, peaks, kinds: ecg.found(model.run(x[:, None])))
    assert sensitivity[0] > 0.95 and precision[0] > 0.95
    assert sensitivity[2] > 0.85 and precision[2] > 0.8
    own = [ecg.labelled(*one) for one in learn]
    for shape in (False, True):
        limits = ecg.fitted(own, shape)
        ruled = ecg.measure(test, lambda x, peaks, kinds, limits=limits: ecg.rule(limits, x, ecg.detected(x)))[2]
        assert f1.mean() > ruled.mean() + 0.05


def test_rules_that_are_told_the_beats_are_no_straw_man(listener):
    _, learn, test = listener
    limits = ecg.fitted(learn, shape=True)
    f1 = ecg.measure(test, lambda x, peaks, kinds: ecg.rule(limits, x, peaks[kinds != ecg.DROPPED]))[2]
    assert f1[0] > 0.9 and f1.mean() > 0.7


def test_nothing_is_said_before_a_beat_could_be_known(listener):
    """No look-ahead: what has not come yet changes nothing, and a beat's name follows it by the delay."""
    model, _, test = listener
    x, peaks, kinds = test[0]
    p = model.run(x[:, None])
    assert np.array_equal(p[:1000], model.run(x[:1000, None]))
    late = [p[peak + ecg.DELAY + 4, 0] for peak in peaks[kinds == ecg.NORMAL] if peak + ecg.DELAY + 4 < len(p)]
    early = [p[peak + ecg.DELAY - 8, 0] for peak in peaks[kinds == ecg.NORMAL]]
    assert np.mean(np.array(late) < 0.5) > 0.9 and np.mean(np.array(early) > 0.5) > 0.9


def test_beats_have_one_partner_at_most():
    peaks, kinds = np.array([100, 200, 300]), np.array([1, 3, 4])
    assert ecg.matched([(102, 1), (104, 1), (210, 2), (325, 4)], peaks, kinds) == [(1, 1), (3, 2), (4, 4), (0, 1)]
    assert ecg.matched([], peaks, kinds) == [(1, 0), (3, 0), (4, 0)]
    assert ecg.matched([(130, 1)], peaks[:1], kinds[:1]) == [(1, 0), (0, 1)]


def test_targets_become_the_beats_that_they_came_from():
    rng = np.random.default_rng(5)
    x, peaks, kinds = ecg.ecg(30, rng)
    said = np.eye(len(ecg.CLASSES))[ecg.targets(len(x), peaks, kinds)]
    whole = peaks + ecg.DELAY + ecg.SPAN <= len(x)
    beats = ecg.found(said)
    if np.diff(peaks).min() > ecg.SPAN:
        assert beats[:whole.sum()] == list(zip(peaks[whole].tolist(), kinds[whole].tolist(), strict=True))


def test_the_detector_of_the_rules_finds_clean_beats():
    peaks, t = np.arange(100, 2900, 80), np.arange(3000)
    x = np.exp(-((t[:, None] - peaks) / 1.5) ** 2 / 2).sum(1)
    assert np.abs(ecg.detected(x)[:, None] - peaks).min(1).max() <= 2
    assert len(ecg.detected(x)) == len(peaks)


def test_a_stream_of_samples_is_the_model(listener):
    assert stream_is_the_model(listener[0], listener[2][0][0][:1000, None])


def test_the_script(tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "strip.png"
    out = printed("jobs/ecg", "--patients", 8, "--units", 8, "--epochs", 1, "--plot", picture)
    assert "60 other patients" in out and "as a stream, sample by sample" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "--patients" in printed("jobs/ecg", "--help")
