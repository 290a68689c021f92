"""How well scores rank anomalous rows first, without a threshold: average precision (AUC-PR) and VUS-PR
(Paparrizos et al., VLDB 2022), which softens the labels by 0 to `buffer` rows and averages."""
from itertools import pairwise

import numpy as np

from .sets import runs

BUFFER = 100
THRESHOLDS = 250


def auc_pr(label, score):
    """Average precision by rows; rows of equal score are taken together."""
    order = np.argsort(-score, kind="stable")
    ranked, truth = score[order], np.asarray(label)[order] > 0
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    hits = np.cumsum(truth)[ends]
    return float(np.sum(np.diff(np.append(0.0, hits / hits[-1])) * (hits / (ends + 1))))


def _soften(label, spans, width):
    """Labels that fall off as sqrt(1 - distance / width) over width // 2 rows on each side of every event."""
    soft, rows, reach = label.astype(float), len(label), width // 2
    for first, last in spans:
        at = np.arange(last + 1, min(last + 1 + reach, rows))
        soft[at] += np.sqrt(1 - (at - last) / width)
        at = np.arange(max(first - reach, 0), first)
        soft[at] += np.sqrt(1 - (first - at) / width)
    return np.minimum(soft, 1.0)


def _merge(spans, reach, rows):
    """Events widened by `reach` rows on each side and joined where they meet."""
    out, first = [], max(spans[0][0] - reach, 0)
    for (_, last), (following, _) in pairwise(spans):
        if last + reach < following - reach:
            out.append((first, last + reach))
            first = following - reach
    return out + [(first, min(spans[-1][1] + reach, rows - 1))]


def _inside(spans, rows):
    flags = np.zeros(rows, bool)
    for first, last in spans:
        flags[first:last + 1] = True
    return flags


def _sums_at(weights, taken):
    return np.append(0.0, np.cumsum(weights))[taken]


def vus_pr(label, score, buffer=BUFFER, thresholds=THRESHOLDS):
    """Area under the precision-recall curve with soft labels, mean over buffers of 0 to `buffer` rows.

    Recall is weighted by the share of events that the threshold touches at all."""
    label = np.asarray(label) > 0
    rows, spans = len(label), runs(label)
    levels = -np.sort(-score)[np.linspace(0, rows - 1, thresholds).astype(int)]
    flagged = rows - np.searchsorted(np.sort(score), levels, side="left")
    # Only rows near an event can have a label above 0; they are ranked once for all buffers.
    near = np.flatnonzero(_inside(_merge(spans, buffer // 2, rows), rows))
    near = near[np.argsort(-score[near], kind="stable")]
    taken = np.searchsorted(-score[near], -levels, side="right")
    areas = []
    for width in range(buffer + 1):
        soft = (_soften(label, spans, width) if width else label.astype(float))[near]
        events = _merge(spans, width // 2, rows)
        peaks = np.sort([score[first:last + 1].max() for first, last in events])
        touched = (len(events) - np.searchsorted(peaks, levels, side="left")) / len(events)
        margin, inside = ~label[near], _inside(events, rows)[near]
        hits = _sums_at(soft, taken)
        # The original counts the soft margin of an event as positive only as far as it was flagged.
        positive = (_sums_at(np.where(margin & inside, soft, 0.0), taken)
                    + np.where(margin & ~inside, soft, 0.0).sum())
        recall = np.minimum(hits / ((2 * label.sum() + positive) / 2), 1.0) * touched
        areas.append(np.sum(np.diff(np.append(0.0, recall)) * (hits / flagged)))
    return float(np.mean(areas))
