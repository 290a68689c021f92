"""Limits for a stated rate of false alarms: peaks over a threshold, their tail a generalised Pareto."""
import re

import numpy as np

from streamrnn.errors import ConfigError

HIGH = 0.98          # quantile beyond which peaks are looked at
APART = 50           # rows between two peaks that count as two
FEWEST = 3           # peaks below which no tail is told
TOP = 10             # peaks that make the tail: those far below them say little about rare ones
SHAPE, TRUST = 0.0, 20.0        # the tail's shape is drawn to this, as by so many peaks
LEAST_SHAPE, MOST_SHAPE = -0.2, 0.5
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "second": 1, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400,
           "week": 604_800, "month": 2_629_800, "year": 31_557_600}
NUMBER = r"[0-9]+(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?"


def unit_of(name):
    """Seconds of a unit by its name, in the singular or plural; None if it is none."""
    return SECONDS.get(name) or (SECONDS.get(name[:-1]) if name.endswith("s") else None)


def seconds_of(period):
    """Seconds between two rows: a number, or text such as "1s", "250ms", "5min", "1h"."""
    if isinstance(period, (int, float, np.number)) and not isinstance(period, bool) and 0 < period < float("inf"):
        return float(period)
    match = re.fullmatch(rf"\s*({NUMBER})?\s*([a-z]+)\s*", period) if isinstance(period, str) else None
    seconds = float(match[1] or 1) * (unit_of(match[2]) or 0) if match else 0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f'period must be seconds above 0, or text such as "1s", "250ms", "5min" or "1h"; got {period!r}')
    return seconds


def rows_per_alarm(rate, period):
    """How many rows to one false alarm: "1/week", "2/day", "1/20000 rows"."""
    match = re.fullmatch(rf"\s*({NUMBER})\s*(?:/|per)\s*({NUMBER})?\s*([a-z]+)\s*", rate) if isinstance(rate, str) else None
    rows = 0.0
    if match and float(match[1]) > 0:
        unit = 1.0 if match[3] in ("row", "rows") else (unit_of(match[3]) or 0) / period
        rows = float(match[2] or 1) * unit / float(match[1])
    if not rows:
        raise ConfigError(f'false_alarms must be a rate such as "1/week", "2/day" or "1/20000 rows", got {rate!r}')
    if rows < APART:
        raise ConfigError(f"false_alarms={rate!r} is one in {rows:.3g} rows: an alarm lasts longer than that. Ask for fewer")
    return rows


def peaks(values, threshold):
    """The largest value of each run over the threshold; runs less than APART rows apart are one."""
    over = np.flatnonzero(values > threshold)
    if not len(over):
        return np.zeros(0)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(over) > APART) + 1])
    return np.maximum.reduceat(values[over], starts)


def exceeded_once_in(values, rows):
    """The level that values like these exceed once in so many rows; None if they are too few to tell."""
    found = np.sort(peaks(values, float(np.quantile(values, HIGH))))
    count = min(TOP, len(found) // 2)
    if count < FEWEST:
        return None
    threshold = found[-count - 1]
    beyond = found[-count:] - threshold
    mean = beyond.mean()
    weighted = np.mean(beyond * (1 - (np.arange(1, count + 1) - 0.35) / count))
    shape = 2 - mean / (mean - 2 * weighted) if mean != 2 * weighted else SHAPE
    shape = float(np.clip((count * shape + TRUST * SHAPE) / (count + TRUST), LEAST_SHAPE, MOST_SHAPE))
    scale = mean * (1 - shape)
    times = rows * count / len(values)
    return float(threshold + (scale / shape * (times ** shape - 1) if abs(shape) > 1e-6 else scale * np.log(times)))
