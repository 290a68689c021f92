"""Detector: a real-time anomaly detector over any number of streams."""
import numpy as np

from streamrnn.cells.monitors.report import FIRST
from streamrnn.detect import build, history
from streamrnn.detect.limits import rows_per_alarm, seconds_of
from streamrnn.detect.verdict import Verdict
from streamrnn.engine.engine import Engine
from streamrnn.errors import ConfigError, InputError
from streamrnn.model.model import Model, load

FEWEST = 100  # rows that a history needs


class Detector:
    """Detector.fit(history) learns a plant; Detector.cold(sensors) starts knowing nothing and learns as it streams.

    `update(x)` takes the next row of the plant's one stream and answers a Verdict. `update_many(ids, X)` takes rows of many streams.
    `detect(rows)` goes through an array and leaves all streams as they are.
    """

    def __init__(self, model):
        plan = model.packed.plan if isinstance(model, Model) else None
        if plan is None or plan.report is None:
            raise ConfigError(f"a detector is made by Detector.fit, Detector.cold or Detector.load; got {model!r}")
        self.model, self.sensors, self._timed = model, plan.sensors, plan.timed
        self.period = model.layers[0].period
        self._stream = model.stream()
        self._engine = None

    @classmethod
    def fit(cls, source, *, sensors=None, times=None, period="1s", false_alarms="1/week", layers=None, memory="auto", seed=0, progress=False):
        values = history.take(source, times=times, columns=sensors)
        if len(values.values) < FEWEST:
            raise InputError(f"a history of {len(values.values)} rows is too short: {FEWEST} or more, or Detector.cold, which needs none")
        seconds = seconds_of(period)
        settings = build.Settings(seconds, rows_per_alarm(false_alarms, seconds), layers, memory, seed, progress)
        return cls(build.warm(values, settings))

    @classmethod
    def cold(cls, sensors=1, *, period="1s", clock=True, patterns=True):
        names = tuple(sensors) if not isinstance(sensors, int) else tuple(f"sensor {k}" for k in range(sensors)) if sensors > 1 else ("value",)
        settings = build.Settings(seconds_of(period), 0.0, (), False, 0, False)
        return cls(build.cold(names, settings, clock, patterns))

    def _row(self, x, t):
        x = np.asarray(x, np.float32).reshape(-1)
        if x.shape != (len(self.sensors),):
            raise InputError(f"one row of this detector is {len(self.sensors)} readings, got {len(x)}")
        if not self._timed:
            return x, x
        return x, np.concatenate([x, np.full(2, np.nan, np.float32) if t is None else history.clock_of(t)])

    def update(self, x, t=None):
        """The next row of the stream -> Verdict."""
        x, sample = self._row(x, t)
        return Verdict.of(self._stream.step(sample), x, self.sensors)

    def raw(self, rows, times=None):
        values = history.readings(rows, len(self.sensors), "rows")
        if self._timed:
            clock = np.full((len(values), 2), np.nan, np.float32) if times is None else history.clock_of(history.moments(times, len(values)))
            values = np.concatenate([values, clock], axis=1)
        return self.model.run(values)
