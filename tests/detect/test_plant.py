"""The simulated plant: what it promises to the detector's demo, tests and examples."""

from itertools import pairwise

import numpy as np
import pytest

from streamrnn.detect import plant

DAY = 1440
START = 2 * DAY + 180
LENGTHS = {"bearing wear": 2160, "stuck valve": 300, "leak": 720, "sensor drift": 2160, "dropout": 180, "frozen sensor": 300}
# What a fault moves beyond its plainest sensors, because the physics couples them.
COUPLED = {
    "bearing wear": {"fluid_temperature"},
    "stuck valve": set(plant.SENSORS),
    "leak": {"inlet_pressure", "vibration", "fluid_temperature", "valve_position"},
}


@pytest.fixture(scope="module")
def clean():
    return plant.simulate(4 * DAY, seed=7)[0]


@pytest.fixture(scope="module")
def scatter():
    """The clean standard deviation between workdays, for each minute of the day and each sensor."""
    values = plant.simulate(6 * 7 * DAY, seed=7)[0].reshape(6, 7, DAY, -1)[:, :5]
    return values.reshape(30, DAY, -1).std(axis=0, ddof=1)


def column(values, sensor):
    return values[:, plant.SENSORS.index(sensor)]


def every_fault():
    return [plant.Fault(kind, 0, START, LENGTHS[kind], 1.0, sensor) for kind in plant.KINDS
            for sensor in (plant.SENSORS if kind in plant.SENSOR_KINDS else ("",))]


def name(fault):
    return f"{fault.kind} {fault.sensor}".strip().replace(" ", "-")


def test_shapes_and_types():
    values, times = plant.simulate(100, period=30.0, start=3600.0)
    assert values.shape == (100, 8) and values.dtype == np.float32
    assert times.shape == (100,) and times.dtype == np.float64
    assert len(plant.SENSORS) == len(plant.UNITS) == 8
    assert np.isfinite(values).all()
    np.testing.assert_array_equal(np.diff(times), 30.0)
    # The epoch was a Thursday, so Mondays lie four days after a multiple of the week.
    assert (times[0] - 3600.0) % (7 * 86400) == 4 * 86400


@pytest.mark.parametrize("rows", [0, 1])
def test_tiny_runs(rows):
    values, times = plant.simulate(rows)
    assert values.shape == (rows, 8) and times.shape == (rows,)


def test_same_arguments_same_bits():
    faults = plant.draw_faults(3, 2, 3 * DAY, 6, DAY)
    for first, second in zip(plant.simulate(3 * DAY, 1, 3, faults=faults), plant.simulate(3 * DAY, 1, 3, faults=faults), strict=True):
        assert first.tobytes() == second.tobytes()


def test_a_shorter_run_is_the_beginning_of_a_longer_one(clean):
    np.testing.assert_array_equal(plant.simulate(500, seed=7)[0], clean[:500])


def test_machines_and_seeds_differ(clean):
    assert (plant.simulate(500, machine=1, seed=7)[0] != clean[:500]).mean() > 0.5
    assert (plant.simulate(500, seed=8)[0] != clean[:500]).mean() > 0.5


def test_clean_days_repeat(clean):
    flow = column(clean, "flow").reshape(4, DAY)
    assert np.corrcoef(flow[1], flow[2])[0, 1] > 0.95


def test_a_clean_run_does_not_wander():
    weeks = plant.simulate(8 * 7 * DAY, seed=2)[0].reshape(8, 7 * DAY, -1)
    # Each half's mean over four weeks, against the spread within them.
    moved = np.abs(weeks[:4].mean(axis=(0, 1)) - weeks[4:].mean(axis=(0, 1))) / weeks.std(axis=(0, 1))
    assert moved.max() < 0.25


def test_weekends_differ():
    flow = column(plant.simulate(7 * DAY)[0], "flow").reshape(7, DAY)
    morning = flow[:, 6 * 60:9 * 60].mean(axis=1)
    assert morning[5:].max() < 0.85 * morning[:5].min()


@pytest.mark.parametrize("machine", range(6))
def test_clean_readings_are_plausible(machine):
    values, _ = plant.simulate(14 * DAY, machine=machine, seed=1)
    low = [1.0, 4.5, 50, 20, 0.5, 15, 10, 10]
    high = [2.0, 7.5, 280, 80, 6, 60, 20, 100]
    assert (values > low).all() and (values < high).all()


@pytest.mark.parametrize("fault", every_fault(), ids=name)
def test_a_fault_moves_its_sensors_and_no_others(clean, scatter, fault):
    values, _ = plant.simulate(4 * DAY, seed=7, faults=[fault])
    np.testing.assert_array_equal(values[:START], clean[:START])
    changed = ((values != clean).any(axis=0)).nonzero()[0]
    named = plant.affected(fault)
    assert {plant.SENSORS[sensor] for sensor in changed} <= set(named) | COUPLED.get(fault.kind, set())
    end = START + fault.rows
    # How far the fault stands out from what clean days do at that time of day, half hour by half hour.
    minute = np.arange(START, end)
    moved = (np.abs(values[minute] - clean[minute]) / scatter[minute % DAY]).reshape(-1, 30, len(plant.SENSORS)).mean(axis=1)
    for sensor in named:
        if fault.kind == "dropout":
            assert np.isnan(column(values, sensor)[START:end]).all()
        elif fault.kind == "frozen sensor":
            assert (column(values, sensor)[START:end] == column(clean, sensor)[START - 1]).all()
            assert column(moved, sensor).max() > (3 if sensor in plant.LIVELY else 0)
        else:
            assert column(moved, sensor)[-1] > 3, sensor
    if fault.kind in plant.SENSOR_KINDS:
        np.testing.assert_array_equal(values[end:], clean[end:])


def test_faults_move_in_the_direction_physics_says(clean):
    last = slice(START + 600, START + 700)

    def change(kind, sensor):
        fault = plant.Fault(kind, 0, START, 720)
        return (column(plant.simulate(4 * DAY, seed=7, faults=[fault])[0], sensor) - column(clean, sensor))[last].mean()

    for sensor in ("vibration", "bearing_temperature", "motor_current"):
        assert change("bearing wear", sensor) > 0
    assert change("leak", "outlet_pressure") < 0
    assert change("leak", "flow") > 0
    assert change("leak", "motor_current") > 0


def test_a_stuck_valve_keeps_its_position():
    fault = plant.Fault("stuck valve", 0, START, 300)
    position = column(plant.simulate(4 * DAY, seed=7, faults=[fault])[0], "valve_position")
    assert np.ptp(position[START:START + 300]) < 1.5


def test_severity_scales_a_dropout():
    fault = plant.Fault("dropout", 0, 100, 800, severity=0.5, sensor="vibration")
    silent = np.isnan(plant.simulate(1000, faults=[fault])[0])
    assert 0.4 < column(silent, "vibration")[100:900].mean() < 0.6
    assert silent.sum() == column(silent, "vibration").sum()


def test_faults_of_other_machines_and_beyond_the_end_are_harmless(clean):
    elsewhere = [plant.Fault(kind, 1, 100, 200) for kind in plant.KINDS]
    late = [plant.Fault(kind, 0, 5 * DAY, 200) for kind in plant.KINDS]
    np.testing.assert_array_equal(plant.simulate(4 * DAY, seed=7, faults=elsewhere + late)[0], clean)
    cut = [plant.Fault(kind, 0, 4 * DAY - 50, 200) for kind in plant.KINDS]
    assert plant.simulate(4 * DAY, seed=7, faults=cut)[0].shape == clean.shape


@pytest.mark.parametrize("fault", [
    plant.Fault("gremlins", 0, 0, 10),
    plant.Fault("leak", 0, -1, 10),
    plant.Fault("leak", 0, 0, 0),
    plant.Fault("leak", 0, 0, 10, severity=float("nan")),
    plant.Fault("dropout", 0, 0, 10, sensor="colour"),
])
def test_nonsense_is_refused(fault):
    with pytest.raises(ValueError):
        plant.simulate(50, faults=[fault])


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("machines, rows, count", [(1, 20 * DAY, 6), (4, 10 * DAY, 13), (3, 2 * DAY, 12)])
def test_drawn_faults(seed, machines, rows, count):
    settle = DAY
    faults = plant.draw_faults(seed, machines, rows, count, settle)
    assert faults == plant.draw_faults(seed, machines, rows, count, settle)
    assert len(faults) == count
    assert {fault.kind for fault in faults} == set(plant.KINDS)
    assert faults == sorted(faults, key=lambda fault: (fault.start, fault.machine))
    for fault in faults:
        assert 0 <= fault.machine < machines and fault.start >= settle and fault.start + fault.rows <= rows
        assert bool(fault.sensor) == (fault.kind in plant.SENSOR_KINDS)
        assert fault.kind != "frozen sensor" or fault.sensor in plant.LIVELY
    for machine in range(machines):
        own = [fault for fault in faults if fault.machine == machine]
        for before, after in pairwise(own):
            assert before.start + before.rows < after.start


def test_too_many_faults_are_refused():
    with pytest.raises(ValueError, match="rows for each"):
        plant.draw_faults(0, 1, 1000, 100, 500)
    assert plant.draw_faults(0, 1, 1000, 0, 500) == []
