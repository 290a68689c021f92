"""Verdict: what a detector says about a row, with names and words."""
from dataclasses import dataclass

import numpy as np

from streamrnn.cells.monitors.board import CAUSES
from streamrnn.cells.monitors.report import FIRST

SAID = {
    "surprise": "the last rows are not what was forecast",
    "level": "the plant has moved to another level",
    "range": "values that were never seen before",
    "season": "unusual for this time of day or week",
    "pattern": "a pattern that was never seen before",
    "memory": "nothing like the last rows stands in the history",
    "health": "a sensor is frozen or silent",
}
NAMED = 3        # sensors that an explanation names at most
WORTH = 0.1      # share of the blame from which it names one


@dataclass(frozen=True, slots=True)
class Verdict:
    """`score` is higher the stranger the row is. `expected` and `spread` say what each sensor should have read, +- for 99 of 100 rows;
    `blame` how much of the strangeness is each sensor's (they add to 1); `missing` the share of sensors without a reading."""
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
        """From a row of the plan's result."""
        n = len(sensors)
        parts = y[FIRST:].reshape(3, n)
        return cls(float(y[0]), bool(y[1] > 0), CAUSES[int(y[2])], float(y[3]), parts[0], parts[1], parts[2], x, sensors)

    @property
    def low(self):
        return self.expected - self.spread

    @property
    def high(self):
        return self.expected + self.spread

    def explain(self):
        """Why, in words."""
        head = f"{'alert' if self.alert else 'no alert'}, score {self.score:.2f}: {SAID[self.cause]}" if self.alert or self.score >= 1 \
            else f"no alert, score {self.score:.2f}: as usual"
        lines = [head]
        if self.alert or self.score >= 1:
            for k in np.argsort(-self.blame, kind="stable")[:NAMED]:
                if self.blame[k] >= WORTH or len(lines) == 1:
                    lines.append(f"  {100 * self.blame[k]:.0f} % {self.sensors[k]}: {self._reading(k)}")
        if self.missing > 0:
            gone = [name for name, value in zip(self.sensors, self.x, strict=True) if value != value]
            lines.append(f"  no reading from {', '.join(gone)}: filled in with the forecast")
        return "\n".join(lines)

    def _reading(self, k):
        value, expected, spread = self.x[k], self.expected[k], self.spread[k]
        what = "no reading" if value != value else f"reads {value:.4g}"
        return f"{what}, expected {expected:.4g} +- {spread:.2g}"
