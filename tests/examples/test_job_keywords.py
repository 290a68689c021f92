"""The keyword job: at one false alarm a minute, the net finds twice as many keywords of new speakers as templates do."""
import re

import numpy as np
import pytest
from scripts import example, printed

job = example("jobs/keywords")


@pytest.fixture(scope="module")
def heard():
    """(model, frames, places, words) of new speakers."""
    return job.train()[0], *job.stream(300, np.random.default_rng(5))


def test_more_keywords_are_found_at_the_same_false_alarms(heard):
    model, x, places, spoken = heard
    known, p = job.templates(np.random.default_rng(6), many=20), model.run(x)[:, 1:]
    found, threshold = job.detection(p, places, spoken)
    assert found > 0.65
    for baseline in (job.by_spectrum, job.by_warping):
        assert job.detection(baseline(x, known), places, spoken)[0] < found / 1.6
    hits, false = job.judged(job.alarms(p, threshold), places, spoken)
    assert hits / len(spoken) == found and false <= len(x) / job.SECOND / 60


def test_a_stream_of_frames_raises_the_same_alarms(heard):
    model, x, _, _ = heard
    part = x[:600]
    y, stream = model.run(part), model.stream()
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in part]), y)
    assert job.listen(model, part, 0.5) == job.alarms(y[:, 1:], 0.5)


def test_what_counts_as_found():
    second = round(job.SECOND)
    places, spoken = np.array([100, 300]), np.array([2, 1])
    for at, k, want in ((100, 2, (1, 0)), (100, 1, (0, 1)), (100 + second // 3, 2, (1, 0)), (100 + second, 2, (0, 1)), (60, 2, (0, 1))):
        assert job.judged([(at, k)], places, spoken) == want
    assert job.judged([], places, spoken) == (0, 0)
    scores = np.zeros((400, 6))
    scores[100:120, 2] = scores[300:310, 1] = 1
    assert job.alarms(scores, 0.5) == [(100, 2), (300, 1)]


def test_warping_takes_a_recording_at_another_speed():
    rng = np.random.default_rng(0)
    part = rng.normal(size=(20, 4))
    for x in (part, part.repeat(2, 0), part[::2]):
        long = np.concatenate([rng.normal(size=(30, 4)), x, rng.normal(size=(30, 4))])
        distance = ((long[:, None] - part) ** 2).sum(2)
        assert abs(int(job.warped(distance).argmin()) - (29 + len(x))) <= 1


def test_the_script_runs(tmp_path):
    pytest.importorskip("matplotlib")
    out = printed("jobs/keywords", "--seconds", 60, "--test", 60, "--epochs", 1, "--units", 8, "--plot", tmp_path / "stream.png")
    assert re.search(r"warped templates +[\d.]+%\n  GRU +[\d.]+%", out) and "ten seconds as a stream" in out
    assert (tmp_path / "stream.png").read_bytes().startswith(b"\x89PNG")
