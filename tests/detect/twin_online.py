"""The twin's parts that know nothing and learn as a stream goes: season, recursive, patterns, novelty."""
from math import log, sqrt

import numpy as np

from streamrnn.cells.monitors.board import PATTERN, RANGE, SEASONAL


class Part:
    """w: tensors by name; n sensors."""

    def __init__(self, config, w, n):
        self.w, self.n = w, n


def clip(x, limit):
    return np.clip(x, -limit, limit)


def signed_log(x, size):
    return (1 if x >= 0 else -1) * log(1 + abs(x) / max(size, 1e-12))


class Profile:
    """Bins of a day or a week: how far is a value outside its bin and the two beside it?"""

    def __init__(self, count):
        self.mean, self.count = np.zeros(count), np.zeros(count)

    def distance(self, k, value):
        beside, known, off = [j % len(self.mean) for j in (k - 1, k, k + 1)], self.count[k] > 0, 0
        if known:
            span = [self.mean[j] for j in beside if self.count[j] > 0]
            off = max(value - max(span), 0) + min(value - min(span), 0)
        self.count[k] += 1
        self.mean[k] += max(0.1, 1 / self.count[k]) * (value - self.mean[k])
        return known, off


class Season(Part):
    """The size and the logarithm of a reading, and how far both lie outside what is usual at this hour."""

    def __init__(self, config, w, n):
        self.size, self.rows = np.zeros(n), 0
        self.profiles = [[(Profile(24), Profile(168)) for _ in range(2)] for _ in range(n)]

    def step(self, b):
        self.rows += 1
        self.size = b.size = self.size + (np.abs(b.value) - self.size) / self.rows
        b.logarithm = np.array([signed_log(*one) for one in zip(b.value, self.size, strict=True)])
        b.off = np.zeros((2, b.n))
        if b.clock >= 0:
            hour = int(b.clock / 3600) % 168
            b.off = np.array([[self.unusual(profiles[k], hour, value) for profiles, value in zip(self.profiles, row, strict=True)]
                              for k, row in enumerate((b.value, b.logarithm))])

    def unusual(self, profiles, hour, value):
        (by_day, day), (by_week, week) = profiles[0].distance(hour % 24, value), profiles[1].distance(hour, value)
        return 0 if not by_day else week if by_week and abs(week) < abs(day) else day


class Online:
    """Recursive least squares over three lags of one sensor."""

    def __init__(self):
        self.rows, self.mean, self.squares, self.lags, self.weights, self.p = 0, 0.0, 0.0, np.zeros(3), np.eye(4)[0], 10 * np.eye(4)

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


class Recursive(Part):
    def __init__(self, config, w, n):
        self.own = [Online() for _ in range(n)]

    def step(self, b):
        b.online_error, y = np.array([own.step(value) for own, value in zip(self.own, b.logarithm, strict=True)]).T
        off = np.sign(y) * (np.exp(np.abs(y)) - 1) * b.size - b.centre
        b.linear = np.divide(off, b.unit, out=np.zeros(len(off)), where=b.unit > 0)


class Shapes:
    """One sensor in blocks of so many rows: the last eight block means against every eight before."""

    def __init__(self, rows):
        self.rows, self.block, self.means, self.low, self.high = rows, [], [], np.inf, -np.inf
        self.seen, self.mean, self.excess, self.held, self.left = 0, 0.0, 0.0, 0.0, 0

    def nearest(self, span):
        """Of 1024 windows, the last of which ends four blocks before now."""
        last, means = np.array(self.means[-8:]), np.array(self.means[-(1024 + 8 + 4 - 1):-4])
        windows = np.lib.stride_tricks.sliding_window_view(means, 8)
        here = (last - last.min()) / max(np.ptp(last), 0.05 * span)
        there = (windows - windows.min(1, keepdims=True)) / np.maximum(np.ptp(windows, axis=1), 0.05 * span)[:, None]
        return (np.abs(windows - last) / span + 0.2 * np.abs(here - there)).mean(1).min()

    def step(self, value):
        self.low, self.high, self.left = min(self.low, value), max(self.high, value), max(self.left - 1, 0)
        self.held = self.held if self.left else 0.0
        self.block.append(value)
        if len(self.block) == self.rows:
            self.means.append(sum(self.block) / self.rows)
            self.block = []
            if self.high > self.low and len(self.means) >= 12:
                self.judge(self.nearest(self.high - self.low))
        return self.held

    def judge(self, distance):
        p = min(max(distance - self.mean, 0) / max(self.excess, 1e-12), 2)
        if self.seen >= 30 and p >= self.held:
            self.held, self.left = p, 30
        self.seen += 1
        moved = self.mean + (distance - self.mean) / min(self.seen, 1000)
        self.mean, self.excess = moved, max(0.998 * (self.mean + self.excess - moved), distance - moved)


class Patterns(Part):
    def __init__(self, config, w, n):
        self.own = [[Shapes(rows) for rows in (4, 5, 6)] for _ in range(n)]

    def step(self, b):
        b.by_pattern = np.array([np.mean([one.step(value) for one in own]) for own, value in zip(self.own, b.logarithm, strict=True)])


class Range:
    """How far outside all before it, as a share of their range."""

    def __init__(self):
        self.rows, self.low, self.high = 0, None, None

    def novelty(self, value):
        if not self.rows:
            self.low = self.high = value
        beyond, span = max(value - self.high, self.low - value), self.high - self.low
        far = 0.0 if beyond <= 0 else beyond / span if span > 0 else 10.0 if self.rows >= 50 else 0.0
        self.rows, self.low, self.high = self.rows + 1, min(self.low, value), max(self.high, value)
        return far


class Views:
    """One sensor's views, and the vote."""

    def __init__(self):
        self.past, self.shared, self.voters = [[], [], [], []], [Range() for _ in range(3)], [[Range() for _ in range(7)] for _ in range(5)]

    def step(self, reading, logarithm, error, off, off_log, pattern):
        """(signal, by season, by pattern, by what all voters share)"""
        self.past = [[value, *view[:69]] for view, value in zip(self.past, (reading, off, abs(off), abs(off_log)), strict=True)]
        mean = lambda view, length: sum(self.past[view][:length]) / length if len(self.past[view]) >= length else 0.0
        shared = max(one.novelty(value) for one, value in zip(self.shared, (reading, logarithm, error), strict=True))
        votes, by_season = 0.0, 0.0
        for own, short, long in zip(self.voters, (14, 17, 20, 24, 28), (35, 42, 50, 60, 70), strict=True):
            by_mean = own[0].novelty(mean(0, short)) if len(self.past[0]) >= short else 0.0
            season = max(own[2 * view - 1 + k].novelty(mean(view, length)) for view in (1, 2, 3) for k, length in ((0, short), (1, long)))
            far = min(max(shared, by_mean, season, 0.05 * pattern), 1)
            by_season, votes = max(by_season, season), votes + far / (far + 0.05) / 5
        return votes / max(1 - votes, 1e-3), by_season, 0.05 * pattern, shared


class Novelty(Part):
    def __init__(self, config, w, n):
        self.own = [Views() for _ in range(n)]

    def step(self, b):
        told = [own.step(*views) for own, *views in zip(self.own, b.value, b.logarithm, b.online_error, *b.off, b.by_pattern, strict=True)]
        b.by_range = np.array([signal for signal, *_ in told])
        most, season, pattern, shared = told[int(b.by_range.argmax())]
        b.novel, b.novelty = min(most, 20), SEASONAL if season > shared and season >= pattern else PATTERN if pattern > shared else RANGE
