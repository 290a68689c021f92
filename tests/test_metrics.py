"""Metrics: by hand, against scikit-learn, and what is refused."""
from functools import partial

import numpy as np
import pytest

import streamrnn as sr
from streamrnn import metrics
from streamrnn.errors import InputError
from streamrnn.training.losses import loss_of

RATES = {"precision": metrics.precision, "recall": metrics.recall, "f1": metrics.f1}
LABELS = {"accuracy": metrics.accuracy, "confusion": metrics.confusion, **RATES}
NUMBERS = {"mae": metrics.mae, "rmse": metrics.rmse, "r2": metrics.r2}


def test_labels_by_hand():
    true, predicted = [0, 0, 1, 1], [0, 1, 1, 1]
    assert metrics.accuracy(true, predicted) == 0.75
    assert metrics.precision(true, predicted, None).tolist() == [1, 2 / 3]
    assert metrics.recall(true, predicted, None).tolist() == [0.5, 1]
    assert metrics.f1(true, predicted, None).tolist() == [2 / 3, 0.8]
    assert metrics.precision(true, predicted) == pytest.approx(5 / 6)
    assert metrics.recall(true, predicted, "micro") == 0.75
    assert metrics.confusion(true, predicted).tolist() == [[1, 1], [0, 2]]
    assert metrics.confusion(true, predicted, classes=3).tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]


def test_numbers_by_hand():
    true, predicted = [[0.0, 2.0]], [[1.0, 5.0]]
    assert metrics.mae(true, predicted) == 2
    assert metrics.rmse(true, predicted) == pytest.approx(5 ** 0.5)
    assert metrics.r2(true, predicted) == -4
    assert metrics.r2([3.0, 3.0], [3.0, 3.0]) == 1
    assert metrics.r2([3.0, 3.0], [3.0, 4.0]) == 0


def test_perplexity_by_hand():
    assert metrics.perplexity([[0, 1, 2]], np.zeros((1, 3, 4))) == pytest.approx(4)
    assert metrics.perplexity([0, 1], [[1000.0, 0.0], [0.0, -1000.0]]) == pytest.approx(np.exp(500))
    assert metrics.perplexity([1], [[0.75, 0.25]], logits=False) == pytest.approx(4)
    assert metrics.perplexity([1], [[1.0, 0.0]], logits=False) == np.inf
    assert metrics.perplexity([1], [[1e4, -1e4]]) == np.inf


def test_ranking_by_hand():
    true, scores = [1, 0, 1, 0], [4, 3, 2, 1]
    assert metrics.roc_auc(true, scores) == 0.75
    assert metrics.roc_auc(true, [1, 1, 1, 1]) == 0.5
    assert metrics.roc_auc(true, [2, 1, 1, 0]) == 0.875
    assert metrics.recall_at(true, scores, 1) == 0.5
    assert metrics.recall_at(true, scores, 2 / 3) == 1
    assert metrics.recall_at(true, [3, 4, 2, 1], 0.9) == 0
    assert metrics.recall_at(true, [1, 1, 1, 1], 0.6) == 0  # equal scores are found together, and half of them are yeses
    assert metrics.recall_at(true, [1, 1, 1, 1], 0.5) == 1


def test_a_class_that_is_never_called_or_never_there_scores_zero():
    for rate in RATES.values():
        assert rate([0, 0], [2, 2], None).tolist() == [0, 0, 0]
        assert rate([0, 0], [2, 2]) == 0
    assert metrics.precision([3, 3], [3, 3], None).tolist() == [0, 0, 0, 1]
    assert metrics.precision([3, 3], [3, 3]) == 1  # classes that do not occur are no part of the mean


def test_many_classes_take_memory_for_the_classes_only():
    assert metrics.f1([0, 10_000_000], [0, 10_000_000]) == 1


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("average", ["macro", "micro", None])
def test_labels_agree_with_scikit_learn(rng, classes, average):
    peer = pytest.importorskip("sklearn.metrics")
    true, predicted = rng.integers(classes, size=(2, 5, 9))
    true[0, 0] = predicted[0, 0] = classes - 1
    flat = true.ravel(), predicted.ravel()
    for name, rate in RATES.items():
        wanted = getattr(peer, f"{name}_score")(*flat, average=average, zero_division=0.0, labels=None if average else range(classes))
        np.testing.assert_allclose(rate(true, predicted, average), wanted, atol=1e-15)
    assert metrics.accuracy(true, predicted) == pytest.approx(peer.accuracy_score(*flat))
    assert np.array_equal(metrics.confusion(true, predicted, classes), peer.confusion_matrix(*flat, labels=range(classes)))


def test_macro_agrees_with_scikit_learn_when_classes_are_missing(rng):
    peer = pytest.importorskip("sklearn.metrics")
    true, predicted = rng.choice([1, 4, 5], 40), rng.choice([0, 4, 9], 40)
    for name, rate in RATES.items():
        assert rate(true, predicted) == pytest.approx(getattr(peer, f"{name}_score")(true, predicted, average="macro", zero_division=0.0))


def test_numbers_agree_with_scikit_learn(rng):
    peer = pytest.importorskip("sklearn.metrics")
    true = rng.standard_normal((4, 6, 2), dtype=np.float32)
    predicted = true + rng.standard_normal(true.shape, dtype=np.float32) / 2
    flat = true.ravel().astype(np.float64), predicted.ravel().astype(np.float64)
    assert metrics.mae(true, predicted) == pytest.approx(peer.mean_absolute_error(*flat))
    assert metrics.rmse(true, predicted) == pytest.approx(peer.root_mean_squared_error(*flat))
    assert metrics.r2(true, predicted) == pytest.approx(peer.r2_score(*flat))


def test_perplexity_agrees_with_scikit_learn(rng):
    peer = pytest.importorskip("sklearn.metrics")
    true, logits = rng.integers(5, size=(3, 8)), 3 * rng.standard_normal((3, 8, 5))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    wanted = np.exp(peer.log_loss(true.ravel(), p.reshape(-1, 5), labels=range(5)))
    assert metrics.perplexity(true, logits) == pytest.approx(wanted)
    assert metrics.perplexity(true, p.astype(np.float32), logits=False) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("levels", [3, 1000])
def test_ranking_agrees_with_scikit_learn(rng, levels):
    peer = pytest.importorskip("sklearn.metrics")
    true = rng.integers(2, size=(4, 50))
    scores = true / 2 + rng.integers(levels, size=true.shape) / levels
    assert metrics.roc_auc(true, scores) == pytest.approx(peer.roc_auc_score(true.ravel(), scores.ravel()))
    precision, recall, _ = peer.precision_recall_curve(true.ravel(), scores.ravel())
    for asked in (0.5, 0.7, 0.8, 1):
        assert metrics.recall_at(true, scores, asked) == recall[:-1][precision[:-1] >= asked].max(initial=0)


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int8, np.int64, np.uint64, np.float32, list])
def test_labels_of_any_kind_give_the_same(kind):
    convert = list if kind is list else lambda values: np.array(values, kind)
    for metric in LABELS.values():
        np.testing.assert_array_equal(metric(convert([0, 1, 1]), convert([0, 1, 0])), metric([0, 1, 1], [0, 1, 0]))


def test_the_arrays_handed_in_stay_as_they_were(rng):
    true, scores = rng.integers(3, size=9), rng.standard_normal((9, 3))
    before = scores.copy()
    metrics.perplexity(true, scores)
    assert np.array_equal(scores, before)


@pytest.mark.parametrize("metric", [*LABELS.values(), *NUMBERS.values()], ids=[*LABELS, *NUMBERS])
@pytest.mark.parametrize(("true", "predicted", "words"), [
    ([1, 2], [1], r"one shape, got \(2,\) and \(1,\)$"), ([1, 2], [[0, 1], [1, 0]], "argmax"), ([1, 2], [[0], [1]], r"\[\.\.\., 0\]"),
    ([], [], "true is empty"), ([[0, 1]], [[0, float("nan")]], r"predicted\[0\]\[1\] is nan"), ([float("inf")], [0], r"true\[0\] is inf"),
    (["a"], ["b"], "dtype <U1"), ([None], [1], "dtype object"), ([[1], [1, 2]], [1, 2], "regular array"),
    (1, float("nan"), "predicted is nan")])
def test_what_is_no_pair_is_refused(metric, true, predicted, words):
    with pytest.raises(InputError, match=words):
        metric(true, predicted)


@pytest.mark.parametrize("metric", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize(("wrong", "words"), [(-1, r"true\[1\] is -1"), (0.5, r"true\[1\] is 0\.5.*argmax"), (1e12, r"true\[1\] is")])
def test_what_is_no_label_is_refused(metric, wrong, words):
    with pytest.raises(InputError, match=words):
        metric([0, wrong], [0, 1])


def test_other_refusals():
    with pytest.raises(InputError, match='"macro", "micro" or None, got \'weighted\''):
        metrics.f1([0], [0], "weighted")
    for classes in (0, 3, 10 ** 6):
        with pytest.raises(InputError, match="the largest label is 3"):
            metrics.confusion([0, 3], [0, 1], classes)


@pytest.mark.parametrize("metric", [metrics.roc_auc, partial(metrics.recall_at, precision=0.5)], ids=["roc_auc", "recall_at"])
@pytest.mark.parametrize(("true", "scores", "words"), [
    ([0, 2], [0, 1], r"true\[1\] is 2: it must be 0 or 1"), ([1, 1], [0, 1], "true is 1 throughout"), ([0, 1], [0], "one shape"),
    ([0, 1], [0, np.nan], r"scores\[1\] is nan")])
def test_what_cannot_be_ranked_is_refused(metric, true, scores, words):
    with pytest.raises(InputError, match=words):
        metric(true, scores)


@pytest.mark.parametrize("precision", [0, 1.5, np.nan, -1])
def test_a_precision_that_is_no_share_is_refused(precision):
    with pytest.raises(InputError, match="precision must be a share"):
        metrics.recall_at([0, 1], [0, 1], precision)


@pytest.mark.parametrize(("true", "scores", "logits", "words"), [
    ([0, 1], [[1.0, 2.0]], True, r"\(\.\.\., classes\) for labels \(\.\.\.\), got \(1, 2\) for \(2,\)"), (0, 1.0, True, "classes"),
    ([2], [[1.0, 2.0]], True, r"true\[0\] is 2: .* from 0 to 1"), ([0], [[np.nan, 0.0]], True, r"scores\[0\]\[0\] is nan"),
    ([0], [[-0.5, 1.5]], False, "logits=True"), ([0], [[0.5, 0.6]], False, r"sum of scores\[0\] is 1\.1.*logits=True")])
def test_what_has_no_perplexity_is_refused(true, scores, logits, words):
    with pytest.raises(InputError, match=words):
        metrics.perplexity(true, scores, logits)


def test_pinball_by_hand():
    assert metrics.pinball([3.0], [1.0], 0.9) == pytest.approx(1.8)          # too low by 2, at a level that should lie high
    assert metrics.pinball([1.0], [3.0], 0.9) == pytest.approx(0.2)
    assert metrics.pinball([3.0], [[1.0, 3.0]], [0.1, 0.5]) == pytest.approx(0.1)
    true, predicted = np.arange(4.0), np.full(4, 1.0)
    assert metrics.pinball(true, predicted, 0.5) == pytest.approx(metrics.mae(true, predicted) / 2)


def test_pinball_agrees_with_scikit_learn_and_with_the_loss_that_trains(rng):
    peer = pytest.importorskip("sklearn.metrics")
    q, true, predicted = (0.1, 0.5, 0.9), rng.standard_normal((5, 2), np.float32), rng.standard_normal((5, 2, 3), np.float32)
    each = [peer.mean_pinball_loss(true.ravel(), predicted[..., k].ravel(), alpha=level) for k, level in enumerate(q)]
    assert metrics.pinball(true, predicted, q) == pytest.approx(np.mean(each))
    y, ones = predicted.reshape(5, 6), np.ones(5, np.float32)
    added = loss_of(sr.Quantile(q)).add(y, true, ones, np.zeros_like(y), 0, 6)
    assert metrics.pinball(true, predicted, q) == pytest.approx(added / y.size, rel=1e-5)


def test_the_true_quantile_has_the_least_pinball(rng):
    true = rng.exponential(size=20_000)
    losses = {level: metrics.pinball(true, np.full(len(true), -np.log(1 - level)), 0.8) for level in (0.7, 0.8, 0.9)}
    assert min(losses, key=losses.get) == 0.8


def test_coverage_counts_the_ends():
    assert metrics.coverage([0.0, 1.0, 2.0, 3.0], np.full(4, 1.0), np.full(4, 2.0)) == 0.5


def test_qlike_by_hand_and_least_at_the_true_variance(rng):
    assert metrics.qlike([2.0], [1.0]) == 2
    assert metrics.qlike([0.0], [1.0]) == 0
    squares = (1.5 * rng.standard_t(5, 50_000)) ** 2
    losses = {guess: metrics.qlike(squares, np.full(len(squares), guess * squares.mean())) for guess in (0.5, 1, 2)}
    assert losses[1] < losses[2] < losses[0.5]


@pytest.mark.parametrize(("score", "words"), [
    (lambda: metrics.pinball([1.0], [1.0], 1.0), "q is 1.0: a level lies between 0 and 1"),
    (lambda: metrics.pinball([1.0], [1.0], [0.1, 0.9]), r"predicted must be \(1, 2\) for true \(1,\)"),
    (lambda: metrics.coverage([1.0], [2.0], [1.0]), r"low\[0\] is 2.0: it lies above high; sort quantiles"),
    (lambda: metrics.coverage([1.0], [2.0, 2.0], [3.0]), "one shape"),
    (lambda: metrics.qlike([1.0], [0.0]), r"predicted\[0\] is 0.0: a variance must be above 0"),
    (lambda: metrics.qlike([-1.0], [1.0]), r"true\[0\] is -1.0")])
def test_bands_and_variances_that_make_no_sense_are_refused(score, words):
    with pytest.raises(InputError, match=words):
        score()
@pytest.mark.parametrize(("true", "predicted", "want"), [
    ("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("same", "same", 0), ([1, 2, 3], (1, 3), 1),
    (np.array([1, 2]), [2, 1], 2), ([], [], 0)])
def test_edit_distance(true, predicted, want):
    assert metrics.edit_distance(true, predicted) == metrics.edit_distance(predicted, true) == want


def test_error_rate_counts_items_not_pairs():
    assert metrics.error_rate(["kitten", "ab", ""], ["sitting", "ab", "x"]) == pytest.approx(4 / 8)
    assert metrics.error_rate([[1, 2]], [[]]) == 1.0 and metrics.error_rate(["a"], ["bcd"]) == 3.0


@pytest.mark.parametrize(("true", "predicted", "message"), [
    ("abc", ["abc"], r"write \[true\] for one"), (["abc"], 3, "predicted must be a list"),
    (["a", "b"], ["a"], "as many sequences, got 2 and 1"),
    (["", []], ["", []], "has no items"),
    ([3], ["a"], r"true\[0\] must be a string"), ([np.zeros((2, 2))], ["a"], r"got shape \(2, 2\)")], ids=str)
def test_error_rates_of_what_are_no_sequences_are_refused(true, predicted, message):
    with pytest.raises(InputError, match=message):
        metrics.error_rate(true, predicted)
