"""Connectionist temporal classification: logits over labels at each step, and which labels come in which order, not when.

A sequence's path is its labels with a blank before, between and behind: label, label -> blank, label, blank, label, blank. An
alignment walks along it, a place a step: it stays, goes on by one, or by two from a label to another one. The loss is -log of
the sum of all alignments' probabilities, which forwards (what led here) and backwards (what leads on) add up in float64, in
logarithms (Graves et al. 2006).

y, d_y (rows, width) as elsewhere. target (rows, 1): step t of a sequence has its label number t, then -1. weight: what a
sequence counts stands at its last step.
"""
from dataclasses import dataclass
from math import exp, inf, log
from typing import ClassVar

import numpy as np
from numba import types

from streamrnn.errors import ConfigError
from streamrnn.jit import kernel, part, ready
from streamrnn.training.fields import whole as whole_number
from streamrnn.training.losses.base import Loss, matrix, vector

numbers = types.int64[::1]


@part
def added(a, b, c):
    """log(exp(a) + exp(b) + exp(c))"""
    top = max(a, max(b, c))
    if top == -inf:
        return top
    return top + log(exp(a - top) + exp(b - top) + exp(c - top))


@part
def path_of(target, first, stride, time, blank):
    """A sequence's labels with blanks around, (2 * labels + 1,)."""
    count = 0
    while count < time and target[first + count * stride, 0] >= 0:
        count += 1
    path = np.full(2 * count + 1, blank, np.int64)
    for n in range(count):
        path[2 * n + 1] = np.int64(target[first + n * stride, 0])
    return path


@part
def log_softmax(y, first, stride, time, start, units):
    """log p of each output at each step, (time, units)."""
    log_p = np.empty((time, units), np.float64)
    for t in range(time):
        row, top, bottom = first + t * stride, -inf, 0.0
        for u in range(units):
            top = max(top, np.float64(y[row, start + u]))
        for u in range(units):
            log_p[t, u] = np.float64(y[row, start + u]) - top
            bottom += exp(log_p[t, u])
        for u in range(units):
            log_p[t, u] -= log(bottom)
    return log_p


@part
def jumps(path, s):
    """May an alignment come to place s from s - 2? Only to a label, and to another one than that."""
    return s >= 2 and s % 2 == 1 and path[s] != path[s - 2]


@part
def forwards(log_p, path):
    """What all beginnings of alignments that stand at a place at a step add up to, that step's p included: (time, places)."""
    time, places = len(log_p), len(path)
    before = np.full((time, places), -inf, np.float64)
    for s in range(min(2, places)):
        before[0, s] = log_p[0, path[s]]
    for t in range(1, time):
        for s in range(max(0, places - 2 * (time - t)), min(places, 2 * t + 2)):  # from elsewhere the end is out of reach
            stay, one = before[t - 1, s], before[t - 1, s - 1] if s >= 1 else -inf
            two = before[t - 1, s - 2] if jumps(path, s) else -inf
            before[t, s] = added(stay, one, two) + log_p[t, path[s]]
    return before


@part
def backwards(log_p, path):
    """What all ways from a place at a step to the end add up to, without that step's p: (time, places)."""
    time, places = len(log_p), len(path)
    behind = np.full((time, places), -inf, np.float64)
    behind[time - 1, max(0, places - 2):] = 0.0
    for t in range(time - 2, -1, -1):
        for s in range(max(0, places - 2 * (time - t)), min(places, 2 * t + 2)):
            stay = behind[t + 1, s] + log_p[t + 1, path[s]]
            one = behind[t + 1, s + 1] + log_p[t + 1, path[s + 1]] if s + 1 < places else -inf
            two = behind[t + 1, s + 2] + log_p[t + 1, path[s + 2]] if s + 2 < places and jumps(path, s + 2) else -inf
            behind[t, s] = added(stay, one, two)
    return behind


@kernel(types.float64(matrix, matrix, vector, matrix, types.int64, types.int64, types.int64, numbers, types.int64, numbers))
def ctc_sequences(y, target, weight, d_y, start, stop, blank, firsts, stride, lengths):
    """-log p(labels) a label; its gradient is softmax(y) less the share of alignments that stand on each label at the step."""
    units, loss = stop - start, 0.0
    d_y[:, start:stop] = 0
    for n in range(len(firsts)):
        first, time = firsts[n], lengths[n]
        counts = np.float64(weight[first + (time - 1) * stride]) if time > 0 else 0.0
        if counts == 0:
            continue
        path = path_of(target, first, stride, time, blank)
        places = len(path)
        log_p = log_softmax(y, first, stride, time, start, units)
        before, behind = forwards(log_p, path), backwards(log_p, path)
        all_of_them = added(before[time - 1, places - 1], before[time - 1, places - 2] if places > 1 else -inf, -inf)
        scale = counts / max(1, places // 2)
        loss -= scale * all_of_them
        d = np.empty(units, np.float64)
        for t in range(time):
            for u in range(units):
                d[u] = exp(log_p[t, u])
            for s in range(places):
                d[path[s]] -= exp(before[t, s] + behind[t, s] - all_of_them)
            for u in range(units):
                d_y[first + t * stride, start + u] = scale * d[u]
    return loss


@dataclass(frozen=True)
class CTC(Loss):
    """As torch.nn.CTCLoss(blank, reduction="mean") on log_softmax(y): -log p(labels) by the number of labels, then the mean
    over sequences. `blank` is the output that says "no label here".
    """
    blank: int = 0
    name: ClassVar[str] = "ctc"
    wanted: ClassVar[str] = "labels, whole numbers in [0, {outputs}) without the blank"
    whole: ClassVar[bool] = True
    rows: ClassVar = staticmethod(ctc_sequences)

    def __post_init__(self):
        whole_number(self, 0, "blank")

    def targets(self, outputs):
        if not self.blank < outputs or outputs < 2:
            raise ConfigError(f"CTC: outputs must be 2 or more, one for each label and output {self.blank} for the blank, got {outputs}")
        return 1

    def elements(self, outputs):
        return 1

    def wrong_label(self, labels, outputs):
        """Which of them are no labels, bool (labels,)."""
        return ~((labels >= 0) & (labels < outputs) & (labels == np.floor(labels))) | (labels == self.blank)

    def steps(self, labels):
        """How many steps a sequence must have for these labels: one each, and a blank between two that are equal."""
        return len(labels) + int(np.count_nonzero(labels[1:] == labels[:-1]))

    def add_whole(self, y, target, weight, d_y, start, stop, layout):
        return ready(self.rows)(y, target, weight, d_y, start, stop, self.blank, layout.firsts, layout.stride, layout.lengths)
