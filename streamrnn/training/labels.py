"""Label sequences as targets: which labels a sequence has in which order, shorter than the sequence, not which step has which.

They lie in the rows of their sequence, label n at step n, then -1; the weight of the sequence stands at its last row.
"""
import numpy as np

from streamrnn.errors import InputError
from streamrnn.streams.samples import as_float32
from streamrnn.training.sequences import Goal

NONE = -1  # pads label sequences


def label_goal(y, loss, outputs, head, firsts, lengths, rows):
    """The label sequences of one head, checked: a list of label lists, or (sequences, labels) padded with -1."""
    what = f"y[{head!r}]" if head else "y"
    loss.targets(outputs)
    if isinstance(y, str) or not hasattr(y, "__len__") or len(y) != len(firsts):
        got = str(len(y)) if hasattr(y, "__len__") and not isinstance(y, str) else type(y).__name__
        hint = ": write [x] and [labels] for one sequence" if len(firsts) == 1 else ""
        raise InputError(f"{what} must be a label sequence for each of the {len(firsts)} sequences of x, a list of lists or "
                         f"(sequences, labels) padded with {NONE}; got {got}{hint}")
    target, weight = np.full((rows, 1), NONE, np.float32), np.zeros((rows, 1), np.float32)
    for n, (part, first, length) in enumerate(zip(y, firsts, lengths, strict=True)):
        labels = _labels(part, f"{what}[{n}]")
        wrong = np.flatnonzero(loss.wrong_label(labels, outputs))
        if len(wrong):
            label = labels[wrong[0]].item()
            raise InputError(f"{what}[{n}][{wrong[0]}] is {label:g}{', the blank' if label == loss.blank else ''}: {loss.name} takes "
                             f"{loss.wanted.format(outputs=outputs)}")
        if length and loss.steps(labels) > length:
            raise InputError(f"{what}[{n}] has {len(labels)} labels, which take {loss.steps(labels)} steps (one each, and one more between "
                             f"two that are equal); x[{n}] has {length}: take a shorter step, or leave that sequence out")
        if length:
            target[first:first + len(labels), 0] = labels
            weight[first + length - 1] = 1
    return Goal(target, weight)


def _labels(part, what):
    """One sequence's labels, (labels,), without the padding."""
    labels = as_float32(part, what) if np.size(part) else np.zeros(0, np.float32)
    if labels.ndim != 1:
        raise InputError(f"{what} must be the labels of one sequence, (labels,), got shape {labels.shape}"
                         + (": a single sequence is [labels]" if labels.ndim == 0 else ""))
    if not np.isfinite(labels).all():
        raise InputError(f"{what} is {labels.tolist()}: labels must be finite")
    padding = np.flatnonzero(labels == NONE)
    count = padding[0] if len(padding) else len(labels)
    if (labels[count:] != NONE).any():
        raise InputError(f"{what} has a label behind the padding: {NONE} stands at the end only, got {labels.tolist()}")
    return labels[:count]
