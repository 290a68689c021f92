"""What a fit measures on the history: units, error sizes, limits. The first part of the history teaches a trial, the rest judges it."""
import numpy as np

from streamrnn.cells.monitors import level as levels
from streamrnn.detect.limits import exceeded_once_in

LEARN = 0.6             # of the history; the rest is for calibration
CLIP = 20.0
CONSTANT = 1e-4         # a deviation below this is none
TAIL, TIMES = 0.99, 2.576   # a Gaussian's errors lie within 2.576 deviations 99 times of 100
FLOOR, MIDDLING = 0.1, 0.05  # no error counts as smaller than this (of a deviation), less where errors are small anyway
TWICE = 2.0
SMALLEST = 1e-4         # errors of a plant that never moves
CAP = 20.0
ONCE_IN_THOUSAND = 0.999
SETTLE = 20             # rows over which a baseline is found
FURTHEST = 10           # times the rows of the history: no limit is told further ahead
ABOVE = 1.9             # times what a level exceeds once in a hundred rows
OFF_DIAGONAL, RIDGE = 0.4, 0.1   # of a level's covariance: how much of it is believed, and what is added


def units(values):
    """(centre, unit) of each sensor; a constant one is measured by its own size."""
    values = values.astype(np.float64)
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(values)
        count = np.maximum(seen.sum(0), 1)
        centre = np.where(seen, values, 0).sum(0) / count
        deviation = np.sqrt(np.where(seen, (values - centre) ** 2, 0).sum(0) / count)
        size = np.where(seen, np.abs(values), 0).max(0, initial=0)
    constant = deviation <= CONSTANT * np.maximum(size, 1e-30)
    return centre, np.where(constant, np.where(size > 0, size, 1), deviation)


def scaled(values, centre, unit):
    """(standard units, which readings are real): missing ones repeat the last."""
    seen = np.isfinite(values)
    rows = np.maximum.accumulate(np.where(seen, np.arange(len(values))[:, None], -1), axis=0)
    z = np.clip((np.where(seen, values, 0) - centre) / unit, -CLIP, CLIP)
    return np.where(rows >= 0, np.take_along_axis(z, np.maximum(rows, 0), axis=0), 0.0), seen


def averaged(x, pace, start):
    """x (rows, ...) -> exponential averages."""
    y, now = np.empty_like(x), np.array(start, np.float64)
    for t in range(len(x)):
        now = now + pace * (x[t] - now)
        y[t] = now
    return y


def usual_errors(errors, seen, error):
    """Each sensor's usual error: from its tail, and never far below what is usual for all."""
    tail = np.array([np.quantile(np.abs(errors[seen[:, c], c]), TAIL) if seen[:, c].any() else 0.0 for c in range(errors.shape[1])])
    floor = FLOOR * min(1.0, (error / MIDDLING) ** 0.5)
    return np.maximum(np.sqrt((tail / TIMES) ** 2 + floor ** 2), SMALLEST)


def shares(linear, own, judged):
    """For each sensor, how much of the net's forecast to take: half if its errors are as small as the autoregression's or smaller, less
    if they are larger, nothing for a sensor whose errors it would make TWICE as large. (The least error is not what finds most.)"""
    ratio = min(1.0, np.mean(linear ** 2) / max(np.mean(own ** 2), 1e-12)) ** 2
    share = ratio / (1 + ratio)
    before, after = (np.where(judged, errors, 0) ** 2 for errors in (linear, linear + share * (own - linear)))
    return np.where(after.sum(0) > TWICE * before.sum(0), 0.0, share)


def surprise(errors, usual, pace):
    """R of each row."""
    return averaged((np.clip(errors / usual, -CAP, CAP) ** 2).mean(1), pace, 1.0)


def surprise_limits(surprises, rows, reach):
    """(where R is an alarm, what it exceeds once in a thousand rows). Few rows are trusted less; errors linger for `reach` rows."""
    limit = exceeded_once_in(surprises, rows) or 1.5 * float(surprises.max())
    return limit * (1 + 40 * reach / len(surprises)), float(np.quantile(surprises, ONCE_IN_THOUSAND))


def level_of(z, starts, rows):
    """(precision for the level monitor, its limit): how the fast average strays from the baseline in the history."""
    strays, starts = np.empty_like(z), set(starts)
    for t in range(len(z)):
        if t in starts:
            fast, base = z[t].copy(), z[t:t + SETTLE].mean(0)
        fast = fast + float(levels.QUICK) * (z[t] - fast)
        strays[t] = np.clip(fast - base, -float(levels.CAP), float(levels.CAP))
        base = base + float(levels.SLOW) * (z[t] - base)
    strays, n = strays[SETTLE:], z.shape[1]
    covariance = np.cov(strays.T).reshape(n, n)
    kept = OFF_DIAGONAL * covariance + (1 - OFF_DIAGONAL) * np.diag(np.diag(covariance)) + RIDGE * np.eye(n)
    precision = np.linalg.inv(kept) / n
    q = np.einsum("tc,cd,td->t", strays, precision, strays)
    return precision, max(ABOVE * float(np.quantile(q, TAIL)), exceeded_once_in(q, min(rows, FURTHEST * len(q))) or 0.0)


def longest_run(values):
    """For each sensor, the longest run of rows with one and the same reading."""
    same = values[1:] == values[:-1]
    longest = np.zeros(values.shape[1], int)
    for c in range(values.shape[1]):
        breaks = np.flatnonzero(np.concatenate([[True], ~same[:, c], [True]]))
        longest[c] = np.diff(breaks).max(initial=1)
    return longest


def longest_gap(seen):
    """For each sensor, the longest run of rows without a reading."""
    longest = np.zeros(seen.shape[1], int)
    for c in range(seen.shape[1]):
        places = np.flatnonzero(np.concatenate([[True], seen[:, c], [True]]))
        longest[c] = np.diff(places).max(initial=1) - 1
    return longest
