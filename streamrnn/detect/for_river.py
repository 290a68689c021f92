"""StreamDetector: a detector as river's anomaly detectors are; a row is a dict, {sensor: reading}."""
from streamrnn.detect.detector import Detector
from streamrnn.errors import MissingExtra

try:
    from river.base import AnomalyDetector
except ImportError:
    raise MissingExtra('StreamDetector needs river 0.26 or newer: pip install "river>=0.26"') from None

NAN = float("nan")


class StreamDetector(AnomalyDetector):
    """An anomaly detector that knows nothing at first and learns as the stream goes: Detector.cold.

    learn_one(x) takes the next row; score_one(x) says how strange x would be as the next row, 0 before anything was learnt, and
    changes nothing. A sensor that x leaves out, or None or NaN, is a missing reading; what is no sensor is left aside.

    sensors: the features' names; if none are given, those of the first row that is learnt.
    period: seconds between rows, or text such as "5min".
    patterns: remember shapes, for 1 to 2 us a sensor and row and 13 KB of state.

    `detector` is the Detector itself, None until the first row: `detector.state()`, `detector.save(path)`.
    """

    def __init__(self, sensors=None, period=1.0, patterns=True):
        self.sensors = sensors
        self.period = period
        self.patterns = patterns
        self.detector = None
        self._keys = ()

    def learn_one(self, x):
        """The next row of the stream."""
        if self.detector is None:
            self._open(x)
        if self.detector is not None:
            self.detector.update(self._row(x))

    def score_one(self, x):
        """How strange x would be as the next row: higher is stranger, 1 and more is rare."""
        if self.detector is None:
            return 0.0
        before = self.detector.state()
        try:
            return self.detector.update(self._row(x)).score
        finally:
            self.detector.set_state(before)

    def _open(self, x):
        # sorted: a dict's order says nothing, and must not change a bit of the scores
        self._keys = tuple(self.sensors or sorted(x, key=str))
        if self._keys:  # a first row without features opens nothing
            self.detector = Detector.cold([str(key) for key in self._keys], period=self.period, clock=False, patterns=self.patterns)

    def _row(self, x):
        return [x.get(key, NAN) for key in self._keys]
