"""The loss of sequences under some weights, without gradients: the serving kernels over whole sequences."""
from dataclasses import replace

import numpy as np

from streamrnn.kernels import frame
from streamrnn.plan import Packed
from streamrnn.streams import places
from streamrnn.training.losses.base import Layout

TOGETHER = 256  # sequences at once: their results are all in memory


class Evaluation:
    """Reads the weights where training changes them: the arenas of both plans are laid out alike."""

    def __init__(self, weights, objective, sequences, threads, device="cpu"):
        served = weights.model.packed
        program = served.program.copy()
        program[frame.ARENA] = weights.values.ctypes.data
        self._packed, self._weights = Packed(served.plan, program, weights.values), weights
        self.objective, self.data, self.threads, self.device = objective, sequences, threads, device
        self._counted = [float(sum(goal.weight[first:first + length, 0].sum(dtype=np.float64)
                                   for first, length in zip(sequences.firsts, sequences.lengths, strict=True)))
                         for goal in sequences.goals]

    def loss(self):
        """The losses of each part, averaged over all rows that count."""
        divisors, losses = self.objective.divisors(self._counted), np.zeros(len(self._counted))
        order = np.argsort(-self.data.lengths, kind="stable")[:np.count_nonzero(self.data.lengths)]
        for first in range(0, len(order), TOGETHER):
            losses += self._some(order[first:first + TOGETHER], divisors)[0]
        return losses

    def last_gradient(self):
        """The losses' gradient at the last step of each sequence, (sequences, outputs); all have steps, the longest comes first."""
        _, d_results = self._some(np.arange(len(self.data)), self.objective.divisors(self._counted))
        return d_results[np.arange(len(self.data)), self.data.lengths - 1]

    def _some(self, chosen, divisors):
        """(losses of each part, gradient (n, time, outputs)) of these sequences, of which the first is the longest."""
        lengths, firsts = self.data.lengths[chosen], self.data.firsts[chosen]
        time = int(lengths[0])
        where = firsts[:, None] + np.minimum(np.arange(time), lengths[:, None] - 1)  # a row each, (n, time)
        rows = self._rows(len(chosen))
        handles = np.array([rows.open() for _ in chosen], np.int64)
        results = rows.steps(handles, self.data.samples[where], lengths, numbers=chosen).reshape(len(chosen) * time, -1)
        inside = np.arange(time) < lengths[:, None]
        targets = [goal.target[where].reshape(len(results), -1) for goal in self.data.goals]
        weights = [(goal.weight[where, 0] * inside).reshape(-1) * np.float32(divisor)
                   for goal, divisor in zip(self.data.goals, divisors, strict=True)]
        layout, d_results = Layout(np.arange(len(chosen)) * time, 1, lengths), np.empty_like(results)
        losses = self.objective.add(results, d_results, targets, weights, layout)
        return losses, d_results.reshape(len(chosen), time, -1)

    def _rows(self, count):
        packed = self._packed if self.device == "cpu" else replace(self._packed, tensors=self._weights.tensors())
        return places.rows_on(self.device, packed, count, self.threads, fixed=True)[0]
