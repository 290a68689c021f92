"""AnomalyEstimator: a detector as scikit-learn's outlier detectors are; rows X (rows, sensors), the oldest first."""
import numpy as np

from streamrnn.detect.detector import FEWEST, Detector
from streamrnn.detect.verdict import Verdicts
from streamrnn.errors import ConfigError, MissingExtra

try:
    from sklearn.base import BaseEstimator, OutlierMixin
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise MissingExtra('AnomalyEstimator needs scikit-learn 1.6 or newer: pip install "scikit-learn>=1.6"') from None

RARE = 1.0  # a score that normal running hardly ever reaches


class AnomalyEstimator(OutlierMixin, BaseEstimator):
    """An outlier detector for time series: how strange is each row after the rows before it?

    The rows of X are one series, the oldest first, and not exchangeable: each is judged after those before it, so that another order
    or a part of the rows has other scores. Cross-validate with TimeSeriesSplit. `fit` learns from normal running. Every other method
    takes its X as the rows that follow the history, and changes nothing: the same X has the same scores. `fit_predict(X)` and
    `contamination` judge rows that were learnt from, as if they came a second time.

    A history of less than 100 rows is too short to measure limits. It is taken by a detector that knew nothing before it and has learnt
    as far as the rows go, Detector.cold: then layers, false_alarms and seed have no effect, and memory=False leaves out its patterns.

    layers, memory, false_alarms, period, seed: as in Detector.fit. false_alarms limits the alarms in `verdicts`, which judge runs of rows;
        predict asks each row's score alone.
    contamination: the share of the history's rows that predict is to call outliers, above 0 and at most 0.5; None: those which score 1
        or more.

    A reading may be NaN: missing. After fit: `detector_`, `offset_` (where score_samples tells outliers from inliers),
    `n_features_in_`, and `feature_names_in_` if X had names.
    """

    def __init__(self, layers=(), memory="auto", false_alarms="1/20000 rows", period=1.0, seed=0, contamination=None):
        self.layers = layers
        self.memory = memory
        self.false_alarms = false_alarms
        self.period = period
        self.seed = seed
        self.contamination = contamination

    def fit(self, X, y=None):
        """Learn from rows of normal running; y is ignored."""
        share = self.contamination
        if share is not None and not 0 < share <= 0.5:
            raise ConfigError(f"contamination must be above 0 and at most 0.5, or None; got {share!r}")
        X = self._rows(X, reset=True, ensure_min_samples=2)
        names = [str(name) for name in self.feature_names_in_] if hasattr(self, "feature_names_in_") else None
        if len(X) < FEWEST:
            self.detector_ = Detector.cold(names or X.shape[1], period=self.period, clock=False, patterns=self.memory is not False)
            for row in X:
                self.detector_.update(row)
        else:
            self.detector_ = Detector.fit(X, sensors=names, period=self.period, false_alarms=self.false_alarms, layers=self.layers,
                                          memory=self.memory, seed=self.seed, progress=False)
        self.offset_ = -RARE
        if share is not None:
            self.offset_ = float(np.percentile(-self._verdicts(X).score.astype(float), 100 * share))
        return self

    def verdicts(self, X):
        """All that the detector says of each row, with alarms, causes and what was expected -> Verdicts."""
        check_is_fitted(self)
        return self._verdicts(self._rows(X, reset=False))

    def score_samples(self, X):
        """Minus the detector's score of each row: lower is stranger."""
        return -self.verdicts(X).score.astype(float)

    def decision_function(self, X):
        """score_samples above offset_: negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """1 for an inlier, -1 for an outlier."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def _rows(self, X, **how):
        return validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan", **how)

    def _verdicts(self, X):
        # a scratch stream: Detector.run would forget what a cold detector has seen
        stream = self.detector_.model.stream()
        stream.set_state(self.detector_.state())
        X = np.ascontiguousarray(X, np.float32)
        return Verdicts(stream.run(X), X, self.detector_.sensors)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags
