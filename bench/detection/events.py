"""Scores of sets whose truth is a few events: the place of the top score (UCR), events found and false runs (MGAB)."""
import numpy as np

from .sets import runs

SLACK = 100     # rows granted on each side of an event


def top_hit(series, score, slack=SLACK):
    """Whether the highest score of the scored rows lies in the only event, widened by `slack` rows (UCR)."""
    (first, last), = series.spans
    return bool(first - slack <= int(np.argmax(score)) <= last + slack)


def found_and_false(series, alert, slack=SLACK):
    """Events that an alert touches and alert runs that touch no event, every event widened by `slack` rows (MGAB).

    The rows that a run has beyond an event it touches make no false run; they count in `false_rows`, which gives away
    a detector that never falls silent."""
    alert = np.asarray(alert, bool)
    if alert.shape != series.label.shape:
        raise ValueError(f"{series.name}: needs {len(series.label)} alerts")
    near = np.zeros(len(alert), bool)
    found = 0
    for first, last in series.spans:
        widened = slice(max(first - slack, 0), last + slack + 1)
        near[widened] = True
        found += bool(alert[widened].any())
    false = [not near[first:last + 1].any() for first, last in runs(alert)]
    return {"events": len(series.spans), "found": found, "false_runs": sum(false), "false_rows": int((alert & ~near).sum())}
