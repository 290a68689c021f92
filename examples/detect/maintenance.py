"""Predictive maintenance: how early before a pump must stop does the detector speak, and how early would a threshold have?

Run it: python examples/detect/maintenance.py
Six pumps, each with a bearing that wears out within a week. A pump must stop when its vibration, averaged over an hour, passes
4.5 mm/s. Thresholds stand 10 % above the highest value of the six weeks that the detector learns from: on the minute's readings,
and on the half hour's means, which is what the detector gets: wear is slow, so rows are too, and short bursts average out.
With matplotlib installed, `--plot maintenance.png` draws the last days of the first pump."""
import argparse

import numpy as np

import streamrnn as sr
from streamrnn.detect import plant

DAY, VIBRATION, STOP = 24 * 60, plant.SENSORS.index("vibration"), 4.5
LEARN, CLEAN, WEAR, EVERY = 42 * DAY, 7 * DAY, 7 * DAY, 30  # minutes
NAMES = ("threshold, minutes", "threshold, half hours", "detector")


def means(x, minutes):
    return x[:len(x) // minutes * minutes].reshape(-1, minutes, *x.shape[1:]).mean(1)


def first(where, rows=1):
    """Minute at which the first row that is true is complete; infinite if there is none."""
    found = np.flatnonzero(where)
    return (found[0] + 1) * rows if len(found) else np.inf


def pump(machine):
    """(hours before the stop at which each of three speaks, how often each spoke while nothing was wrong, vibration for a picture)"""
    wear = plant.Fault("bearing wear", machine, LEARN + CLEAN, WEAR, severity=3.0)
    minutes, times = plant.simulate(LEARN + CLEAN + WEAR, machine, seed=7, faults=[wear])
    slow, learnt = means(minutes, EVERY), LEARN // EVERY
    detector = sr.Detector.fit(slow[:learnt], sensors=plant.SENSORS, times=times[:LEARN:EVERY], false_alarms="1/month")
    verdicts = detector.run(slow[learnt:], times[LEARN::EVERY])

    vibration, averaged = minutes[:, VIBRATION], slow[:, VIBRATION]
    alarms = [(vibration[LEARN:] > 1.1 * vibration[:LEARN].max(), 1), (averaged[learnt:] > 1.1 * averaged[:learnt].max(), EVERY),
              (verdicts.alert, EVERY)]
    hourly = means(vibration[LEARN:], 60)
    stop = first(hourly > STOP, 60)
    early, false = [], []
    for alarm, rows in alarms:
        clean = CLEAN // rows
        false.append(int(np.diff(alarm[:clean].astype(int), prepend=0).clip(0).sum()))
        early.append((stop - CLEAN - first(alarm[clean:], rows)) / 60)
    return early, false, hourly[:int(stop // 60) + 6]


def picture(path, early, hourly):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 3.6), dpi=100, layout="constrained")
    stop = len(hourly) - 6
    hours, begin = np.arange(len(hourly)) - stop, CLEAN / 60 - stop
    axis.plot(hours, hourly, color="0.15", linewidth=1)
    axis.axvspan(hours[0], begin, color="tab:green", alpha=0.1, linewidth=0)
    axis.text(begin - 3, 1.4, "nothing is wrong", color="tab:green", ha="right")
    axis.axhline(STOP, color="tab:red", linestyle=":")
    axis.text(hours[0] + 3, STOP + 0.06, "above this the pump must stop", color="tab:red")
    for name, before, colour, height in zip(NAMES, early, ("tab:orange", "tab:purple", "tab:blue"), (4.1, 3.5, 2.9), strict=True):
        axis.axvline(-before, color=colour)
        axis.text(-max(early) - 3, height, f"{name}: {before:.0f} hours before", color=colour, ha="right")
    axis.set_ylim(bottom=1.2)
    axis.set(xlabel="hours before the stop", ylabel="vibration, mm/s, mean of an hour")
    axis.margins(x=0)
    figure.savefig(path)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw the last days of the first pump (needs matplotlib)")
    chosen = parser.parse_args()
    print(f"hours of warning: {'':>9}" + "".join(f"{name:>24}" for name in NAMES))
    pumps = [pump(machine) for machine in range(6)]
    for machine, (early, *_) in enumerate(pumps):
        print(f"{f'pump {machine}':>27}" + "".join(f"{hours:>24.0f}" for hours in early))
    print(f"{'median':>27}" + "".join(f"{hours:>24.0f}" for hours in np.median([early for early, *_ in pumps], axis=0)))
    print(f"{'false alarms, six weeks':>27}" + "".join(f"{count:>24}" for count in np.sum([false for _, false, _ in pumps], axis=0)))
    if chosen.plot:
        picture(chosen.plot, pumps[0][0], pumps[0][2])


if __name__ == "__main__":
    main()
