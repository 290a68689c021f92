"""Verdicts: what a detector says about rows, with names and words."""
from dataclasses import dataclass

import numpy as np

from streamrnn.cells.monitors.board import CAUSES
from streamrnn.cells.monitors.report import FIRST

SAID = {
    "surprise": "the last rows are not what was forecast",
    "level": "the readings have moved to another level",
    "range": "values that were never there before",
    "season": "unusual for this time of the day or week",
    "pattern": "a pattern that was never there before",
    "memory": "nothing like the last rows stands in the history",
    "health": "a sensor is frozen or silent",
}
NAMED = 3        # sensors that an explanation names at most
WORTH = 0.1      # share of the blame from which it names one


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says about one row.

    score     higher is stranger; 1 and more is rare. It ranks rows by surprise and novelty: while a level stays displaced or a sensor is
              frozen, the alert holds with a low score
    alert     is the row part of an alarm?
    cause     which monitor speaks: "surprise", "level", "range", "season", "pattern" or "health"
    expected  what each sensor should have read; 99 rows of 100 lie within +- `spread`, from `low` to `high`
    blame     how much of the strangeness is each sensor's; they add to 1
    missing   share of the sensors without a reading
    """
    score: float
    alert: bool
    cause: str
    missing: float
    expected: np.ndarray
    spread: np.ndarray
    blame: np.ndarray
    x: np.ndarray
    sensors: tuple[str, ...]

    @classmethod
    def of(cls, y, x, sensors):
        """From one row of the plan's result."""
        score, alert, cause, missing = y[:FIRST].tolist()
        n = len(sensors)
        expected, spread, blame = y[FIRST:FIRST + n], y[FIRST + n:FIRST + 2 * n], y[FIRST + 2 * n:]
        return cls(score, alert > 0, CAUSES[int(cause)], missing, expected, spread, blame, x, sensors)

    @property
    def low(self):
        """expected - spread"""
        return self.expected - self.spread

    @property
    def high(self):
        """expected + spread"""
        return self.expected + self.spread

    def explain(self):
        """Why, in words."""
        strange = self.alert or self.score >= 1
        lines = [f"{'alert' if self.alert else 'no alert'}, score {self.score:.2f}: {SAID[self.cause] if strange else 'as usual'}"]
        if strange:
            order = np.argsort(-self.blame, kind="stable")[:NAMED]
            lines += [f"  {100 * self.blame[k]:.0f} % {self.sensors[k]}: {self._reading(k)}" for k in order
                      if self.blame[k] >= WORTH or k == order[0]]
        gone = [name for name, value in zip(self.sensors, self.x, strict=True) if value != value]
        if gone:
            lines.append(f"  no reading from {', '.join(gone)}: filled in with the forecast")
        return "\n".join(lines)

    def _reading(self, k):
        value = self.x[k]
        came = "no reading" if value != value else f"reads {value:.4g}"
        return f"{came}, expected {self.expected[k]:.4g} +- {self.spread[k]:.2g}"


class Verdicts:
    """The verdicts of many rows, column by column: score, alert, missing (rows,), expected, spread, blame (rows, sensors).

    verdicts[k] is the Verdict of one of them.
    """

    def __init__(self, y, x, sensors):
        self._y, n = y, len(sensors)
        self.score, self.alert, self.missing = y[:, 0], y[:, 1] > 0, y[:, 3]
        self.expected, self.spread, self.blame = (y[:, FIRST + k * n:FIRST + (k + 1) * n] for k in range(3))
        self.x, self.sensors = x, sensors

    @property
    def cause(self):
        """The monitor that speaks, for each row."""
        return [CAUSES[int(cause)] for cause in self._y[:, 2]]

    def __len__(self):
        return len(self.score)

    def __getitem__(self, k):
        return Verdict.of(self._y[k], self.x[k], self.sensors)

    def events(self):
        """Runs of alerts as (first row, row behind the last)."""
        edges = np.flatnonzero(np.diff(np.concatenate([[False], self.alert, [False]]).astype(np.int8)))
        return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
