"""demo.png: one machine's most telling sensor through its fault: reading, expected band, score, alerts."""
import numpy as np

from streamrnn.cli.demo.plan import name
from streamrnn.cli.demo.words import blamed, minutes, said
from streamrnn.detect import plant
from streamrnn.errors import MissingExtra

AROUND = 4 * 60    # rows that are shown before and after the fault
INK, BAND, RED, SHADE = "#1f2937", "#93c5fd", "#dc2626", "#fde68a"


def told(console, plan, tally, rows, outcome, path):
    """Draw it and say where it lies, or what it takes."""
    if not outcome.found:
        return
    try:
        draw(plan, tally, rows, outcome, path)
    except MissingExtra as error:
        console.print(f"no picture: {error}", soft_wrap=True, markup=False)
        return
    console.print(f"picture: {path}", soft_wrap=True)


def telling(tally, rows, outcome):
    """(fault, place of the sensor) that strays furthest from what was expected: of the faults that were found, if any were."""
    best = None
    for fault, event in outcome.found:
        sensor = plant.SENSORS.index(event.blamed[0][0] if event else plant.affected(fault)[0])
        span = fault.machine, slice(fault.start, fault.start + fault.rows), sensor
        away = np.abs(rows[span] - tally.expected[span]) / np.maximum(tally.spread[span], 1e-9)
        away = away[np.isfinite(away)]
        strays = float(np.minimum(away, 5).mean()) if len(away) else 0.0
        key = event is not None, bool(event) and plant.SENSORS[sensor] in plant.affected(fault), strays
        if best is None or key > best[0]:
            best = key, fault, sensor
    return best[1:]


def draw(plan, tally, rows, outcome, path):
    from streamrnn.training.history import finished, matplotlib

    pyplot = matplotlib()
    fault, sensor = telling(tally, rows, outcome)
    first, last = max(fault.start - AROUND, 0), min(fault.start + fault.rows + AROUND, plan.rows)
    span = fault.machine, slice(first, last)
    hour = np.arange(first, last) / 60
    expected, spread = tally.expected[span][:, sensor], tally.spread[span][:, sensor]
    figure, (above, below) = pyplot.subplots(2, 1, figsize=(11, 6), sharex=True, height_ratios=(3, 1.2), layout="constrained")
    for axes in (above, below):
        axes.axvspan(fault.start / 60, min(fault.start + fault.rows, last) / 60, color=SHADE, alpha=0.5, lw=0, label="fault, in truth")
        axes.spines[["top", "right"]].set_visible(False)
        axes.margins(x=0)
    above.fill_between(hour, expected - spread, expected + spread, color=BAND, alpha=0.8, lw=0, label="expected band")
    above.plot(hour, rows[span][:, sensor], color=INK, lw=0.9, label="reading")
    above.set_ylabel(f"{plant.SENSORS[sensor].replace('_', ' ')}, {plant.UNITS[sensor]}")
    below.plot(hour, tally.score[span], color=INK, lw=0.9)
    below.fill_between(hour, 0.94, 1, where=tally.alert[span], transform=below.get_xaxis_transform(), color=RED, lw=0)
    below.axhline(1, color="0.5", lw=0.8, ls=":")
    begins = [event.start / 60 for event in tally.events if event.machine == fault.machine and first <= event.start < last]
    for axes in (above, below):
        for k, begin in enumerate(begins):
            axes.axvline(begin, color=RED, lw=1.4, label="alert" if k == 0 else None)
    below.set_ylabel("score")
    below.set_ylim(0, None)
    below.set_xlabel("hour of the stream")
    above.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False)
    event = dict(outcome.found)[fault]
    words = f"an alert after {minutes(event.start - fault.start)} ({event.cause}) blames {blamed(event)}" if event else "missed"
    figure.suptitle(f"{name(fault.machine)} ({said(fault)}): {words}", x=0.01, ha="left", fontsize=12)
    finished(figure, path)
