"""A picture of a run: the score with alerts shaded, and below it the blamed sensors with the band they should have kept to."""
import numpy as np

from streamrnn.training.history import finished, matplotlib

SHOWN = 6                # sensors at most
WORTH = 0.1              # share of an event's blame from which a sensor is shown
POINTS = 4000            # across: of more rows, the least and the greatest of each stretch
SIZE = 14, 9             # inches; drawn with DPI dots each
DPI = 100
ALERT, READ, SHOULD, WAS = "tab:red", "0.15", "tab:blue", "0.35"


def draw(verdicts, found, times=None, path=None):
    """Written to `path` if given, else the figure is answered. found: the run's findings; times: seconds since the epoch."""
    pyplot = matplotlib()
    names = blamed(verdicts, found)
    figure, axes = pyplot.subplots(1 + len(names), 1, sharex=True, figsize=SIZE, dpi=DPI, layout="constrained",
                                   height_ratios=(1.4, *(1 for _ in names)), squeeze=False)
    at = np.arange(len(verdicts)) if times is None else np.round(times * 1e3).astype("datetime64[ms]")
    (score, *rest), step = axes[:, 0], at[1] - at[0] if len(at) > 1 else 0
    for axis in (score, *rest):
        for one in found:
            axis.axvspan(at[one.first], at[one.last] + step, color=ALERT, alpha=0.15, linewidth=1)  # the line shows those of one row
        axis.margins(x=0.005)
        axis.grid(alpha=0.25)
    low, high = thinned(verdicts.score)
    score.fill_between(at[rows_of(len(at), len(low))], low, high, color=WAS, linewidth=0.8)
    score.axhline(1, color=ALERT, linestyle=":", linewidth=1)
    score.set_ylim(bottom=0)
    score.set_ylabel("score")
    score.set_title(f"{len(verdicts):,} rows, {len(found):,} alert{'' if len(found) == 1 else 's'}{' (shaded)' * bool(found)}", loc="left")
    for axis, name in zip(rest, names, strict=True):
        _sensor(axis, at, verdicts, verdicts.sensors.index(name))
        axis.set_ylabel(_short(name))
    handles = {text: handle for axis in rest[::-1] for handle, text in zip(*axis.get_legend_handles_labels(), strict=True)}
    rest[0].legend(handles.values(), handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, borderaxespad=0)
    rest[-1].set_xlabel("row" if times is None else "time (UTC)")
    if times is not None:
        from matplotlib.dates import ConciseDateFormatter
        dates = rest[-1].xaxis.get_major_locator()
        rest[-1].xaxis.set_major_formatter(ConciseDateFormatter(dates))
    figure.align_ylabels()
    return finished(figure, path, DPI)


def blamed(verdicts, found):
    """The sensors to show, in the order of their blame; without an event the strangest row says which."""
    parts = [one.blame for one in found] or [dict(zip(verdicts.sensors, verdicts[int(verdicts.score.argmax())].blame, strict=True))]
    most = {name: max(part[name] for part in parts) for name in verdicts.sensors}
    order = sorted(most, key=lambda name: -most[name])
    return [name for name in order if most[name] >= WORTH or name == order[0]][:SHOWN]


def thinned(values):
    """(least, greatest) of at most POINTS stretches of equal length; NaN only where a whole stretch is."""
    each = -(-len(values) // POINTS)
    wide = np.pad(np.asarray(values, np.float64), (0, -len(values) % each), constant_values=np.nan).reshape(-1, each)
    return np.fmin.reduce(wide, axis=1), np.fmax.reduce(wide, axis=1)


def rows_of(rows, points):
    """The first row of each stretch that `thinned` made."""
    return np.arange(points) * -(-rows // POINTS)


def _sensor(axis, at, verdicts, k):
    expected, spread, read = verdicts.expected[:, k], verdicts.spread[:, k], verdicts.x[:, k]
    low, high = thinned(expected - spread)[0], thinned(expected + spread)[1]
    at = at[rows_of(len(at), len(low))]
    axis.fill_between(at, low, high, color=SHOULD, alpha=0.3, linewidth=0, label="expected, 99 rows of 100")
    least, most = thinned(read)
    if len(least) == len(read):
        axis.plot(at, read, color=READ, linewidth=0.8, label="read")
    else:
        axis.fill_between(at, least, most, color=READ, linewidth=0.6, label="read, least to greatest")
    axis.set_ylim(*_seen(low, high, read))


def _seen(low, high, read):
    """Limits that show every reading, and the band unless it is far wider."""
    values = read[~np.isnan(read)]
    if not len(values):
        return float(low.min()), float(high.max()) or 1.0
    room = max(float(np.ptp(values)), 1e-6 * abs(float(values[0])), 1e-9)
    return (max(min(values.min(), float(np.min(low))), values.min() - room / 2) - 0.05 * room,
            min(max(values.max(), float(np.max(high))), values.max() + room / 2) + 0.05 * room)


def _short(name):
    return name if len(name) <= 18 else "\n".join([name[:18], name[18:36]])
