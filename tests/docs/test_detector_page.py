"""What docs/detector.md says of real data is so. (test_pages.py runs its code.)"""
from pathlib import Path

import numpy as np
import pytest

import streamrnn as sr
from streamrnn.detect import plant

DAY = 24 * 60
PAGE = Path(sr.__file__).parents[1] / "docs" / "detector.md"


def test_every_key_of_a_verdict_is_told():
    page = PAGE.read_text(encoding="utf-8")
    for key in ("score", "alert", "cause", "missing", "expected", "spread", "blame"):
        assert f"**{key}**" in page


@pytest.fixture(scope="module")
def plant_week():
    """(fit to two weeks, readings of the third, their times)"""
    rows, times = plant.simulate(21 * DAY, seed=1)
    return fitted(rows, times), rows[14 * DAY:], times[14 * DAY:]


def fitted(rows, times):
    return sr.Detector.fit(rows[:14 * DAY], sensors=plant.SENSORS, times=times[:14 * DAY])


def alarms(detector, x, times):
    verdicts = detector.run(x, times)
    assert np.isfinite(verdicts.score).all() and np.isfinite(verdicts.expected).all()
    return [(verdicts.cause[a], plant.SENSORS[verdicts.blame[a].argmax()], a, b) for a, b in verdicts.events()]


def test_missing_silent_and_frozen_readings(plant_week, rng):
    detector, x, times = plant_week
    assert alarms(detector, x, times) == []
    assert alarms(detector, np.where(rng.random(x.shape) < 0.3, np.nan, x), times) == []
    for value in (np.nan, x[999, 2]):
        bad = x.copy()
        bad[1000:1300, 2] = value
        (cause, sensor, a, b), = alarms(detector, bad, times)
        assert (cause, sensor) == ("health", "flow")
        assert 1009 <= a <= 1036 and 1300 <= b <= 1340
    with pytest.raises(sr.InputError, match="infinite"):
        detector.run(np.where(x > 200, np.inf, x))


def test_gaps_with_and_without_times(plant_week):
    detector, x, times = plant_week
    kept = [np.r_[s - 200:s, s + 180:s + 480] for s in range(500, 8000, 500)]
    assert sum(bool(alarms(detector, x[rows], times[rows])) for rows in kept) <= 1
    assert sum(bool(alarms(detector, x[rows], None)) for rows in kept) >= 5


def test_constant_channels_wild_values_and_units(plant_week):
    detector, x, times = plant_week
    wild, psi = x.copy(), x.copy()
    wild[3000, 3] = 1e6
    (_, sensor, a, b), = alarms(detector, wild, times)
    assert (sensor, a) == ("motor_current", 3000) and 20 < b - a < 60
    psi[:, 0] *= 14.5
    assert alarms(detector, psi, times)[0][2] < 3
    before = detector.run(psi[:15], times[:15]).blame[:15].argmax(1)
    assert (before == 0).all()
    rows, clock = plant.simulate(21 * DAY, seed=1)
    rows[:, 6] = 7
    still = fitted(rows, clock)
    for value, seen in ((10, False), (14, True)):
        moved = rows[14 * DAY:].copy()
        moved[3000:3200, 6] = value
        assert bool(alarms(still, moved, times)) == seen


def test_a_fault_of_the_history_is_normal():
    old, new = plant.Fault("leak", 0, 7 * DAY, 480), plant.Fault("leak", 0, 16 * DAY, 480)
    x, times = plant.simulate(17 * DAY, seed=1, faults=[new])
    assert alarms(fitted(x, times), x[14 * DAY:], times[14 * DAY:])[0][2] < 2 * DAY + 60
    x, times = plant.simulate(17 * DAY, seed=1, faults=[old, new])
    assert all(a >= 2 * DAY + 480 for *_, a, _ in alarms(fitted(x, times), x[14 * DAY:], times[14 * DAY:]))
