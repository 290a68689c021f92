"""Logits over labels and a blank, step by step, as label sequences: what a model trained with the loss CTC says.

A label counts when it appears: first of all, after a blank, or after another label. While it stays the largest it is still
the same one.
"""
from math import exp, inf, log1p
from operator import index

import numpy as np

from streamrnn.errors import ConfigError, InputError
from streamrnn.streams.samples import lengths_of


class Collapse:
    """Labels from a stream, as they appear: `step(stream.step(x_t))` answers a label or None."""

    def __init__(self, blank=0):
        self.blank = _whole(blank, "blank", 0)
        self._last = self.blank

    def step(self, y_t):
        """The label that appears with these logits (or probabilities), (outputs,); None while there is none, or still the same."""
        y_t = _scores(y_t, 1, "(outputs,)", self.blank)
        label, before = int(y_t.argmax()), self._last
        self._last = label
        return label if label not in (before, self.blank) else None

    def reset(self):
        """As it was before its first step."""
        self._last = self.blank


def best_path(y, blank=0, lengths=None):
    """The labels of the largest logit at each step, as Collapse tells them: a list for y (T, outputs), lists for (B, T, outputs)."""
    blank = _whole(blank, "blank", 0)
    y = np.asarray(y)
    if y.ndim == 3:
        return [best_path(part, blank) for part in _cut(y, lengths)]
    if lengths is not None:
        raise InputError(f"lengths= goes with y (B, T, outputs), got y of shape {y.shape}")
    best = _scores(y, 2, "(T, outputs) or (B, T, outputs)", blank).argmax(1)
    return best[(best != blank) & (best != np.append(blank, best[:-1]))].tolist()


def beam_search(y, width=8, blank=0):
    """The label sequence that is most probable over all its alignments, of those that `width` beginnings at a time lead to.

    y: logits (T, outputs). best_path takes the most probable alignment instead: the same where a model is sure of itself.
    """
    width, blank = _whole(width, "width", 1), _whole(blank, "blank", 0)
    y = _scores(np.asarray(y), 2, "(T, outputs)", blank).astype(np.float64)
    y = y - y.max(1, keepdims=True, initial=-inf)
    log_p = y - np.log(np.exp(y).sum(1, keepdims=True))
    beams = {(): (0.0, -inf)}  # of a beginning: log p of its alignments that end in a blank, and of those that end in its last label
    for step in log_p.tolist():
        found = {}
        for labels, (silent, sounding) in beams.items():
            either, last = _added(silent, sounding), labels[-1] if labels else None
            _add(found, labels, either + step[blank], -inf if last is None else sounding + step[last])
            for label, p in enumerate(step):
                if label != blank:  # the same label once more takes a blank before it
                    _add(found, (*labels, label), -inf, (silent if label == last else either) + p)
        beams = dict(sorted(found.items(), key=lambda item: -_added(*item[1]))[:width])
    return list(next(iter(beams)))


def _add(found, labels, silent, sounding):
    before = found.get(labels, (-inf, -inf))
    found[labels] = _added(before[0], silent), _added(before[1], sounding)


def _added(a, b):
    """log(exp(a) + exp(b))"""
    low, high = (a, b) if a < b else (b, a)
    return high if low == -inf else high + log1p(exp(low - high))


def _cut(y, lengths):
    if lengths is None:
        return list(y)
    return [part[:length] for part, length in zip(y, lengths_of(lengths, *y.shape[:2]), strict=True)]


def _scores(y, axes, shape, blank):
    y = np.asarray(y)
    if y.ndim != axes or y.dtype.kind not in "fiu" or y.shape[-1] < 2:
        raise InputError(f"logits to decode are numbers {shape}, one output for each label and for the blank; got shape {y.shape}, "
                         f"dtype {y.dtype}")
    if blank >= y.shape[-1]:
        raise InputError(f"blank is output {blank}, but there are outputs 0 to {y.shape[-1] - 1} only")
    if not np.isfinite(y).all():
        raise InputError("logits to decode must be finite")
    return y


def _whole(value, what, least):
    try:
        number = index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least:
        raise ConfigError(f"{what} must be a whole number of {least} or more, got {value!r}")
    return number
