"""Forecasts with a band: before each row comes, the detector says what every sensor will read, and how sure it is.

Run it: python examples/detect/forecast.py
99 rows of 100 shall lie within the band. The forecast is compared with the plainest there is: that nothing changes.
It is the autoregression's alone (layers=[]); with `--net` the net that a detector has by default takes part: worse for this plant.
With matplotlib installed, `--plot forecast.png` draws six hours of two sensors."""
import argparse

import numpy as np

import streamrnn as sr
from streamrnn.detect import plant

DAY = 24 * 60


def picture(path, rows, verdicts):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    shown = slice(6 * 60, 12 * 60)
    figure, axes = plt.subplots(2, 1, figsize=(9, 6), sharex=True, layout="constrained")
    for ax, k in zip(axes, (2, 5), strict=True):
        middle, spread = verdicts.expected[shown, k], verdicts.spread[shown, k]
        hours = np.arange(shown.start, shown.stop) / 60
        ax.fill_between(hours, middle - spread, middle + spread, alpha=0.3, label="99 % band")
        ax.plot(hours, middle, linewidth=1, label="expected")
        ax.plot(hours, rows[shown, k], "k.", markersize=2, label="reading")
        ax.set_ylabel(f"{plant.SENSORS[k]} in {plant.UNITS[k]}")
    axes[0].legend()
    axes[1].set_xlabel("hour of the day")
    figure.savefig(path)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="draw six hours of two sensors (needs matplotlib)")
    parser.add_argument("--net", action="store_true", help="let a small GRU take part in the forecast")
    chosen = parser.parse_args()
    rows, times = plant.simulate(21 * DAY, seed=2)
    learnt, watched = slice(0, 14 * DAY), slice(14 * DAY, None)
    detector = sr.Detector.fit(rows[learnt], sensors=plant.SENSORS, times=times[learnt], layers=None if chosen.net else [])
    x, verdicts = rows[watched], detector.run(rows[watched], times[watched])

    within = np.abs(x - verdicts.expected) <= verdicts.spread
    error = np.abs(x - verdicts.expected).mean(0)
    unchanged = np.abs(np.diff(rows, axis=0)[14 * DAY - 1:]).mean(0)  # the forecast that each row equals the one before
    print(f"{'':>20} {'within the band':>16} {'band +-':>9} {'mean error':>11} {'if nothing changed':>19}")
    for k, name in enumerate(plant.SENSORS):
        print(f"{name:>20} {within[:, k].mean():>16.2%} {verdicts.spread[:, k].mean():>9.3f} {error[k]:>11.4f} {unchanged[k]:>19.4f}"
              f"  {plant.UNITS[k]}")
    print(f"coverage: {within.mean():.2%} of {within.size:,} readings; "
          f"error as a share of the plain forecast's: {np.mean(error / unchanged):.2f}")
    if chosen.plot:
        picture(chosen.plot, x, verdicts)


if __name__ == "__main__":
    main()
