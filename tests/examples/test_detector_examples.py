"""The detector's examples run, and the numbers they print are better than the baseline that stands beside each."""
import re
from importlib.util import find_spec

import pytest
from scripts import printed


def test_embed_says_when_and_why():
    out = printed("detect/embed")
    before, days, minutes = re.search(r"before the leak: (\d+) in (\d+) days; .* to the alarm: (\d+)", out).groups()
    assert int(before) <= int(days) / 7 + 1      # asked for: one a week
    assert int(minutes) < 8 * 60                 # the leak is repaired after that
    assert re.search(r"^Tuesday \d\d:\d\d alert, score .*\n +\d+ % outlet_pressure: reads ", out, re.M)


def test_bus_tells_of_the_pump_that_leaks():
    out = printed("detect/bus")
    rows, minutes, others = re.search(r"([\d,]+) rows sent; pump-1 alarmed (\d+) minutes after .* other pumps: (\d+)", out).groups()
    assert rows == "12,960"
    assert 0 <= int(minutes) < 8 * 60
    assert int(others) == 0


def test_forecast_is_better_than_no_change_and_its_band_holds():
    out = printed("detect/forecast")
    coverage, share = map(float, re.search(r"coverage: ([\d.]+)% of .*: ([\d.]+)$", out, re.M).groups())
    assert coverage > 98.5                       # promised: 99
    assert share < 0.85                          # 1: as good as saying that nothing changes
    rows = re.findall(r"^ +(\w+) +([\d.]+)% +[\d.]+ +([\d.]+) +([\d.]+)", out, re.M)
    assert len(rows) == 8
    for _, within, error, unchanged in rows:
        assert float(within) > 98.5
        assert float(error) < float(unchanged)


def test_forecast_draws(tmp_path):
    pytest.importorskip("matplotlib")
    assert "drawn" in printed("detect/forecast", "--plot", tmp_path / "band.png")
    assert (tmp_path / "band.png").read_bytes().startswith(b"\x89PNG")


def test_maintenance_warns_earlier_than_thresholds(tmp_path):
    drawn = find_spec("matplotlib") is not None
    out = printed("detect/maintenance", *(["--plot", tmp_path / "wear.png"] if drawn else []))
    assert not drawn or (tmp_path / "wear.png").read_bytes().startswith(b"\x89PNG")
    minutes, means, detector = map(int, re.search(r"median +(\d+) +(\d+) +(\d+)", out).groups())
    assert detector >= means + 5
    assert detector >= minutes + 24
    assert re.search(r"false alarms, six weeks +0 +0 +0$", out, re.M)
    assert len(re.findall(r"^ +pump \d", out, re.M)) == 6


def test_limits_miss_what_the_detector_finds():
    out = printed("detect/limits", "--machines", 2)
    limits, detector = map(int, re.search(r"^ +all +(\d+) of 12 +(\d+) of 12$", out, re.M).groups())
    assert detector >= limits + 3
    assert float(re.search(r"false alarms a week +[\d.]+ +([\d.]+)$", out, re.M)[1]) <= 2   # asked for: one
