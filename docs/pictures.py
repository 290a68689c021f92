"""The picture of the front page, from the detector on the simulated pumping station: python docs/pictures.py (needs matplotlib)."""
from pathlib import Path

import matplotlib
import numpy as np

import streamrnn as sr
from streamrnn.detect import plant

matplotlib.use("Agg")
from matplotlib import pyplot as plt

DAY = 24 * 60
LEAK = plant.Fault("leak", machine=0, start=16 * DAY + 600, rows=8 * 60)
SHOWN = "outlet_pressure", "flow"
FROM, TO = LEAK.start - 180, LEAK.start + 180  # minutes
RED, BLUE = "#c0392b", "#2471a3"

rows, times = plant.simulate(17 * DAY, seed=1, faults=[LEAK])
detector = sr.Detector.fit(rows[:14 * DAY], sensors=plant.SENSORS, times=times[:14 * DAY])
verdicts = detector.run(rows[14 * DAY:], times[14 * DAY:])
alarm = next(a for a, b in verdicts.events() if a + 14 * DAY >= LEAK.start) + 14 * DAY
verdict = verdicts[alarm - 14 * DAY]
print(f"{alarm - LEAK.start} minutes after the leak began:", verdict.explain(), sep="\n")

figure, axes = plt.subplots(len(SHOWN), 1, figsize=(8, 4.2), dpi=100, sharex=True, layout="constrained")
minutes, some = np.arange(FROM, TO) - LEAK.start, slice(FROM - 14 * DAY, TO - 14 * DAY)
for axis, name in zip(axes, SHOWN, strict=True):
    k = plant.SENSORS.index(name)
    low, high = (verdicts.expected + sign * verdicts.spread for sign in (-1, 1))
    axis.fill_between(minutes, low[some, k], high[some, k], color=BLUE, alpha=0.25, linewidth=0, label="expected, 99 rows of 100")
    axis.plot(minutes, rows[FROM:TO, k], color="0.15", linewidth=0.9, label="read")
    axis.axvline(0, color="0.4", linestyle=":", linewidth=1.2)
    axis.axvspan(alarm - LEAK.start, TO - LEAK.start, color=RED, alpha=0.12, linewidth=0)
    axis.axvline(alarm - LEAK.start, color=RED, linewidth=1.4)
    axis.set_ylabel(f"{name.replace('_', ' ')}\n{plant.UNITS[k]}")
    axis.margins(x=0)
axes[0].set_ylim(top=axes[0].get_ylim()[1] + 0.08)  # room for words
axes[0].legend(loc="lower left", frameon=False, ncols=2, fontsize=9)
top = axes[0].get_ylim()[1]
axes[0].annotate("a leak opens ", (0, top), ha="right", va="top", color="0.3", xytext=(0, -3), textcoords="offset points")
axes[0].annotate(f" alarm, {alarm - LEAK.start} minutes later:\n {verdict.blame.max():.0%} {verdict.sensors[verdict.blame.argmax()]}",
                 (alarm - LEAK.start, top), va="top", color=RED, xytext=(2, -3), textcoords="offset points")
axes[-1].set_xlabel("minutes from the leak")
figure.savefig(Path(__file__).parent / "anomaly.png")
