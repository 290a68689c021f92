"""The detector beside a limit on each sensor: faults of six kinds, which of them each finds, how soon, and how often each cries wolf.

Run it: python examples/detect/limits.py
A limit is the plainest watch there is: an alarm where a reading leaves the range of the two weeks that the detector learns from, with a
tenth of that range as room on either side. Without room limits find more, and raise a dozen false alarms a week."""
import argparse

import numpy as np

import streamrnn as sr
from streamrnn.detect import plant

DAY = 24 * 60
LEARN, CLEAN = 14 * DAY, 14 * DAY
MINUTES = {"leak": 720, "stuck valve": 300, "bearing wear": 2160, "sensor drift": 2160, "dropout": 120, "frozen sensor": 360}


def watches(machine, room):
    """(limits, detector): functions of rows and times -> alerts, learnt from the machine's two weeks without a fault."""
    rows, times = plant.simulate(LEARN, machine, seed=3)
    low, high = rows.min(0), rows.max(0)
    low, high = low - room * (high - low), high + room * (high - low)
    detector = sr.Detector.fit(rows, sensors=plant.SENSORS, times=times)
    return lambda x, t: ((x < low) | (x > high)).any(1), lambda x, t: detector.run(x, t).alert


def new(machine, rows, faults=()):
    x, times = plant.simulate(LEARN + rows, machine, seed=3, faults=faults)
    return x[LEARN:], times[LEARN:]


def begun(alert):
    return int(np.diff(alert.astype(int), prepend=0).clip(0).sum())


def compare(machines, room=0.1):
    """({kind: two lists of minutes to the first alert of each machine's fault, None if missed}, false alarms a week of both)"""
    found, false = {kind: ([], []) for kind in MINUTES}, np.zeros(2)
    for machine in range(machines):
        both = watches(machine, room)
        false += [begun(watch(*new(machine, CLEAN))) for watch in both]
        for kind, minutes in MINUTES.items():
            begins = 2 * DAY + 600 + 97 * machine
            sensor = plant.SENSORS[3 * machine % len(plant.SENSORS)] if kind in plant.SENSOR_KINDS else ""
            fault = plant.Fault(kind, machine, LEARN + begins, minutes, sensor=sensor)
            x, times = new(machine, begins + minutes, [fault])
            for watch, delays in zip(both, found[kind], strict=True):
                inside = np.flatnonzero(watch(x, times)[begins:])
                delays.append(int(inside[0]) if len(inside) else None)
    return found, false / (machines * CLEAN / DAY / 7)


def told(delays):
    seen = [delay for delay in delays if delay is not None]
    return f"{len(seen)} of {len(delays)}" + (f", {np.median(seen):5,.0f} min" if seen else " " * 11)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--machines", type=int, default=8, metavar="N", help="how many pumps, each with every fault (default 8)")
    chosen = parser.parse_args()
    found, (limits, detector) = compare(chosen.machines)
    print(f"{'found, median delay':>20}{'limits':>20}{'detector':>20}")
    for kind, both in found.items():
        print(f"{kind:>20}" + "".join(f"{told(delays):>20}" for delays in both))
    sums = [sum(delay is not None for both in found.values() for delay in both[k]) for k in (0, 1)]
    print(f"{'all':>20}" + "".join(f"{f'{count} of {len(MINUTES) * chosen.machines}':>20}" for count in sums))
    print(f"{'false alarms a week':>20}{limits:>20.2f}{detector:>20.2f}")


if __name__ == "__main__":
    main()
