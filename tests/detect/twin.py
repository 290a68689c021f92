"""The slow, obvious twin of a whole detector: float64, a class a part, one row at a time.

A part's `step(b)` reads and writes the board b: an attribute for each vector (sensors,) and each signal of cells/monitors/board.py.
`Twin(model).step(x)` gives the columns that `model.stream().step(x)` gives. Only `start`, what a stream begins with, is read as
it lies in memory: vectors one behind the other, each padded to a multiple of 16.
"""
from math import exp, log, sqrt
from types import SimpleNamespace

import numpy as np
from reference import LAYERS

SURPRISE, LEVEL, RANGE, SEASON, PATTERN, MEMORY, HEALTH = range(7)
WEEK = 604_800


def clip(x, limit):
    return np.clip(x, -limit, limit)


def vectors(flat, *sizes):
    """Vectors of these sizes, as they lie, and what is behind them."""
    for size in sizes:
        yield np.array(flat[:size], float)
        flat = flat[-(-size // 16) * 16:]
    yield np.array(flat, float)


def inverse(x):
    """1 / x, and 0 for 0: no limit."""
    x = np.asarray(x, float)
    return np.divide(1, x, out=np.zeros_like(x), where=x > 0)


def signed_log(x, size):
    return (1 if x >= 0 else -1) * log(1 + abs(x) / max(size, 1e-12))


class Intake:
    """Readings to standard units, missing ones filled in; frozen and silent sensors; the clock."""

    def __init__(self, config, w):
        self.n, self.period, self.timed, self.w = len(config["sensors"]), config["period"], config["clock"], w
        self.last, self.forecast, self.frozen, self.gone, self.mean, self.variance, counters = vectors(w["start"], *[self.n] * 6)
        self.begun, self.seconds, self.fraction = counters[:3]
        self.age = 0

    def clock(self, b, x):
        b.gap, b.clock = 1, -1
        if not self.timed:
            return
        seconds, fraction = x[self.n:]
        if np.isnan(seconds) or np.isnan(fraction):
            seconds, fraction = (self.seconds + self.period) % WEEK, self.fraction
        elif self.age:
            passed = (seconds - self.seconds + fraction - self.fraction) % WEEK
            b.gap = max(1, passed / self.period) if passed < WEEK / 2 else 1
        self.seconds, self.fraction, b.clock = seconds, fraction, seconds + fraction

    def step(self, b):
        x, w, horizon = b.x[:self.n], self.w, self.w["horizon"][0]
        b.fresh = 0 if self.age else 1 if self.begun else 2
        b.age, b.n = self.age, self.n
        self.clock(b, b.x)
        b.seen = ~np.isnan(x)
        x = np.where(b.seen, x, 0)
        b.centre, b.unit = w["centre"], w["unit"]
        if horizon:
            pace = max(1 / (self.age + 1), 1 / horizon)
            if self.age == 0:
                self.mean = np.where(b.seen, x, self.mean)
            b.centre, b.unit = self.mean, np.sqrt(self.variance)
            b.unit = np.where(b.unit > 1e-12, b.unit, 1)
            mean = np.where(b.seen, self.mean + pace * (x - self.mean), self.mean)
            spread = self.variance + pace * ((x - self.mean) * (x - mean) - self.variance)
            self.mean, self.variance = mean, np.where(b.seen, spread, self.variance)
        b.scaled = np.where(b.seen, clip((x - b.centre) * inverse(b.unit), 20), self.forecast)
        b.expected = b.scaled if b.fresh == 2 else self.forecast
        b.value = np.where(b.seen, x, b.centre + b.unit * b.expected)
        b.error = np.where(b.seen, b.scaled - b.expected, 0) * min(1, (self.age + 1) / 20) / sqrt(b.gap)
        same = b.seen & (x == self.last) & (b.fresh != 2)
        self.frozen, self.gone = np.where(same, self.frozen + 1, 0), np.where(b.seen, 0, self.gone + 1)
        self.last = np.where(b.seen, x, self.last)
        b.by_health = np.maximum(*(np.divide(rows, w[name], out=np.zeros(self.n), where=w[name] > 0)
                                   for rows, name in ((self.frozen, "frozen"), (self.gone, "gone"))))
        b.health, b.missing = b.by_health.max(), 1 - b.seen.mean()
        self.age += 1


class Profile:
    """Bins of a day or a week: how far is a value outside its bin and the two beside it?"""

    def __init__(self, count):
        self.mean, self.count = np.zeros(count), np.zeros(count)

    def distance(self, k, value):
        beside = [j % len(self.mean) for j in (k - 1, k, k + 1)]
        known, off = self.count[k] > 0, 0
        if known:
            span = [self.mean[j] for j in beside if self.count[j] > 0]
            off = max(value - max(span), 0) + min(value - min(span), 0)
        self.count[k] += 1
        self.mean[k] += max(0.1, 1 / self.count[k]) * (value - self.mean[k])
        return known, off


class Season:
    """The size and the logarithm of a reading, and how far both lie outside what is usual at this hour."""

    def __init__(self, config, w):
        assert not w["start"].any()
        n = len(w["start"]) // 784
        self.size, self.rows = np.zeros(n), 0
        self.profiles = [[(Profile(24), Profile(168)) for _ in range(2)] for _ in range(n)]

    def step(self, b):
        self.rows += 1
        self.size += (np.abs(b.value) - self.size) / self.rows
        b.size, b.logarithm = self.size.copy(), np.array([signed_log(*one) for one in zip(b.value, self.size, strict=True)])
        b.off, b.off_log = np.zeros(b.n), np.zeros(b.n)
        hour = int(b.clock / 3600) % 168
        for c in range(b.n if b.clock >= 0 else 0):
            b.off[c], b.off_log[c] = (self.unusual(profiles, hour, value[c])
                                      for profiles, value in zip(self.profiles[c], (b.value, b.logarithm), strict=True))

    def unusual(self, profiles, hour, value):
        (by_day, day), (by_week, week) = profiles[0].distance(hour % 24, value), profiles[1].distance(hour, value)
        return 0 if not by_day else week if by_week and abs(week) < abs(day) else day


class Online:
    """Recursive least squares over three lags of one sensor."""

    def __init__(self):
        self.rows, self.mean, self.squares = 0, 0.0, 0.0
        self.lags, self.weights, self.p = np.zeros(3), np.array([1.0, 0, 0, 0]), 10 * np.eye(4)

    def inputs(self, deviation):
        return np.append(clip((self.lags - self.mean) / deviation, 20), 1)

    def step(self, value):
        """(error, forecast), both in logarithms."""
        deviation, error = sqrt(self.squares / self.rows) if self.rows > 1 else 0, 0
        if deviation > 1e-12 and self.rows >= 3:
            u = self.inputs(deviation)
            error = clip((value - self.mean) / deviation, 20) - self.weights @ u
            k = self.p @ u
            q = 0.9995 + u @ k
            self.weights = self.weights + k * error / q
            self.p = (self.p - np.outer(k, k) / q) / 0.9995
            if not 0 <= np.trace(self.p) <= 1e6:
                self.p = 0.1 * self.p
        self.rows += 1
        off = value - self.mean
        self.mean += off / self.rows
        self.squares += off * (value - self.mean)
        self.lags = np.array([value, *self.lags[:2]])
        deviation = sqrt(self.squares / self.rows)
        known = deviation > 1e-12 and self.rows > 3
        return error * deviation, clip(self.weights @ self.inputs(deviation), 20) * deviation + self.mean if known else value


class Recursive:
    def __init__(self, config, w):
        assert not w["start"].any()
        self.own = [Online() for _ in range(len(w["start"]) // 48)]

    def step(self, b):
        b.online_error, y = np.array([own.step(value) for own, value in zip(self.own, b.logarithm, strict=True)]).T
        b.linear = (np.sign(y) * (np.exp(np.abs(y)) - 1) * b.size - b.centre) / b.unit


class Regress:
    """Linear autoregression over all sensors, and random features."""

    def __init__(self, config, w):
        self.w, self.lags = w, next(vectors(w["start"], w["weight"].shape[1]))

    def step(self, b):
        w = self.w
        self.lags = np.resize(b.scaled, self.lags.shape) if b.fresh == 2 else np.concatenate([b.scaled, self.lags])[:len(self.lags)]
        b.linear = w["weight"] @ self.lags + w["bias"]
        if "top" in w:
            b.linear = b.linear + w["top"] @ np.tanh(self.lags @ w["drawn"] + w["shift"])


class Forecast:
    """The forecast for the next row; the intake keeps it."""

    def __init__(self, config, w):
        self.share, self.net = w.get("share", 0), []
        flat = w.get("start")
        for k, layer in enumerate(config["layers"]):
            state = {}
            if layer["kind"] == "gru":
                state["h"], flat = vectors(flat, layer["units"])
            own = {name.removeprefix(f"{k}."): tensor for name, tensor in w.items() if name.startswith(f"{k}.")}
            self.net.append((layer, own, state))

    def step(self, b):
        y = b.scaled
        for layer, own, state in self.net:
            y = LAYERS[layer["kind"]](layer, own, y, state)
        b.forecast = clip(b.linear + self.share * (b.scaled + y[:b.n] - b.linear), 20)


class Surprise:
    def __init__(self, config, w):
        n = len(w["usual"])
        self.usual, self.per_alarm, self.per_top = w["usual"], *inverse(w["limits"])
        self.average, self.square, _ = vectors(w["start"], n, n)

    def step(self, b):
        usual = np.where(self.usual > 0, self.usual, np.sqrt(np.maximum(self.square, 1e-6)))
        self.square = self.square + max(1 / 1000, 1 / (b.age + 1)) * (b.error ** 2 - self.square)
        self.average = self.average + 2 / 21 * (clip(b.error / usual, 20) ** 2 - self.average)
        b.spread, b.by_surprise = 2.576 * usual, self.average
        b.surprise, b.rank = self.average.mean() * self.per_alarm, self.average.mean() * self.per_top / 2


class Level:
    """Fast average against a slow baseline; `away` is where the plant went."""

    def __init__(self, config, w):
        self.precision, self.limit, n = w["precision"], w["limit"][0], len(w["precision"])
        self.fast, self.base, self.away, _, _, counters = vectors(w["start"], *[n] * 5)
        self.displaced, self.peak, self.rows, self.rest = counters[:4]

    def step(self, b):
        self.fast = self.fast + 0.3 * (b.scaled - self.fast)
        if b.fresh == 2:
            self.fast, self.base = b.scaled, b.scaled
        d = clip(self.fast - self.base, 6)
        part = d @ self.precision
        q = d @ part
        if self.displaced:
            self.peak, self.rows = max(self.peak, q), self.rows + 1
            turned = self.away @ part < 0.6 * (self.away @ self.precision @ self.away)
            self.away = self.away + (d - self.away) / self.rows
            if q < max(0.2 * self.limit, 0.07 * self.peak) or turned or self.rows > 1500:
                self.displaced, self.rest = 0, 30
                self.base = self.base + 0.85 * (self.fast - self.base)
        elif self.limit and q > self.limit * (2 if self.rest else 1) and b.age >= 20:
            self.displaced, self.peak, self.rows, self.away = 1, q, 1, d
        if not self.displaced:
            self.base = self.base + max(0.02 if self.rest else 1 / 150, 1 / (b.age + 1)) * (b.scaled - self.base)
            self.rest = max(self.rest - 1, 0)
        b.level, b.displaced, b.by_level = q * inverse(self.limit), self.displaced, d * part


class Shapes:
    """One sensor in blocks of so many rows: the last eight block means against every eight before."""

    def __init__(self, rows):
        self.rows, self.block, self.means, self.blocks = rows, [], [], 0
        self.low = self.high = None
        self.seen, self.mean, self.excess, self.held, self.left = 0, 0.0, 0.0, 0.0, 0

    def nearest(self, span):
        """Each of 1024 windows that end four blocks or more before now. Windows with gaps in them do not count."""
        last, means = np.array(self.means[-8:]), np.array(self.means[-(1024 + 8 + 4 - 1):-4])
        windows = np.lib.stride_tricks.sliding_window_view(means, 8)
        low, own = last.min(), max(np.ptp(last), 0.05 * span)
        theirs = (windows - windows.min(1, keepdims=True)) / np.maximum(np.ptp(windows, axis=1), 0.05 * span)[:, None]
        far = np.abs(windows - last) / span + 0.2 * np.abs((last - low) / own - theirs)
        return far.mean(1).min()

    def step(self, value):
        self.low = value if self.low is None else min(self.low, value)
        self.high = value if self.high is None else max(self.high, value)
        self.left = max(self.left - 1, 0)
        if not self.left:
            self.held = 0.0
        self.block.append(value)
        if len(self.block) == self.rows:
            self.means.append(sum(self.block) / self.rows)
            self.block, self.blocks = [], self.blocks + 1
            if self.high > self.low and self.blocks >= 12:
                self.judge(self.nearest(self.high - self.low))
        return self.held

    def judge(self, distance):
        if self.seen >= 30:
            p = min(max(distance - self.mean, 0) / max(self.excess, 1e-12), 2)
            if p >= self.held:
                self.held, self.left = p, 30
        self.seen += 1
        moved = self.mean + (distance - self.mean) / min(self.seen, 1000)
        self.excess = max(0.998 * (self.mean + self.excess - moved), distance - moved)
        self.mean = moved


class Patterns:
    def __init__(self, config, w):
        assert not w["start"].any()
        n = len(w["start"]) // (3 * (16 + 1040 + 16))
        self.own = [[Shapes(rows) for rows in (4, 5, 6)] for _ in range(n)]

    def step(self, b):
        b.by_pattern = np.array([np.mean([one.step(value) for one in own]) for own, value in zip(self.own, b.logarithm, strict=True)])


class Range:
    def __init__(self):
        self.rows, self.low, self.high = 0, None, None

    def novelty(self, value):
        far = 0.0
        if not self.rows:
            self.low = self.high = value
        beyond = max(value - self.high, self.low - value)
        if beyond > 0:
            far = beyond / (self.high - self.low) if self.high > self.low else 10 if self.rows >= 50 else 0
        self.rows, self.low, self.high = self.rows + 1, min(self.low, value), max(self.high, value)
        return far


class Views:
    """One sensor's views, and the vote."""

    def __init__(self):
        self.past, self.shared = [[], [], [], []], [Range(), Range(), Range()]
        self.voters = [[Range() for _ in range(7)] for _ in range(5)]

    def step(self, reading, logarithm, error, off, off_log, pattern):
        for view, value in zip(self.past, (reading, off, abs(off), abs(off_log)), strict=True):
            view.insert(0, value)
            del view[70:]
        mean = lambda view, length: sum(self.past[view][:length]) / length if len(self.past[view]) >= length else 0.0
        shared = max(one.novelty(value) for one, value in zip(self.shared, (reading, logarithm, error), strict=True))
        votes, by_season = 0.0, 0.0
        for own, short, long in zip(self.voters, (14, 17, 20, 24, 28), (35, 42, 50, 60, 70), strict=True):
            by_mean = own[0].novelty(mean(0, short)) if len(self.past[0]) >= short else 0.0
            season = max(own[2 * view - 1 + k].novelty(mean(view, length)) for view in (1, 2, 3) for k, length in ((0, short), (1, long)))
            far = min(max(shared, by_mean, season, 0.05 * pattern), 1)
            by_season, votes = max(by_season, season), votes + far / (far + 0.05) / 5
        return votes / max(1 - votes, 1e-3), by_season, 0.05 * pattern, shared


class Novelty:
    def __init__(self, config, w):
        assert not w["start"].any()
        self.own = [Views() for _ in range(len(w["start"]) // (80 + 4 * 96 + 160))]

    def step(self, b):
        told = [own.step(*views) for own, *views in
                zip(self.own, b.value, b.logarithm, b.online_error, b.off, b.off_log, b.by_pattern, strict=True)]
        b.by_range = np.array([signal for signal, *_ in told])
        most, season, pattern, shared = told[int(b.by_range.argmax())]
        b.novel = min(most, 20)
        b.novelty = SEASON if season > shared and season >= pattern else PATTERN if pattern > shared and most > 0 else RANGE


class Echo:
    """Running distances to every place of the history."""

    def __init__(self, config, w):
        self.w, rows = w, config["rows"]
        _, short, _, long, _ = vectors(w["start"], 16, rows, 16, rows)
        self.far = [short, long]
        self.share = 1 / max(1, np.any(w["components"], axis=1).sum())

    def step(self, b):
        if b.fresh == 2:
            self.far = [np.ones_like(far) for far in self.far]
        now = self.w["components"] @ clip(b.scaled, 5)
        apart = self.share * ((now[:, None] - self.w["history"]) ** 2).sum(0)
        keeps = exp(-1 / 30), exp(-1 / 100)
        self.far = [keep * np.append(4, far[:-1]) + (1 - keep) * apart for keep, far in zip(keeps, self.far, strict=True)]
        b.rank += (np.sqrt([far.min() for far in self.far]) @ inverse(self.w["tops"]) / 2) ** 4


class Alarm:
    def __init__(self, config, w):
        self.holding, self.since, self.novelty = map(float, w["start"])

    def step(self, b):
        lasting = max(b.surprise * (2 if self.holding else 1), b.displaced, b.health)
        self.since, moment = self.since + 1, False
        if b.novel >= 1 and (not self.novelty or self.since > 100 or b.novel > 5 * self.novelty):
            moment, self.since, self.novelty = True, 0, b.novel
        self.holding = lasting >= 1 and b.age >= 20
        b.alert, b.cause, b.rank = moment or self.holding, b.novelty, b.rank + b.novel
        if not moment or self.holding:
            if b.displaced and b.level >= b.surprise:
                b.cause = LEVEL
            elif b.health >= 1:
                b.cause = HEALTH
            elif 0 < b.surprise >= min(b.novel, 1):
                b.cause = SURPRISE


class Report:
    def __init__(self, config, w):
        pass

    def step(self, b):
        blame = np.maximum({SURPRISE: b.by_surprise, LEVEL: b.by_level, HEALTH: b.by_health}.get(b.cause, b.by_range) + np.zeros(b.n), 0)
        blame = blame / blame.sum() if blame.sum() > 0 else np.full(b.n, 1 / b.n)
        b.y = np.concatenate([[b.rank, b.alert, b.cause, b.missing], b.centre + b.unit * b.expected, b.unit * b.spread, blame])


PARTS = {part.__name__.lower(): part for part in
         (Intake, Season, Recursive, Regress, Forecast, Surprise, Level, Patterns, Novelty, Echo, Alarm, Report)}


class Twin:
    def __init__(self, model):
        self.parts, self.zeros = [], np.zeros(len(model.layers[0].sensors))
        for k, config in enumerate(model.config()["layers"]):
            own = {name.removeprefix(f"layers.{k}."): np.asarray(tensor, float) for name, tensor in model.tensors.items()
                   if name.startswith(f"layers.{k}.")}
            self.parts.append(PARTS[config["kind"]](config, own))

    def step(self, x):
        b = SimpleNamespace(x=np.asarray(x, float), rank=0.0, novel=0.0, novelty=RANGE, by_range=0.0, displaced=0, level=0.0, by_level=0.0)
        b.by_pattern = self.zeros
        for part in self.parts:
            part.step(b)
        self.parts[0].forecast = b.forecast
        return b.y

    def run(self, rows):
        return np.array([self.step(x) for x in rows])
