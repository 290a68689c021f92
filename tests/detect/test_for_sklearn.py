"""AnomalyEstimator: scikit-learn's own checks, and what they do not ask."""
import pickle
import subprocess
import sys

import numpy as np
import pytest

from streamrnn.errors import ConfigError, MissingExtra

pytest.importorskip("sklearn", minversion="1.6")
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from streamrnn.detect.detector import Detector
from streamrnn.detect.for_sklearn import AnomalyEstimator

IN_ORDER = "rows are a time series: each is judged after those before it, so another order or a part of them has other scores"
NORMAL = "without contamination the history is normal running, and none of its rows needs to be an outlier"
NOT_FOR_SERIES = {"check_methods_sample_order_invariance": IN_ORDER, "check_methods_subset_invariance": IN_ORDER}
NOT_WITHOUT_SHARE = {"check_outliers_train": NORMAL, "check_outliers_fit_predict": NORMAL}


def expected_failures(estimator):
    return NOT_FOR_SERIES | (NOT_WITHOUT_SHARE if estimator.contamination is None else {})


@parametrize_with_checks([AnomalyEstimator(), AnomalyEstimator(contamination=0.1)], expected_failed_checks=expected_failures)
def test_scikit_learn_says(estimator, check):
    check(estimator)


def waves(rng, rows, start=0):
    t = np.arange(start, start + rows)[:, None]
    return np.sin(t / 7 + np.arange(2)) + 0.1 * rng.normal(size=(rows, 2))


@pytest.mark.parametrize("rows", [60, 600])
def test_a_spike_is_the_strangest_row(rng, rows):
    """After a short history, which a cold detector takes, and after a long one."""
    estimator = AnomalyEstimator().fit(waves(rng, rows))
    new = waves(rng, 100, start=rows)
    new[70] += 8
    assert 70 <= np.argmin(estimator.score_samples(new)) <= 72
    assert estimator.predict(new)[70] == -1


def test_outliers_are_below_the_offset(rng):
    """What the checks that need a contamination ask, without one."""
    estimator = AnomalyEstimator().fit(waves(rng, 200))
    new = waves(rng, 50, start=200)
    new[40] += 8
    scores, decision = estimator.score_samples(new), estimator.decision_function(new)
    np.testing.assert_array_equal(decision, scores - estimator.offset_)
    np.testing.assert_array_equal(estimator.predict(new) == -1, decision < 0)
    assert estimator.offset_ == -1 and set(estimator.predict(new)) == {-1, 1}
    np.testing.assert_array_equal(AnomalyEstimator().fit_predict(new), AnomalyEstimator().fit(new).predict(new))


def test_a_long_history_is_detector_fit(rng):
    history, new = waves(rng, 300), waves(rng, 50, start=300)
    detector = Detector.fit(history, layers=(), false_alarms="1/20000 rows")
    np.testing.assert_array_equal(-AnomalyEstimator().fit(history).score_samples(new), detector.detect(new))


def test_a_short_history_is_a_cold_detector_that_saw_it(rng):
    history, new = waves(rng, 50), waves(rng, 20, start=50)
    both = Detector.cold(2, clock=False).detect(np.concatenate([history, new]))
    np.testing.assert_array_equal(-AnomalyEstimator().fit(history).score_samples(new), both[50:])


@pytest.mark.parametrize("rows", [60, 200])
def test_pickled_it_scores_the_same(rng, rows):
    estimator = AnomalyEstimator().fit(waves(rng, rows))
    new = waves(rng, 30)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(estimator)).score_samples(new), estimator.score_samples(new))


def test_missing_readings_are_taken(rng):
    history, new = waves(rng, 200), waves(rng, 30, start=200)
    history[50, 0] = new[3] = np.nan
    scores = AnomalyEstimator().fit(history).score_samples(new)
    assert np.isfinite(scores).all()


def test_sensors_have_the_columns_names(rng):
    pandas = pytest.importorskip("pandas")
    estimator = AnomalyEstimator().fit(pandas.DataFrame(waves(rng, 200), columns=["flow", "heat"]))
    assert estimator.detector_.sensors == tuple(estimator.feature_names_in_) == ("flow", "heat")


def test_verdicts_say_more(rng):
    estimator = AnomalyEstimator().fit(waves(rng, 600))
    new = waves(rng, 50, start=600)
    new[30, 1] += 8
    verdicts = estimator.verdicts(new)
    np.testing.assert_array_equal(verdicts.score, -estimator.score_samples(new))
    assert verdicts.alert[30] and verdicts[30].blame.argmax() == 1


def test_in_a_pipeline(rng):
    pipeline = make_pipeline(StandardScaler(), AnomalyEstimator()).fit(waves(rng, 200))
    assert set(pipeline.predict(waves(rng, 50, start=200))) <= {-1, 1}


@pytest.mark.parametrize("share", [0, 0.6, -1])
def test_a_share_that_is_none_is_refused(rng, share):
    with pytest.raises(ConfigError, match="contamination must be above 0"):
        AnomalyEstimator(contamination=share).fit(waves(rng, 60))


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    monkeypatch.delitem(sys.modules, "streamrnn.detect.for_sklearn")
    with pytest.raises(MissingExtra, match="pip install"):
        import streamrnn.detect.for_sklearn  # noqa: F401


def test_nobody_else_imports_it():
    code = "import sys, streamrnn, streamrnn.detect.detector; sys.exit(bool({'sklearn', 'river'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
