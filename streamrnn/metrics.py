"""How far predictions are from the truth: each takes (true, predicted) of one shape, and counts every value alike.
Label sequences and strings (edit_distance, error_rate) may have any lengths.

Labels are whole numbers from 0, a class each. Sums are float64. What is empty, not finite or of two shapes is refused.
"""
import numpy as np

from streamrnn.errors import InputError

MOST = 1 << 24   # classes: a larger label is a mistake, such as a time stamp or an id
LARGEST = 1 << 14  # classes of a confusion matrix: 2 GiB of counts


def accuracy(true, predicted):
    """The share of labels that are right."""
    true, predicted = _labels(true, predicted)
    return float(np.mean(true == predicted))


def precision(true, predicted, average="macro"):
    """Of what was called a class, the share that is it. A class that was never called so has 0.0.

    average "macro" is the mean over the classes that occur in either, "micro" counts all labels together, None gives
    every class its own: (classes,), for 0 to the largest label.
    """
    hits, actual, called = _counts(true, predicted)
    return _averaged(hits, called, actual + called, average)


def recall(true, predicted, average="macro"):
    """Of what is a class, the share that was called so. A class that is not in the truth has 0.0; average as in precision."""
    hits, actual, called = _counts(true, predicted)
    return _averaged(hits, actual, actual + called, average)


def f1(true, predicted, average="macro"):
    """The harmonic mean of precision and recall of each class; average as in precision."""
    hits, actual, called = _counts(true, predicted)
    return _averaged(2 * hits, actual + called, actual + called, average)


def confusion(true, predicted, classes=None):
    """Counts (classes, classes): row is the truth, column what was predicted; classes is the largest label + 1 unless given."""
    true, predicted = _labels(true, predicted)
    largest = int(max(true.max(), predicted.max()))
    classes = largest + 1 if classes is None else classes
    if not largest < classes <= LARGEST:
        raise InputError(f"classes must be from {largest + 1} (the largest label is {largest}) to {LARGEST}, got {classes}")
    return np.bincount(true * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def roc_auc(true, scores):
    """The area under the ROC curve: of all pairs of a yes and a no, the share in which the yes scores higher; a tie counts half.

    true: 0 or 1; scores: anything that is larger for a likelier yes, such as logits.
    """
    yes, scores = _yes_or_no(true, scores)
    _, level, ties = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(ties) - (ties - 1) / 2)[level]  # from 1, equal scores share the middle of theirs
    count = int(yes.sum())
    return float((rank[yes].sum() - count * (count + 1) / 2) / (count * (len(yes) - count)))


def recall_at(true, scores, precision):
    """The largest share of yeses found by any threshold whose finds are yeses at least so often; 0.0 if there is none."""
    if not 0 < precision <= 1:
        raise InputError(f"precision must be a share, above 0 and up to 1, got {precision!r}")
    yes, scores = _yes_or_no(true, scores)
    order = np.argsort(-scores, kind="stable")
    hits, last = np.cumsum(yes[order]), np.append(np.diff(scores[order]) != 0, True)  # equal scores are found together
    kept = last & (hits >= precision * np.arange(1, len(yes) + 1))
    return float(hits[kept].max(initial=0) / hits[-1])


def mae(true, predicted):
    """The mean absolute error."""
    true, predicted = _numbers(true, predicted)
    return float(np.mean(np.abs(true - predicted)))


def rmse(true, predicted):
    """The root of the mean squared error."""
    true, predicted = _numbers(true, predicted)
    return float(np.sqrt(np.mean((true - predicted) ** 2)))


def r2(true, predicted):
    """The share of the truth's variance that is explained, over all values together; a constant truth gives 1.0 if met, else 0.0."""
    true, predicted = _numbers(true, predicted)
    left, spread = np.sum((true - predicted) ** 2), np.sum((true - true.mean()) ** 2)
    if spread == 0:
        return 1.0 if left == 0 else 0.0
    return float(1 - left / spread)


def pinball(true, predicted, q):
    """The mean pinball loss of forecast quantiles: q of the distance below the truth, 1 - q of that above.

    true: (...); q: one level in (0, 1), with predicted in true's shape, or several, with predicted (..., levels). Smaller is better;
    the mean over evenly spread levels is half the CRPS. Sort quantiles that cross before they are used.
    """
    true, predicted, q = _array(true, "true"), _array(predicted, "predicted"), _array(q, "q")
    _refuse(q, (q <= 0) | (q >= 1), "q", "a level lies between 0 and 1, both left out")
    if q.ndim > 1 or predicted.shape != true.shape + q.shape:
        raise InputError(f"predicted must be {true.shape + q.shape} for true {true.shape} and q {q.shape}, got {predicted.shape}: "
                         "one level, or a list of them along the last axis")
    above = true.astype(np.float64).reshape(true.shape + (1,) * q.ndim) - predicted
    return float(np.mean(np.maximum(q * above, (q - 1) * above)))


def coverage(true, low, high):
    """The share of the truth that lies from low to high, both included: what a band of 80 % should have 80 % of."""
    true, low, high = _array(true, "true"), _array(low, "low"), _array(high, "high")
    if not true.shape == low.shape == high.shape:
        raise InputError(f"true, low and high must have one shape, got {true.shape}, {low.shape} and {high.shape}")
    _refuse(low, low > high, "low", "it lies above high; sort quantiles that cross")
    return float(np.mean((low <= true) & (true <= high)))


def qlike(true, predicted):
    """The loss of forecast variances: the mean of log(predicted) + true / predicted, for a truth that is a squared return or any other
    unbiased guess of the variance. It ranks forecasts as it would against the true variance (Patton 2011); smaller is better, and
    0.1 less is worth a tenth of a nat. A variance forecast too small costs more than one too large.
    """
    true, predicted = _numbers(true, predicted)
    _refuse(true, true < 0, "true", "a squared return or variance is 0 or more")
    _refuse(predicted, predicted <= 0, "predicted", "a variance must be above 0; exp() of a log-variance is")
    return float(np.mean(np.log(predicted) + true / predicted))


def perplexity(true, scores, logits=True):
    """Among how many equally likely classes the model wavers: exp of the mean of -log p(true).

    true: labels (...); scores: (..., classes), logits or, with logits=False, probabilities.
    """
    true, scores = _array(true, "true"), _array(scores, "scores")
    if scores.shape[:-1] != true.shape or scores.ndim == 0:
        raise InputError(f"scores must be (..., classes) for labels (...), got {scores.shape} for {true.shape}")
    true, scores = _whole(true, "true", scores.shape[-1] - 1), scores.astype(np.float64)
    of_true = lambda array: np.take_along_axis(array, true[..., None], -1)[..., 0]
    if logits:
        scores -= scores.max(-1, keepdims=True)  # exp then neither overflows nor is 0 everywhere
        log_p = of_true(scores) - np.log(np.exp(scores).sum(-1))
    else:
        hint = "pass logits=True for scores before the softmax"
        total = scores.sum(-1)
        _refuse(scores, scores < 0, "scores", f"a probability is 0 or more; {hint}")
        _refuse(total, np.abs(total - 1) > 1e-3, "the sum of scores", f"the probabilities of all classes sum to 1; {hint}")
        with np.errstate(divide="ignore"):  # a truth held impossible: infinitely perplexed
            log_p = np.log(of_true(scores))
    with np.errstate(over="ignore"):
        return float(np.exp(-log_p.mean()))


def edit_distance(true, predicted):
    """How many items must be put in, taken out or replaced to make one from the other: strings, lists of labels, (n,) arrays."""
    true, predicted = _items(true, "true"), _items(predicted, "predicted")
    row = list(range(len(predicted) + 1))  # from the first items of true to each beginning of predicted
    for i, item in enumerate(true, 1):
        diagonal, row[0] = row[0], i
        for k, other in enumerate(predicted, 1):
            diagonal, row[k] = row[k], min(diagonal + (item != other), row[k] + 1, row[k - 1] + 1)
    return row[-1]


def error_rate(true, predicted):
    """Edit distances of many pairs by the number of true items: the character error rate of strings, the label error rate of
    lists of labels. It may be above 1."""
    for values, what in ((true, "true"), (predicted, "predicted")):
        if isinstance(values, str) or not hasattr(values, "__len__"):
            raise InputError(f"{what} must be a list of sequences, got {values!r:.80}: write [{what}] for one")
    if len(true) != len(predicted):
        raise InputError(f"true and predicted must be as many sequences, got {len(true)} and {len(predicted)}")
    items = sum(len(_items(one, f"true[{n}]")) for n, one in enumerate(true))
    if not items:
        raise InputError("true has no items in it: a rate needs at least one")
    return sum(edit_distance(*pair) for pair in zip(true, predicted, strict=True)) / items


def _items(sequence, what):
    """A sequence as a list of what it is made of."""
    if isinstance(sequence, np.ndarray):
        if sequence.ndim != 1:
            raise InputError(f"{what} must be one sequence, (n,), got shape {sequence.shape}")
        return sequence.tolist()
    if not isinstance(sequence, str | list | tuple):
        raise InputError(f"{what} must be a string, a list or an array (n,), got {type(sequence).__name__}")
    return list(sequence)


def _array(values, what):
    """Finite numbers, at least one."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{what} must be numbers in a regular array: {error}") from None
    if not array.size:
        raise InputError(f"{what} is empty, shape {array.shape}: a metric needs at least one value")
    if array.dtype.kind not in "fiub":
        raise InputError(f"{what} must be numbers, got dtype {array.dtype}: convert it first")
    _refuse(array, ~np.isfinite(array), what, "values must be finite; drop missing ones first")
    return array


def _refuse(array, wrong, what, words):
    """Name the first value that is wrong, and why."""
    if wrong.any():
        place = tuple(map(int, np.argwhere(wrong)[0]))
        raise InputError(f"{what}{''.join(f'[{i}]' for i in place)} is {array[place]}: {words}")


def _pair(true, predicted, what="predicted"):
    true, predicted = _array(true, "true"), _array(predicted, what)
    if true.shape != predicted.shape:
        hint = ""
        if predicted.shape[:-1] == true.shape:
            hint = f": take {what}" + ("[..., 0]" if predicted.shape[-1] == 1 else ".argmax(-1) if it holds scores of classes")
        raise InputError(f"true and {what} must have one shape, got {true.shape} and {predicted.shape}{hint}")
    return true.ravel(), predicted.ravel()


def _numbers(true, predicted):
    true, predicted = _pair(true, predicted)
    return true.astype(np.float64), predicted.astype(np.float64)


def _labels(true, predicted):
    true, predicted = _pair(true, predicted)
    return _whole(true, "true", MOST - 1), _whole(predicted, "predicted", MOST - 1)


def _yes_or_no(true, scores):
    """(yes (n,) as booleans, scores (n,)), at least one yes and one no"""
    true, scores = _pair(true, scores, "scores")
    _refuse(true, (true != 0) & (true != 1), "true", "it must be 0 or 1, no or yes")
    if true.min() == true.max():
        raise InputError(f"true is {true.flat[0]} throughout: it takes a yes and a no at least to tell them apart")
    return true == 1, scores


def _whole(labels, what, largest):
    _refuse(labels, (labels < 0) | (labels > largest) | (labels != np.floor(labels)), what,
            f"a label must be a whole number from 0 to {largest}; scores of classes become labels with .argmax(-1)")
    return labels.astype(np.int64)


def _counts(true, predicted):
    """(hits, actual, called), each (classes,)"""
    true, predicted = _labels(true, predicted)
    classes = max(true.max(), predicted.max()) + 1
    return [np.bincount(labels, minlength=classes) for labels in (true[true == predicted], true, predicted)]


def _averaged(hits, out_of, occurs, average):
    if average == "micro":
        return float(hits.sum() / out_of.sum())
    each = np.divide(hits, out_of, out=np.zeros(len(hits)), where=out_of > 0)
    if average == "macro":
        return float(each[occurs > 0].mean())
    if average is None:
        return each
    raise InputError(f'average must be "macro", "micro" or None, got {average!r}')
