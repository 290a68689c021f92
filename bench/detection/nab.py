"""NAB's standard profile: an alarm is worth more the earlier it falls in a window, and costs outside of all windows.
The score is 0 for silence and 100 for an alarm at the first row of every window with none elsewhere."""
import numpy as np

FALSE_ALARM = 0.11      # cost of a row outside the windows; a window found early or missed weighs 1
PROBATION = 0.15, 750   # share of the rows, and the most rows, at the start of a file that are not scored


def _falloff(x):
    return 2.0 / (1.0 + np.exp(5.0 * np.asarray(x, float))) - 1.0


def _row_values(series):
    """What an alarm on each row is worth in its window, what it is worth outside, and the number of its window or -1."""
    rows = len(series.values)
    inside, outside, window = np.zeros(rows), np.full(rows, -1.0), np.full(rows, -1)
    spans = series.spans
    for k, (first, last) in enumerate(spans):
        length = last - first + 1.0
        at = np.arange(first, last + 1)
        inside[at] = _falloff(-(last - at + 1) / length) / _falloff(-1.0)
        window[at] = k
        # Just after a window an alarm is late rather than false: the cost grows to its full size over three lengths.
        after = np.arange(last + 1, spans[k + 1][0] if k + 1 < len(spans) else rows)
        ratio = (after - last) / (length - 1.0)
        outside[after] = np.where(ratio > 3.0, -1.0, _falloff(np.minimum(ratio, 3.0)))
    return inside, outside, window


class Corpus:
    """Scores of many series under one threshold; a row at or above it is an alarm."""

    def __init__(self, series, scores):
        parts, self.windows = [], 0
        for k, (one, score) in enumerate(zip(series, scores, strict=True)):
            score, rows = np.asarray(score, float), len(one.values)
            inside, outside, window = _row_values(one)
            scored = np.arange(rows) >= min(int(PROBATION[0] * rows), PROBATION[1])
            if score.shape != (rows,) or not np.isfinite(score[scored]).all():
                raise ValueError(f"{one.name}: needs {rows} finite scores")
            window = np.where(window >= 0, window + self.windows, -1)
            parts.append([a[scored] for a in (score, inside, outside, window, np.full(rows, k))])
            self.windows += len(one.spans)
        if not self.windows:
            raise ValueError("no windows to find")
        self.score, self.inside, self.outside, self.window, self.file = map(np.concatenate, zip(*parts, strict=True))

    def _normalise(self, total):
        return float(100.0 * (total + self.windows) / (2.0 * self.windows))

    def at(self, threshold):
        """Standard score at a threshold."""
        on = self.score >= threshold
        found = np.full(self.windows, -1.0)
        hits = on & (self.window >= 0)
        np.maximum.at(found, self.window[hits], self.inside[hits])
        return self._normalise(FALSE_ALARM * self.outside[on & (self.window < 0)].sum() + found.sum())

    def best(self):
        """(score, threshold) of the best single threshold, chosen with the labels as NAB's own table does."""
        order = np.argsort(-self.score, kind="stable")
        score, window, inside = self.score[order], self.window[order], self.inside[order]
        gain = np.where(window < 0, FALSE_ALARM * self.outside[order], 0.0)
        # Only the best alarm of a window counts, so a row gains what it adds to the maximum of the rows above it.
        for k in range(self.windows):
            at = np.flatnonzero(window == k)
            if len(at):
                gain[at] = np.diff(np.maximum.accumulate(np.concatenate([[-1.0], inside[at]])))
        ends = np.flatnonzero(np.append(score[1:] != score[:-1], True))   # equal scores alarm together
        totals = np.append(-float(self.windows), -self.windows + np.cumsum(gain)[ends])
        k = int(np.argmax(totals))
        return self._normalise(totals[k]), float(np.append(np.inf, score[ends])[k])

    def counts(self, threshold):
        """Windows found, and the alarms outside the windows as rows and as runs."""
        on = self.score >= threshold
        false = on & (self.window < 0)
        again = np.append(False, false[:-1] & (self.file[1:] == self.file[:-1]))
        return {"windows": self.windows, "found": len(np.unique(self.window[on & (self.window >= 0)])),
                "false_rows": int(false.sum()), "false_runs": int((false & ~again).sum()),
                "rows_outside": int((self.window < 0).sum())}
