"""The slow, obvious twin of a whole detector: float64, a class a part, one row at a time.

A part's `step(b)` reads and writes the board b: an attribute for each vector (sensors,) and each signal of cells/monitors/board.py.
`Twin(model).step(x)` gives the columns that `model.stream().step(x)` gives; twin_online.py has the parts of cold detectors.
Only `start`, what a stream begins with, is read as it lies in memory: vectors one behind the other, each padded to a multiple of 16.
"""
from math import exp, sqrt
from types import SimpleNamespace

import numpy as np
from reference import LAYERS
from twin_online import Novelty, Part, Patterns, Recursive, Season, clip

from streamrnn.cells.monitors.board import HEALTH, LEVEL, MEMORY, RANGE, SURPRISE

WEEK = 604_800


def vectors(flat, *sizes):
    """Vectors of these sizes, as they lie, and what is behind them."""
    for size in sizes:
        yield flat[:size]
        flat = flat[-(-size // 16) * 16:]
    yield flat


def ratio(x, y):
    """x / y, and 0 where y is 0: no limit, no unit."""
    return np.divide(x, y, out=np.zeros(np.shape(y)), where=np.asarray(y) > 0)


class Intake(Part):
    """Readings to standard units, missing ones filled in; frozen and silent sensors; the clock."""

    def __init__(self, config, w, n):
        self.w, self.n, self.period, self.timed, self.first = w, n, config["period"], config["clock"], True
        self.last, self.forecast, self.frozen, self.gone, self.mean, self.variance, counters = vectors(w["start"], *[n] * 6)
        self.begun, self.seconds, self.fraction, self.age, self.calm = counters[:5]

    def clock(self, b, seconds, fraction):
        if np.isnan(seconds) or np.isnan(fraction):
            seconds, fraction = (self.seconds + self.period) % WEEK, self.fraction
        elif self.age:
            passed = (seconds - self.seconds + fraction - self.fraction) % WEEK
            b.gap = max(1, passed / self.period) if passed < WEEK - 3600 else 1
        self.seconds, self.fraction, b.clock = seconds, fraction, seconds + fraction

    def standard_units(self, x, seen):
        """Running mean and deviation as they were; then they take the row in."""
        x, pace = clip(x, 1e18), max(1 / (self.age + 1), 1 / self.w["horizon"][0])
        self.mean = np.where(seen & (self.gone >= self.age), x, self.mean)  # its first reading
        before, unit = self.mean, np.sqrt(self.variance)
        self.mean = np.where(seen, before + pace * (x - before), before)
        self.variance = np.where(seen, self.variance + pace * ((x - before) * (x - self.mean) - self.variance), self.variance)
        return before, np.where(unit > 1e-30, unit, 0)

    def step(self, b):
        b.fresh, b.age, b.gap, b.clock = (1 if self.begun else 2) if self.first else 0, self.age, 1, -1
        self.first = False
        if self.timed:
            self.clock(b, *b.x[self.n:])
        self.calm = 0 if b.gap > 10 else self.calm
        x, w, seen = b.x[:self.n], self.w, ~np.isnan(b.x[:self.n])
        x = np.where(seen, x, 0)
        b.centre, b.unit = self.standard_units(x, seen) if w["horizon"][0] else (w["centre"], w["unit"])
        b.scaled = np.where(seen, clip(ratio(x - b.centre, b.unit), 20), self.forecast)
        b.expected = b.scaled if b.fresh == 2 else self.forecast
        b.value = np.where(seen, x, b.centre + b.unit * b.expected)
        b.error = np.where(seen, b.scaled - b.expected, 0) * min(1, (self.calm + 1) / 20) / sqrt(b.gap)
        self.frozen = np.where(seen & (x == self.last) & (b.fresh != 2), self.frozen + 1, 0)
        self.gone = np.where(seen, 0, self.gone + 1)
        self.last = np.where(seen, x, self.last)
        b.by_health = np.maximum(ratio(self.frozen, w["frozen"]), ratio(self.gone, w["gone"]))
        b.health, b.missing = b.by_health.max(), 1 - seen.mean()
        self.age, self.calm = self.age + 1, self.calm + 1


class Regress(Part):
    """Linear autoregression over all sensors, and random features."""

    def __init__(self, config, w, n):
        self.w, self.lags = w, next(vectors(w["start"], config["lags"] * n))

    def step(self, b):
        w = self.w
        self.lags = np.resize(b.scaled, self.lags.shape) if b.fresh == 2 else np.concatenate([b.scaled, self.lags])[:len(self.lags)]
        b.linear = w["weight"] @ self.lags + w["bias"]
        if "top" in w:
            b.linear = b.linear + w["top"] @ np.tanh(self.lags @ w["drawn"] + w["shift"])


class Forecast(Part):
    """The forecast for the next row; the intake keeps it."""

    def __init__(self, config, w, n):
        self.share, self.net, flat = w.get("share", 0), [], w.get("start")
        for k, layer in enumerate(config["layers"]):
            state = {}
            if layer["kind"] == "gru":
                state["h"], flat = vectors(flat, layer["units"])
            self.net.append((layer, {name.removeprefix(f"{k}."): tensor for name, tensor in w.items()}, state))

    def step(self, b):
        y = b.scaled
        for layer, own, state in self.net:
            y = LAYERS[layer["kind"]](layer, own, y, state)
        b.forecast = clip(b.linear + self.share * (b.scaled + y[:b.n] - b.linear), 20)


class Surprise(Part):
    """Squared errors in units of the usual one, averaged."""

    def __init__(self, config, w, n):
        self.usual, self.limits = w["usual"], w["limits"]
        self.average, self.square, _ = vectors(w["start"], n, n)

    def step(self, b):
        usual = np.where(self.usual > 0, self.usual, np.sqrt(np.maximum(self.square, 1e-6)))
        self.square = self.square + max(1 / 1000, 1 / (b.age + 1)) * (b.error ** 2 - self.square)
        self.average = self.average + 2 / 21 * (clip(b.error / usual, 20) ** 2 - self.average)
        b.spread, b.by_surprise = 2.576 * usual, self.average
        b.surprise, b.rank = ratio(self.average.mean(), self.limits) * [1, 0.5]


class Level(Part):
    """Fast average against a slow baseline; `away` is where the plant went."""

    def __init__(self, config, w, n):
        self.precision, self.limit = w["precision"], w["limit"][0]
        self.fast, self.base, self.away, _, _, counters = vectors(w["start"], *[n] * 5)
        self.displaced, self.peak, self.rows, self.rest = counters[:4]

    def step(self, b):
        self.fast = self.fast + min(1, 0.3 * b.gap) * (b.scaled - self.fast)
        if b.gap > 1 and not self.displaced:
            self.base = self.base + min(1, b.gap / 150) * (b.scaled - self.base)
        if b.fresh == 2:
            self.fast, self.base = b.scaled, b.scaled
        d = clip(self.fast - self.base, 6)
        part = d @ self.precision
        q = d @ part
        if self.displaced:
            self.peak, self.rows = max(self.peak, q), self.rows + 1
            turned = self.away @ part < 0.5 * (self.away @ self.precision @ self.away)
            self.away = self.away + (d - self.away) / self.rows
            if q < max(0.2 * self.limit, 0.07 * self.peak) or turned or self.rows > 1500:
                self.displaced, self.rest, self.base = 0, 50, self.base + 0.85 * (self.fast - self.base)
        elif self.limit and q > self.limit * (2 if self.rest else 1) and b.age >= 20:
            self.displaced, self.peak, self.rows, self.away = 1, q, 1, d
        if not self.displaced:
            self.base = self.base + max(0.02 if self.rest else 1 / 150, 1 / (b.age + 1)) * (b.scaled - self.base)
            self.rest = max(self.rest - 1, 0)
        b.level, b.displaced, b.by_level = ratio(q, self.limit), self.displaced, d * part


class Echo(Part):
    """Running distances to every place of the history."""

    def __init__(self, config, w, n):
        self.w, self.share = w, 1 / max(1, np.any(w["components"], axis=1).sum())
        _, short, _, long, _ = vectors(w["start"], 16, config["rows"], 16, config["rows"])
        self.far = [short, long]

    def step(self, b):
        if b.fresh == 2:
            self.far = [np.ones_like(far) for far in self.far]
        now = self.w["components"] @ clip(b.scaled, 5)
        apart = self.share * ((now[:, None] - self.w["history"]) ** 2).sum(0)
        keeps = exp(-1 / 30), exp(-1 / 100)
        self.far = [keep * np.append(4, far[:-1]) + (1 - keep) * apart for keep, far in zip(keeps, self.far, strict=True)]
        b.memory = ratio(np.sqrt([far.min() for far in self.far]), self.w["tops"]).mean()
        b.rank += b.memory ** 4


class Alarm(Part):
    def __init__(self, config, w, n):
        self.holding, self.since, self.novelty = w["start"]

    def step(self, b):
        lasting, old_enough = max(b.surprise * (2 if self.holding else 1), b.displaced, b.health), b.age >= 20
        self.since, moment = self.since + 1, False
        if b.novel >= 1 and (not self.novelty or self.since > 100 or b.novel > 5 * self.novelty):
            moment, self.since, self.novelty = old_enough, 0, b.novel
        self.holding = lasting >= 1 and old_enough
        b.alert, b.cause, b.rank = moment or self.holding, b.novelty, b.rank + b.novel
        if not moment or self.holding:
            if b.displaced and b.level >= b.surprise:
                b.cause = LEVEL
            elif b.health >= 1:
                b.cause = HEALTH
            elif 0 < b.surprise >= min(b.novel, 1):
                b.cause = SURPRISE
        if not b.alert and getattr(b, "memory", 0) >= 1:
            b.cause = MEMORY


class Report(Part):
    def step(self, b):
        blame = np.maximum({SURPRISE: b.by_surprise, LEVEL: b.by_level, HEALTH: b.by_health}.get(b.cause, b.by_range), 0)
        blame = blame / blame.sum() if blame.sum() > 0 else np.full(b.n, 1 / b.n)
        b.y = np.concatenate([[b.rank, b.alert, b.cause, b.missing], b.centre + b.unit * b.expected, b.unit * b.spread, blame])


ONLINE = Season, Recursive, Patterns, Novelty
PARTS = {part.__name__.lower(): part for part in (Intake, Regress, Forecast, Surprise, Level, Echo, Alarm, Report, *ONLINE)}


class Twin:
    def __init__(self, model):
        self.n, self.parts = len(model.layers[0].sensors), []
        for k, config in enumerate(model.config()["layers"]):
            first, kind = f"layers.{k}.", PARTS[config["kind"]]
            w = {name.removeprefix(first): np.array(tensor, float) for name, tensor in model.tensors.items() if name.startswith(first)}
            assert kind not in ONLINE or not w["start"].any(), "these learn from nothing"
            self.parts.append(kind(config, w, self.n))

    def step(self, x):
        nothing = {name: np.zeros(self.n) for name in ("by_range", "by_level", "by_pattern")}
        b = SimpleNamespace(x=np.asarray(x, float), n=self.n, novel=0.0, novelty=RANGE, displaced=0, level=0.0, **nothing)
        for part in self.parts:
            part.step(b)
        self.parts[0].forecast = b.forecast
        return b.y

    def run(self, rows):
        return np.array([self.step(x) for x in rows])
