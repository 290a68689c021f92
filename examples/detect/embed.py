"""A detector inside your program: learn from two weeks of a pump, then take one row a minute and say why at each alarm.

Run it: python examples/detect/embed.py
The data are simulated: in the second week that is watched, a leak opens on Tuesday and is repaired after eight hours."""
from datetime import UTC, datetime

import streamrnn as sr
from streamrnn.detect import plant

DAY = 24 * 60  # rows
leak = plant.Fault("leak", machine=0, start=22 * DAY, rows=8 * 60, severity=0.8)
rows, times = plant.simulate(28 * DAY, seed=1, faults=[leak])

detector = sr.Detector.fit(rows[:14 * DAY], sensors=plant.SENSORS, times=times[:14 * DAY])
print(detector)

alarms, before = [], False
for k in range(14 * DAY, len(rows)):
    verdict = detector.update(rows[k], times[k])
    if verdict.alert and not before:
        alarms.append(k)
        print(f"{datetime.fromtimestamp(times[k], UTC):%A %H:%M} {verdict.explain()}")
    before = verdict.alert

inside = [k for k in alarms if leak.start <= k < leak.start + leak.rows]
print(f"alarms before the leak: {sum(k < leak.start for k in alarms)} in {leak.start / DAY - 14:.0f} days; "
      f"minutes from the leak to the alarm: {inside[0] - leak.start if inside else 'none'}")
