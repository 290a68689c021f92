"""Activities: told apart from several frames, where one frame and differences of frames say little."""
import numpy as np
import pytest
from scripts import example, printed, stream_is_the_model

video = example("jobs/video")


@pytest.fixture(scope="module")
def watcher():
    """(a trained model, what it learnt from, clips of the test)"""
    rng = np.random.default_rng(0)
    learn, test = video.clips(8000, rng), video.clips(1000, rng)
    return video.train(*learn, epochs=16)[0], learn, test


def test_activities_are_told_apart(watcher):
    model, _, (frames, truth) = watcher
    right = (model.run(video.flat(frames)).argmax(-1) == truth[:, None]).mean(0)
    assert right[0] < 0.3       # one frame says little
    assert right[11] > 0.8
    assert right[-1] > 0.92


def test_the_baselines_do_not(watcher):
    pytest.importorskip("sklearn")
    _, (frames, kinds), test = watcher
    shares = video.baselines(frames[:1500], kinds[:1500], *test)
    assert max(shares.values()) < 0.5
    assert shares["the best single frame"] < 0.3


def test_activities_are_what_they_are_called():
    """By how much light there is, and by which way its middle goes round the joined edges."""
    frames, kinds = video.clips(800, np.random.default_rng(1))
    light = frames.sum((2, 3))
    named = lambda name: kinds == video.ACTIVITIES.index(name)
    assert np.ptp(light[named("blinking")], axis=1).mean() > 2 * np.ptp(light[named("left")], axis=1).mean()
    columns = frames.clip(0.6).sum(2)
    moved = np.diff(np.angle(columns @ np.exp(2j * np.pi * np.arange(video.SIDE) / video.SIDE)), axis=1)
    moved = np.median((moved + np.pi) % (2 * np.pi) - np.pi, axis=1)
    assert np.mean(moved[named("right")] > 0) > 0.9
    assert np.mean(moved[named("left")] < 0) > 0.9


def test_a_stream_of_frames_is_the_model(watcher):
    model, _, (frames, _) = watcher
    assert stream_is_the_model(model, video.flat(frames)[0])


def test_the_script(tmp_path):
    for package in ("sklearn", "matplotlib"):
        pytest.importorskip(package)
    picture = tmp_path / "clip.png"
    out = printed("jobs/video", "--count", 300, "--epochs", 1, "--plot", picture)
    assert "right on 1,000 other clips" in out and "as a stream, frame by frame" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "--epochs" in printed("jobs/video", "--help")
