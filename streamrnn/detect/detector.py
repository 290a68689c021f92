"""Detector: a real-time anomaly detector over any number of streams."""
import numpy as np

from streamrnn.detect import build
from streamrnn.detect import history as histories
from streamrnn.detect.limits import rows_per_alarm, seconds_of
from streamrnn.detect.verdict import Verdict, Verdicts
from streamrnn.engine.engine import Engine
from streamrnn.errors import ConfigError, InputError
from streamrnn.model.model import Model, load

FEWEST = 100  # rows that a history needs


class Detector:
    """Learns what is usual for a set of sensors, and says of each new row how strange it is, and why.

    Detector.fit(history)    warm: forecasts, error sizes and limits come from rows of normal running
    Detector.cold(sensors)   cold: knows nothing, learns as the stream goes

    update(x) takes the next row of the detector's own stream, update_many(ids, X) rows of streams by id, run(rows) and
    detect(rows) go through an array from the state the fit left behind and change nothing. A reading may be NaN: missing.

    A detector is a model (`detector.model`) whose layers are its parts: Engine, Server, snapshots and files take it as any other.
    """

    def __init__(self, model):
        plan = model.packed.plan if isinstance(model, Model) else None
        if plan is None or not plan.report:
            raise ConfigError(f"a detector is made by Detector.fit, Detector.cold or Detector.load; got {model!r}")
        self.model, self.sensors, self.timed, self.period = model, plan.sensors, plan.timed, model.layers[0].period
        self._stream, self._engine = model.stream(), None

    # -- making one -----------------------------------------------------------------------------------------------------

    @classmethod
    def fit(cls, source, *, sensors=None, times=None, period=None, false_alarms="1/week", layers=None, memory="auto", seed=0,
            progress=None):
        """Learn from a history of normal running, the oldest row first; the detector's streams go on from its end.

        source: rows (rows, sensors), a series (rows,), a DataFrame, the path of a CSV, NPY or Parquet file; or a list of these, one
            for each of several machines alike: then a stream starts from its own first rows. NaN is a missing reading.
        sensors: their names, or the columns to take from a table.
        times: one for each row, in seconds since the epoch, or datetimes (a DataFrame's index, or a table's column of times,
            count as well): then the detector sees when rows were left out.
        period: seconds between rows, or text such as "1s" or "5min"; taken from the times if there are any, else 1 second.
        false_alarms: how often an alarm in normal running may be: "1/week", "2/day", "1/20000 rows".
        layers: of the net that forecasts beside the autoregression, without its head: [GRU(32)] if nothing is said, [] for none.
        memory: keep the history to compare patterns with? "auto": if it repeats itself.
        """
        parts = source if histories.are_several(source) else [source]
        taken = [histories.take(part, times=times, columns=sensors) for part in parts]
        history = histories.joined(taken)
        if len(history.values) < FEWEST:
            raise InputError(f"a history of {len(history.values)} rows is too short: {FEWEST} or more, or Detector.cold, which needs none")
        silent = [name for name, gone in zip(history.names, np.isnan(history.values).all(0), strict=True) if gone]
        if silent:
            raise InputError(f"there is no reading of {', '.join(silent)} in the history: leave {'it' if len(silent) == 1 else 'them'} out")
        seconds = seconds_of(period) if period is not None else histories.usual_period(history)
        if memory not in (True, False, "auto"):
            raise ConfigError(f'memory must be True, False or "auto", got {memory!r}')
        return cls(build.warm(history, build.Settings(seconds, rows_per_alarm(false_alarms, seconds), layers, memory, seed, progress)))

    @classmethod
    def cold(cls, sensors=1, *, period="1s", clock=True, patterns=None):
        """Know nothing yet, and learn from the rows as they come.

        sensors: how many, or their names.
        period: seconds between rows, or text such as "5min".
        clock: will rows come with times? Then it learns the day and the week.
        patterns: remember shapes, for 1 to 2 us a sensor and row and 13 KB of state; of one sensor, if nothing is said. (Of several,
            some shape is always new: there it raises more alarms than it is worth.)
        """
        if isinstance(sensors, (int, np.integer)) and not isinstance(sensors, bool):
            sensors = histories.names_for(int(sensors))
        sensors = tuple(sensors)
        return cls(build.cold(sensors, seconds_of(period), bool(clock), len(sensors) == 1 if patterns is None else bool(patterns)))

    @classmethod
    def load(cls, path):
        """The detector of a file that `save` wrote."""
        return cls(load(path))

    def save(self, path):
        """Write its model file; what its own stream has seen since the fit is not in it (`detector.state()` is)."""
        self.model.save(path)

    # -- using it -------------------------------------------------------------------------------------------------------

    def update(self, x, t=None):
        """The next row (sensors,) of the detector's own stream, and when it was read -> Verdict."""
        if type(x) is not np.ndarray or x.dtype != np.float32 or x.shape != (len(self.sensors),):
            if np.shape(x) != (len(self.sensors),):
                raise InputError(f"a row of this detector is {len(self.sensors)} readings, got shape {np.shape(x)}")
            x = self._rows(np.reshape(x, (1, -1)), "a row")[0]
        sample = x
        if self.timed:
            sample = np.empty(len(x) + 2, np.float32)
            sample[:-2], sample[-2:] = x, histories.clock_at(t)
        return Verdict.of(self._stream.step(sample), x, self.sensors)

    def update_many(self, ids, x, times=None):
        """A row (n, sensors) for each of n streams by id; an id's first row opens its stream -> Verdicts."""
        x = self._rows(x, "x")
        if self._engine is None:
            self._engine = Engine(self.model)
        return self._verdicts(self._engine.step_many(ids, self._samples(x, times)), x)

    def run(self, rows, times=None):
        """Rows (rows, sensors) as a stream of their own -> Verdicts."""
        x = self._rows(rows, "rows")
        return self._verdicts(self.model.run(self._samples(x, times)), x)

    def detect(self, rows, times=None):
        """How strange each row is, (rows,): higher is stranger."""
        return self.run(rows, times).score

    def state(self):
        """A copy of the own stream's state, for `set_state`."""
        return self._stream.state()

    def set_state(self, row):
        """Go on from a state that `state` gave."""
        self._stream.set_state(row)

    def reset(self):
        """Back to where the fit left off."""
        self._stream.reset()

    def __reduce__(self):
        return _with_state, (self.model, self.state())

    def _rows(self, x, what):
        return histories.readings(x, len(self.sensors), what)

    def _samples(self, x, times):
        """Rows as the plan takes them: with a clock behind the readings, if it has one."""
        if not self.timed:
            return x
        clock = np.full((len(x), 2), np.nan, np.float32) if times is None else histories.clock_of(histories.moments(times, len(x)))
        return np.concatenate([x, clock], axis=1)

    def _verdicts(self, y, x):
        return Verdicts(y, x, self.sensors)

    def __repr__(self):
        clock = ", with a clock" if self.timed else ""
        return f"<Detector: {len(self.sensors)} sensors every {self.period:g} s{clock}; {self.model.row_bytes:,} bytes a stream>"


def _with_state(model, row):
    """A detector as it comes out of a pickle; the streams that it kept by id stay behind."""
    detector = Detector(model)
    detector.set_state(row)
    return detector
